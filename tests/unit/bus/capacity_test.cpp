#include <gossip/bus/event_bus.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace capacity_test {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::EventBus;
using gossip::Overflow;
using gossip::Priority;
using gossip::PublishStatus;
using gossip_test::eventually;
using gossip_test::Gate;

inline constexpr gossip::Topic<int> number{"capacity.number"};

/// How many events a bus takes before it refuses one.
int fill(auto& bus, gossip::PublishOptions options = {}) {
    for (int taken = 0; taken < 10'000; ++taken) {
        if (bus.try_publish(number, 1'000 + taken, options) != PublishStatus::accepted) {
            return taken;
        }
    }
    return -1;
}

TEST_CASE("buffer_size is rounded up to a power of two, at least 2, and the effective value can be asked for",
          "[bus][capacity]") {
    const auto [asked, got] = GENERATE(table<std::size_t, std::size_t>(
        {{1, 2}, {2, 2}, {3, 4}, {4, 4}, {5, 8}, {1'000, 1'024}, {1'024, 1'024}, {1'025, 2'048}}));
    EventBus bus{Config{.workers = 0, .buffer_size = asked, .overflow = Overflow::reject}};

    CHECK(bus.stats().buffer_size == got);
    CHECK(fill(bus) == static_cast<int>(got));
    CHECK(bus.stats().waiting == got);
}

TEST_CASE("capacity is a maximum in each priority", "[bus][capacity]") {
    EventBus bus{Config{.workers = 0, .buffer_size = 8}};

    for (std::size_t priority = 0; priority < gossip::priority_count; ++priority) {
        CHECK(fill(bus, {.priority = static_cast<Priority>(priority)}) == 8);
        CHECK(fill(bus, {.key = "k", .priority = static_cast<Priority>(priority)}) == 0);
    }

    CHECK(bus.stats().waiting == 32);
    CHECK(bus.poll() == 32);
    CHECK(bus.stats().waiting == 0);
}

TEST_CASE("capacity is a maximum whatever threads publish", "[bus][capacity]") {
    EventBus bus{Config{.workers = 0, .buffer_size = 64}};
    std::atomic<int> taken{0};

    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 200; ++i) {
                const gossip::PublishOptions options{.key = t % 2 == 0 ? "" : "k"};
                taken += bus.try_publish(number, 1, options) == PublishStatus::accepted ? 1 : 0;
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }

    CHECK(taken == 64);
    CHECK(bus.stats().waiting == 64);
    CHECK(bus.drain(20s));
    CHECK(bus.stats().unrouted == 64);
}

TEST_CASE("an event that waits for its key counts as waiting, until it has begun", "[bus][capacity]") {
    std::vector<gossip::Deferral> open;
    EventBus bus{Config{.workers = 0, .buffer_size = 4}};
    auto s = bus.subscribe(number, [&](gossip::Context& context, const int& value) {
        if (value == 0) {
            open.push_back(context.defer());
        }
    });

    bus.publish(number, 0, {.key = "k"});
    CHECK(bus.poll() == 1); // begun, and holds its key
    CHECK(fill(bus, {.key = "k"}) == 4);
    CHECK(bus.stats().waiting == 4);
    CHECK(bus.poll() == 0);
    CHECK(bus.stats().waiting == 4);
    CHECK(fill(bus) == 0);

    open[0].succeed();
    CHECK(bus.stats().waiting == 4);
    CHECK(bus.poll(1) == 1);
    CHECK(bus.stats().waiting == 3);
    CHECK(fill(bus) == 1);
    CHECK(bus.stats().waiting == 4);
    CHECK(bus.drain(20s));
    CHECK(bus.stats().waiting == 0);
    CHECK(bus.stats().handled == 6);
}

