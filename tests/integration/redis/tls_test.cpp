// Connections with TLS: who is trusted, who is not, and that nothing else changes.
#include <gossip/provider/redis/pub_sub.hpp>
#include <gossip/provider/redis/publisher.hpp>

#include "support/redis_bus.hpp"
#include "support/redis_ears.hpp"
#include "support/redis_peers.hpp"
#include "support/redis_tls.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace tls_test {

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using gossip::RedisOptions;
using gossip::Result;
using gossip::redis::OfferStatus;
using gossip::redis::Publisher;
using gossip::redis::PubSub;
using gossip_test::Bounded;
using gossip_test::Certificates;
using gossip_test::Ends;
using gossip_test::eventually;
using gossip_test::in;
using gossip_test::News;
using gossip_test::OddServer;
using gossip_test::RedisServer;
using gossip_test::time_of;
using gossip_test::TlsServer;

inline namespace parts {

class Ear : public gossip::redis::PubSubListener {
public:
    bool message(std::string_view /*channel*/, std::string_view payload,
                 std::string_view /*pattern*/) noexcept override {
        const std::lock_guard lock(mutex_);
        last_ = payload;
        bytes_ += payload.size();
        ++count_;
        return true;
    }
    [[nodiscard]] std::size_t count() const {
        const std::lock_guard lock(mutex_);
        return count_;
    }
    [[nodiscard]] std::size_t bytes() const {
        const std::lock_guard lock(mutex_);
        return bytes_;
    }
    [[nodiscard]] std::string last() const {
        const std::lock_guard lock(mutex_);
        return last_;
    }

private:
    mutable std::mutex mutex_;
    std::string last_;
    std::size_t bytes_ = 0;
    std::size_t count_ = 0;
};

/// Trusts the authority that vouched for the server.
RedisOptions trusting(const std::string& url) {
    RedisOptions options = gossip_test::quick(url);
    options.tls.ca_file = Certificates::get().certificate("authority");
    return options;
}

/// What comes of subscribing to "a".
Result subscribe(PubSub& bus) {
    constexpr std::string_view names[] = {"a"};
    return bus.subscribe(names, {}, in(20s));
}
Result attempt(const RedisOptions& options) {
    Ear ear;
    PubSub bus{options, ear};
    return subscribe(bus);
}
/// Why the attempt is refused for good; empty if it is not.
std::string refusal(const RedisOptions& options) {
    const Result result = attempt(options);
    return !result && gossip::is_fatal(result.error()) ? std::string{result.error().what()} : "";
}

} // namespace parts

TEST_CASE("a server is trusted whose certificate is for it, by its address or by its name", "[tls]") {
    GOSSIP_NEEDS_TLS()
    const std::string certificate = GENERATE("address", "named");
    const TlsServer server{certificate};
    RedisOptions options = trusting(server.url());
    if (certificate == "named") {
        options.tls.server_name = GENERATE("redis.test", "redis.test.", "a.wild.test");
    }
    if (GENERATE(false, true)) {
        options.tls.ca_file.clear();
        options.tls.ca_directory = Certificates::get().folder();
    }
    CAPTURE(options.tls.server_name, options.tls.ca_directory);

    const Result result = attempt(options);

    CAPTURE(result ? "" : result.error().what());
    CHECK(result);
}

TEST_CASE("a server whose certificate is for another is refused before it hears a word", "[tls]") {
    GOSSIP_NEEDS_TLS()
    TlsServer server{"named"};
    RedisOptions options = trusting(server.url());
    options.tls.server_name = GENERATE("other.test", "test", "x.redis.test", "a.b.wild.test", "");
    const std::string wanted = options.tls.server_name.empty() ? "127.0.0.1" : options.tls.server_name;

    const std::string why = refusal(options);

    CHECK_THAT(why, ContainsSubstring("the server's certificate is refused: "));
    CHECK_THAT(why, ContainsSubstring(options.tls.server_name.empty() ? "IP address mismatch" : "ostname mismatch"));
    CHECK_THAT(why, ContainsSubstring("(it was to be for " + wanted + ")"));
    CHECK(server.redis().command({"INFO", "commandstats"}).find("cmdstat_hello") == std::string::npos);
}

