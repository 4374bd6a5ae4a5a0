#include <gossip/provider/redis/stream.hpp>

#include <gossip/provider/redis/publisher.hpp>

#include "support/redis_ears.hpp"
#include "support/redis_peers.hpp"
#include "support/redis_server.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace stream_test {

using namespace std::chrono_literals;
using gossip::redis::EntryId;
using gossip::redis::OfferStatus;
using gossip::redis::Publisher;
using gossip::redis::StreamEntry;
using gossip::redis::StreamReader;
using gossip_test::Bounded;
using gossip_test::CuttingProxy;
using gossip_test::Ends;
using gossip_test::eventually;
using gossip_test::in;
using gossip_test::News;
using gossip_test::OddServer;
using gossip_test::quick;
using gossip_test::RedisServer;
using Names = std::vector<std::string_view>;

inline namespace parts {

/// Writes down what it is given, and acknowledges it at once, if it has been given the reader.
class Ear : public gossip::redis::StreamListener {
public:
    struct Heard {
        std::string stream;
        std::string text;
        EntryId id;
        std::int64_t deliveries;
    };

    bool entry(const StreamEntry& entry) noexcept override {
        if (is_full_) {
            ++refused_;
            return false;
        }
        {
            const std::lock_guard lock(mutex_);
            heard_.push_back(
                {std::string{entry.stream()}, std::string{entry.field("n")}, entry.id(), entry.deliveries()});
        }
        if (StreamReader* const reader = acks_for_) {
            reader->ack(entry.id());
        }
        return true;
    }
    bool wants(std::string_view stream) noexcept override { return stream.starts_with("order."); }

    void ack_for(StreamReader& reader) { acks_for_ = &reader; }
    void ack_no_more() { acks_for_ = nullptr; }
    void set_full(bool full) { is_full_ = full; }
    [[nodiscard]] int refused() const { return refused_; }
    [[nodiscard]] std::vector<Heard> heard() const {
        const std::lock_guard lock(mutex_);
        return heard_;
    }
    [[nodiscard]] std::size_t count() const {
        const std::lock_guard lock(mutex_);
        return heard_.size();
    }
    [[nodiscard]] std::map<std::string, int> times() const {
        std::map<std::string, int> times;
        for (const Heard& heard : heard()) {
            ++times[heard.text];
        }
        return times;
    }

private:
    std::atomic<StreamReader*> acks_for_{nullptr};
    std::atomic<bool> is_full_{false};
    std::atomic<int> refused_{0};
    mutable std::mutex mutex_;
    std::vector<Heard> heard_;
};

gossip::RedisOptions group(const RedisServer& server) {
    gossip::RedisOptions options = quick(server.url());
    options.mode = gossip::RedisMode::streams;
    options.group = "g";
    options.stream.min_idle = 1h; // age_pending makes it pass
    options.stream.claim_interval = 10ms;
    options.stream.block = 500ms;
    options.stream.refresh = 10ms;
    return options;
}

void add(const RedisServer& server, const std::string& stream, int from, int to) {
    for (int i = from; i < to; ++i) {
        server.command({"XADD", stream, "*", "n", std::to_string(i)});
    }
}

long pending(const RedisServer& server, const std::string& stream) {
    const std::string text = server.command({"XPENDING", stream, "g"});
    return std::atol(text.c_str() + 1);
}

/// What a consumer that died has taken and never acknowledged.
void take_and_die(const RedisServer& server, const std::string& stream, int count) {
    server.command({"XREADGROUP", "GROUP", "g", "dead", "COUNT", std::to_string(count), "STREAMS", stream, ">"});
    server.age_pending(stream, "g");
}

long calls(const RedisServer& server, const std::string& command) {
    const std::string stats = server.command({"INFO", "commandstats"});
    const std::string key = "cmdstat_" + command + ":calls=";
    const std::size_t at = stats.find(key);
    return at == std::string::npos ? 0 : std::atol(stats.c_str() + at + key.size());
}

} // namespace parts

TEST_CASE("a group reads what came before it and after it, and acknowledges", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    add(server, "s", 0, 10);
    Ear ear;
    StreamReader reader{group(server), ear};
    ear.ack_for(reader);

    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    add(server, "s", 10, 20);

    REQUIRE(eventually([&] { return ear.count() == 20; }));
    CHECK(reader.drain(in(20s)));
    const auto heard = ear.heard();
    for (int i = 0; i < 20; ++i) {
        CHECK(heard[static_cast<std::size_t>(i)].text == std::to_string(i));
        CHECK(heard[static_cast<std::size_t>(i)].deliveries == 1);
    }
    CHECK(pending(server, "s") == 0);
    CHECK(reader.stats().acked == 20);
    CHECK(reader.stats().held == 0);
}

