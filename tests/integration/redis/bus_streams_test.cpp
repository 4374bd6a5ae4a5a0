// Whole buses over Streams: nothing is acknowledged before it has ended, and nothing is lost.
#include "support/redis_bus.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <csignal>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bus_streams_test {

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

RedisOptions streams(const RedisServer& server, std::chrono::milliseconds min_idle = 60'000ms) {
    RedisOptions options{.url = server.url(), .mode = RedisMode::streams, .group = "shop"};
    options.command_timeout = 60s;
    options.stream.min_idle = min_idle;
    return options;
}
long pending(const RedisServer& server, const std::string& stream) {
    const std::string answer = server.command({"XPENDING", stream, "shop"});
    return std::atol(answer.c_str() + 1);
}
long buried(const RedisServer& server) { return server.number({"XLEN", "gossip.dead_letters"}); }

} // namespace parts

TEST_CASE("an event is acknowledged when it has ended, however late", "[bus_streams]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    RedisBus bus{streams(server)};
    std::mutex mutex;
    std::vector<gossip::Deferral> open;
    auto a = bus.subscribe(counted, [&](Context& context, const int&) {
        const std::lock_guard lock(mutex);
        open.push_back(context.defer());
    });
    for (int i = 0; i < 3; ++i) {
        CHECK(bus.publish(counted, i) == PublishStatus::accepted);
    }
    CHECK(eventually([&] {
        const std::lock_guard lock(mutex);
        return open.size() == 3;
    }));
    CHECK(pending(server, "shop.counted") == 3);
    open[0].succeed();
    open[1].succeed();
    CHECK(eventually([&] { return pending(server, "shop.counted") == 1; }));
    open[2].fail(gossip::ProcessingError{"no"});
    CHECK(bus.drain(10s)); // also the server knows
    CHECK(pending(server, "shop.counted") == 0);
    CHECK(buried(server) == 1);
    const gossip::ShutdownReport report = bus.shutdown(10s);
    CHECK(report.adds_up());
    CHECK(report.handled == 2);
    CHECK(report.failed == 1);
}

TEST_CASE("what is no event, and what its processor fails, is buried with its bytes, and the stream goes on",
          "[bus_streams]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    Heard heard;
    std::atomic<int> runs{0};
    std::atomic<int> letters{0};
    RedisBus bus{streams(server), Config{.on_error = heard.hook()}};
    auto d = bus.subscribe(gossip::dead_letter, [&] { ++letters; });
    auto a = bus.subscribe(ordered, [&](const Order& order) -> Result {
        ++runs;
        return order.amount < 0 ? Result{gossip::ProcessingError{"less than nothing"}} : Result{};
    });
    const auto add = [&](const std::string& field, const std::string& bytes) {
        REQUIRE(server.command({"XADD", "shop.ordered", "*", field, bytes}).find('-') != std::string::npos);
    };
    add("event", "not JSON");
    add("other", "field");
    add("event", R"({"Type":"shop.ordered","Data":{"id":7}})");
    CHECK(bus.publish(ordered, {"bad", -1}) == PublishStatus::accepted);
    CHECK(bus.publish(ordered, {"good", 1}) == PublishStatus::accepted);
    CHECK(eventually([&] { return runs == 2 && letters == 2 && heard.size() == 4; }));
    CHECK(eventually([&] { return buried(server) == 4; }));
    const std::string entries = server.command({"XRANGE", "gossip.dead_letters", "-", "+"});
    CHECK(entries.find("not JSON") != std::string::npos);
    CHECK(entries.find("less than nothing") != std::string::npos);
    CHECK(bus.drain(10s));
    CHECK(pending(server, "shop.ordered") == 0);
    const gossip::ShutdownReport report = bus.shutdown(10s);
    CHECK(report.adds_up());
    CHECK(report.failed == 2);
    CHECK(report.handled == 1);
}

TEST_CASE("buses of one group share the events, each group gets them all", "[bus_streams]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    std::mutex mutex;
    std::multiset<int> shared;
    std::multiset<int> other;
    std::atomic<int> first{0};
    std::atomic<int> second{0};
    RedisOptions one = streams(server);
    one.stream.count = 4;
    RedisOptions two = streams(server);
    two.group = "billing";
    RedisBus a{one};
    RedisBus b{one};
    RedisBus c{two};
    const auto keep = [&](std::multiset<int>& in, int n) {
        const std::lock_guard lock(mutex);
        in.insert(n);
    };
    auto sa = a.subscribe(counted, [&](const int& n) { keep(shared, n), ++first; });
    auto sb = b.subscribe(counted, [&](const int& n) { keep(shared, n), ++second; });
    auto sc = c.subscribe(counted, [&](const int& n) { keep(other, n); });
    for (int i = 0; i < 400; ++i) {
        CHECK(a.publish(counted, i) == PublishStatus::accepted);
    }
    CHECK(eventually([&] {
        const std::lock_guard lock(mutex);
        return shared.size() == 400 && other.size() == 400;
    }));
    CHECK(first + second == 400);
    for (RedisBus* bus : {&a, &b, &c}) {
        CHECK(bus->shutdown(10s).adds_up());
    }
    CHECK(std::set<int>(shared.begin(), shared.end()).size() == 400);
}