TEST_CASE("a name that stands in the subject alone is no proof", "[tls]") {
    GOSSIP_NEEDS_TLS()
    const TlsServer server{"subject"};
    RedisOptions options = trusting(server.url());
    options.tls.server_name = "redis.test";
    CHECK_THAT(refusal(options), ContainsSubstring("ostname mismatch"));
}

TEST_CASE("a certificate that has expired is refused", "[tls]") {
    GOSSIP_NEEDS_TLS()
    const TlsServer server{"expired"};
    CHECK_THAT(refusal(trusting(server.url())), ContainsSubstring("certificate has expired"));
}

TEST_CASE("a server that nobody we trust vouches for is refused", "[tls]") {
    GOSSIP_NEEDS_TLS()
    const TlsServer server;
    RedisOptions options = trusting(server.url());
    SECTION("we trust another") { options.tls.ca_file = Certificates::get().certificate("stranger"); }
    SECTION("we trust whom the system trusts") { options.tls.ca_file.clear(); }
    const std::string why = refusal(options);
    CHECK_THAT(why, ContainsSubstring("the server's certificate is refused: "));
    CHECK_THAT(why, ContainsSubstring("certificate"));

    options.tls.ca_file.clear();
    options.tls.verify = false; // whoever asks for it gets it
    CHECK(attempt(options));
}

TEST_CASE("a server that asks for a certificate gets ours", "[tls]") {
    GOSSIP_NEEDS_TLS()
    const TlsServer server{"address", "yes"};
    RedisOptions options = trusting(server.url());
    SECTION("it is one that it trusts") {
        options.tls.certificate = Certificates::get().certificate("client");
        options.tls.key = Certificates::get().key("client");
        CHECK(attempt(options));
    }
    SECTION("it is one that it does not trust") {
        options.tls.certificate = Certificates::get().certificate("strange_client");
        options.tls.key = Certificates::get().key("strange_client");
        CHECK_THAT(refusal(options), ContainsSubstring("alert unknown ca"));
    }
    SECTION("there is none") { CHECK_THAT(refusal(options), ContainsSubstring("certificate required")); }
}

TEST_CASE("a server without TLS is refused", "[tls]") {
    GOSSIP_NEEDS_TLS()
    const OddServer plain{"-ERR unknown command\r\n"};
    CHECK_THAT(refusal(trusting("rediss" + plain.url().substr(5))), ContainsSubstring("TLS: wrong version number"));
}

TEST_CASE("files that are of no use are named before anything is tried", "[tls]") {
    GOSSIP_NEEDS_TLS()
    const auto field = [](auto change) {
        RedisOptions options = trusting("rediss://127.0.0.1");
        change(options.tls);
        const Result result = gossip::guard([&] { gossip::redis::check(options); });
        const auto error = result ? std::nullopt : gossip::as<gossip::ValidationError>(result.error());
        return error ? std::string{error->field()} : "none";
    };
    const Certificates& files = Certificates::get();
    CHECK(field([](auto&) {}) == "none");
    CHECK(field([](auto& tls) { tls.ca_file = "/nowhere"; }) == "tls.ca_file");
    CHECK(field([&](auto& tls) { tls.ca_file = files.key("client"); }) == "tls.ca_file");
    CHECK(field([&](auto& tls) { tls.ca_directory = tls.ca_file; }) == "tls.ca_directory");
    CHECK(field([&](auto& tls) { tls.certificate = files.certificate("client"); }) == "tls.key");
    CHECK(field([&](auto& tls) {
              tls.certificate = files.certificate("client");
              tls.key = files.key("address"); // another's
          }) == "tls.key");
    CHECK(field([&](auto& tls) {
              tls.certificate = files.key("client");
              tls.key = files.key("client");
          }) == "tls.certificate");
    CHECK(field([](auto& tls) { tls.verify = false; }) == "tls.verify");
}

TEST_CASE("messages of all sizes come through TLS whole and in time, both ways", "[tls]") {
    GOSSIP_NEEDS_TLS()
    const TlsServer server;
    Ear ear;
    Ends ends;
    PubSub bus{trusting(server.url()), ear};
    Publisher publisher{trusting(server.url()), ends};
    REQUIRE(subscribe(bus));
    std::uint64_t tag = 0;
    std::size_t bytes = 0;
    // Around what one record and one read hold, and far beyond; each is waited for, so that nothing pushes it on.
    for (const std::size_t size : {0U, 1U, 100U, 16'383U, 16'384U, 16'385U, 65'536U, 81'920U, 200'000U, 5'000'000U}) {
        const std::string payload(size, static_cast<char>('a' + tag % 26));
        REQUIRE(publisher.offer(tag++, {"PUBLISH", "a", payload}) == OfferStatus::accepted);
        bytes += size;
        REQUIRE(eventually([&] { return ear.count() == tag; }));
        CHECK(ear.last() == payload);
        CHECK(ear.bytes() == bytes);
    }
    REQUIRE(publisher.drain(in(20s)));
    CHECK(ends.are_exactly_one_each(tag));
}