TEST_CASE("a group that starts now does not read what came before it", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    add(server, "s", 0, 10);
    Ear ear;
    auto options = group(server);
    options.stream.start = gossip::StreamStart::now;
    StreamReader reader{options, ear};
    ear.ack_for(reader);

    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    add(server, "s", 10, 11);

    REQUIRE(eventually([&] { return ear.count() == 1; }));
    CHECK(ear.heard()[0].text == "10");
}

TEST_CASE("members of a group share its entries, and each group has them all", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server{{"--appendonly", "no"}};
    Ear one;
    Ear two;
    Ear other;
    auto options = group(server);
    options.stream.count = 5;
    StreamReader first{options, one};
    StreamReader second{options, two};
    options.group = "h";
    StreamReader third{options, other};
    one.ack_for(first);
    two.ack_for(second);
    other.ack_for(third);
    CHECK(first.consumer() != second.consumer());
    for (StreamReader* const reader : {&first, &second, &third}) {
        REQUIRE(reader->subscribe(Names{"s", "t"}, in(20s)));
    }

    add(server, "s", 0, 200);
    add(server, "t", 200, 400);
    REQUIRE(eventually([&] { return one.count() + two.count() == 400 && other.count() == 400; }));

    auto all = one.times();
    for (const auto& [text, times] : two.times()) {
        all[text] += times;
    }
    CHECK(all.size() == 400);
    CHECK(other.times().size() == 400);
}

TEST_CASE("what a killed consumer held is taken over by another, once, and counted as delivered again", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    add(server, "s", 0, 150);
    server.command({"XGROUP", "CREATE", "s", "g", "0"});
    take_and_die(server, "s", 130);
    Ear one;
    Ear two;
    StreamReader first{group(server), one};
    StreamReader second{group(server), two};
    one.ack_for(first);
    two.ack_for(second);

    REQUIRE(first.subscribe(Names{"s"}, in(20s)));
    REQUIRE(second.subscribe(Names{"s"}, in(20s)));
    REQUIRE(eventually([&] { return one.count() + two.count() == 150; }));
    REQUIRE(eventually([&] { return pending(server, "s") == 0; }));

    auto all = one.heard();
    const auto rest = two.heard();
    all.insert(all.end(), rest.begin(), rest.end());
    std::set<std::string> texts;
    std::size_t again = 0;
    for (const auto& heard : all) {
        texts.insert(heard.text);
        again += heard.deliveries == 2 ? 1U : 0U;
    }
    CHECK(texts.size() == 150);
    CHECK(again == 130);
    CHECK(eventually([&] { return first.stats().claimed + second.stats().claimed == 130; }));
}

TEST_CASE("a consumer of the same name reads at once what its predecessor held", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    add(server, "s", 0, 250);
    server.command({"XGROUP", "CREATE", "s", "g", "0"});
    take_and_die(server, "s", 230);
    Ear ear;
    auto options = group(server);
    options.consumer = "dead";
    options.stream.min_idle = 10h; // others would have to wait
    StreamReader reader{options, ear};
    ear.ack_for(reader);

    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    REQUIRE(eventually([&] { return ear.count() == 250; }));
    REQUIRE(eventually([&] { return pending(server, "s") == 0; }));
    CHECK(ear.times().size() == 250);
    CHECK(ear.heard().front().text == "0");
    CHECK(ear.heard().front().deliveries == 2);
}

TEST_CASE("what a slow consumer holds is renewed, and nobody else gets it", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    Ear slow;
    Ear quick_one;
    auto options = group(server);
    options.stream.min_idle = 4s; // a machine that holds a thread up for more than half of it fails this
    StreamReader first{options, slow};
    REQUIRE(first.subscribe(Names{"s"}, in(20s)));
    add(server, "s", 0, 10);
    REQUIRE(eventually([&] { return slow.count() == 10; }));

    StreamReader second{options, quick_one};
    REQUIRE(second.subscribe(Names{"s"}, in(20s)));
    const long looks = calls(server, "xpending");
    const auto held_long = std::chrono::steady_clock::now() + options.stream.min_idle * 4 / 3;
    REQUIRE(eventually(
        [&] { return std::chrono::steady_clock::now() > held_long && calls(server, "xpending") > looks + 10; }));

    CHECK(quick_one.count() == 0);
    CHECK(slow.count() == 10);
    CHECK(first.stats().held == 10);
    for (const auto& heard : slow.heard()) {
        first.ack(heard.id);
    }
    CHECK(first.drain(in(20s)));
    CHECK(pending(server, "s") == 0);
}

