// Events to come on Streams: the server keeps them, whoever is there moves them, each once.
#include "support/redis_bus.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <csignal>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace delayed_test {

inline namespace parts {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::Context;
using gossip::Event;
using gossip::PublishStatus;
using gossip::RedisMode;
using gossip::RedisOptions;
using gossip::Result;
using gossip_test::counted;
using gossip_test::eventually;
using gossip_test::Heard;
using gossip_test::Order;
using gossip_test::ordered;
using gossip_test::RedisBus;
using gossip_test::RedisServer;
using SystemClock = std::chrono::system_clock;

RedisOptions streams(const RedisServer& server) {
    RedisOptions options{.url = server.url(), .mode = RedisMode::streams, .group = "shop", .prefix = "p:"};
    options.command_timeout = 60s;
    options.stream.refresh = 50ms;
    return options;
}
long kept(const RedisServer& server) { return server.number({"ZCARD", "p:gossip.delayed"}); }
long written(const RedisServer& server) { return server.number({"XLEN", "p:shop.counted"}); }
/// As if all that is kept had been due for a while.
void make_due(const RedisServer& server) {
    server.command({"EVAL",
                    "for _, m in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZADD', KEYS[1], 1, m) end",
                    "1", "p:gossip.delayed"});
}

} // namespace parts

TEST_CASE("what is published later is kept by the server until it is due, and arrives as what it was", "[delayed]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    RedisBus shop{streams(server)};
    RedisBus billing{streams(server)};
    std::mutex mutex;
    std::vector<std::pair<Event, SystemClock::time_point>> seen;
    auto s = billing.subscribe(ordered.type(), [&](const Event& event) {
        const std::lock_guard lock(mutex);
        seen.emplace_back(event, SystemClock::now());
    });
    auto typed = billing.subscribe(ordered, [](const Order&) {});
    const auto begin = SystemClock::now();
    shop.publish_after(300ms, ordered, {"second", 2}, {.key = "k", .metadata = {{"request", "r-1"}}});
    shop.publish_after(100ms, ordered, {"first", 1});
    CHECK(shop.drain(10s)); // the server has them
    CHECK(shop.stats().sent == 2);
    CHECK(shop.stats().timers == 0);
    REQUIRE(eventually([&] {
        const std::lock_guard lock(mutex);
        return seen.size() == 2;
    }));
    CHECK(kept(server) == 0);
    CHECK(seen[0].first.data<Order>() == Order{"first", 1});
    CHECK(seen[0].second >= begin + 100ms);
    CHECK(seen[1].first.data<Order>() == Order{"second", 2});
    CHECK(seen[1].first.key() == "k");
    CHECK(seen[1].first.metadata().get<std::string>("request") == "r-1");
    CHECK(seen[1].second >= begin + 300ms);
    CHECK(seen[1].first.timestamp() >= begin + 290ms); // its due time, by a clock that is read in steps
    CHECK(seen[1].first.timestamp() <= seen[1].second + 10ms);
    const gossip::ShutdownReport sent = shop.shutdown(10s);
    CHECK(sent.adds_up());
    CHECK(sent.accepted == 2);
    const gossip::ShutdownReport received = billing.shutdown(10s);
    CHECK(received.adds_up());
    CHECK(received.handled == 2);
}

TEST_CASE("an event to come outlives the process that has sent it, killed as it may be", "[delayed]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    int told[2];
    REQUIRE(::pipe(told) == 0);
    const pid_t child = ::fork(); // while this process has no other threads
    REQUIRE(child >= 0);
    if (child == 0) {
        gossip_test::only_do([&] {
            RedisBus bus(streams(server));
            bus.publish_after(1h, counted, 7);
            const auto never = bus.publish_after(1h, counted, 8);
            const bool done = bus.drain(60s) && bus.cancel(never);
            if (::write(told[1], done ? "y" : "n", 1) == 1) {
                for (;;) {
                    ::pause();
                }
            }
        });
    }
    ::close(told[1]); // a child that has died says nothing
    char answer = 0;
    REQUIRE(::read(told[0], &answer, 1) == 1);
    CHECK(answer == 'y');
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(told[0]);
    CHECK(kept(server) == 1);

    make_due(server);
    RedisBus heir{streams(server)};
    std::mutex mutex;
    std::map<int, int> seen;
    auto s = heir.subscribe(counted, [&](const int& n) {
        const std::lock_guard lock(mutex);
        ++seen[n];
    });
    REQUIRE(eventually([&] { return heir.stats().handled == 1; }));
    CHECK(heir.drain(10s));
    CHECK(seen == std::map<int, int>{{7, 1}});
    CHECK(kept(server) == 0);
    CHECK(written(server) == 1);
    CHECK(heir.shutdown(10s).adds_up());
}

