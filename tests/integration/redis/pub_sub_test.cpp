#include <gossip/provider/redis/pub_sub.hpp>

#include <gossip/provider/redis/publisher.hpp>

#include "support/redis_ears.hpp"
#include "support/redis_peers.hpp"
#include "support/redis_server.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace pub_sub_test {

using namespace std::chrono_literals;
using gossip::redis::OfferStatus;
using gossip::redis::Publisher;
using gossip::redis::PubSub;
using gossip_test::Bounded;
using gossip_test::CuttingProxy;
using gossip_test::Ends;
using gossip_test::eventually;
using gossip_test::in;
using gossip_test::News;
using gossip_test::OddServer;
using gossip_test::quick;
using gossip_test::RedisServer;
using gossip_test::time_of;
using Names = std::vector<std::string_view>;

inline namespace parts {

class Ear : public gossip::redis::PubSubListener {
public:
    bool message(std::string_view channel, std::string_view payload, std::string_view pattern) noexcept override {
        if (is_full_) {
            ++refused_;
            return false;
        }
        const std::lock_guard lock(mutex_);
        heard_.push_back(std::string{channel} + (pattern.empty() ? "" : "~" + std::string{pattern}) + "=" +
                         std::string{payload});
        return true;
    }
    void set_full(bool full) { is_full_ = full; }
    [[nodiscard]] int refused() const { return refused_; }
    [[nodiscard]] std::vector<std::string> heard() const {
        const std::lock_guard lock(mutex_);
        return heard_;
    }
    [[nodiscard]] std::size_t count() const {
        const std::lock_guard lock(mutex_);
        return heard_.size();
    }

private:
    std::atomic<bool> is_full_{false};
    std::atomic<int> refused_{0};
    mutable std::mutex mutex_;
    std::vector<std::string> heard_;
};

gossip::Result subscribe(PubSub& bus, const Names& channels, const Names& patterns = {},
                         std::chrono::milliseconds patience = 20s) {
    return bus.subscribe(channels, patterns, in(patience));
}

} // namespace parts

TEST_CASE("what is published after subscribe has returned is heard", "[pub_sub]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    Ear ear;
    const bool over_tcp = GENERATE(false, true);
    PubSub bus{quick(over_tcp ? server.tcp_url() : server.url()), ear};

    REQUIRE(subscribe(bus, {"a", "b"}, {"c.*"}));
    CHECK(server.command({"PUBLISH", "a", "1"}) == "1");
    CHECK(server.command({"PUBLISH", "b", ""}) == "1");
    CHECK(server.command({"PUBLISH", "c.d", "3"}) == "1");
    CHECK(server.command({"PUBLISH", "d", "4"}) == "0");
    CHECK(server.command({"PUBLISH", "a", "end"}) == "1");

    REQUIRE(eventually([&] { return ear.count() == 4; }));
    CHECK(ear.heard() == std::vector<std::string>{"a=1", "b=", "c.d~c.*=3", "a=end"});
    CHECK(bus.stats().messages == 4);
}

TEST_CASE("a name is heard until it has been unsubscribed as often as it was subscribed", "[pub_sub]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    Ear ear;
    PubSub bus{quick(server.url()), ear};
    const Names a{"a"};

    REQUIRE(subscribe(bus, a));
    REQUIRE(subscribe(bus, a));
    bus.unsubscribe(a, {});
    CHECK(server.command({"PUBLISH", "a", "1"}) == "1");
    bus.unsubscribe(a, {});
    REQUIRE(eventually([&] { return server.command({"PUBSUB", "NUMSUB", "a"}) == "[a,0]"; }));
    REQUIRE(subscribe(bus, a));
    CHECK(server.command({"PUBLISH", "a", "2"}) == "1");
    REQUIRE(eventually([&] { return ear.count() == 2; }));
    CHECK(ear.heard() == std::vector<std::string>{"a=1", "a=2"});
}

TEST_CASE("a hundred names from four threads, subscribed and unsubscribed at random, stand as they were left",
          "[pub_sub]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    Ear ear;
    PubSub bus{quick(server.url()), ear};
    std::atomic<int> failed = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 25; ++i) {
                const std::string own = "own." + std::to_string(t * 25 + i);
                const Names names{own, "shared"};
                failed += subscribe(bus, names) ? 0 : 1;
                bus.unsubscribe(Names{"shared"}, {});
                if (i % 2 == 0) {
                    bus.unsubscribe(Names{own}, {});
                    failed += subscribe(bus, Names{own}) ? 0 : 1;
                }
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }

    CHECK(failed == 0);
    for (int i = 0; i < 100; ++i) {
        REQUIRE(server.command({"PUBLISH", "own." + std::to_string(i), "x"}) == "1");
    }
    REQUIRE(eventually([&] { return ear.count() == 100; }));
    CHECK(eventually([&] { return server.command({"PUBSUB", "NUMSUB", "shared"}) == "[shared,0]"; }));
}