TEST_CASE("a server that stands still for longer than min_idle takes nothing from who holds it", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    RedisServer server;
    Ear slow;
    auto options = group(server);
    options.stream.min_idle = 60ms;
    options.stream.claim_interval = 1h; // what it has read and not yet taken in looks like another's
    StreamReader reader{options, slow};
    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    add(server, "s", 0, 2);
    REQUIRE(eventually([&] { return slow.count() == 2; }));
    for (int round = 0; round < 5; ++round) {
        server.freeze(); // with a renewal under way: the next one is late
        const auto until = std::chrono::steady_clock::now() + options.stream.min_idle * 3;
        CHECK(eventually([&] { return std::chrono::steady_clock::now() > until; }));
        server.thaw();
        const long renewals = calls(server, "xclaim");
        REQUIRE(eventually([&] { return calls(server, "xclaim") > renewals + 6; }));
        CHECK(reader.stats().held == 2);
    }
    for (const auto& heard : slow.heard()) {
        reader.ack(heard.id);
    }
    CHECK(reader.drain(in(20s)));
    CHECK(pending(server, "s") == 0);
    CHECK(slow.count() == 2);
}

TEST_CASE("what stands in an answer that is late is not claimed from oneself, and is handed on once", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    CuttingProxy proxy(server);
    gossip::RedisOptions options = group(server);
    options.url = proxy.url();
    options.stream.block = 60s;
    options.stream.min_idle = 200ms; // so that it looks soon
    Ear ear;
    StreamReader reader{options, ear};
    ear.ack_for(reader);
    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    const auto is_blocked = [&] { return server.command({"CLIENT", "LIST"}).find(" flags=b") != std::string::npos; };
    REQUIRE(eventually(is_blocked));
    const long unblocks = calls(server, "client|unblock");
    proxy.keep_reads(true);
    add(server, "s", 0, 3); // the server has delivered the first of them, as far as it knows
    CHECK(eventually([&] { return calls(server, "client|unblock") > unblocks || calls(server, "xclaim") != 0; }));
    CHECK(calls(server, "xclaim") == 0);
    proxy.keep_reads(false);
    CHECK(eventually([&] { return ear.times().size() == 3 && pending(server, "s") == 0; }));
    reader.shutdown(in(10s));
    CHECK(ear.count() == 3);
    for (const Ear::Heard& heard : ear.heard()) {
        CHECK(heard.deliveries == 1);
    }
}

TEST_CASE("while what was claimed waits for room, what comes is read and held, so that nobody else claims it",
          "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    server.command({"XADD", "s", "1-1", "n", "0"});
    server.command({"XGROUP", "CREATE", "s", "g", "0"});
    take_and_die(server, "s", 1);
    server.command({"XCLAIM", "s", "g", "dead", "0", "1-1", "IDLE", "60000", "JUSTID"}); // long ago
    gossip::RedisOptions options = group(server);
    options.stream.min_idle = 30s;
    options.stream.block = 60s;
    Ear ear;
    ear.set_full(true);
    StreamReader reader{options, ear};
    ear.ack_for(reader);
    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    CHECK(eventually([&] { return ear.refused() > 0; })); // the dead one's, while a read is out
    add(server, "s", 1, 3);
    CHECK(eventually([&] { return reader.stats().held >= 2; }));
    ear.set_full(false);
    CHECK(eventually([&] { return ear.times().size() == 3 && pending(server, "s") == 0; }));
    reader.shutdown(in(10s));
    CHECK(ear.count() == 3);
}

TEST_CASE("what is left is delivered again after min_idle", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    Ear ear;
    StreamReader reader{group(server), ear};
    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    add(server, "s", 0, 1);
    REQUIRE(eventually([&] { return ear.count() == 1; }));

    reader.leave(ear.heard()[0].id);
    server.age_pending("s", "g");
    REQUIRE(eventually([&] { return ear.count() == 2; }));

    CHECK(ear.heard()[1].id == ear.heard()[0].id);
    CHECK(ear.heard()[1].deliveries == 2);
    CHECK(reader.stats().left == 1);
    reader.ack(ear.heard()[1].id);
    CHECK(reader.drain(in(20s)));
    CHECK(pending(server, "s") == 0);
}