TEST_CASE("fifty thousand messages from two threads come through TLS, each once", "[tls]") {
    GOSSIP_NEEDS_TLS()
    const TlsServer server;
    Ear ear;
    Ends ends;
    PubSub bus{trusting(server.url()), ear};
    Publisher publisher{trusting(server.url()), ends};
    REQUIRE(subscribe(bus));
    constexpr std::uint64_t each = 25'000;
    std::atomic<int> refused = 0;
    const auto publish = [&](std::uint64_t from) {
        for (std::uint64_t i = from; i < from + each; ++i) {
            if (publisher.offer_wait(i, {"PUBLISH", "a", std::string(i % 500, 'x')}, in(20s)) !=
                OfferStatus::accepted) {
                ++refused;
            }
        }
    };
    std::thread other{[&] { publish(each); }};
    publish(0);
    other.join();

    CHECK(refused == 0);
    REQUIRE(publisher.drain(in(60s)));
    CHECK(ends.are_exactly_one_each(2 * each));
    CHECK(eventually([&] { return ear.count() == 2 * each; }));
    CHECK(publisher.stats().connects == 1);
}

TEST_CASE("what a frozen server did not take is sent when it goes on, and nobody has to push", "[tls]") {
    GOSSIP_NEEDS_TLS()
    TlsServer server;
    Ends ends;
    RedisOptions options = trusting(server.url());
    options.command_timeout = 60s;
    Publisher publisher{options, ends};
    REQUIRE(publisher.offer(0, {"PING"}) == OfferStatus::accepted);
    REQUIRE(publisher.drain(in(20s)));

    server.redis().freeze();
    constexpr std::uint64_t count = 400; // 40 MB: more than sockets hold
    const std::string payload(100'000, 'x');
    for (std::uint64_t i = 1; i <= count; ++i) {
        REQUIRE(publisher.offer(i, {"ECHO", payload}) == OfferStatus::accepted);
    }
    CHECK_FALSE(publisher.drain(in(300ms)));
    server.redis().thaw();

    REQUIRE(publisher.drain(in(60s)));
    CHECK(ends.are_exactly_one_each(count + 1));
    CHECK(publisher.stats().connects == 1);
}

TEST_CASE("what a killed server took with it is asked again of the next, with TLS as without", "[tls]") {
    GOSSIP_NEEDS_TLS()
    TlsServer server;
    Ear ear;
    Ends ends;
    News news;
    RedisOptions options = trusting(server.url());
    options.on_connection = news.hook();
    PubSub bus{options, ear};
    Publisher publisher{trusting(server.url()), ends};
    REQUIRE(subscribe(bus));
    std::uint64_t tag = 0;
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 500; ++i) {
            REQUIRE(publisher.offer(tag++, {"RPUSH", "list", "x"}) == OfferStatus::accepted);
        }
        server.redis().kill();
        for (int i = 0; i < 500; ++i) {
            REQUIRE(publisher.offer(tag++, {"RPUSH", "list", "x"}) == OfferStatus::accepted);
        }
        server.redis().start();
        REQUIRE(publisher.drain(in(60s)));
        REQUIRE(eventually([&] { return news.count(News::Kind::restored) == static_cast<std::size_t>(round + 1); }));
    }
    CHECK(ends.are_exactly_one_each(tag));
    CHECK(server.redis().number({"LLEN", "list"}) >= static_cast<long>(tag)); // some twice, where the word was lost
    CHECK(news.line() == "lost gap restored lost gap restored lost gap restored");
    CHECK(server.redis().command({"PUBLISH", "a", "there"}) == "1");
    CHECK(eventually([&] { return ear.last() == "there"; }));
}