TEST_CASE("after an outage everything is subscribed again before `restored`, and the gap is told once", "[pub_sub]") {
    GOSSIP_NEEDS_REDIS();
    const Bounded bounded("pub/sub outage");
    RedisServer server;
    News news;
    Ear ear;
    auto options = quick(server.url());
    std::vector<std::string> subscribed_at_restore;
    options.on_connection = [&, hook = news.hook()](const gossip::ConnectionEvent& event) {
        if (event.kind == News::Kind::restored) {
            subscribed_at_restore = {server.command({"PUBSUB", "NUMSUB", "a", "b"}),
                                     server.command({"PUBSUB", "NUMPAT"})};
        }
        hook(event);
    };
    PubSub bus{options, ear};
    REQUIRE(subscribe(bus, {"a", "b"}, {"c.*"}));

    server.kill();
    REQUIRE(eventually([&] { return news.count(News::Kind::lost) == 1; }));
    server.start();
    REQUIRE(eventually([&] { return news.count(News::Kind::restored) == 1; }));

    CHECK(server.command({"PUBLISH", "b", "again"}) == "1");
    REQUIRE(eventually([&] { return ear.count() == 1; }));
    CHECK(news.line() == "lost gap restored");
    CHECK(news.all()[1].outage > 0ns);
    CHECK(subscribed_at_restore == std::vector<std::string>{"[a,1,b,1]", "1"});
}

TEST_CASE("without a subscription an outage leaves no gap", "[pub_sub]") {
    GOSSIP_NEEDS_REDIS();
    RedisServer server;
    News news;
    Ear ear;
    auto options = quick(server.url());
    options.on_connection = news.hook();
    PubSub bus{options, ear};
    REQUIRE(eventually([&] { return bus.stats().connected; }));

    server.kill();
    REQUIRE(eventually([&] { return news.count(News::Kind::lost) == 1; }));
    server.start();
    REQUIRE(eventually([&] { return news.count(News::Kind::restored) == 1; }));
    CHECK(news.line() == "lost restored");
}

TEST_CASE("subscribe waits for a server that is not there yet", "[pub_sub]") {
    GOSSIP_NEEDS_REDIS();
    RedisServer server;
    server.kill();
    Ear ear;
    PubSub bus{quick(server.url()), ear};
    gossip::Result result;
    std::thread waiter{[&] { result = subscribe(bus, {"a"}); }};
    server.start();
    waiter.join();

    CHECK(result);
    CHECK(server.command({"PUBLISH", "a", "1"}) == "1");
}