TEST_CASE("an entry that kills its consumers again and again is buried with the reason", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    add(server, "s", 0, 3);
    server.command({"XGROUP", "CREATE", "s", "g", "0"});
    take_and_die(server, "s", 1);
    std::string first = server.command({"XRANGE", "s", "-", "+", "COUNT", "1"});
    first = first.substr(2, first.find(',') - 2);
    server.command({"XCLAIM", "s", "g", "dead", "0", first, "RETRYCOUNT", "3", "JUSTID"});
    server.age_pending("s", "g");
    Ear one;
    Ear two;
    auto options = group(server);
    options.stream.max_deliveries = 3;
    StreamReader reader{options, one};
    StreamReader rival{options, two};
    one.ack_for(reader);
    two.ack_for(rival);

    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    REQUIRE(rival.subscribe(Names{"s"}, in(20s)));
    REQUIRE(eventually([&] {
        return server.command({"XLEN", "gossip.dead_letters"}) == "1" && pending(server, "s") == 0;
    }));

    CHECK(one.times().count("0") + two.times().count("0") == 0);
    const std::string grave = server.command({"XRANGE", "gossip.dead_letters", "-", "+"});
    CAPTURE(grave);
    CHECK(grave.find("[n,0,gossip.reason,delivered 3 times and never acknowledged,gossip.stream,s,gossip.id," + first +
                     ",gossip.group,g,gossip.deliveries,3]") != std::string::npos);
    CHECK(eventually([&] { return reader.stats().buried + rival.stats().buried == 1; }));
}

TEST_CASE("an entry can be buried by hand, and drain waits for it", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    Ear ear;
    auto options = group(server);
    options.prefix = "p:";
    StreamReader reader{options, ear};
    REQUIRE(reader.subscribe(Names{"p:s"}, in(20s)));
    add(server, "p:s", 0, 2);
    REQUIRE(eventually([&] { return ear.count() == 2; }));

    reader.bury(ear.heard()[0].id, "not an event");
    reader.ack(ear.heard()[1].id);
    CHECK(reader.drain(in(20s)));

    CHECK(server.command({"XRANGE", "p:gossip.dead_letters", "-", "+"}).find("gossip.reason,not an event") !=
          std::string::npos);
    CHECK(pending(server, "p:s") == 0);
    CHECK(reader.stats().held == 0);
}

TEST_CASE("entries deleted while they were pending are counted as lost", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    add(server, "s", 0, 5);
    server.command({"XGROUP", "CREATE", "s", "g", "0"});
    take_and_die(server, "s", 5);
    server.command({"XTRIM", "s", "MAXLEN", "2"});
    Ear ear;
    StreamReader reader{group(server), ear};
    ear.ack_for(reader);

    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    REQUIRE(eventually([&] { return ear.count() == 2 && reader.stats().lost == 3; }));
    CHECK(eventually([&] { return pending(server, "s") == 0; }));
}

TEST_CASE("a lost group is made again behind the last entry read; a lost stream from its beginning", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    Ear ear;
    StreamReader reader{group(server), ear};
    ear.ack_for(reader);
    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    add(server, "s", 0, 5);
    REQUIRE(eventually([&] { return ear.count() == 5; }));
    CHECK(reader.drain(in(20s)));

    server.command({"XGROUP", "DESTROY", "s", "g"});
    add(server, "s", 5, 10);
    REQUIRE(eventually([&] { return ear.count() == 10; }));
    server.command({"FLUSHALL"});
    const auto last = std::chrono::milliseconds{ear.heard().back().id.milliseconds};
    REQUIRE(eventually([&] { return std::chrono::system_clock::now().time_since_epoch() > last + 1ms; })); // a new id
    add(server, "s", 10, 15);
    REQUIRE(eventually([&] { return ear.count() == 15; }));

    CHECK(ear.times().size() == 15);
    CHECK(reader.stats().repaired == 2);
}

TEST_CASE("a stream that is something else is refused, and disturbs no other", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    server.command({"SET", "wrong", "x"});
    Ear ear;
    StreamReader reader{group(server), ear};
    ear.ack_for(reader);

    const gossip::Result refused = reader.subscribe(Names{"wrong"}, in(20s));
    REQUIRE_FALSE(refused);
    CHECK(gossip::is_fatal(refused.error()));
    CHECK(std::string{refused.error().what()}.find("WRONGTYPE") != std::string::npos);
    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    add(server, "s", 0, 1);
    CHECK(eventually([&] { return ear.count() == 1; }));
}