TEST_CASE("an event that a worker has claimed but not begun counts as waiting", "[bus][capacity]") {
    Gate first;
    Gate second;
    std::atomic<int> begun{0};
    EventBus bus{Config{.workers = 1, .buffer_size = 16}};
    auto s = bus.subscribe(number, [&](const int& value) {
        ++begun;
        if (value == 1) {
            static_cast<void>(first.pass());
        } else if (value == 2) {
            static_cast<void>(second.pass());
        }
    });
    bus.publish(number, 1);
    REQUIRE(eventually([&] { return begun == 1; }));

    bus.publish(number, 2);
    CHECK(fill(bus) == 15);
    first.open();
    REQUIRE(eventually([&] { return begun == 2; })); // the worker has claimed all 16, and begun one
    const int room = fill(bus);
    const auto waiting = bus.stats().waiting;
    second.open();

    CHECK(room == 1);
    CHECK(waiting == 16);
    CHECK(bus.drain(20s));
}

TEST_CASE("publish waits for room, takes it when there is some, and nothing is lost", "[bus][capacity]") {
    const auto workers = GENERATE(1U, 2U);
    const auto key = GENERATE("", "k");
    Gate gate;
    std::atomic<int> begun{0};
    std::atomic<int> published{0};
    EventBus bus{Config{.workers = workers, .buffer_size = 2}};
    auto s = bus.subscribe(number, [&] {
        ++begun;
        static_cast<void>(gate.pass());
    });

    std::vector<std::thread> publishers;
    for (int t = 0; t < 3; ++t) {
        publishers.emplace_back([&] {
            for (int i = 0; i < 200; ++i) {
                published += bus.publish(number, i, {.key = key}) == PublishStatus::accepted ? 1 : 0;
            }
        });
    }
    const int running = std::string(key).empty() ? static_cast<int>(workers) : 1;
    REQUIRE(eventually([&] { return begun == running && published == running + 2; }));
    CHECK(bus.stats().waiting == 2);
    gate.open();
    for (std::thread& publisher : publishers) {
        publisher.join();
    }
    CHECK(bus.drain(20s));

    CHECK(published == 600);
    CHECK(begun == 600);
    CHECK(bus.stats().rejected == 0);
    CHECK(bus.stats().spilled == 0);
}

TEST_CASE("publishers that wait come and go on short-lived threads", "[bus][capacity]") {
    std::atomic<int> handled{0};
    std::atomic<int> accepted{0};
    int published = 0;
    EventBus bus{Config{.workers = 2, .buffer_size = 2}};
    auto s = bus.subscribe(number, [&] { ++handled; });

    for ([[maybe_unused]] const int round : gossip_test::Rounds(100)) {
        std::vector<std::thread> publishers;
        for (int t = 0; t < 6; ++t) {
            publishers.emplace_back([&, t] {
                for (int i = 0; i < 5; ++i) {
                    const gossip::PublishOptions options{.priority = t == 0 ? Priority::high : Priority::normal};
                    accepted += bus.publish(number, i, options) == PublishStatus::accepted ? 1 : 0;
                }
            });
        }
        for (std::thread& publisher : publishers) {
            publisher.join();
        }
        published += 6 * 5;
    }
    CHECK(bus.drain(20s));

    CHECK(accepted == published);
    CHECK(handled == published);
}

TEST_CASE("without workers a publish into a full buffer says full instead of waiting", "[bus][capacity]") {
    EventBus bus{Config{.workers = 0, .buffer_size = 2}};
    CHECK(fill(bus) == 2);

    CHECK(bus.publish(number, 1) == PublishStatus::full);
    CHECK(bus.publish(number, 1, {.key = "k"}) == PublishStatus::full);
    CHECK(bus.publish(gossip::Event{number, 1}) == PublishStatus::full);
    CHECK(bus.stats().rejected == 4);
}

