// A single event that runs on the thread that has read it, in the place of a worker that sleeps.
#include "support/redis_bus.hpp"
#include "support/seed.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace in_place_test {

inline namespace parts {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::Context;
using gossip::PublishStatus;
using gossip::RedisMode;
using gossip::RedisOptions;
using gossip_test::counted;
using gossip_test::eventually;
using gossip_test::patient;
using gossip_test::RedisBus;
using gossip_test::RedisServer;

inline constexpr gossip::Topic<int> other{"shop.other"};
inline constexpr gossip::Topic<> here{"gossip.in_place_test"}; // stays in the process: no reader brings it

RedisOptions options(const RedisServer& server, RedisMode mode) {
    return patient({.url = server.url(), .mode = mode, .group = mode == RedisMode::streams ? "readers" : ""});
}

/// Publishes one event after another, each when the one before has been handled by the listener: all are alone.
class Alone {
public:
    Alone(RedisBus& from, RedisBus& to) : from_(from), to_(to) {}
    bool publish(int number) {
        const std::uint64_t before = to_.stats().handled;
        return from_.publish(counted, number) == PublishStatus::accepted &&
               eventually([&] { return to_.stats().handled > before; });
    }

private:
    RedisBus& from_;
    RedisBus& to_;
};

/// Where an event ran.
class Places {
public:
    void note() {
        const std::lock_guard lock(mutex_);
        last_ = std::this_thread::get_id();
    }
    [[nodiscard]] std::thread::id last() const {
        const std::lock_guard lock(mutex_);
        return last_;
    }

private:
    mutable std::mutex mutex_;
    std::thread::id last_;
};

} // namespace parts

TEST_CASE("a single event runs on the thread that has read it, where the worker sleeps", "[in_place]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    for (const RedisMode mode : {RedisMode::pub_sub, RedisMode::streams}) {
        RedisBus shop{options(server, mode)};
        RedisBus bus{options(server, mode), Config{.workers = 1}};
        Places places;
        auto s = bus.subscribe(counted, [&](const int&) { places.note(); });
        auto l = bus.subscribe(here, [&] { places.note(); });
        CHECK(bus.publish(here) == PublishStatus::accepted);
        REQUIRE(eventually([&] { return bus.stats().handled == 1; }));
        const std::thread::id worker = places.last();
        Alone alone(shop, bus);
        bool is_in_place = false; // unless the worker happens to be awake
        for (int i = 0; i < 1'000 && !is_in_place; ++i) {
            REQUIRE(alone.publish(i));
            is_in_place = places.last() != worker;
        }
        CHECK(is_in_place);
        CHECK(bus.publish(here) == PublishStatus::accepted);
        CHECK(eventually([&] { return places.last() == worker; }));
        CHECK(bus.shutdown().adds_up());
    }
}

TEST_CASE("a processor that blocks keeps nobody from reading, however brief it has been", "[in_place]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    for (const RedisMode mode : {RedisMode::pub_sub, RedisMode::streams}) {
        RedisBus shop{options(server, mode)};
        RedisBus bus{options(server, mode), Config{.workers = 1}};
        std::vector<int> order; // by one worker
        std::atomic<int> blocks{-1};
        std::atomic<bool> read_on{true};
        auto s = bus.subscribe(counted, [&](const int& number) {
            order.push_back(number);
            if (number == blocks) {
                read_on = read_on && eventually([&] { return bus.stats().waiting == 3; });
            }
        });
        Alone alone(shop, bus);
        int number = 0;
        for (int round = 0; round < 10; ++round) {
            for (int i = 0; i < 6; ++i) {
                REQUIRE(alone.publish(number++));
            }
            blocks = number;
            for (int i = 0; i < 4; ++i) {
                CHECK(shop.publish(counted, number++) == PublishStatus::accepted);
            }
            REQUIRE(eventually([&] { return bus.stats().handled == static_cast<std::uint64_t>(number); }));
        }
        CHECK(read_on);
        CHECK(bus.shutdown().adds_up());
        CHECK(order.size() == static_cast<std::size_t>(number));
        CHECK(std::is_sorted(order.begin(), order.end()));
    }
}

TEST_CASE("no more than the workers run at once, whoever runs", "[in_place]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    for (const RedisMode mode : {RedisMode::pub_sub, RedisMode::streams}) {
        for (const unsigned workers : {1U, 2U}) {
            RedisBus shop{options(server, mode)};
            RedisBus bus{options(server, mode), Config{.workers = workers}};
            std::atomic<unsigned> inside{0};
            std::atomic<bool> too_many{false};
            const auto run = [&] {
                too_many = too_many || ++inside > workers;
                std::this_thread::yield();
                --inside;
            };
            auto s = bus.subscribe(counted, [&](const int&) { run(); });
            auto l = bus.subscribe(here, run);
            constexpr int events = 2'000;
            for (int i = 0; i < events; ++i) {
                CHECK(shop.publish(counted, i) == PublishStatus::accepted);
                CHECK(bus.publish(here) == PublishStatus::accepted);
                if (i % 3 == 0) {
                    CHECK(shop.drain(10s));
                }
            }
            CHECK(eventually([&] { return bus.stats().handled == 2 * events; }));
            CHECK_FALSE(too_many);
            CHECK(bus.shutdown().adds_up());
        }
    }
}