TEST_CASE("a stream that is refused after an outage is told of, and disturbs no other", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    REQUIRE(server.command({"ACL", "SETUSER", "me", "on", ">pass", "~s", "~t", "~gossip*", "+@all"}) == "OK");
    News news;
    Ear ear;
    auto options = group(server);
    options.url = "redis://me:pass@127.0.0.1:" + std::to_string(server.port());
    options.on_connection = news.hook();
    options.stream.block = 1min; // the read that is out learns nothing
    StreamReader reader{options, ear};
    ear.ack_for(reader);
    REQUIRE(reader.subscribe(Names{"s", "t"}, in(20s)));
    REQUIRE(eventually([&] { // newer servers count a call when it ends
        return server.command({"CLIENT", "LIST"}).find("cmd=xreadgroup") != std::string::npos;
    }));
    CHECK(news.line().empty());
    REQUIRE(server.command({"ACL", "SETUSER", "me", "resetkeys", "~t", "~gossip*"}) == "OK");
    REQUIRE(eventually([&] { return server.cut("reader") == 1; }));
    REQUIRE(eventually([&] { return news.count(News::Kind::restored) == 1; }));
    CHECK(news.count(News::Kind::refused) == 1);
    add(server, "t", 0, 1);
    CHECK(eventually([&] { return ear.count() == 1; }));
}

TEST_CASE("a server killed under load: every entry is handled, and acknowledged in the end", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const Bounded bounded("killed stream server");
    RedisServer server;
    News news;
    Ear ear;
    Ends ends;
    auto options = group(server);
    options.on_connection = news.hook();
    StreamReader reader{options, ear};
    ear.ack_for(reader);
    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    Publisher publisher{quick(server.url()), ends};
    std::atomic<std::uint64_t> count = 0;
    std::atomic<bool> stop = false;
    std::thread producer{[&] {
        while (!stop) {
            if (count > ear.count() + 1'000) {
                std::this_thread::yield();
                continue;
            }
            const std::string n = std::to_string(count);
            count +=
                publisher.offer_wait(count, {"XADD", "s", "*", "n", n}, in(20s)) == OfferStatus::accepted ? 1U : 0U;
        }
    }};

    for (std::size_t round = 1; round <= 2; ++round) {
        const std::size_t before = ear.count();
        REQUIRE(eventually([&] { return ear.count() > before + 200; }));
        server.kill();
        REQUIRE(eventually([&] { return news.count(News::Kind::lost) == round; }));
        server.start();
    }
    stop = true;
    producer.join();
    REQUIRE(publisher.drain(in(20s)));
    REQUIRE(eventually([&] { return ear.times().size() == count; }));
    CHECK(reader.drain(in(20s)));

    CHECK(eventually([&] { return pending(server, "s") == 0; }));
    CHECK(news.line() == "lost restored lost restored");
    CHECK(reader.stats().lost == 0);
}

TEST_CASE("both connections cut many times under load: every entry is handled, and acknowledged in the end",
          "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const Bounded bounded("cut stream reader");
    const RedisServer server{{"--appendonly", "no"}};
    Ear ear;
    Ends ends;
    StreamReader reader{group(server), ear};
    ear.ack_for(reader);
    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    Publisher publisher{quick(server.url()), ends};
    std::atomic<std::uint64_t> count = 0;
    std::atomic<bool> stop = false;
    std::thread producer{[&] {
        while (!stop) {
            if (count > ear.count() + 1'000) {
                std::this_thread::yield();
                continue;
            }
            const std::string n = std::to_string(count);
            count +=
                publisher.offer_wait(count, {"XADD", "s", "*", "n", n}, in(20s)) == OfferStatus::accepted ? 1U : 0U;
        }
    }};

    for (int cut = 0; cut < 20;) {
        const std::size_t before = ear.count();
        REQUIRE(eventually([&] { return ear.count() > before + 20; }));
        cut += server.cut(cut % 2 == 0 ? "reader" : "settler");
    }
    stop = true;
    producer.join();
    REQUIRE(publisher.drain(in(20s)));
    REQUIRE(eventually([&] { return ear.times().size() == count; }));
    CHECK(reader.drain(in(20s)));
    CHECK(eventually([&] { return pending(server, "s") == 0; }));
    CHECK(reader.stats().lost == 0);
    CHECK(server.command({"EXISTS", "gossip.dead_letters"}) == "0");
}

