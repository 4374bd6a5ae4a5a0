#include <gossip/bus/event_bus.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/seed.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace order_test {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::Context;
using gossip::EventBus;
using gossip::Priority;
using gossip::Result;
using gossip_test::eventually;
using gossip_test::Gate;

struct Step {
    int line = 0;
    int number = 0;
};
inline constexpr gossip::Topic<Step> step{"order.step"};
inline constexpr gossip::Topic<Step> leap{"order.leap"};

TEST_CASE("one worker handles events of one priority in the order of their acceptance", "[bus][order]") {
    const auto workers = GENERATE(0U, 1U);
    const auto size = GENERATE(std::size_t{2}, std::size_t{1024});
    std::array<int, 3> next{};
    int inversions = 0;
    EventBus bus{Config{.workers = workers, .buffer_size = size}};
    auto s = bus.subscribe(step, [&](const Step& at) { // one worker: no lock
        inversions += next[static_cast<std::size_t>(at.line)]++ != at.number ? 1 : 0;
    });

    if (workers == 0) {
        for (int n = 0; n < 500; ++n) {
            if (bus.publish(step, {0, n}) == gossip::PublishStatus::full) {
                bus.poll();
                CHECK(bus.publish(step, {0, n}) == gossip::PublishStatus::accepted);
            }
        }
        CHECK(bus.drain(20s));
        CHECK(next[0] == 500);
    } else {
        std::vector<std::thread> publishers;
        for (int line = 0; line < 3; ++line) {
            publishers.emplace_back([&bus, line] {
                for (int n = 0; n < 5'000; ++n) {
                    bus.publish(step, {line, n});
                }
            });
        }
        for (std::thread& publisher : publishers) {
            publisher.join();
        }
        bus.shutdown();
        CHECK(next == std::array<int, 3>{5'000, 5'000, 5'000});
    }
    CHECK(inversions == 0);
}

TEST_CASE("one worker keeps the order of acceptance in each priority while events of all priorities come in",
          "[bus][order]") {
    std::array<int, 4> next{};
    int inversions = 0;
    EventBus bus{Config{.workers = 1, .buffer_size = 16}};
    auto s = bus.subscribe(
        step, [&](const Step& at) { inversions += next[static_cast<std::size_t>(at.line)]++ != at.number ? 1 : 0; });

    std::vector<std::thread> publishers;
    for (int line = 0; line < 4; ++line) {
        publishers.emplace_back([&bus, line] {
            for (int n = 0; n < 3'000; ++n) {
                bus.publish(step, {line, n}, {.priority = static_cast<Priority>(line)});
            }
        });
    }
    for (std::thread& publisher : publishers) {
        publisher.join();
    }
    bus.shutdown();

    CHECK(inversions == 0);
    CHECK(next == std::array<int, 4>{3'000, 3'000, 3'000, 3'000});
}

TEST_CASE("one worker keeps the order of acceptance between events with keys and events without", "[bus][order]") {
    std::vector<int> order;
    EventBus bus{Config{.workers = 0, .buffer_size = 64}};
    auto s = bus.subscribe(step, [&](const Step& at) { order.push_back(at.number); });

    for (int n = 0; n < 30; ++n) {
        bus.publish(step, {0, n}, {.key = n % 3 == 0 ? "" : n % 3 == 1 ? "a" : "b"});
    }
    while (bus.poll(1) != 0) {}

    REQUIRE(order.size() == 30);
    for (int n = 0; n < 30; ++n) {
        CHECK(order[static_cast<std::size_t>(n)] == n);
    }
}

TEST_CASE(
    "events of one key are handled one at a time, in order, whatever their priorities, topics, failures and deferrals",
    "[bus][order][keys]") {
    constexpr int keys = 5;
    constexpr int steps = 400;
    const auto workers = GENERATE(1U, 2U, 4U);
    const auto size = GENERATE(std::size_t{4}, std::size_t{256});
    GOSSIP_INFO_SEED();
    std::array<int, keys> next{};
    std::array<std::atomic<int>, keys> inside{};
    std::atomic<int> inversions{0};
    std::atomic<int> overlaps{0};
    std::mutex mutex;
    std::vector<gossip::Deferral> open;
    std::atomic<bool> over{false};
    {
        EventBus bus{Config{.workers = workers, .buffer_size = size}};
        const auto processor = [&](Context& context, const Step& at) -> Result {
            const auto line = static_cast<std::size_t>(at.line);
            overlaps += inside[line].fetch_add(1) != 0 ? 1 : 0;
            Result result;
            if (at.number % 7 == 3 && context.attempt() < 3) {
                result = gossip::RetryableError{"again"};
            } else {
                inversions += next[line]++ != at.number ? 1 : 0;
                if (at.number % 11 == 5) {
                    const std::lock_guard lock(mutex);
                    open.push_back(context.defer());
                    return {}; // still inside, until the deferral is resolved
                }
            }
            inside[line].fetch_sub(1);
            return result;
        };
        const gossip::SubscribeOptions again{.redelivery = {.attempts = 5, .first_delay = 10us, .jitter = 1}};
        auto s1 = bus.subscribe(step, processor, again);
        auto s2 = bus.subscribe(leap, processor, again);
        std::thread resolver([&] {
            while (!over) {
                std::vector<gossip::Deferral> some;
                {
                    const std::lock_guard lock(mutex);
                    some.swap(open);
                }
                for (gossip::Deferral& deferral : some) {
                    inside[static_cast<std::size_t>(deferral.event().data<Step>().line)].fetch_sub(1);
                    deferral.succeed();
                }
                std::this_thread::yield();
            }
        });

        std::vector<std::thread> publishers;
        for (int key = 0; key < keys; ++key) {
            publishers.emplace_back([&bus, key] {
                gossip_test::Random random(static_cast<std::uint64_t>(key));
                for (int n = 0; n < steps; ++n) {
                    bus.publish(random.one_in(2) ? step : leap, {key, n},
                                {.key = std::to_string(key), .priority = static_cast<Priority>(random.below(4))});
                }
            });
        }
        for (std::thread& publisher : publishers) {
            publisher.join();
        }
        CHECK(bus.drain(60s)); // a shutdown would end the redeliveries that wait
        const auto report = bus.shutdown();
        over = true;
        resolver.join();
        CHECK(report.handled == keys * steps);
    }

    CHECK(inversions == 0);
    CHECK(overlaps == 0);
    for (const int n : next) {
        CHECK(n == steps);
    }
}

TEST_CASE("higher priorities go first", "[bus][order]") {
    std::vector<int> order;
    EventBus bus{Config{.workers = 0, .buffer_size = 64}};
    auto s = bus.subscribe(step, [&](const Step& at) { order.push_back(at.number); });

    for (int n = 0; n < 3; ++n) {
        bus.publish(step, {0, 30 + n}, {.priority = Priority::low});
        bus.publish(step, {0, 20 + n}, {.key = "k"});
        bus.publish(step, {0, 10 + n}, {.priority = Priority::high});
        bus.publish(step, {0, n}, {.priority = Priority::critical});
    }
    bus.poll();

    CHECK(order == std::vector<int>{0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32});
}

TEST_CASE("a lower priority waits for 16 events of higher priority, then it is next", "[bus][order]") {
    std::vector<int> order;
    EventBus bus{Config{.workers = 0, .buffer_size = 128}};
    auto s = bus.subscribe(step, [&](const Step& at) { order.push_back(at.line); });

    SECTION("one lower") {
        for (int n = 0; n < 100; ++n) {
            bus.publish(step, {3, n}, {.priority = Priority::critical});
        }
        for (int n = 0; n < 3; ++n) {
            bus.publish(step, {0, n}, {.priority = Priority::low});
        }
        while (bus.poll(1) != 0) {}
        REQUIRE(order.size() == 103);
        CHECK(order[16] == 0);
        CHECK(order[33] == 0);
        CHECK(order[50] == 0);
    }
    SECTION("all three lower ones, each with events enough") {
        for (int n = 0; n < 100; ++n) {
            for (int line = 0; line < 4; ++line) {
                bus.publish(step, {line, n}, {.priority = static_cast<Priority>(line)});
            }
        }
        while (bus.poll(1) != 0) {}
        REQUIRE(order.size() == 400);
        for (int line = 0; line < 3; ++line) {
            int higher = 0;
            int longest = 0;
            for (std::size_t i = 0, seen = 0; i < order.size() && seen < 100; ++i) {
                if (order[i] > line) {
                    ++higher;
                } else if (order[i] == line) {
                    longest = std::max(longest, higher);
                    higher = 0;
                    ++seen;
                }
                if (line == 0 && seen == 5) {
                    break; // the critical ones have come to an end
                }
            }
            INFO("line " << line);
            CHECK(longest == 16);
        }
    }
    SECTION("also where processors publish synchronously, which takes them to another place in the bus") {
        auto nested = bus.subscribe(leap, [](const Step&) {});
        auto publishes = bus.subscribe(step, [&](const Step&) { CHECK(bus.publish_sync(leap, {}).ok()); });
        for (int n = 0; n < 100; ++n) {
            bus.publish(step, {3, n}, {.priority = Priority::critical});
        }
        bus.publish(step, {0, 0}, {.priority = Priority::low});
        while (bus.poll(1) != 0) {}
        REQUIRE(order.size() == 101);
        CHECK(order[16] == 0);
    }
    SECTION("those that came in while they waited for their key") {
        bus.publish(step, {0, 0}, {.key = "k", .priority = Priority::low});
        bus.publish(step, {0, 1}, {.key = "k", .priority = Priority::low});
        for (int n = 0; n < 100; ++n) {
            bus.publish(step, {3, n}, {.priority = Priority::critical});
        }
        while (bus.poll(1) != 0) {}
        REQUIRE(order.size() == 102);
        CHECK(order[16] == 0);
        CHECK(order[33] == 0);
    }
}

TEST_CASE("a lower priority is handled while processors keep the higher ones full", "[bus][order]") {
    const auto workers = GENERATE(1U, 2U);
    std::atomic<bool> low_seen{false};
    std::atomic<bool> normal_seen{false};
    EventBus bus{Config{.workers = workers, .buffer_size = 64}};
    auto s = bus.subscribe(step, [&](const Step& at) {
        if (at.line == 3) {
            if (!low_seen || !normal_seen) {
                bus.publish(step, at, {.priority = Priority::critical});
            }
        } else {
            (at.line == 0 ? low_seen : normal_seen) = true;
        }
    });

    for (int n = 0; n < 32; ++n) {
        bus.publish(step, {3, n}, {.priority = Priority::critical});
    }
    bus.publish(step, {0, 0}, {.priority = Priority::low});
    bus.publish(step, {1, 0});

    CHECK(eventually([&] { return low_seen && normal_seen; }));
    low_seen = normal_seen = true;
    CHECK(bus.drain(20s));
}

TEST_CASE("what processors spill is not passed by what comes after it in the same priority", "[bus][order]") {
    std::vector<int> order;
    EventBus bus{Config{.workers = 0, .buffer_size = 2}};
    auto s = bus.subscribe(step, [&](const Step& at) {
        if (at.line == 1) {
            for (int n = 0; n < 10; ++n) {
                CHECK(bus.publish(step, {0, n}) == gossip::PublishStatus::accepted);
            }
        } else {
            order.push_back(at.number);
        }
    });

    bus.publish(step, {1, 0});
    REQUIRE(bus.drain(20s));

    CHECK(order == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE("a processor that blocks delays no event but its own: what its worker has claimed is taken over",
          "[bus][order]") {
    const auto workers = GENERATE(2U, 3U);
    const auto idle = GENERATE(gossip::Idle::sleep, gossip::Idle::spin);
    constexpr int rounds = 60;
    constexpr int events = 64;
    for (int round = 0; round < rounds; ++round) {
        Gate gate;
        std::atomic<int> done{0};
        std::atomic<bool> released{false};
        EventBus bus{Config{.workers = workers, .buffer_size = 256, .idle = idle}};
        auto s = bus.subscribe(step, [&](const Step& at) {
            if (at.line == 1) {
                released = gate.pass();
            } else {
                ++done;
            }
        });
        for (int n = 0; n < 200; ++n) { // short ones, so that workers begin to claim ahead
            bus.publish(step, {0, n});
        }
        static_cast<void>(eventually([&] { return done == 200; }));

        for (int n = 0; n < events; ++n) {
            bus.publish(step, {n == round % events ? 1 : 0, n});
        }
        const bool all = eventually([&] { return done == 200 + events - 1; });
        gate.open();
        REQUIRE(all);
        bus.shutdown();
        CHECK(released);
    }
}

TEST_CASE("a processor that blocks delays no event but its own while the bus is kept busy", "[bus][order]") {
    for (int round = 0; round < 20; ++round) {
        Gate gate;
        std::atomic<int> last{0};
        std::atomic<int> seen_after{0};
        std::atomic<bool> over{false};
        EventBus bus{Config{.workers = 3, .buffer_size = 1024}};
        auto s = bus.subscribe(step, [&](const Step& at) {
            if (at.line == 1) {
                static_cast<void>(gate.pass());
            } else if (at.line == 2) {
                ++seen_after;
            }
            last.store(at.number, std::memory_order_relaxed);
        });
        std::thread feeder([&] {
            for (int n = 0; !over; ++n) {
                bus.publish(step, {0, n});
            }
        });
        static_cast<void>(eventually([&] { return last.load() > 2'000; }));
        bus.publish(step, {1, 0});
        for (int n = 0; n < 64; ++n) {
            bus.publish(step, {2, n});
        }
        const bool all = eventually([&] { return seen_after == 64; });
        over = true;
        gate.open();
        feeder.join();
        REQUIRE(all);
    }
}

TEST_CASE("a processor that blocks delays no event but its own while another worker always finds the next one",
          "[bus][order]") {
    const auto workers = GENERATE(2U, 3U);
    const auto chain = GENERATE(Priority::normal, Priority::high);
    constexpr int rounds = 30;
    constexpr int behind = 7;
    std::array<Gate, rounds> gates;
    std::atomic<int> passed{0};
    std::atomic<int> seen{0};
    std::atomic<int> links{0};
    std::atomic<bool> over{false};
    EventBus bus{Config{.workers = workers, .buffer_size = 256}};
    auto s = bus.subscribe(step, [&](const Step& at) {
        if (at.line == 0 && !over) { // keeps itself going
            ++links;
            bus.publish(step, at, {.priority = chain});
        } else if (at.line == 1) { // one that blocks, and what is claimed together with it
            bus.publish(step, {2, at.number});
            for (int n = 0; n < behind; ++n) {
                bus.publish(step, {3, n});
            }
        } else if (at.line == 2) {
            static_cast<void>(gates[static_cast<std::size_t>(at.number)].pass());
            ++passed;
        } else if (at.line == 3) {
            ++seen;
        }
    });
    bus.publish(step, {0, 0});

    bool all = true;
    for (int round = 0; round < rounds && all; ++round) {
        const int before = links;
        static_cast<void>(eventually([&] { return links - before > 200; }));
        seen = 0;
        bus.publish(step, {1, round});
        all = eventually([&] { return seen == behind; }, 10s);
        gates[static_cast<std::size_t>(round)].open();
        all = eventually([&] { return passed == round + 1; }) && all;
    }
    over = true;

    CHECK(all);
}

TEST_CASE("a processor that blocks delays later events of its key, and none of another", "[bus][order][keys]") {
    Gate gate;
    std::atomic<int> other{0};
    std::atomic<int> same{0};
    EventBus bus{Config{.workers = 2, .buffer_size = 64}};
    auto s = bus.subscribe(step, [&](const Step& at) {
        if (at.line == 1) {
            static_cast<void>(gate.pass());
        }
        ++(at.line == 0 ? other : same);
    });

    for (int n = 0; n < 16; ++n) {
        bus.publish(step, {n == 0 ? 1 : 2, n}, {.key = "slow"});
        bus.publish(step, {0, n}, {.key = std::to_string(n)});
    }
    CHECK(eventually([&] { return other == 16; }));
    CHECK(same == 0);
    gate.open();
    CHECK(bus.drain(20s));
    CHECK(same == 16);
}

} // namespace order_test
