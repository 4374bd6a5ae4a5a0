// Whole buses over Pub/Sub: what arrives that should not, servers that go away, ends in time.
#include "support/redis_bus.hpp"
#include "support/redis_ears.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace bus_test {

inline namespace parts {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::Event;
using gossip::PublishStatus;
using gossip::RedisMode;
using gossip::RedisOptions;
using gossip_test::counted;
using gossip_test::eventually;
using gossip_test::Heard;
using gossip_test::Order;
using gossip_test::ordered;
using gossip_test::patient;
using gossip_test::RedisBus;
using gossip_test::RedisServer;

/// Takes steps of time from the test's own clock: how long a call has taken.
template <class F>
std::chrono::nanoseconds time_of(F&& call) {
    const auto begin = std::chrono::steady_clock::now();
    call();
    return std::chrono::steady_clock::now() - begin;
}

} // namespace parts

TEST_CASE("events of services in other languages arrive typed, and ours are readable to them", "[bus_redis]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    RedisBus bus{patient({.url = server.url()})};
    std::mutex mutex;
    std::vector<Order> orders;
    std::string request;
    auto s = bus.subscribe(ordered, [&](const gossip::TypedEvent<Order>& event) {
        const std::lock_guard lock(mutex);
        orders.push_back(*event);
        request = event.metadata().get<std::string>("request_id").value_or("");
    });
    CHECK(server.number({"PUBLISH", "shop.ordered",
                         R"({"Type":"shop.ordered","Timestamp":"2024-01-02T03:04:05.123456789Z",)"
                         R"("Data":{"id":"go-1","amount":3},"Metadata":{"request_id":"r-9"}})"}) == 1);
    CHECK(eventually([&] {
        const std::lock_guard lock(mutex);
        return orders.size() == 1;
    }));
    CHECK(orders == std::vector<Order>{{"go-1", 3}});
    CHECK(request == "r-9");
    CHECK(bus.shutdown().adds_up());
}

TEST_CASE("what is no event is counted, told with its bytes, and the rest goes on", "[bus_redis]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    Heard heard;
    std::atomic<int> runs{0};
    std::atomic<int> letters{0};
    RedisBus bus{patient({.url = server.url(), .max_event_bytes = 1'000'000}), Config{.on_error = heard.hook()}};
    auto s = bus.subscribe(ordered, [&](const Order&) { ++runs; });
    auto a = bus.subscribe(gossip::Pattern{"shop.*"}, [] {});
    auto d = bus.subscribe(gossip::dead_letter, [&](const gossip::DeadLetter& letter) {
        letters += letter.event.raw_text() == R"({"id":7})" ? 1 : 0;
        CHECK_NOFAIL(gossip::is_validation(letter.error));
    });
    const auto publish = [&](const std::string& channel, const std::string& bytes) {
        REQUIRE(server.number({"PUBLISH", channel, bytes}) >= 1);
    };
    publish("shop.ordered", "not JSON");
    publish("shop.ordered", "");
    publish("shop.ordered", std::string("\0\xff\xfe", 3));
    publish("shop.ordered", R"({"Timestamp":"2024-01-02T03:04:05Z","Data":{}})");
    publish("shop.ordered", R"({"Type":"shop.other","Data":{}})");
    publish("shop.bad name", R"({"Type":"shop.bad name","Data":{}})");
    CHECK(eventually([&] { return bus.provider().stats().malformed == 5 && heard.size() == 5; }));
    std::multiset<std::string> told; // by all workers: in any order
    for (const Heard::Report& report : heard.reports()) {
        told.insert(report.event + ": " + report.raw);
    }
    CHECK(told.count("shop.ordered: not JSON") == 1);
    CHECK(told.count("shop.ordered: ") == 1);
    CHECK(told.count(std::string("shop.ordered: \0\xff\xfe", 17)) == 1);

    // An event, but not with this data: its processor's failure, and a dead letter with the bytes.
    publish("shop.ordered", R"({"Type":"shop.ordered","Data":{"id":7}})");
    CHECK(eventually([&] { return letters == 1; }));
    CHECK(bus.publish(ordered, {"good", 1}) == PublishStatus::accepted);
    CHECK(eventually([&] { return runs == 1; }));
    const gossip::ShutdownReport report = bus.shutdown();
    CHECK(report.adds_up());
    CHECK(report.received == 2);
    CHECK(report.failed == 1);
}