TEST_CASE("a connection cut many times under load: each outage is told of once, and what comes is whole and in order",
          "[pub_sub]") {
    GOSSIP_NEEDS_REDIS();
    const Bounded bounded("cut subscriber");
    const RedisServer server{{"--appendonly", "no"}};
    News news;
    Ear ear;
    Ends ends;
    auto options = quick(server.url());
    Publisher publisher{options, ends};
    options.on_connection = news.hook();
    PubSub bus{options, ear};
    REQUIRE(subscribe(bus, {"n"}));
    std::atomic<bool> stop = false;
    std::thread producer{[&] {
        for (std::uint64_t i = 0; !stop; ++i) {
            const std::string number = std::to_string(1'000'000'000 + i);
            static_cast<void>(publisher.offer_wait(i, {"PUBLISH", "n", number}, in(20s)) == OfferStatus::accepted);
        }
    }};

    int cut = 0;
    while (cut < 20) {
        const std::size_t before = ear.count();
        REQUIRE(eventually([&] { return ear.count() > before + 50; }));
        cut += server.cut("pub_sub");
    }
    stop = true;
    producer.join();
    REQUIRE(publisher.drain(in(20s)));
    int last = 2'000'000'000; // what comes after all that has begun is over
    REQUIRE(eventually([&] {
        server.command({"PUBLISH", "n", std::to_string(++last)});
        const auto heard = ear.heard();
        return !heard.empty() && heard.back() >= "n=2" &&
               news.count(News::Kind::lost) == news.count(News::Kind::restored);
    }));
    bus.shutdown();

    const auto heard = ear.heard();
    CHECK(std::all_of(heard.begin(), heard.end(), [](const std::string& line) { return line.size() == 12; }));
    CHECK(std::is_sorted(heard.begin(), heard.end()));
    CHECK(std::adjacent_find(heard.begin(), heard.end()) == heard.end());
    std::string expected; // a second cut may have hit an outage that was not over
    for (std::size_t i = 0; i < news.count(News::Kind::lost); ++i) {
        expected += expected.empty() ? "lost gap restored" : " lost gap restored";
    }
    CHECK(news.line() == expected);
    CHECK(news.count(News::Kind::lost) >= 10);
}

TEST_CASE("messages cut in the middle are never handed on", "[pub_sub]") {
    GOSSIP_NEEDS_REDIS();
    const Bounded bounded("cut messages");
    const RedisServer server{{"--appendonly", "no"}};
    CuttingProxy proxy{server};
    Ear ear;
    PubSub bus{quick(proxy.url()), ear};
    REQUIRE(subscribe(bus, {"n"}));

    proxy.cut_after(3'333);
    REQUIRE(eventually([&] {
        server.command({"PUBLISH", "n", std::string(500, 'x') + "end"});
        return proxy.cuts() >= 8;
    }));
    proxy.cut_after(0);
    const std::size_t before = ear.count();
    REQUIRE(eventually([&] {
        server.command({"PUBLISH", "n", std::string(500, 'x') + "end"});
        return ear.count() > before;
    }));

    for (const std::string& line : ear.heard()) {
        REQUIRE(line == "n=" + std::string(500, 'x') + "end");
    }
}

TEST_CASE("a listener without room gets everything in order as soon as it has some", "[pub_sub]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server{{"--appendonly", "no"}};
    Ear ear;
    PubSub bus{quick(server.url()), ear};
    REQUIRE(subscribe(bus, {"n"}));

    ear.set_full(true);
    for (int i = 100; i < 400; ++i) {
        REQUIRE(server.command({"PUBLISH", "n", std::to_string(i)}) == "1");
    }
    REQUIRE(eventually([&] { return ear.refused() >= 3; }));
    CHECK(ear.count() == 0);
    ear.set_full(false);
    bus.resume();
    REQUIRE(eventually([&] { return ear.count() == 300; }));

    const auto heard = ear.heard();
    CHECK(std::is_sorted(heard.begin(), heard.end()));
    CHECK(bus.stats().stalls >= 1);
}

TEST_CASE("a message without room outlives the connection that it came on, and is heard as soon as there is some",
          "[pub_sub]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server{{"--appendonly", "no"}};
    Ear ear;
    PubSub bus{quick(server.url()), ear};
    REQUIRE(subscribe(bus, {"a"}));
    ear.set_full(true);
    REQUIRE(server.command({"PUBLISH", "a", "1"}) == "1");
    REQUIRE(eventually([&] { return ear.refused() >= 3; }));
    REQUIRE(server.cut("pub_sub") == 1);
    std::atomic<bool> subscribed{false};
    std::thread more{[&] { subscribed = subscribe(bus, {"b"}).ok(); }}; // into the connection that is gone
    CHECK(eventually([&] { return bus.stats().connects == 2; }));
    const int refused = ear.refused();
    CHECK(eventually([&] { return ear.refused() >= refused + 3; })); // on the new one
    ear.set_full(false);
    bus.resume();
    CHECK(eventually([&] { return ear.count() == 1; })); // without another message that would push it
    more.join();
    CHECK(subscribed);
    CHECK(server.command({"PUBLISH", "b", "2"}) == "1");
    CHECK(eventually([&] { return ear.count() == 2; }));
    CHECK(ear.heard() == std::vector<std::string>{"a=1", "b=2"});
}

TEST_CASE("subscribe says why it could not be confirmed", "[pub_sub]") {
    Ear ear;
    PubSub bus{quick("unix:///nowhere/redis.sock"), ear};

    const gossip::Result result = subscribe(bus, {"a"}, {}, 50ms);

    REQUIRE_FALSE(result);
    const gossip::Error error = result.error();
    CHECK(gossip::is_timeout(error));
    CHECK(gossip::describe(error).find("No such file") != std::string::npos);
}

TEST_CASE("a refused login ends subscribe at once", "[pub_sub]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server{{"--requirepass", "right"}};
    Ear ear;
    PubSub bus{quick("redis://:wrong@127.0.0.1:" + std::to_string(server.port())), ear};

    gossip::Result result;
    CHECK(time_of([&] { result = subscribe(bus, {"a"}); }) < 10s);
    REQUIRE_FALSE(result);
    CHECK(gossip::is_fatal(result.error()));
}

TEST_CASE("a channel that the user may not hear is refused alone", "[pub_sub]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    REQUIRE(server.command({"ACL", "SETUSER", "me", "on", ">pass", "resetchannels", "&ok.*", "+@all"}) == "OK");
    Ear ear;
    PubSub bus{quick("redis://me:pass@127.0.0.1:" + std::to_string(server.port())), ear};

    REQUIRE(subscribe(bus, {"ok.1"}));
    const gossip::Result refused = subscribe(bus, {"ok.2", "secret"});
    REQUIRE_FALSE(refused);
    CHECK(gossip::is_fatal(refused.error()));
    CHECK(std::string{refused.error().what()}.find("NOPERM") != std::string::npos);
    CHECK(eventually([&] { return server.command({"PUBSUB", "NUMSUB", "ok.1", "ok.2"}) == "[ok.1,1,ok.2,0]"; }));
    CHECK(server.command({"PUBLISH", "ok.1", "1"}) == "1");
    REQUIRE(eventually([&] { return ear.count() == 1; }));

    REQUIRE(server.command({"ACL", "SETUSER", "me", "&secret"}) == "OK");
    CHECK(subscribe(bus, {"secret"}));
}

TEST_CASE("a channel that is refused after an outage is told of, after each of them", "[pub_sub]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    REQUIRE(server.command({"ACL", "SETUSER", "me", "on", ">pass", "resetchannels", "&a", "&b", "+@all"}) == "OK");
    News news;
    Ear ear;
    auto options = quick("redis://me:pass@127.0.0.1:" + std::to_string(server.port()));
    options.on_connection = news.hook();
    PubSub bus{options, ear};
    REQUIRE(subscribe(bus, {"a", "b"}));
    server.command({"ACL", "SETUSER", "me", "resetchannels", "&a"}); // cuts it off
    REQUIRE(eventually([&] { return news.count(News::Kind::restored) == 1; }));
    REQUIRE(server.cut("pub_sub") == 1);
    REQUIRE(eventually([&] { return news.count(News::Kind::restored) == 2; }));
    CHECK(news.line() == "lost refused gap restored lost refused gap restored");
    CHECK(server.command({"PUBLISH", "a", "1"}) == "1");
}

TEST_CASE("a silent server is asked, and given up if it does not answer", "[pub_sub]") {
    GOSSIP_NEEDS_REDIS();
    RedisServer server;
    News news;
    Ear ear;
    auto options = quick(server.url());
    options.ping_interval = 20ms;
    options.command_timeout = 3s; // more than a busy machine takes for an answer
    options.on_connection = news.hook();
    PubSub bus{options, ear};
    REQUIRE(subscribe(bus, {"a"}));

    const auto pings = [&] {
        const std::string stats = server.command({"INFO", "commandstats"});
        const std::size_t at = stats.find("cmdstat_ping:calls=");
        return at == std::string::npos ? 0 : std::atoi(stats.c_str() + at + 19);
    };
    const int before = pings();
    REQUIRE(eventually([&] { return pings() > before + 3; }));
    CHECK(news.line().empty());
    server.freeze();
    REQUIRE(eventually([&] { return news.count(News::Kind::lost) == 1; }));
    server.thaw();
    REQUIRE(eventually([&] { return news.count(News::Kind::restored) == 1; }));
    CHECK(news.line() == "lost gap restored");
    CHECK(server.command({"PUBLISH", "a", "1"}) == "1");
}

TEST_CASE("the reader stops within 50 ms, whatever it is doing", "[pub_sub]") {
    GOSSIP_NEEDS_REDIS();
    RedisServer server;
    const OddServer silent;
    Ear ear;
    const auto stops_in_time = [](PubSub& bus) { return gossip_test::takes_less_than(50ms, [&] { bus.shutdown(); }); };

    SECTION("idle") {
        PubSub bus{quick(server.url()), ear};
        REQUIRE(subscribe(bus, {"a"}));
        CHECK(stops_in_time(bus));
        CHECK(gossip::is(subscribe(bus, {"a"}).error(), gossip::errors::closed));
    }
    SECTION("connecting to a server that never answers") {
        PubSub bus{quick(silent.url()), ear};
        CHECK(stops_in_time(bus));
    }
    SECTION("pausing between attempts") {
        auto options = quick("unix:///nowhere/redis.sock");
        options.backoff_first = options.backoff_max = 10s;
        PubSub bus{options, ear};
        CHECK_FALSE(subscribe(bus, {"a"}, {}, 20ms));
        CHECK(stops_in_time(bus));
    }
    SECTION("with a frozen server") {
        PubSub bus{quick(server.url()), ear};
        REQUIRE(subscribe(bus, {"a"}));
        server.freeze();
        CHECK(stops_in_time(bus));
        server.thaw();
    }
    SECTION("with a listener that has no room") {
        PubSub bus{quick(server.url()), ear};
        REQUIRE(subscribe(bus, {"a"}));
        ear.set_full(true);
        server.command({"PUBLISH", "a", "1"});
        REQUIRE(eventually([&] { return ear.refused() > 0; }));
        CHECK(stops_in_time(bus));
    }
    SECTION("while somebody waits in subscribe") {
        PubSub bus{quick(silent.url()), ear};
        std::atomic<bool> was_closed = false;
        std::thread waiter{[&] { was_closed = gossip::is(subscribe(bus, {"a"}).error(), gossip::errors::closed); }};
        CHECK(stops_in_time(bus));
        waiter.join();
        CHECK(was_closed);
    }
}

} // namespace pub_sub_test