TEST_CASE("a processor that publishes into a full buffer goes on: the events are spilled, counted and handled",
          "[bus][capacity]") {
    const auto workers = GENERATE(0U, 1U, 3U);
    const auto key = GENERATE("", "k");
    std::atomic<int> seen{0};
    std::atomic<bool> nested{false};
    EventBus bus{Config{.workers = workers, .buffer_size = 2}};
    auto s = bus.subscribe(number, [&](const int& depth) {
        static thread_local bool inside = false;
        nested = nested || inside; // no user code runs inside a publish
        inside = true;
        ++seen;
        for (int i = 0; depth < 4 && i < 5; ++i) {
            bus.publish(number, depth + 1, {.key = i % 2 == 0 ? key : ""}); // what it threw would fail the event
        }
        inside = false;
    });

    bus.publish(number, 0);
    REQUIRE(bus.drain(20s));

    CHECK(seen == 1 + 5 + 25 + 125 + 625);
    CHECK_FALSE(nested);
    CHECK(bus.stats().spilled > 0);
    CHECK(bus.stats().accepted == 781);
    CHECK(bus.stats().failed == 0);
    CHECK(bus.stats().adds_up());
}

TEST_CASE("the spill list is emptied before outsiders find room", "[bus][capacity]") {
    EventBus bus{Config{.workers = 0, .buffer_size = 2}};
    auto s = bus.subscribe(number, [&](const int& value) {
        if (value == 0) {
            for (int i = 0; i < 5; ++i) {
                bus.publish(number, 1);
            }
        }
    });
    bus.publish(number, 0);
    CHECK(bus.poll(1) == 1);
    CHECK(bus.stats().spilled == 3);
    CHECK(bus.stats().waiting == 5);

    for (int left = 5; left > 1; --left) {
        CHECK(bus.publish(number, 2) == PublishStatus::full);
        CHECK(bus.publish(number, 2, {.key = "k"}) == PublishStatus::full);
        CHECK(bus.publish(number, 2, {.priority = Priority::high}) == PublishStatus::accepted); // another buffer
        CHECK(bus.poll(2) == 2);
    }
    CHECK(bus.stats().waiting == 1);
    CHECK(bus.publish(number, 2) == PublishStatus::accepted);
    CHECK(bus.publish(number, 2) == PublishStatus::full);
    CHECK(bus.drain(20s));
}

TEST_CASE("after a burst, events that keep themselves going are spilled no more and keep nobody out",
          "[bus][capacity]") {
    const auto workers = GENERATE(1U, 2U, 4U);
    constexpr int chain = 0;
    constexpr int burst = 1;
    constexpr int outside = 2;
    const gossip_test::Bounded bounded("publishers beside events that keep themselves going");
    Gate published;
    std::atomic<int> links{0};
    std::atomic<int> in_burst{0};
    std::atomic<int> from_outside{0};
    std::atomic<bool> over{false};
    EventBus bus{Config{.workers = workers, .buffer_size = 256}};
    auto s = bus.subscribe(number, [&](const int& kind) {
        if (kind == chain && !over) {
            ++links;
            bus.publish(number, chain);
        } else if (kind == burst && ++in_burst == 1) {
            for (int i = 0; i < 300; ++i) {
                bus.publish(number, burst);
            }
            bus.publish(number, chain);
            bus.publish(number, chain);
            published.open();
        } else if (kind == burst) {
            static_cast<void>(published.pass());
        } else if (kind == outside) {
            ++from_outside;
        }
    });
    bus.publish(number, burst);
    REQUIRE(eventually([&] { return in_burst == 301 && links > 100; }));

    const auto spilled_before = bus.stats().spilled;
    for (int i = 0; i < 100; ++i) {
        REQUIRE(eventually([&] { return bus.try_publish(number, int{outside}) == PublishStatus::accepted; }));
    }
    for (int i = 0; i < 100; ++i) {
        CHECK(bus.publish(number, outside) == PublishStatus::accepted);
    }
    CHECK(eventually([&] { return from_outside == 200; }));
    // A worker that the system halts while it empties a slot makes the buffer full for the others, for so long.
    CHECK(eventually([&] {
        const int links_before = links;
        const auto spilled = bus.stats().spilled;
        return eventually([&] { return links > links_before + 100; }) && bus.stats().spilled == spilled;
    }));
    const auto spilled_after = bus.stats().spilled;
    over = true;

    CHECK(spilled_before > 0);
    CHECK((workers > 1 || spilled_after == spilled_before));
    CHECK(bus.drain(20s));
    CHECK(bus.stats().adds_up());
}

