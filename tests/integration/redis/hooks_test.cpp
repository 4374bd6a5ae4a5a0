// What the hooks of a bus on Redis may call: everything, from whichever thread they are called on.
#include "support/redis_bus.hpp"

#include "support/processing.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace hooks_test {

inline namespace parts {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::ConnectionEvent;
using gossip::PublishStatus;
using gossip::RedisMode;
using gossip::RedisOptions;
using gossip::ShutdownReport;
using gossip_test::counted;
using gossip_test::eventually;
using gossip_test::RedisBus;
using gossip_test::RedisServer;

RedisOptions quick(const RedisServer& server, RedisMode mode) {
    RedisOptions options{.url = server.url(), .mode = mode, .group = mode == RedisMode::streams ? "shop" : ""};
    options.command_timeout = 60s;
    options.backoff_first = 1ms;
    options.backoff_max = 20ms;
    return options;
}

/// How many this process has.
std::ptrdiff_t threads() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator());
}

} // namespace parts

TEST_CASE("what the connection hook publishes never waits for the connection that it is called on", "[hooks]") {
    GOSSIP_NEEDS_REDIS()
    const RedisMode mode = GENERATE(RedisMode::pub_sub, RedisMode::streams);
    RedisServer server;
    server.kill();
    RedisBus* home = nullptr;
    std::optional<PublishStatus> status;
    std::atomic<bool> told{false};
    RedisOptions options = quick(server, mode);
    options.outbox_size = 4;
    options.on_connection = [&](const ConnectionEvent& event) {
        if (event.kind == ConnectionEvent::Kind::restored && event.connection == "publisher" && !told) {
            status = home->publish(counted, 99); // behind an outbox that is full still
            told = true;
        }
    };
    RedisBus bus{options};
    home = &bus;
    std::uint64_t accepted = 0;
    while (bus.publish(counted, 1) == PublishStatus::accepted) {
        ++accepted;
    }
    REQUIRE(accepted >= 3);
    server.start();
    CHECK(eventually([&] { return told.load(); }));
    CHECK(bus.drain(10s));
    const ShutdownReport report = bus.shutdown(10s);
    CHECK(status == PublishStatus::full);
    CHECK(report.adds_up());
    CHECK(report.sent == accepted);
}

TEST_CASE("a connection hook may ask for the shutdown, whichever connection it is told of", "[hooks]") {
    GOSSIP_NEEDS_REDIS()
    const auto at = GENERATE(std::pair{RedisMode::pub_sub, "publisher"}, std::pair{RedisMode::pub_sub, "pub_sub"},
                             std::pair{RedisMode::streams, "publisher"}, std::pair{RedisMode::streams, "reader"},
                             std::pair{RedisMode::streams, "settler"}, std::pair{RedisMode::streams, "delayed"});
    const RedisMode mode = at.first;
    const std::string part = at.second;
    CAPTURE(part);
    const RedisServer server;
    RedisBus* home = nullptr;
    std::optional<ShutdownReport> early;
    std::atomic<bool> asked{false};
    std::atomic<bool> told{false};
    RedisOptions options = quick(server, mode);
    options.on_connection = [&](const ConnectionEvent& event) {
        if (event.kind == ConnectionEvent::Kind::lost && !asked.exchange(true)) {
            early = home->shutdown(100ms);
            told = true;
        }
    };
    RedisBus bus{options};
    home = &bus;
    std::atomic<int> runs{0};
    auto s = bus.subscribe(counted, [&](int) { ++runs; });
    CHECK(bus.publish(counted, 1) == PublishStatus::accepted);
    CHECK(eventually([&] { return runs == 1; }));
    CHECK(bus.drain(10s));
    CHECK(eventually([&] { return server.cut(part) > 0; }));
    REQUIRE(eventually([&] { return told.load(); }));
    CHECK_FALSE(early->complete); // the rest is for a call from outside
    CHECK(bus.publish(counted, 2) == PublishStatus::closed);
    const ShutdownReport report = bus.shutdown(10s);
    CHECK(report.complete);
    CHECK(report.adds_up());
    CHECK(report.sent == 1);
    CHECK(report.handled == 1);
}

TEST_CASE("a drop hook that the reader calls may ask for the shutdown", "[hooks]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    RedisBus shop{quick(server, RedisMode::pub_sub)};
    RedisBus* home = nullptr;
    std::atomic<bool> asked{false};
    std::atomic<int> incomplete{0};
    gossip_test::Gate gate; // shut until something was dropped: what the reader has in hand finds no room before
    const auto drop = [&](const gossip::Event&, gossip::DropReason) {
        gate.open();
        if (!asked.exchange(true)) {
            incomplete += home->shutdown().complete ? 0 : 1;
        }
    };
    const auto overflow = GENERATE(gossip::Overflow::drop_oldest, gossip::Overflow::block);
    RedisBus bus{quick(server, RedisMode::pub_sub),
                 Config{.workers = 1, .buffer_size = 2, .overflow = overflow, .on_drop = drop}};
    home = &bus;
    auto s = bus.subscribe(counted, [&](int) { gate.pass(); });
    for (int i = 0; i < 20; ++i) {
        CHECK(shop.publish(counted, i) == PublishStatus::accepted);
    }
    CHECK(shop.drain(10s));
    if (overflow == gossip::Overflow::drop_oldest) {
        REQUIRE(eventually([&] { return incomplete == 1; })); // on the reader's thread
    } else {
        REQUIRE(eventually([&] { return bus.provider().stats().pub_sub.stalls == 1; }));
    }
    const ShutdownReport report = bus.shutdown(); // else here, for what the reader had in hand
    CHECK(incomplete == 1);
    CHECK(report.complete);
    CHECK(report.adds_up());
    CHECK(report.dropped + report.abandoned >= 1);
}

TEST_CASE("an error hook that is told while the connection ends may ask for the shutdown", "[hooks]") {
    GOSSIP_NEEDS_REDIS()
    RedisServer server;
    RedisBus* home = nullptr;
    std::atomic<int> told{0};
    const auto hook = [&](const gossip::ErrorReport&) {
        static_cast<void>(home->shutdown().complete);
        ++told;
    };
    RedisBus bus{quick(server, RedisMode::streams), Config{.workers = 2, .on_error = hook}};
    home = &bus;
    server.command({"SET", "shop.counted", "no stream"});
    CHECK(eventually([&] { return bus.provider().stats().publisher.connected; }));
    server.freeze();
    CHECK(bus.publish(counted, 1) == PublishStatus::accepted);
    const auto before = threads();
    std::thread later([&] {
        static_cast<void>(eventually([&] { return threads() < before; })); // this one has come, two workers have gone
        server.thaw();
    });
    const ShutdownReport report = bus.shutdown(10s);
    later.join();
    CHECK(told == 1);
    CHECK(report.complete);
    CHECK(report.adds_up());
    CHECK(report.send_dropped == 1);
}

} // namespace hooks_test