TEST_CASE("an event to come outlives the server, and is moved by a process that only publishes", "[delayed]") {
    GOSSIP_NEEDS_REDIS()
    RedisServer server;
    {
        RedisBus gone{streams(server)};
        gone.publish_after(1h, counted, 1);
        const gossip::ShutdownReport report = gone.shutdown(10s);
        CHECK(report.adds_up());
        CHECK(report.sent == 1);
        CHECK(report.cancelled == 0);
    }
    RedisBus shop{streams(server)};
    shop.publish_after(1h, counted, 2);
    CHECK(shop.drain(10s));
    server.kill();
    server.start();
    CHECK(kept(server) == 2);
    make_due(server);
    CHECK(eventually([&] { return written(server) == 2; }));
    CHECK(kept(server) == 0);
    CHECK(shop.shutdown(10s).adds_up());
}

TEST_CASE("cancel takes back what the server has, once", "[delayed]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    RedisBus shop{streams(server)};
    const auto id = shop.publish_after(1h, counted, 1);
    const auto other = shop.publish_after(1h, counted, 1); // the same but for its number
    CHECK(eventually([&] { return kept(server) == 2; }));
    CHECK(shop.cancel(id));
    CHECK_FALSE(shop.cancel(id));
    CHECK(kept(server) == 1);
    make_due(server);
    CHECK(eventually([&] { return written(server) == 1; }));
    CHECK_FALSE(shop.cancel(other));
    const gossip::ShutdownReport report = shop.shutdown(10s);
    CHECK(report.adds_up());
    CHECK(report.sent == 2);
    CHECK(report.cancelled == 1);
    CHECK_FALSE(shop.cancel(other));
    CHECK(written(server) == 1);
}

TEST_CASE("many processes that look for what is due move each event once", "[delayed]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    constexpr int count = 600; // more than are moved at once
    std::vector<std::unique_ptr<RedisBus>> buses;
    std::vector<gossip::Subscription> subscriptions;
    std::mutex mutex;
    std::multiset<int> seen;
    for (int i = 0; i < 3; ++i) {
        buses.push_back(std::make_unique<RedisBus>(streams(server)));
        subscriptions.push_back(buses.back()->subscribe(counted, [&](const int& n) {
            const std::lock_guard lock(mutex);
            seen.insert(n);
        }));
    }
    for (int i = 0; i < count; ++i) {
        buses[static_cast<std::size_t>(i % 3)]->publish_after(std::chrono::milliseconds(50 + i % 50), counted, i);
    }
    CHECK(eventually([&] {
        const std::lock_guard lock(mutex);
        return seen.size() >= count;
    }));
    CHECK(written(server) == count);
    std::uint64_t handled = 0;
    for (const auto& bus : buses) {
        const gossip::ShutdownReport report = bus->shutdown(10s);
        CHECK(report.adds_up());
        CHECK(report.sent == count / 3);
        handled += report.handled;
    }
    CHECK(handled == count);
    CHECK(std::set<int>(seen.begin(), seen.end()).size() == count);
}

TEST_CASE("connections that are cut while events come due move each once all the same", "[delayed]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    constexpr int count = 200;
    RedisOptions options = streams(server);
    options.backoff_first = 1ms;
    options.backoff_max = 5ms;
    RedisBus shop{options};
    for (int i = 0; i < count; ++i) {
        shop.publish_after(std::chrono::milliseconds(i), counted, i);
    }
    CHECK(shop.drain(10s));
    int cuts = 0;
    CHECK(eventually([&] {
        cuts += cuts < 20 ? server.cut("delayed") : 0;
        return cuts >= 20 && written(server) >= count;
    }));
    CHECK(kept(server) == 0);
    CHECK(written(server) == count);
    CHECK(shop.shutdown(10s).adds_up());
}