TEST_CASE("a shutdown does not wait for what has moved in and waits for a key", "[bus][capacity]") {
    const auto workers = GENERATE(0U, 1U);
    const gossip_test::Bounded bounded("a shutdown while a key is held");
    EventBus bus{Config{.workers = workers, .buffer_size = 2}};
    auto s = bus.subscribe(number,
                           [&](const int& value) -> gossip::Result {
                               if (value == 1) {
                                   bus.publish(number, 2, {.key = "k", .priority = Priority::high});
                                   bus.publish(number, 3, {.priority = Priority::high});
                                   bus.publish(number, 4, {.key = "k", .priority = Priority::high});
                               }
                               return value == 0 ? gossip::Result{gossip::errors::retryable} : gossip::Result{};
                           },
                           {.redelivery = {.attempts = 2, .first_delay = 1h, .jitter = 0}});
    const auto eventually_by_itself = [&](auto done) {
        return eventually([&] { return (workers != 0 || bus.poll() == 0) && done(); });
    };
    bus.publish(number, 0, {.key = "k"});
    REQUIRE(eventually_by_itself([&] { return bus.stats().timers == 1; })); // the redelivery, which holds the key
    bus.publish(number, 1);
    REQUIRE(eventually_by_itself([&] { return bus.stats().handled == 2; })); // and 2 and 4 wait for the key
    CHECK(bus.try_publish(number, 5, {.priority = Priority::high}) == PublishStatus::full);

    const auto report = bus.shutdown();

    CHECK(report.spilled == 1);
    CHECK(report.handled == 4);
    CHECK(report.failed == 1);
    CHECK(report.adds_up());
}

TEST_CASE("the number of accepted events never goes back, and never tells more than were published, while events are "
          "spilled and move in",
          "[bus][capacity]") {
    constexpr int events = 3'000;
    std::atomic<std::uint64_t> published{0};
    std::atomic<bool> over{false};
    EventBus bus{Config{.workers = 2, .buffer_size = 4}};
    auto s = bus.subscribe(number, [&](const int& left) {
        for (int i = 0; i < (left % 8 == 0 ? 8 : 1) && left > 0; ++i) {
            ++published;
            bus.publish(number, i == 0 ? left - 1 : 0);
        }
    });

    std::thread observer([&] {
        std::uint64_t last = 0;
        std::uint64_t most = 0;
        while (!over) {
            const std::uint64_t now = bus.stats().accepted;
            most = published;
            if (now < last || now > most) {
                FAIL_CHECK("accepted " << now << " after " << last << ", published " << most);
                break;
            }
            last = now;
        }
    });
    for (int i = 0; i < 4; ++i) {
        ++published;
        bus.publish(number, events);
    }
    CHECK(bus.drain(60s));
    over = true;
    observer.join();

    CHECK(bus.stats().spilled > 0);
    CHECK(bus.stats().accepted == published);
    CHECK(bus.stats().adds_up());
}

TEST_CASE("blocked publishers go on when the spill list has been emptied", "[bus][capacity]") {
    std::atomic<int> seen{0};
    std::atomic<int> accepted{0};
    EventBus bus{Config{.workers = 1, .buffer_size = 2}};
    auto s = bus.subscribe(number, [&](const int& value) {
        ++seen;
        for (int i = 0; value == 0 && i < 8; ++i) {
            bus.publish(number, 1);
        }
    });

    std::vector<std::thread> publishers;
    for (int t = 0; t < 4; ++t) {
        publishers.emplace_back([&] {
            for (int i = 0; i < 100; ++i) {
                accepted += bus.publish(number, i % 10) == PublishStatus::accepted ? 1 : 0;
            }
        });
    }
    for (std::thread& publisher : publishers) {
        publisher.join();
    }
    REQUIRE(bus.drain(20s));

    CHECK(accepted == 400);
    CHECK(seen == 400 + 40 * 8);
}

