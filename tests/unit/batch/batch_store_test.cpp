#include <gossip/gossip.hpp>
#include <gossip/testing.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace batch_store_test {

using namespace std::chrono_literals;

inline namespace parts {

using gossip_test::Bounded;
using gossip_test::eventually;
using gossip_test::Gate;
using Numbers = std::vector<int>;

inline constexpr gossip::Topic<int> number{"batch_store.number"};

/// A bus on one thread, and the runs of a batch by key.
struct Bench {
    gossip::testing::ManualClock clock;
    gossip::EventBus<> bus{gossip::Config{.workers = 0, .buffer_size = 4096, .clock = &clock}};
    std::vector<std::pair<std::string, Numbers>> runs;
    bool mixed = false;

    auto recorder() {
        return [this](std::span<const gossip::Event> events) {
            auto& run = runs.emplace_back(events[0].key(), Numbers{});
            for (const gossip::Event& event : events) {
                mixed = mixed || event.key() != events[0].key();
                run.second.push_back(event.data<int>());
            }
        };
    }
    void publish(int value, const char* key) {
        REQUIRE(bus.publish(number, value, {.key = key}) == gossip::PublishStatus::accepted);
    }
};

} // namespace parts

// By key

TEST_CASE("by key a run has events of one key, in their order; no key is a key as well", "[batch_store]") {
    Bench bench;
    auto s =
        bench.bus.subscribe(number, gossip::batch<int>({.size = 2, .period = 1h, .by_key = true}, bench.recorder()));
    bench.publish(1, "a");
    bench.publish(2, "b");
    bench.publish(3, "");
    bench.publish(4, "a"); // two of a
    bench.publish(5, "c");
    bench.publish(6, ""); // two without
    bench.bus.poll();
    CHECK(bench.runs == std::vector<std::pair<std::string, Numbers>>{{"a", {1, 4}}, {"", {3, 6}}});
    bench.bus.shutdown();

    CHECK(bench.runs.size() == 4);
    CHECK_FALSE(bench.mixed);
    CHECK(bench.bus.stats().handled == 6);
}

TEST_CASE("by key each key has a period of its own", "[batch_store]") {
    Bench bench;
    auto s =
        bench.bus.subscribe(number, gossip::batch<int>({.size = 10, .period = 10ms, .by_key = true}, bench.recorder()));
    bench.publish(1, "a");
    bench.bus.poll();
    bench.clock.advance(6ms);
    bench.publish(2, "b");
    bench.publish(3, "a");
    bench.bus.poll();
    bench.clock.advance(4ms);
    bench.bus.poll();
    CHECK(bench.runs == std::vector<std::pair<std::string, Numbers>>{{"a", {1, 3}}});
    bench.clock.advance(6ms);
    bench.bus.poll();

    CHECK(bench.runs == std::vector<std::pair<std::string, Numbers>>{{"a", {1, 3}}, {"b", {2}}});
    CHECK(bench.bus.drain(0ns));
}

TEST_CASE("by key flush and a period of 0 run every key", "[batch_store]") {
    Bench bench;
    const bool at_once = GENERATE(true, false);
    auto s = bench.bus.subscribe(
        number, gossip::batch<int>({.size = 10, .period = at_once ? 0ns : 1h, .by_key = true}, bench.recorder()));
    for (const char* const key : {"a", "b", "c"}) {
        bench.publish(1, key);
    }
    bench.bus.poll();
    bench.bus.flush();
    CHECK(bench.bus.drain(20s));

    CHECK(bench.runs.size() == 3);
    CHECK_FALSE(bench.mixed);
}

TEST_CASE("when many keys fill a batch up, the one that has waited longest runs with what it has", "[batch_store]") {
    Bench bench;
    auto s = bench.bus.subscribe(
        number, gossip::batch<int>({.size = 3, .period = 1h, .by_key = true, .capacity = 6}, bench.recorder()));
    for (int i = 0; i < 6; ++i) {
        bench.publish(i, std::to_string(i / 2 * 2).c_str()); // two of 0, two of 2, two of 4
    }
    bench.bus.poll();
    CHECK(bench.runs.empty());
    bench.publish(6, "6");
    bench.bus.poll();
    CHECK(bench.runs == std::vector<std::pair<std::string, Numbers>>{{"0", {0, 1}}});
    bench.publish(7, "7");
    bench.publish(8, "8");
    bench.bus.poll();

    CHECK(bench.runs.size() == 2);
    CHECK(bench.runs[1] == std::pair<std::string, Numbers>{"2", {2, 3}});
    CHECK(bench.bus.shutdown().handled == 9);
    CHECK_FALSE(bench.mixed);
}