TEST_CASE("what can't be moved is buried, and holds nothing up", "[delayed]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    std::atomic<int> refused{0};
    RedisOptions options = streams(server);
    options.on_connection = [&](const gossip::ConnectionEvent& event) {
        refused += event.kind == gossip::ConnectionEvent::Kind::refused && event.connection == "delayed" ? 1 : 0;
    };
    RedisBus shop{options};
    server.command({"SET", "p:shop.ordered", "no stream"});
    server.command({"ZADD", "p:gossip.delayed", "1", "not of ours"});
    shop.publish_after(1ms, ordered, {"lost", 1});
    shop.publish_after(2ms, counted, 1);
    CHECK(eventually([&] { return written(server) == 1; }));
    CHECK(eventually([&] { return kept(server) == 0; }));
    CHECK(eventually([&] { return refused >= 1; })); // by the answer to that
    CHECK(server.number({"XLEN", "p:gossip.dead_letters"}) == 2);
    const std::string graves = server.command({"XRANGE", "p:gossip.dead_letters", "-", "+"});
    CHECK(graves.find("not of ours") != std::string::npos);
    CHECK(graves.find("lost") != std::string::npos);
    CHECK(graves.find("WRONGTYPE") != std::string::npos);
}

TEST_CASE("what this process may not move is left for who may, and holds nothing up, however much it is", "[delayed]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    constexpr int count = 300; // more than are moved at once
    {
        RedisBus other{streams(server)};
        for (int i = 0; i < count; ++i) {
            other.publish_after(1h, ordered, {"o", i});
        }
        CHECK(other.shutdown(10s).sent == count);
    }
    make_due(server);
    REQUIRE(server.command({"ACL", "SETUSER", "me", "on", ">pass", "+@all", "&*", "~p:gossip.*", "~p:shop.counted"}) ==
            "OK");
    RedisOptions options = streams(server);
    options.url = "redis://me:pass@127.0.0.1:" + std::to_string(server.port());
    RedisBus shop{options};
    shop.publish_after(1ms, counted, 1);
    CHECK(eventually([&] { return written(server) == 1; }));
    CHECK(kept(server) == count);
    CHECK(server.command({"EXISTS", "p:gossip.dead_letters"}) == "0");

    REQUIRE(server.command({"ACL", "SETUSER", "me", "~p:shop.ordered"}) == "OK");
    CHECK(eventually([&] { return server.number({"XLEN", "p:shop.ordered"}) == count; }));
    CHECK(kept(server) == 0);
}

TEST_CASE("a pattern hears what was published later on a name that is new", "[delayed]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    RedisBus shop{streams(server)};
    RedisBus bus{streams(server)};
    std::atomic<int> sum{0};
    auto s = bus.subscribe(gossip::Pattern{"shop.*"}, [&](const Event& event) { sum += event.data<int>(); });
    shop.publish_after(1ms, counted, 5);
    CHECK(eventually([&] { return sum == 5; }));
}

TEST_CASE("on Pub/Sub what is published later, and on streams what is repeated, is a timer of the process",
          "[delayed]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    RedisBus listener{gossip_test::patient({.url = server.url(), .prefix = "p:"})};
    std::atomic<int> heard{0};
    auto s = listener.subscribe(counted, [&](const int&) { ++heard; });
    RedisBus shop{gossip_test::patient({.url = server.url(), .prefix = "p:"})};
    const auto never = shop.publish_after(1h, counted, 1);
    CHECK(shop.stats().timers == 1);
    CHECK(shop.cancel(never));
    shop.publish_after(1ms, counted, 1);
    CHECK(eventually([&] { return heard == 1; }));

    RedisBus writer{streams(server)};
    const auto again = writer.publish_every(1ms, counted, 1);
    CHECK(eventually([&] { return written(server) > 2; }));
    CHECK(writer.cancel(again));
    CHECK(server.command({"EXISTS", "p:gossip.delayed"}) == "0");
}

TEST_CASE("what can't be kept is told to the error hook, and can't be taken back", "[delayed]") {
    GOSSIP_NEEDS_REDIS()
    RedisServer server;
    server.kill();
    Heard heard;
    RedisOptions options = streams(server);
    options.outbox_size = 1;
    options.command_timeout = 50ms;
    RedisBus shop{options, Config{.on_error = heard.hook()}};
    const auto first = shop.publish_after(1h, counted, 1); // waits for the server in the outbox
    const auto second = shop.publish_after(1h, counted, 2);
    CHECK(heard.size() == 1);
    CHECK_FALSE(shop.cancel(second));
    CHECK(heard.size() == 1);
    CHECK_FALSE(shop.cancel(first)); // the server says nothing
    CHECK(heard.size() == 2);
    CHECK(shop.stats().rejected == 1);
    server.start();
    CHECK(eventually([&] { return kept(server) == 1; }));
    CHECK(shop.shutdown(10s).adds_up());
}

} // namespace delayed_test