TEST_CASE("patterns read the streams that the registry names, from their beginning", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    const auto options = group(server);
    const std::string registry = gossip::redis::stream_registry(options);
    server.command({"SADD", registry, "order.created", "user.created"});
    add(server, "order.created", 0, 3);
    add(server, "user.created", 100, 103);
    Ear ear;
    StreamReader reader{options, ear};
    ear.ack_for(reader);

    REQUIRE(reader.refresh(in(20s)));
    REQUIRE(eventually([&] { return ear.count() == 3; }));
    add(server, "order.paid", 3, 6);
    server.command({"SADD", registry, "order.paid"});
    REQUIRE(eventually([&] { return ear.count() == 6; }));
    CHECK(ear.times().size() == 6);
    CHECK(ear.times().count("100") == 0);
}

TEST_CASE("a registry that may not be read is told of, refuses new patterns, and silences no stream that is read",
          "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    server.command({"SADD", "gossip.streams", "order.a"});
    add(server, "order.a", 0, 1);
    server.command({"ACL", "SETUSER", "me", "on", ">pass", "~*", "&*", "+@all", "-smembers"});
    News news;
    gossip::RedisOptions options = group(server);
    options.url = "redis://me:pass@127.0.0.1:" + std::to_string(server.port());
    options.on_connection = news.hook();
    Ear ear;
    StreamReader reader{options, ear};
    ear.ack_for(reader);
    const gossip::Result refused = reader.refresh(in(20s));
    REQUIRE(!refused);
    CHECK(gossip::is_fatal(refused.error()));
    CHECK(news.line() == "refused");
    CHECK(ear.count() == 0);

    server.command({"ACL", "SETUSER", "me", "+smembers"});
    CHECK(reader.refresh(in(20s)));
    CHECK(eventually([&] { return ear.count() == 1; }));
    server.command({"ACL", "SETUSER", "me", "-smembers"});
    const auto is_told = [&] { return news.count(News::Kind::refused) == 2; };
    CHECK(eventually(is_told)); // by a look of the reader's own
    add(server, "order.a", 1, 2);
    CHECK(eventually([&] { return ear.count() == 2; }));
    CHECK(!reader.refresh(in(20s)));
    add(server, "order.a", 2, 3);
    CHECK(eventually([&] { return ear.count() == 3; }));
    CHECK(is_told()); // once
}

TEST_CASE("no more is held than may be, and a listener without room loses nothing", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    add(server, "s", 0, 100);
    Ear ear;
    auto options = group(server);
    options.stream.max_held = 10;
    StreamReader reader{options, ear};
    ear.set_full(true);
    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));

    REQUIRE(eventually([&] { return ear.refused() >= 3; }));
    CHECK(pending(server, "s") == 10);
    ear.set_full(false);
    reader.resume();
    REQUIRE(eventually([&] { return ear.count() == 10; }));
    CHECK(pending(server, "s") == 10);
    ear.ack_for(reader);
    for (const auto& heard : ear.heard()) {
        reader.ack(heard.id);
    }
    REQUIRE(eventually([&] { return ear.count() == 100; }));
    CHECK(reader.drain(in(20s)));
    CHECK(ear.times().size() == 100);
    CHECK(pending(server, "s") == 0);
}

TEST_CASE("trimming cuts what every group has settled, and nothing else", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server{{"--stream-node-max-entries", "5"}};
    add(server, "s", 0, 100);
    server.command({"XGROUP", "CREATE", "s", "h", "0"});
    Ear ear;
    auto options = group(server);
    options.stream.trim = gossip::StreamTrim::handled;
    StreamReader reader{options, ear};
    ear.ack_for(reader);
    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    REQUIRE(eventually([&] { return ear.count() == 100; }));

    const long trims = calls(server, "xtrim");
    REQUIRE(eventually([&] { return calls(server, "xtrim") > trims + 3; }));
    CHECK(server.command({"XLEN", "s"}) == "100"); // the other group has read none of it
    server.command({"XREADGROUP", "GROUP", "h", "c", "COUNT", "50", "STREAMS", "s", ">"});
    const long more = calls(server, "xtrim");
    REQUIRE(eventually([&] { return calls(server, "xtrim") > more + 3; }));
    CHECK(server.command({"XLEN", "s"}) == "100"); // nor acknowledged it
    server.command({"XGROUP", "DESTROY", "s", "h"});
    CHECK(eventually([&] { return server.number({"XLEN", "s"}) <= 5; }));
}