TEST_CASE("a publish from inside a processor under reject or drop_oldest is refused or makes room, and spills nothing",
          "[bus][capacity]") {
    const auto overflow = GENERATE(Overflow::reject, Overflow::drop_oldest);
    std::vector<PublishStatus> said;
    EventBus bus{Config{.workers = 0, .buffer_size = 2, .overflow = overflow}};
    auto s = bus.subscribe(number, [&](const int& value) {
        for (int i = 0; value == 0 && i < 3; ++i) {
            said.push_back(bus.publish(number, i + 1));
        }
    });
    bus.publish(number, 0);
    CHECK(bus.drain(20s));

    const bool dropping = overflow == Overflow::drop_oldest;
    CHECK(said == std::vector<PublishStatus>{PublishStatus::accepted, PublishStatus::accepted,
                                             dropping ? PublishStatus::accepted : PublishStatus::full});
    CHECK(bus.stats().spilled == 0);
    CHECK(bus.stats().dropped == (dropping ? 1 : 0));
}

TEST_CASE("a publish from inside a processor of another bus waits for room like any outsider's", "[bus][capacity]") {
    std::atomic<int> seen{0};
    EventBus inner{Config{.workers = 1, .buffer_size = 2}};
    EventBus outer{Config{.workers = 1, .buffer_size = 256}};
    auto s1 = inner.subscribe(number, [&] { ++seen; });
    auto s2 = outer.subscribe(number, [&](const int& value) { inner.publish(number, value); });

    for (int i = 0; i < 200; ++i) {
        outer.publish(number, i);
    }
    CHECK(outer.drain(20s));
    CHECK(inner.drain(20s));

    CHECK(seen == 200);
    CHECK(inner.stats().spilled == 0);
}

TEST_CASE("drop_oldest drops the oldest event of the same priority that has not begun", "[bus][capacity]") {
    std::vector<int> dropped;
    std::vector<int> seen;
    EventBus bus{Config{
        .workers = 0,
        .buffer_size = 4,
        .overflow = Overflow::drop_oldest,
        .on_drop = [&](const gossip::Event& event, gossip::DropReason) { dropped.push_back(event.data<int>()); }}};
    auto s = bus.subscribe(number, [&](const int& value) { seen.push_back(value); });

    SECTION("another priority is left alone") {
        for (int i = 0; i < 4; ++i) {
            bus.publish(number, i, {.priority = Priority::low});
            bus.publish(number, 10 + i);
            bus.publish(number, 20 + i, {.priority = Priority::high});
        }
        bus.publish(number, 24, {.priority = Priority::high});
        bus.publish(number, 4, {.priority = Priority::low});
        CHECK(dropped == std::vector<int>{20, 0});
    }
    SECTION("with keys, whether they wait for their key or not") {
        bus.publish(number, 0, {.key = "a"});
        bus.publish(number, 1, {.key = "a"});
        bus.publish(number, 2, {.key = "b"});
        bus.publish(number, 3, {.key = "a"});
        for (int i = 4; i < 10; ++i) {
            CHECK(bus.publish(number, i, {.key = i % 2 == 0 ? "a" : "c"}) == PublishStatus::accepted);
        }
        CHECK(dropped == std::vector<int>{0, 1, 2, 3, 4, 5});
        bus.drain(20s);
        CHECK(seen == std::vector<int>{6, 7, 8, 9});
    }
    SECTION("not one that has begun, and holds its key") {
        std::vector<gossip::Deferral> open;
        s = bus.subscribe(number, [&](gossip::Context& context, const int& value) {
            seen.push_back(value);
            if (value == 0) {
                open.push_back(context.defer());
            }
        });
        bus.publish(number, 0, {.key = "a"});
        bus.poll();
        for (int i = 1; i < 8; ++i) {
            bus.publish(number, i, {.key = "a"});
        }
        CHECK(dropped == std::vector<int>{1, 2, 3});
        open[0].succeed();
        bus.drain(20s);
        CHECK(seen == std::vector<int>{0, 4, 5, 6, 7});
    }
    bus.drain(20s);
    CHECK(bus.stats().adds_up());
    CHECK(bus.stats().dropped == dropped.size());
    CHECK(bus.stats().dead_letters == 0);
}