TEST_CASE("a shutdown leaves what it has not begun, and what waits for its redelivery, to the others",
          "[bus_streams]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    std::atomic<int> tries{0};
    {
        RedisBus bus{streams(server), Config{.workers = 1}};
        auto a = bus.subscribe(counted, [&](const int&) -> Result { return ++tries, gossip::errors::retryable; },
                               {.redelivery = {.attempts = 5, .first_delay = 1h, .max_delay = 1h}});
        CHECK(bus.publish(counted, 1) == PublishStatus::accepted);
        CHECK(eventually([&] { return tries == 1; }));
        const gossip::ShutdownReport report = bus.shutdown(10s);
        CHECK(report.adds_up());
        CHECK(report.abandoned == 1);
        CHECK(report.failed == 0);
    }
    CHECK(pending(server, "shop.counted") == 1);
    CHECK(buried(server) == 0);
    server.age_pending("shop.counted", "shop");
    RedisOptions options = streams(server);
    options.stream.claim_interval = 10ms;
    RedisBus later{options};
    std::atomic<int> attempt{0};
    auto a = later.subscribe(counted, [&](Context& context, const int&) { attempt = context.attempt(); });
    CHECK(eventually([&] { return attempt == 2; }));
    CHECK(later.drain(10s));
    CHECK(pending(server, "shop.counted") == 0);
}

TEST_CASE("a server that is killed in traffic loses nothing that it has confirmed", "[bus_streams]") {
    GOSSIP_NEEDS_REDIS()
    RedisServer server;
    constexpr int count = 3'000;
    RedisBus shop{streams(server)};
    RedisBus billing{streams(server, 500ms)};
    std::mutex mutex;
    std::set<int> seen;
    const auto seen_by_now = [&] {
        const std::lock_guard lock(mutex);
        return seen.size();
    };
    auto s = billing.subscribe(counted, [&](const int& n) {
        const std::lock_guard lock(mutex);
        seen.insert(n);
    });
    std::atomic<int> refused{0};
    std::thread publisher([&] {
        for (int i = 0; i < count; ++i) {
            refused += shop.publish(counted, i) == PublishStatus::accepted ? 0 : 1;
            static_cast<void>(eventually([&] { return shop.stats().unconfirmed < 50; })); // as it goes
        }
    });
    for (int round = 0; round < 2; ++round) {
        const std::size_t before = seen_by_now();
        CHECK(eventually([&] { return seen_by_now() > before + 200 || seen_by_now() == count; }));
        server.kill();
        server.start();
    }
    publisher.join();
    CHECK(refused == 0);
    CHECK(shop.drain(20s));
    CHECK(eventually([&] { return seen_by_now() == count; }));
    const gossip::ShutdownReport sent = shop.shutdown(10s);
    CHECK(sent.adds_up());
    CHECK(sent.sent == count);
    const gossip::ShutdownReport received = billing.shutdown(10s);
    CHECK(received.adds_up());
    CHECK(received.handled >= count); // at least once, and again only what was sent or taken again
    CHECK(received.handled <=
          count + shop.provider().stats().publisher.resent + billing.provider().stats().stream.claimed);
}