TEST_CASE("trimming leaves what is younger than it is told to keep", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server{{"--stream-node-max-entries", "5"}};
    for (int i = 1; i <= 50; ++i) { // of 1970
        server.command({"XADD", "s", std::to_string(i) + "-0", "n", std::to_string(i)});
    }
    add(server, "s", 0, 50);
    Ear ear;
    auto options = group(server);
    options.stream.trim = gossip::StreamTrim::handled;
    options.stream.keep = 24h;
    StreamReader reader{options, ear};
    ear.ack_for(reader);
    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    REQUIRE(eventually([&] { return ear.count() == 100; }));

    REQUIRE(eventually([&] { return server.number({"XLEN", "s"}) <= 55; }));
    const long trims = calls(server, "xtrim");
    REQUIRE(eventually([&] { return calls(server, "xtrim") > trims + 3; }));
    CHECK(server.number({"XLEN", "s"}) >= 50);
}

TEST_CASE("where the server does not say what is pending nothing is cut, and a refused cut is told of", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server{{"--stream-node-max-entries", "5"}};
    add(server, "s", 0, 100);
    server.command({"XGROUP", "CREATE", "s", "h", "0"});
    server.command({"XREADGROUP", "GROUP", "h", "c", "COUNT", "100", "STREAMS", "s", ">"});
    const std::string forbidden = GENERATE("xpending", "xtrim");
    REQUIRE(server.command({"ACL", "SETUSER", "me", "on", ">pass", "~*", "+@all", "-" + forbidden}) == "OK");
    News news;
    Ear ear;
    auto options = group(server);
    options.url = "redis://me:pass@127.0.0.1:" + std::to_string(server.port());
    options.on_connection = news.hook();
    options.stream.trim = gossip::StreamTrim::handled;
    StreamReader reader{options, ear};
    ear.ack_for(reader);
    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    REQUIRE(eventually([&] { return ear.count() == 100; }));
    if (forbidden == "xpending") {
        const long looks = calls(server, "xinfo|groups");
        REQUIRE(eventually([&] { return calls(server, "xinfo|groups") > looks + 5; }));
    } else {
        server.command({"XGROUP", "DESTROY", "s", "h"});
    }
    CHECK(eventually([&] { return news.count(News::Kind::refused) == 1; }));
    CHECK(server.command({"XLEN", "s"}) == "100");
}

TEST_CASE("a listener that has no room for long does not make the reader look the oftener afterwards", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    Ear ear;
    auto options = group(server);
    options.stream.min_idle = 1min;
    options.stream.claim_interval = 20ms;
    StreamReader reader{options, ear};
    ear.ack_for(reader);
    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    ear.set_full(true);
    add(server, "s", 0, 1);
    REQUIRE(eventually([&] { return ear.refused() > 100; })); // about a second
    const auto begin = std::chrono::steady_clock::now();
    const long before = calls(server, "xpending");
    ear.set_full(false);
    REQUIRE(eventually([&] { return ear.count() == 1; }));
    REQUIRE(reader.drain(in(20s)));
    REQUIRE(eventually([&] { return calls(server, "xpending") > before; }));
    const long looks = calls(server, "xpending") - before;
    const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
    CHECK(looks <= 2 + time / 15ms);
}

TEST_CASE("consumers that are idle are removed, unless something is pending for them", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    add(server, "s", 0, 1);
    server.command({"XGROUP", "CREATE", "s", "g", "0"});
    take_and_die(server, "s", 1);
    server.command({"XGROUP", "CREATECONSUMER", "s", "g", "gone"});
    Ear ear;
    auto options = group(server);
    options.stream.min_idle = 10h; // nobody claims what the dead one has
    options.stream.consumer_idle = 30ms;
    StreamReader reader{options, ear};
    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    const auto consumers = [&] { return server.command({"XINFO", "CONSUMERS", "s", "g"}); };

    REQUIRE(eventually([&] { return consumers().find("gone") == std::string::npos; }));
    CHECK(consumers().find("dead") != std::string::npos);
    ear.ack_for(reader);
    add(server, "s", 1, 2); // older servers know of a consumer only when they have served it
    REQUIRE(eventually([&] { return ear.count() == 1; }));
    CHECK(consumers().find(reader.consumer()) != std::string::npos);
    reader.shutdown(in(20s));
    CHECK(consumers().find(reader.consumer()) == std::string::npos);
    CHECK(pending(server, "s") == 1);
}