TEST_CASE("from inside a single event everything may be called", "[in_place]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    for (const RedisMode mode : {RedisMode::pub_sub, RedisMode::streams}) {
        RedisBus shop{options(server, mode)};
        for (int round = 0; round < 10; ++round) {
            RedisBus bus{options(server, mode), Config{.workers = 2}};
            std::atomic<int> others{0};
            std::atomic<int> wrong{0};
            std::atomic<int> last{-1}; // that has run
            std::optional<gossip::Subscription> hears = bus.subscribe(other, [&](const int&) { ++others; });
            auto s = bus.subscribe(counted, [&](const int& number) {
                const auto expect = [&wrong](bool is_so) { wrong += is_so ? 0 : 1; };
                switch (number) {
                case 5:
                    expect(bus.publish(other, 1) == PublishStatus::accepted);
                    expect(static_cast<bool>(bus.publish_sync(other, 2)));
                    break;
                case 6: { // waits for the server's word, which another thread reads
                    const gossip::Subscription brief =
                        bus.subscribe(gossip::Topic<int>{"shop.brief"}, [](const int&) {});
                    break;
                }
                case 7:
                    hears.reset();
                    break;
                case 8:
                    expect(bus.drain(30s));
                    break;
                case 9:
                    bus.flush();
                    break;
                case 10:
                    expect(!bus.shutdown(1ms).complete);
                    break;
                default:
                    break;
                }
                last = number;
            });
            for (int i = 0; i <= 10; ++i) {
                INFO((mode == RedisMode::streams ? "Streams" : "Pub/Sub") << ", round " << round << ", call " << i);
                if (i == 7) {
                    CHECK(eventually([&] { return others == 2; }));
                }
                CHECK(shop.publish(counted, i) == PublishStatus::accepted);
                REQUIRE(eventually([&] { return last == i; }));
            }
            CHECK(bus.shutdown().adds_up());
            CHECK(wrong == 0);
        }
    }
}

TEST_CASE("past its deadline a shutdown stops a single event's processor as any other", "[in_place]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    for (const RedisMode mode : {RedisMode::pub_sub, RedisMode::streams}) {
        RedisBus shop{options(server, mode)};
        RedisBus bus{options(server, mode), Config{.workers = 1}};
        std::atomic<bool> began{false};
        std::atomic<bool> stopped{false};
        auto s = bus.subscribe(counted, [&](Context& context, const int& number) {
            if (number == 8) {
                began = true;
                stopped = eventually([&] { return context.stop_requested(); });
            }
        });
        Alone alone(shop, bus);
        for (int i = 0; i < 8; ++i) {
            REQUIRE(alone.publish(i));
        }
        CHECK(shop.publish(counted, 8) == PublishStatus::accepted);
        REQUIRE(eventually([&] { return began.load(); }));
        const gossip::ShutdownReport report = bus.shutdown(20ms);
        CHECK(stopped);
        CHECK(report.adds_up());
        CHECK(report.handled == 9);
    }
}

TEST_CASE("a bus may end at any moment of a single event's way", "[in_place]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    gossip_test::Random random(60);
    GOSSIP_INFO_SEED();
    for (const RedisMode mode : {RedisMode::pub_sub, RedisMode::streams}) {
        RedisBus shop{options(server, mode)};
        for (int round = 0; round < 40; ++round) {
            RedisBus bus{options(server, mode), Config{.workers = 1 + static_cast<unsigned>(random.below(2))}};
            std::atomic<int> runs{0};
            auto s = bus.subscribe(counted, [&](const int&) { ++runs; });
            Alone alone(shop, bus);
            for (std::uint64_t i = random.below(6); i > 0; --i) {
                REQUIRE(alone.publish(1));
            }
            CHECK(shop.publish(counted, 2) == PublishStatus::accepted);
            for (std::uint64_t spins = random.below(2'000); spins > 0; --spins) {
                gossip::platform::cpu_pause();
            }
            const gossip::ShutdownReport report = bus.shutdown();
            CHECK(report.adds_up());
            CHECK(report.handled == static_cast<std::uint64_t>(runs.load()));
        }
    }
}

TEST_CASE("a drop hook that is told by who reads keeps no worker", "[in_place]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server; // Streams: nothing is read where there is no room
    RedisBus shop{options(server, RedisMode::pub_sub)};
    RedisBus* home = nullptr;
    std::atomic<int> runs{0};
    std::atomic<bool> worked{false}; // beside the hook
    const auto drop = [&](const gossip::Event&, gossip::DropReason) {
        static_cast<void>(home->publish(here, {.priority = gossip::Priority::high}));
        worked = eventually([&] { return runs == 1; });
    };
    RedisBus bus{options(server, RedisMode::pub_sub),
                 Config{.workers = 1, .buffer_size = 2, .overflow = gossip::Overflow::drop_oldest, .on_drop = drop}};
    home = &bus;
    std::optional<gossip::Deferral> open;
    std::atomic<bool> holds{false}; // the key
    auto l = bus.subscribe(here, [&] { ++runs; });
    auto s = bus.subscribe(counted, [&](Context& context, const int& number) {
        if (number == 0) {
            open = context.defer();
            holds = true;
        }
    });
    for (int i = 0; i < 3; ++i) {
        REQUIRE(eventually([&] { return i == 0 || holds; }));
        CHECK(shop.publish(counted, i, {.key = "k"}) == PublishStatus::accepted);
    }
    REQUIRE(eventually([&] { return bus.stats().waiting == 2; })); // for the end of the first
    CHECK(shop.publish(counted, 3, {.key = "k"}) == PublishStatus::accepted);
    CHECK(eventually([&] { return bus.stats().dropped == 1; }));
    CHECK(worked);
    open.reset();
    CHECK(bus.shutdown().adds_up());
}

} // namespace in_place_test