TEST_CASE("more keys than anybody counts on are collected, run, and forgotten", "[batch_store]") {
    Bench bench;
    auto s = bench.bus.subscribe(
        number, gossip::batch<int>({.size = 100, .period = 1h, .by_key = true, .capacity = 1000}, bench.recorder()));
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 3000; ++i) {
            bench.publish(i, std::to_string(i * (round + 1)).c_str());
        }
        bench.bus.poll();
        bench.bus.flush();
        CHECK(bench.bus.drain(20s));
    }
    std::size_t events = 0;
    for (const auto& run : bench.runs) {
        events += run.second.size();
    }
    CHECK(events == 9000);
    CHECK_FALSE(bench.mixed);
}

TEST_CASE("a batch by key grows with what its keys bring, and keeps their order", "[batch_store]") {
    Bench bench;
    auto s =
        bench.bus.subscribe(number, gossip::batch<int>({.size = 1000, .period = 1h, .by_key = true}, bench.recorder()));
    for (int i = 0; i < 2000; ++i) {
        bench.publish(i, i % 2 == 0 ? "even" : "odd");
    }
    bench.bus.poll();

    REQUIRE(bench.runs.size() == 2);
    for (const auto& [key, items] : bench.runs) {
        REQUIRE(items.size() == 1000);
        for (std::size_t i = 1; i < items.size(); ++i) {
            REQUIRE(items[i] == items[i - 1] + 2);
        }
    }
    CHECK_FALSE(bench.mixed);
}

TEST_CASE("a large batch grows as events come", "[batch_store]") {
    std::size_t seen = 0;
    bool ordered = true;
    gossip::EventBus<> bus{gossip::Config{.workers = 0, .buffer_size = 8192}};
    auto s = bus.subscribe(number, gossip::batch<int>({.size = 5000, .period = 1h}, [&](std::span<const int> items) {
                               for (std::size_t i = 0; i < items.size(); ++i) {
                                   ordered = ordered && items[i] == static_cast<int>(seen + i);
                               }
                               seen += items.size();
                           }));
    for (int i = 0; i < 7000; ++i) {
        bus.publish(number, i);
    }
    bus.poll();
    CHECK(seen == 5000);
    bus.shutdown();

    CHECK(seen == 7000);
    CHECK(ordered);
}

TEST_CASE("a warm batch by key allocates nothing for keys that come again", "[batch_store]") {
    std::size_t seen = 0;
    gossip::EventBus<> bus{gossip::Config{.workers = 0}};
    auto s = bus.subscribe(number, gossip::batch<int>({.size = 4, .period = 1h, .by_key = true},
                                                      [&](std::span<const int> items) { seen += items.size(); }));
    std::vector<gossip::Event> events;
    for (int i = 0; i < 40; ++i) {
        events.push_back(gossip::Event{number, i}.with_key(std::string(1, static_cast<char>('a' + i % 10))));
    }
    const auto round = [&] { // on the way that needs no memory for the key's turn
        for (const gossip::Event& event : events) {
            REQUIRE(bus.publish_sync(event).ok());
        }
    };
    round();
    round();
    const support::AllocationCounter counter;
    round();

    CHECK(counter.count() == 0);
    CHECK(seen == 120);
}