TEST_CASE("acknowledgements that the server cannot take for now are sent until it does", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    News news;
    Ear ear;
    auto options = group(server);
    options.on_connection = news.hook();
    StreamReader reader{options, ear};
    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    add(server, "s", 0, 5);
    REQUIRE(eventually([&] { return ear.count() == 5; }));

    server.command({"REPLICAOF", "127.0.0.1", std::to_string(gossip_test::free_port())});
    for (const auto& heard : ear.heard()) {
        reader.ack(heard.id);
    }
    // The server may also end the connections, and then refuses what the next ones begin with.
    REQUIRE(eventually([&] { return news.count(News::Kind::refused) + news.count(News::Kind::lost) >= 1; }));
    CHECK_FALSE(reader.drain(in(20ms)));
    server.command({"REPLICAOF", "NO", "ONE"});
    CHECK(reader.drain(in(20s)));
    CHECK(pending(server, "s") == 0);
    CHECK(reader.stats().acked == 5);
}

TEST_CASE("after stop_reading nothing is handed on, and what is held can still be settled", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    Ear ear;
    StreamReader reader{group(server), ear};
    REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
    add(server, "s", 0, 5);
    REQUIRE(eventually([&] { return ear.count() == 5; }));

    REQUIRE(reader.stop_reading(in(20s)));
    add(server, "s", 5, 10);
    for (const auto& heard : ear.heard()) {
        reader.ack(heard.id);
    }
    CHECK(reader.drain(in(20s)));
    CHECK(ear.count() == 5);
    CHECK(pending(server, "s") == 0);
}

TEST_CASE("what was read and had no room when reading stopped goes to another at once", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    Ear full;
    Ear ear;
    auto options = group(server);
    options.stream.min_idle = 1h;
    StreamReader first{options, full};
    StreamReader second{options, ear};
    full.set_full(true);
    REQUIRE(first.subscribe(Names{"s"}, in(20s)));
    add(server, "s", 0, 5);
    REQUIRE(eventually([&] { return full.refused() > 0; }));

    REQUIRE(first.stop_reading(in(20s)));
    ear.ack_for(second);
    REQUIRE(second.subscribe(Names{"s"}, in(20s)));
    REQUIRE(eventually([&] { return ear.count() == 5; }));
    CHECK(second.drain(in(20s)));
    CHECK(pending(server, "s") == 0);
}

TEST_CASE("the stream reader stops within 50 ms, whatever it is doing", "[stream]") {
    GOSSIP_NEEDS_REDIS();
    RedisServer server;
    const OddServer silent;
    Ear ear;
    auto options = group(server);
    const auto stops_in_time = [](StreamReader& reader) {
        return gossip_test::takes_less_than(50ms, [&] { reader.shutdown(StreamReader::Deadline{}); });
    };

    SECTION("asleep in the server") {
        options.stream.block = 1min;
        StreamReader reader{options, ear};
        REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
        CHECK(stops_in_time(reader));
        CHECK(gossip::is(reader.subscribe(Names{"s"}, in(20s)).error(), gossip::errors::closed));
    }
    SECTION("asleep in the server, in peace") {
        options.stream.block = 1min;
        StreamReader reader{options, ear};
        REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
        CHECK(gossip_test::takes_less_than(1s, [&] { reader.shutdown(in(20s)); }));
        CHECK(server.command({"XINFO", "CONSUMERS", "s", "g"}) == "[]");
    }
    SECTION("connecting to a server that never answers") {
        options.url = silent.url();
        StreamReader reader{options, ear};
        CHECK_FALSE(reader.subscribe(Names{"s"}, in(20ms)));
        CHECK(stops_in_time(reader));
    }
    SECTION("pausing between attempts") {
        options.url = "unix:///nowhere/redis.sock";
        options.backoff_first = options.backoff_max = 10s;
        StreamReader reader{options, ear};
        const gossip::Result result = reader.subscribe(Names{"s"}, in(20ms));
        REQUIRE_FALSE(result);
        CHECK(gossip::is_timeout(result.error()));
        CHECK(stops_in_time(reader));
    }
    SECTION("with a frozen server") {
        StreamReader reader{options, ear};
        REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
        add(server, "s", 0, 1);
        REQUIRE(eventually([&] { return ear.count() == 1; }));
        server.freeze();
        reader.ack(ear.heard()[0].id);
        CHECK_FALSE(reader.drain(in(20ms)));
        CHECK(stops_in_time(reader));
        server.thaw();
    }
    SECTION("with a listener that has no room") {
        ear.set_full(true);
        StreamReader reader{options, ear};
        REQUIRE(reader.subscribe(Names{"s"}, in(20s)));
        add(server, "s", 0, 1);
        REQUIRE(eventually([&] { return ear.refused() > 0; }));
        CHECK(stops_in_time(reader));
    }
}

} // namespace stream_test