TEST_CASE("a group that is new begins at an id or at a time", "[bus_streams]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    for (const int n : {1, 2, 3}) {
        server.command({"XADD", "shop.counted", std::to_string(n) + "000-0", "event",
                        R"({"Type":"shop.counted","Data":)" + std::to_string(n) + "}"});
    }
    const auto from = GENERATE(std::string("2000-0"), std::string("1000-1"),
                               gossip::redis::stream_place(std::chrono::system_clock::time_point{1'001ms}));
    RedisOptions options = streams(server);
    options.stream.from = from;
    std::mutex mutex;
    std::vector<int> seen;
    RedisBus bus{options, Config{.workers = 1}};
    auto s = bus.subscribe(counted, [&](const int& n) {
        const std::lock_guard lock(mutex);
        seen.push_back(n);
    });
    CHECK(eventually([&] { return bus.stats().handled == 2; }));
    CHECK(bus.shutdown(10s).adds_up());
    CHECK(seen == std::vector<int>{2, 3});
}

TEST_CASE("a group that has read a stream reads it again from an id or a time", "[bus_streams]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    for (const int n : {1, 2, 3}) {
        server.command({"XADD", "shop.counted", std::to_string(n) + "000-0", "event",
                        R"({"Type":"shop.counted","Data":)" + std::to_string(n) + "}"});
    }
    RedisOptions options = streams(server);
    options.stream.block = 10ms;
    std::mutex mutex;
    std::vector<int> seen;
    RedisBus bus{options, Config{.workers = 1}};
    CHECK(bus.provider().replay(counted.type(), "0").error().what() != std::string{}); // nobody has listened
    gossip_test::Gate gate;
    auto s = bus.subscribe(counted, [&](const int& n) {
        if (n == 3) {
            gate.pass();
        }
        const std::lock_guard lock(mutex);
        seen.push_back(n);
    });
    CHECK(eventually([&] { return bus.stats().handled == 2; }));
    CHECK(bus.provider().replay(counted.type(), "2000-0").ok()); // the third is in hand still
    CHECK(eventually([&] { return bus.provider().stats().stream.entries == 5; }));
    gate.open();
    CHECK(eventually([&] { return bus.stats().handled == 5; }));
    CHECK(bus.provider().replay(counted.type(), std::chrono::system_clock::time_point{2'001ms}).ok());
    CHECK(eventually([&] { return bus.stats().handled == 6; }));
    CHECK(bus.drain(10s));
    CHECK(pending(server, "shop.counted") == 0);
    CHECK_FALSE(bus.provider().replay(counted.type(), "yesterday").ok());
    CHECK(bus.shutdown(10s).adds_up());
    CHECK(seen == std::vector<int>{1, 2, 3, 2, 3, 3});
    CHECK(gossip::is(bus.provider().replay(counted.type(), "0").error(), gossip::errors::closed));

    RedisBus listener{gossip_test::patient({.url = server.url()})};
    CHECK_FALSE(listener.provider().replay(counted.type(), "0").ok()); // Pub/Sub keeps nothing
}

TEST_CASE("what a killed process had in hand is handled by another", "[bus_streams]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    constexpr int count = 200;
    int go[2];
    REQUIRE(::pipe(go) == 0);
    const pid_t child = ::fork(); // while this process has no other threads
    REQUIRE(child >= 0);
    if (child == 0) { // ends some, and hangs in the rest
        gossip_test::only_do([&] {
            char byte = 0;
            if (::read(go[0], &byte, 1) == 1) {
                RedisBus bus(streams(server, 300ms), Config{.workers = 1});
                auto s = bus.subscribe(counted, [](const int& n) {
                    while (n >= 20) {
                        ::pause();
                    }
                });
                for (;;) {
                    ::pause();
                }
            }
        });
    }
    RedisBus shop{streams(server)};
    { // the group exists before anything is published
        RedisBus first{streams(server)};
        auto s = first.subscribe(counted, [](const int&) {});
    }
    for (int i = 0; i < count; ++i) {
        CHECK(shop.publish(counted, i) == PublishStatus::accepted);
    }
    CHECK(shop.drain(10s));
    REQUIRE(::write(go[1], "!", 1) == 1);
    CHECK(eventually([&] { return pending(server, "shop.counted") > 20; }));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(go[0]);
    ::close(go[1]);
    CHECK(pending(server, "shop.counted") > 20);

    RedisBus heir{streams(server, 300ms)};
    std::mutex mutex;
    std::map<int, int> attempts;
    auto s = heir.subscribe(counted, [&](Context& context, const int& n) {
        const std::lock_guard lock(mutex);
        attempts[n] = context.attempt();
    });
    CHECK(eventually([&] {
        const std::lock_guard lock(mutex);
        return attempts.contains(count - 1) && attempts.contains(20) && attempts.size() >= count - 20;
    }));
    CHECK(heir.drain(10s));
    CHECK(pending(server, "shop.counted") == 0);
    CHECK(attempts[20] >= 2);
    CHECK(heir.shutdown(10s).adds_up());
}

TEST_CASE("events of one key keep their order, one at a time, redelivery included", "[bus_streams]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    RedisBus shop{streams(server)};
    RedisBus bus{streams(server), Config{.workers = 3}};
    std::atomic<int> inside{0};
    std::atomic<int> together{0};
    std::mutex mutex;
    std::vector<int> seen;
    auto s =
        bus.subscribe(counted,
                      [&](Context& context, const int& n) -> Result {
                          together += inside++ == 0 ? 0 : 1;
                          {
                              const std::lock_guard lock(mutex);
                              if (context.attempt() == 1 || n % 5 != 0) {
                                  seen.push_back(n);
                              }
                          }
                          --inside;
                          return n % 5 == 0 && context.attempt() == 1 ? Result{gossip::errors::retryable} : Result{};
                      },
                      {.redelivery = {.attempts = 2, .first_delay = 1ms}});
    for (int i = 0; i < 100; ++i) {
        CHECK(shop.publish(counted, i, {.key = "one"}) == PublishStatus::accepted);
    }
    CHECK(eventually([&] { return bus.stats().handled == 100; }));
    CHECK(together == 0);
    CHECK(seen.size() == 100);
    CHECK(std::is_sorted(seen.begin(), seen.end()));
}

TEST_CASE("a frozen server keeps no shutdown of a stream's bus longer than its deadline", "[bus_streams]") {
    GOSSIP_NEEDS_REDIS()
    RedisServer server;
    RedisOptions options = streams(server);
    options.command_timeout = 1min;
    RedisBus bus{options};
    std::atomic<int> runs{0};
    auto s = bus.subscribe(counted, [&](const int&) { ++runs; });
    CHECK(bus.publish(counted, 1) == PublishStatus::accepted);
    CHECK(eventually([&] { return runs == 1; }));
    CHECK(bus.drain(10s)); // the server has confirmed the first
    server.freeze();
    CHECK(bus.publish(counted, 2) == PublishStatus::accepted);
    const auto begin = std::chrono::steady_clock::now();
    const gossip::ShutdownReport report = bus.shutdown(200ms);
    CHECK(std::chrono::steady_clock::now() - begin < 10s);
    server.thaw();
    CHECK(report.adds_up());
    CHECK(report.send_abandoned == 1);
}

inline namespace parts {

inline constexpr gossip::Topic<int> shop_new{"shop.new"};
inline constexpr gossip::Topic<int> shop_new_deep{"shop.new.deep"};
inline constexpr gossip::Topic<int> other_new{"other.new"};

} // namespace parts

TEST_CASE("a pattern reads streams that are made after it", "[bus_streams]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    RedisOptions options = streams(server);
    options.stream.refresh = 20ms;
    RedisBus bus{options};
    RedisBus shop{options};
    std::atomic<int> sum{0};
    auto s = bus.subscribe(gossip::Pattern{"shop.*"}, [&](const Event& event) { sum += event.data<int>(); });
    CHECK(shop.publish(counted, 1) == PublishStatus::accepted);
    CHECK(shop.publish(shop_new, 10) == PublishStatus::accepted);
    CHECK(shop.publish(other_new, 100) == PublishStatus::accepted);
    CHECK(shop.publish(shop_new_deep, 1'000) == PublishStatus::accepted);
    CHECK(eventually([&] { return sum == 11; }));
    CHECK(shop.drain(10s));
    CHECK(shop.stats().sent == 4);
    CHECK(bus.shutdown(10s).received == 2);
}

TEST_CASE("a pattern hears an event whose first publish waited for room", "[bus_streams]") {
    GOSSIP_NEEDS_REDIS()
    RedisServer server;
    RedisOptions options = streams(server);
    options.outbox_size = 2;
    options.command_timeout = 60s;
    RedisBus shop{options};
    CHECK(shop.publish(counted, 0) == PublishStatus::accepted);
    CHECK(shop.drain(10s));
    server.freeze();
    CHECK(shop.publish(counted, 0) == PublishStatus::accepted);
    CHECK(shop.publish(counted, 0) == PublishStatus::accepted);
    std::atomic<bool> begun{false};
    PublishStatus status = PublishStatus::closed;
    std::thread publisher([&] {
        begun = true;
        status = shop.publish(shop_new, 10);
    });
    CHECK(eventually([&] { return begun.load(); }));
    gossip_test::a_moment(10'000); // until it waits, most likely
    server.thaw();
    publisher.join();
    CHECK(status == PublishStatus::accepted);
    CHECK(shop.drain(10s));
    CHECK(server.command({"SISMEMBER", "gossip.streams", "shop.new"}) == "1");
    RedisBus bus{options};
    std::atomic<int> sum{0};
    auto s = bus.subscribe(gossip::Pattern{"shop.*"}, [&](const Event& event) { sum += event.data<int>(); });
    CHECK(eventually([&] { return sum == 10; }));
}

} // namespace bus_streams_test