TEST_CASE("nobody can send a name of the library's own", "[bus_redis]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    RedisBus bus{patient({.url = server.url()})};
    std::atomic<int> letters{0};
    std::atomic<int> runs{0};
    auto d = bus.subscribe(gossip::dead_letter, [&] { ++letters; });
    auto all = bus.subscribe(gossip::Pattern{"**"}, [&] { ++runs; });
    CHECK(server.number({"PUBLISH", "gossip.dead_letter", R"({"Type":"gossip.dead_letter","Data":{}})"}) == 1);
    CHECK(bus.publish(counted, 1) == PublishStatus::accepted);
    CHECK(eventually([&] { return runs == 1; }));
    CHECK(bus.drain(10s));
    CHECK(letters == 0);
    CHECK(bus.stats().received == 1);
}

TEST_CASE("what can't be encoded, or is too large, is said at once", "[bus_redis]") {
    GOSSIP_NEEDS_REDIS()
    struct Opaque {
        int x = 0;
    };
    static constexpr gossip::Topic<double> number{"shop.number"};
    const RedisServer server;
    Heard heard;
    RedisBus bus{patient({.url = server.url(), .max_event_bytes = 1'000}), Config{.on_error = heard.hook()}};
    CHECK(bus.publish(Event{gossip::EventType{"shop.opaque"}, Opaque{}}) == PublishStatus::not_encodable);
    REQUIRE(heard.size() == 1);
    CHECK(heard.reports()[0].event == "shop.opaque");
    CHECK(bus.publish(ordered, Order{std::string("\xff\xfe"), 1}) == PublishStatus::not_encodable);
    CHECK(bus.publish(number, std::numeric_limits<double>::infinity()) == PublishStatus::not_encodable);
    CHECK(bus.publish(ordered, Order{std::string(2'000, 'x'), 1}) == PublishStatus::too_large);
    CHECK(heard.size() == 4);
    const gossip::SyncResult sync = bus.publish_sync(ordered, Order{std::string(2'000, 'x'), 1});
    REQUIRE_FALSE(sync.ok());
    CHECK(gossip::is(sync.errors()[0], gossip::errors::too_large));
    CHECK(bus.publish(Event{gossip::EventType{"shop.text"}, std::string{"known"}}) == PublishStatus::accepted);
    CHECK(bus.publish(ordered, Order{"good", 1}) == PublishStatus::accepted);
    CHECK(bus.drain(10s));
    const gossip::Stats stats = bus.stats();
    CHECK(stats.accepted == 2);
    CHECK(stats.sent == 2);
    CHECK(stats.rejected == 5);
}

TEST_CASE("an untyped processor reads data as the type that it asks for", "[bus_redis]") {
    GOSSIP_NEEDS_REDIS()
    struct Loose {
        std::string id;
    };
    const RedisServer server;
    RedisBus bus{patient({.url = server.url()})};
    std::atomic<bool> seen{false};
    auto s = bus.subscribe(gossip::Pattern{"shop.*"}, [&](const Event& event) {
        CHECK_NOFAIL(event.raw_text() == R"({"amount":2,"id":"o"})");
        CHECK_NOFAIL(event.data<Order>() == Order{"o", 2});
        CHECK_NOFAIL(gossip::redis::data<std::map<std::string, nlohmann::json>>(event).at("amount") == 2);
        CHECK_NOFAIL(event.data_if<Loose>() == nullptr);
        seen = event.data<nlohmann::json>().at("id") == "o" && event.data<Order>() == Order{"o", 2};
    });
    CHECK(bus.publish(ordered, {"o", 2}) == PublishStatus::accepted);
    CHECK(eventually([&] { return seen.load(); }));
    CHECK(bus.shutdown().handled == 1);
}

TEST_CASE("an event that arrived can be published again as it is", "[bus_redis]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    RedisBus here{patient({.url = server.url(), .prefix = "here:"})};
    RedisBus there{patient({.url = server.url(), .prefix = "there:"})};
    std::atomic<int> amount{0};
    std::string id;
    auto bridge = here.subscribe(gossip::Pattern{"**"}, [&](const Event& event) { there.publish(event); });
    auto s = there.subscribe(ordered, [&](const gossip::TypedEvent<Order>& event) { amount = event->amount; });
    CHECK(here.publish(ordered, {"o", 5}) == PublishStatus::accepted);
    CHECK(eventually([&] { return amount == 5; }));
}

TEST_CASE("making a bus waits for nobody, and subscribing for the server no longer than it may", "[bus_redis]") {
    std::optional<RedisBus> bus;
    CHECK(time_of([&] { bus.emplace(RedisOptions{.url = "redis://127.0.0.1:1", .command_timeout = 200ms}); }) < 10s);
    const auto waited = time_of([&] { CHECK_THROWS_AS(bus->subscribe(counted, [] {}), gossip::TimeoutError); });
    CHECK(waited >= 200ms);
    CHECK(waited < 10s);
    CHECK_THROWS_AS((RedisBus{RedisOptions{.url = "nonsense"}}), gossip::ValidationError);
    CHECK(bus->publish(counted, 1) == PublishStatus::accepted); // it waits in the outbox
    CHECK_FALSE(bus->drain(10ms));
    const gossip::SyncResult sync = bus->publish_sync(counted, 2);
    REQUIRE_FALSE(sync.ok());
    CHECK(gossip::is_timeout(sync.errors()[0]));
    gossip::ShutdownReport report;
    CHECK(time_of([&] { report = bus->shutdown(); }) < 10s); // without a deadline: command_timeout
    CHECK(report.adds_up());
    CHECK(report.send_abandoned == 2);
    CHECK_FALSE(report.transport.ok());
    CHECK(gossip::is(report.transport.error(), gossip::errors::abandoned));
}

TEST_CASE("a full outbox says that the server is away, and waits for nobody", "[bus_redis]") {
    RedisBus bus{RedisOptions{.url = "redis://127.0.0.1:1", .command_timeout = 1min, .outbox_size = 8}};
    for (int i = 0; i < 8; ++i) {
        CHECK(bus.publish(counted, i) == PublishStatus::accepted);
    }
    CHECK(time_of([&] { CHECK(bus.publish(counted, 8) == PublishStatus::unavailable); }) < 10s);
    CHECK(bus.stats().rejected == 1);
    CHECK(bus.stats().unconfirmed == 8);
    CHECK(bus.shutdown(10ms).send_abandoned == 8);
}

TEST_CASE("a server that is killed in traffic costs what was on its way, and nothing that it has not confirmed",
          "[bus_redis]") {
    GOSSIP_NEEDS_REDIS()
    RedisServer server;
    std::atomic<int> gaps{0};
    std::atomic<int> restored{0};
    const auto hook = [&](const gossip::ConnectionEvent& event) {
        gaps += event.kind == gossip::ConnectionEvent::Kind::gap ? 1 : 0;
        restored += event.kind == gossip::ConnectionEvent::Kind::restored && event.connection == "pub_sub" ? 1 : 0;
    };
    RedisBus shop{patient({.url = server.url()})};
    RedisBus billing{patient({.url = server.url(), .on_connection = hook})};
    std::mutex mutex;
    std::set<int> seen;
    auto s = billing.subscribe(counted, [&](const int& n) {
        const std::lock_guard lock(mutex);
        seen.insert(n);
    });
    std::atomic<bool> stop{false};
    std::atomic<int> refused{0};
    std::atomic<int> last{0};
    std::thread publisher([&] {
        for (int i = 0; !stop; ++i) {
            refused += shop.publish(counted, i) == PublishStatus::accepted ? 0 : 1;
            last = i;
            static_cast<void>(eventually([&] { return stop || shop.stats().unconfirmed < 500; })); // as it goes
        }
    });
    CHECK(eventually([&] { return last > 100; }));
    server.kill();
    server.start();
    CHECK(eventually([&] { return gaps == 1 && restored >= 1; }));
    const int afterwards = last + 2;
    CHECK(eventually([&] {
        const std::lock_guard lock(mutex);
        return seen.contains(afterwards);
    }));
    stop = true;
    publisher.join();
    CHECK(shop.drain(20s));
    const gossip::ShutdownReport sent = shop.shutdown(10s);
    CHECK(refused == 0);
    CHECK(sent.adds_up());
    CHECK(sent.sent == sent.accepted);
    CHECK(billing.shutdown(10s).adds_up());
}

TEST_CASE("a frozen server keeps no shutdown longer than its deadline", "[bus_redis]") {
    GOSSIP_NEEDS_REDIS()
    RedisServer server;
    RedisBus bus{patient({.url = server.url()})};
    auto s = bus.subscribe(counted, [] {});
    CHECK(bus.publish(counted, 1) == PublishStatus::accepted);
    CHECK(bus.drain(10s));
    server.freeze();
    CHECK(bus.publish(counted, 2) == PublishStatus::accepted);
    gossip::ShutdownReport report;
    CHECK(time_of([&] { report = bus.shutdown(100ms); }) < 10s);
    server.thaw();
    CHECK(report.adds_up());
    CHECK(report.send_abandoned == 1);
}

TEST_CASE("a reader that waits for room stops within 50 ms", "[bus_redis]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    RedisBus shop{patient({.url = server.url()})};
    int in_time = 0; // of some: the machine may be busy
    for (int round = 0; round < 5 || (round < 100 && in_time == 0); ++round) {
        RedisBus bus{patient({.url = server.url()}), Config{.workers = 0, .buffer_size = 2}};
        auto s = bus.subscribe(counted, [](const int&) {});
        for (int i = 0; i < 100; ++i) {
            CHECK(shop.publish(counted, i) == PublishStatus::accepted);
        }
        CHECK(shop.drain(10s));
        CHECK(eventually([&] { return bus.stats().waiting == 2; }));
        in_time += gossip_test::takes_less_than(50ms, [&] { bus.provider().close(); }) ? 1 : 0;
        const gossip::ShutdownReport report = bus.shutdown();
        CHECK(report.adds_up());
        CHECK(report.handled == 2);
        CHECK(report.abandoned <= 1); // the one that the reader had in hand
    }
    CHECK(in_time >= 1);
}

TEST_CASE("a bus without workers subscribes while what has come fills it, and what came meanwhile is kept",
          "[bus_redis]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    const RedisMode mode = GENERATE(RedisMode::pub_sub, RedisMode::streams);
    const RedisOptions options{.url = server.url(), .mode = mode, .group = mode == RedisMode::streams ? "shop" : ""};
    RedisBus shop{options};
    RedisBus bus{options, Config{.workers = 0, .buffer_size = 2}};
    int handled = 0;
    auto s = bus.subscribe(counted, [&](const int&) { ++handled; });
    for (int i = 0; i < 50; ++i) {
        CHECK(shop.publish(counted, i) == PublishStatus::accepted);
    }
    CHECK(shop.drain(10s));
    CHECK(eventually([&] { return bus.stats().waiting == 2; }));
    const auto stalls = [&] { return bus.provider().stats().pub_sub.stalls; };
    CHECK((mode == RedisMode::streams || eventually([&] { return stalls() == 1; }))); // with the third in its hand
    CHECK_NOTHROW(static_cast<void>(bus.subscribe(ordered, [](const Order&) {})));
    CHECK(eventually([&] { return bus.drain(10s) && handled == 50; }));
    const gossip::ShutdownReport report = bus.shutdown();
    CHECK(report.adds_up());
    CHECK(report.handled == 50);
}

TEST_CASE("a pattern that ends while its messages are on their way doubles none of them", "[bus_redis]") {
    GOSSIP_NEEDS_REDIS()
    constexpr int count = 500;
    const RedisServer server;
    RedisBus bus{patient({.url = server.url()}), Config{.workers = 1, .buffer_size = 4}};
    gossip_test::Gate gate;
    std::atomic<int> runs{0};
    auto s = bus.subscribe(counted, [&](int) {
        if (runs == 0) {
            gate.pass();
        }
        ++runs;
    });
    auto pattern = bus.subscribe(gossip::Pattern{"shop.*"}, [] {});
    for (int i = 0; i < count; ++i) {
        CHECK(bus.publish(counted, i) == PublishStatus::accepted);
    }
    CHECK(eventually([&] { return bus.stats().unconfirmed == 0; }));
    pattern.unsubscribe();
    gate.open();
    CHECK(eventually([&] { return runs == count; }));
    auto again = bus.subscribe(gossip::Pattern{"shop.*"}, [] {}); // all that was on its way came before its word
    CHECK(bus.shutdown().received == count);
    CHECK(runs == count);
}

TEST_CASE("unsubscribing ends the server's subscription when nobody else needs it", "[bus_redis]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    RedisBus bus{patient({.url = server.url()})};
    const auto listeners = [&] { return server.command({"PUBSUB", "NUMSUB", "shop.counted"}); };
    const auto patterns = [&] { return server.number({"PUBSUB", "NUMPAT"}); };
    auto a = bus.subscribe(counted, [] {});
    auto b = bus.subscribe(counted, [] {});
    auto c = bus.subscribe(gossip::Pattern{"shop.**"}, [] {});
    CHECK(listeners() == "[shop.counted,1]");
    CHECK(patterns() == 1);
    a.unsubscribe();
    CHECK(bus.publish_sync(counted, 1).ok());
    CHECK(listeners() == "[shop.counted,1]");
    b.unsubscribe();
    c.unsubscribe();
    CHECK(eventually([&] { return listeners() == "[shop.counted,0]" && patterns() == 0; }));
}

} // namespace bus_test