TEST_CASE("drop_oldest takes what a worker has claimed and not begun", "[bus][capacity]") {
    Gate first;
    Gate second;
    std::atomic<int> begun{0};
    std::atomic<int> dropped{-1};
    EventBus bus{
        Config{.workers = 1,
               .buffer_size = 8,
               .overflow = Overflow::drop_oldest,
               .on_drop = [&](const gossip::Event& event, gossip::DropReason) { dropped = event.data<int>(); }}};
    auto s = bus.subscribe(number, [&](const int& value) {
        ++begun;
        if (value < 2) {
            static_cast<void>((value == 0 ? first : second).pass());
        }
    });
    bus.publish(number, 0);
    REQUIRE(eventually([&] { return begun == 1; }));
    for (int i = 1; i < 9; ++i) {
        bus.publish(number, i);
    }
    first.open();
    REQUIRE(eventually([&] { return begun == 2; })); // 2 to 8 are claimed

    CHECK(bus.publish(number, 9) == PublishStatus::accepted);
    CHECK(dropped == -1);
    CHECK(bus.publish(number, 10) == PublishStatus::accepted);
    const int victim = dropped;
    second.open();
    CHECK(victim == 2);
    CHECK(bus.drain(20s));
    CHECK(begun == 10);
    CHECK(bus.stats().adds_up());
}

TEST_CASE("a redelivery that waits is never dropped", "[bus][capacity]") {
    gossip::testing::ManualClock clock;
    std::vector<int> done;
    EventBus bus{Config{.workers = 0, .buffer_size = 2, .overflow = Overflow::drop_oldest, .clock = &clock}};
    auto s = bus.subscribe(number,
                           [&](gossip::Context& context, const int& value) -> gossip::Result {
                               if (value == 0 && context.attempt() == 1) {
                                   return gossip::errors::retryable;
                               }
                               done.push_back(value);
                               return {};
                           },
                           {.redelivery = {.attempts = 2, .first_delay = 1s, .jitter = 0}});

    bus.publish(number, 0);
    bus.poll();
    for (int i = 1; i < 6; ++i) {
        bus.publish(number, i);
    }
    clock.advance(1s);
    CHECK(bus.drain(20s));

    CHECK(done == std::vector<int>{0, 4, 5});
    CHECK(bus.stats().dropped == 3);
}

TEST_CASE("publishers and workers that drop under each other keep the books", "[bus][capacity]") {
    const auto workers = GENERATE(1U, 2U);
    std::atomic<std::uint64_t> seen{0};
    std::atomic<std::uint64_t> hooks{0};
    EventBus bus{Config{.workers = workers,
                        .buffer_size = 4,
                        .overflow = Overflow::drop_oldest,
                        .on_drop = [&](const gossip::Event&, gossip::DropReason) { ++hooks; }}};
    auto s = bus.subscribe(number, [&] { ++seen; });

    std::vector<std::thread> publishers;
    for (int t = 0; t < 3; ++t) {
        publishers.emplace_back([&, t] {
            for (int i = 0; i < 2'000; ++i) {
                bus.publish(number, i,
                            {.key = i % 3 == 0 ? "a" : "", .priority = t == 2 ? Priority::high : Priority::normal});
            }
        });
    }
    for (std::thread& publisher : publishers) {
        publisher.join();
    }
    const auto report = bus.shutdown();

    CHECK(report.accepted + report.rejected == 6'000);
    CHECK(report.handled == seen);
    CHECK(report.dropped == hooks);
    CHECK(report.adds_up());
}

} // namespace capacity_test