TEST_CASE("by key several workers keep the order of every key, one run of a key at a time", "[batch_store]") {
    const Bounded bounded("runs by key");
    constexpr int keys = 5;
    std::array<std::atomic<int>, keys> running{};
    std::array<int, keys> next{}; // guarded by the promise under test
    std::atomic<int> wrong{0};
    std::atomic<int> most{0};
    std::atomic<int> runs{0};
    gossip::EventBus<> bus{gossip::Config{.workers = 4, .buffer_size = 256}};
    auto s = bus.subscribe(number, gossip::batch<int>({.size = 3, .period = 1h, .concurrency = 3, .by_key = true},
                                                      [&](std::span<const int> items) {
                                                          const auto key = static_cast<std::size_t>(items[0] % keys);
                                                          const int now = ++runs;
                                                          most = now > most ? now : most.load();
                                                          wrong += running[key]++ != 0 ? 1 : 0;
                                                          for (const int item : items) {
                                                              wrong += item / keys != next[key]++ ? 1 : 0;
                                                          }
                                                          std::this_thread::yield();
                                                          --running[key];
                                                          --runs;
                                                      }));
    for (int i = 0; i < 3000; ++i) {
        bus.publish(number, i, {.key = std::to_string(i % keys)});
        if (i % 100 == 0) {
            bus.flush();
        }
    }
    const auto report = bus.shutdown();

    CHECK(wrong == 0);
    CHECK(most <= 3);
    CHECK(report.handled == 3000);
}

// Several runs at a time

TEST_CASE("a batch runs once at a time unless its concurrency says so", "[batch_store]") {
    const Bounded bounded("concurrent runs");
    const std::size_t concurrency = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{3});
    std::atomic<std::size_t> running{0};
    std::atomic<std::size_t> most{0};
    Gate all;
    gossip::EventBus<> bus{gossip::Config{.workers = 4}};
    auto s = bus.subscribe(
        number, gossip::batch<int>({.size = 2, .period = 1h, .concurrency = concurrency}, [&](std::span<const int>) {
            const std::size_t now = ++running;
            most = now > most ? now : most.load();
            if (now == concurrency) {
                all.open(); // as many as there may be are here
            }
            all.pass();
            std::this_thread::yield();
            --running;
        }));
    for (int i = 0; i < 100; ++i) {
        bus.publish(number, i);
    }
    const auto report = bus.shutdown();

    CHECK(most == concurrency);
    CHECK(report.handled == 100);
}

TEST_CASE("a flush of several keys is run by several workers at once", "[batch_store]") {
    const Bounded bounded("a flush with help");
    std::atomic<int> running{0};
    Gate all;
    std::atomic<bool> passed{true};
    gossip::EventBus<> bus{gossip::Config{.workers = 3}};
    auto s = bus.subscribe(number, gossip::batch<int>({.size = 10, .period = 1h, .concurrency = 3, .by_key = true},
                                                      [&](std::span<const int>) {
                                                          if (++running == 3) {
                                                              all.open();
                                                          }
                                                          passed = all.pass() && passed;
                                                      }));
    for (int i = 0; i < 3; ++i) {
        bus.publish(number, i, {.key = std::to_string(i)});
    }
    REQUIRE(eventually([&] { return bus.stats().waiting == 0; }));
    REQUIRE(eventually([&] {
        bus.flush();
        return running == 3;
    }));
    bus.shutdown();

    CHECK(passed);
}

TEST_CASE("with several runs a batch collects its size for each, and one more", "[batch_store]") {
    const Bounded bounded("back-pressure of several runs");
    Gate gate;
    std::atomic<int> runs{0};
    gossip::EventBus<> bus{gossip::Config{.workers = 4, .buffer_size = 64}};
    auto s = bus.subscribe(number,
                           gossip::batch<int>({.size = 3, .period = 1h, .concurrency = 2}, [&](std::span<const int>) {
                               ++runs;
                               gate.pass();
                           }));
    for (int i = 0; i < 40; ++i) {
        bus.publish(number, i);
    }
    // Two workers run 3 each, 3 more are collected, two workers wait with an event each.
    REQUIRE(eventually([&] { return bus.stats().waiting == 40 - 9 - 2 && runs == 2; }));
    CHECK_FALSE(bus.drain(20ms)); // time in which it must stay so
    CHECK(bus.stats().waiting == 40 - 9 - 2);
    CHECK(runs == 2);
    gate.open();

    CHECK(bus.shutdown().handled == 40);
}

} // namespace batch_store_test