TEST_CASE("a bus over streams with TLS loses nothing when its server is killed", "[tls]") {
    GOSSIP_NEEDS_TLS()
    TlsServer server;
    RedisOptions options = trusting(server.url());
    options.mode = gossip::RedisMode::streams;
    options.group = "shop";
    gossip_test::RedisBus bus{options};
    std::mutex mutex;
    std::vector<int> seen(600, 0);
    const auto total = [&] {
        const std::lock_guard lock(mutex);
        return std::count_if(seen.begin(), seen.end(), [](int times) { return times > 0; });
    };
    auto listening = bus.subscribe(gossip_test::counted, [&](const int& number) {
        const std::lock_guard lock(mutex);
        ++seen[static_cast<std::size_t>(number)];
    });
    for (int i = 0; i < 600; ++i) {
        REQUIRE(bus.publish(gossip_test::counted, i) == gossip::PublishStatus::accepted);
        if (i == 300) {
            REQUIRE(eventually([&] { return total() >= 100; }));
            server.redis().kill();
            server.redis().start();
        }
    }
    CHECK(eventually([&] { return total() == 600; }));
    CHECK(bus.drain(20s));
    CHECK(server.redis().command({"XPENDING", "shop.counted", "shop"}).starts_with("[0,"));
    CHECK(bus.shutdown(10s).adds_up());
}

TEST_CASE("a handshake that is never answered ends with its time, and at once with a shutdown", "[tls]") {
    GOSSIP_NEEDS_TLS()
    const Bounded bounded{"a handshake with a server that says nothing"};
    const bool begins = GENERATE(false, true); // to answer: four bytes of a record
    const std::string answer = begins ? "\x16\x03\x03\x40" : "";
    const OddServer silent{answer};
    RedisOptions options = trusting("rediss" + silent.url().substr(5));
    News news;
    options.on_connection = news.hook();
    SECTION("its time is up") {
        options.connect_timeout = 50ms;
        Ear ear;
        const PubSub bus{options, ear};
        REQUIRE(eventually([&] { return news.count(News::Kind::lost) == 1; }));
        CHECK_THAT(std::string{news.all()[0].error->what()}, ContainsSubstring("no answer with TLS"));
    }
    SECTION("shut down") {
        options.connect_timeout = 1h;
        Ear ear;
        Ends ends;
        PubSub bus{options, ear};
        Publisher publisher{options, ends};
        REQUIRE(publisher.offer(0, {"PING"}) == OfferStatus::accepted);
        CHECK_FALSE(publisher.drain(in(50ms))); // time to come as far as it does
        CHECK(gossip_test::takes_less_than(50ms, [&] { bus.shutdown(); }));
        CHECK(gossip_test::takes_less_than(50ms, [&] { publisher.shutdown({}); }));
        CHECK(ends.errors().size() == 1);
    }
}

TEST_CASE("a whole bus is shut down in time while its server leaves the handshake unanswered", "[tls]") {
    GOSSIP_NEEDS_TLS()
    const Bounded bounded{"a bus on a server that says nothing"};
    TlsServer server;
    server.redis().freeze(); // connecting works: the system does it
    RedisOptions options = trusting(server.url());
    options.connect_timeout = 1h;
    gossip_test::RedisBus bus{options};
    CHECK(bus.publish(gossip_test::counted, 1) == gossip::PublishStatus::accepted);
    CHECK(gossip_test::takes_less_than(10s, [&] { CHECK(bus.shutdown(100ms).send_abandoned == 1); }));
}

TEST_CASE("a certificate that was replaced is read for the next connection", "[tls]") {
    GOSSIP_NEEDS_TLS()
    TlsServer server;
    const std::filesystem::path trusted = server.redis().socket() + ".ca";
    std::filesystem::copy_file(Certificates::get().certificate("stranger"), trusted);
    RedisOptions options = trusting(server.url());
    options.tls.ca_file = trusted;
    Ear ear;
    PubSub bus{options, ear};
    const Result refused = subscribe(bus);
    REQUIRE_FALSE(refused);
    CHECK(gossip::is_fatal(refused.error()));

    const std::filesystem::path fresh = trusted.string() + ".new";
    std::filesystem::copy_file(Certificates::get().certificate("authority"), fresh);
    std::filesystem::rename(fresh, trusted);
    CHECK(eventually([&] { return static_cast<bool>(subscribe(bus)); }));
}

} // namespace tls_test
