#include <gossip/gossip.hpp>
#include <gossip/middleware/timeout.hpp>
#include <gossip/testing.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <ctime>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace stopping_test {

using namespace std::chrono_literals;

namespace stopping_test {

using gossip_test::Bounded;
using gossip_test::eventually;
using gossip_test::Gate;

inline constexpr gossip::Topic<int> number{"test.number"};
inline constexpr gossip::Topic<> tick{"test.tick"};

/// The memory provider, and how often it was told to begin and to end.
struct CountedProvider : gossip::MemoryProvider {
    static inline std::atomic<int> starts{0};
    static inline std::atomic<int> stops{0};
    void start(gossip::detail::Engine&) noexcept { ++starts; }
    gossip::Result shutdown(std::chrono::nanoseconds) noexcept {
        ++stops;
        return {};
    }
};

bool same(const gossip::Counters& a, const gossip::Counters& b) {
    return a.accepted == b.accepted && a.handled == b.handled && a.failed == b.failed && a.unrouted == b.unrouted &&
           a.dropped == b.dropped && a.abandoned == b.abandoned && a.rejected == b.rejected &&
           a.redelivered == b.redelivered && a.spilled == b.spilled && a.cancelled == b.cancelled &&
           a.dead_letters == b.dead_letters && a.dead_letters_failed == b.dead_letters_failed &&
           a.dead_letters_abandoned == b.dead_letters_abandoned;
}

} // namespace stopping_test

using namespace stopping_test;

// Drain

TEST_CASE("drain is true when nothing is in flight, at once on an idle bus", "[stopping]") {
    gossip::EventBus idle{gossip::Config{.workers = 1}};
    CHECK(idle.drain(0ns));
    gossip::EventBus by_hand{gossip::Config{.workers = 0}};
    CHECK(by_hand.drain(0ns));
}

TEST_CASE("drain waits for what is waiting and what runs", "[stopping]") {
    gossip::EventBus bus{gossip::Config{.workers = 2, .buffer_size = 16}};
    std::atomic<int> seen{0};
    auto s = bus.subscribe(tick, [&] { ++seen; });
    for (int round = 1; round <= 300; ++round) {
        for (int i = 0; i < 10; ++i) {
            bus.publish(tick);
        }
        REQUIRE(bus.drain(20s));
        REQUIRE(seen == round * 10);
    }
}

TEST_CASE("drain is false when its time has passed, and keeps what is in flight", "[stopping]") {
    gossip::EventBus bus{gossip::Config{.workers = 1}};
    Gate go_on;
    auto s = bus.subscribe(tick, [&] { go_on.pass(); });
    bus.publish(tick);

    CHECK_FALSE(bus.drain(0ns));
    CHECK_FALSE(bus.drain(1ms));
    go_on.open();
    CHECK(bus.drain(20s));
    CHECK(bus.stats().handled == 1);
}

TEST_CASE("drain waits for an open deferral and for the redelivery that follows", "[stopping]") {
    gossip::EventBus bus{gossip::Config{.workers = 1}};
    std::mutex mutex;
    std::vector<gossip::Deferral> open;
    std::atomic<int> runs{0};
    auto s = bus.subscribe(tick,
                           [&](gossip::Context& context) {
                               const std::lock_guard lock(mutex);
                               if (context.attempt() == 1) {
                                   open.push_back(context.defer());
                               }
                               ++runs;
                           },
                           {.redelivery = {.attempts = 2, .first_delay = 1ms}});
    bus.publish(tick);
    REQUIRE(eventually([&] { return runs == 1; }));
    CHECK_FALSE(bus.drain(1ms));
    std::thread resolver([&] {
        const std::lock_guard lock(mutex);
        open.front().fail(gossip::RetryableError{"again"});
    });
    CHECK(bus.drain(20s));
    resolver.join();
    CHECK(runs == 2);
    CHECK(bus.stats().handled == 1);
}

TEST_CASE("drain waits for dead letters", "[stopping]") {
    gossip::EventBus bus{gossip::Config{.workers = 2}};
    std::atomic<int> letters{0};
    auto hears = bus.subscribe(gossip::dead_letter, [&] {
        std::this_thread::yield();
        ++letters;
    });
    auto s = bus.subscribe(tick, []() -> gossip::Result { return gossip::ProcessingError{"no"}; });
    for (int i = 1; i <= 300; ++i) {
        bus.publish(tick);
        REQUIRE(bus.drain(20s));
        REQUIRE(letters == i);
    }
}

TEST_CASE("drain does not wait for timers that are not due", "[stopping]") {
    gossip::EventBus bus{gossip::Config{.workers = 1}};
    const auto id = bus.publish_after(1h, tick);
    CHECK(bus.drain(20s));
    CHECK(bus.stats().timers == 1);
    CHECK(bus.cancel(id));
}

TEST_CASE("without workers drain pumps, and is false once nothing more is due", "[stopping]") {
    gossip::testing::ManualClock clock;
    gossip::EventBus bus{gossip::Config{.workers = 0, .clock = &clock}};
    const Bounded bounded("drain on a manual clock");
    int runs = 0;
    auto s = bus.subscribe(tick, [&]() -> gossip::Result { return ++runs, gossip::RetryableError{"always"}; },
                           {.redelivery = {.attempts = 3, .first_delay = 1s, .growth = 1, .jitter = 0}});
    bus.publish(tick);

    CHECK_FALSE(bus.drain(1h));
    CHECK(runs == 1);
    clock.advance(1s);
    CHECK_FALSE(bus.drain(1h));
    CHECK(runs == 2);
    clock.advance(1s);
    CHECK(bus.drain(1h));
    CHECK(runs == 3);
}

TEST_CASE("workers on a manual clock: drain waits for what they run", "[stopping]") {
    gossip::testing::ManualClock clock;
    gossip::EventBus bus{gossip::Config{.workers = 2, .clock = &clock}};
    const Bounded bounded("drain with workers on a manual clock");
    auto s = bus.subscribe(number, [](int n) -> gossip::Result {
        return n % 4 == 0 ? gossip::Result{gossip::ProcessingError{"no"}} : gossip::Result{};
    });
    std::atomic<std::uint64_t> letters{0};
    auto hears = bus.subscribe(gossip::dead_letter, [&] { ++letters; });
    int wrong = 0;
    for (int i = 0; i < 5000; ++i) {
        bus.publish(number, i);
        wrong += bus.drain(20s) ? 0 : 1;
    }
    CHECK(wrong == 0);
    CHECK(bus.stats().handled + bus.stats().failed == 5000);
    CHECK(letters == 1250);
}

TEST_CASE("inside a processor drain ignores the events that this thread is running", "[stopping]") {
    const unsigned workers = GENERATE(0U, 1U, 2U);
    gossip::EventBus bus{gossip::Config{.workers = workers}};
    const Bounded bounded("drain inside a processor");
    std::atomic<int> outcome{-1};
    std::atomic<int> others{0};
    auto other = bus.subscribe(tick, [&] { ++others; });
    auto s = bus.subscribe(number, [&](int depth) {
        if (depth == 0) {
            outcome = bus.drain(20s) ? 1 : 0;
        } else {
            static_cast<void>(bus.publish_sync(number, depth - 1));
        }
    });
    bus.publish(number, 3);
    CHECK(bus.drain(20s));
    CHECK(outcome == 1);
}

TEST_CASE("a drain with a bad timeout is refused", "[stopping]") {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    CHECK_THROWS_AS(bus.drain(-1ns), gossip::ValidationError);
    CHECK_THROWS_AS(bus.shutdown(-1ns), gossip::ValidationError);
    CHECK_THROWS_AS(bus.shutdown(std::chrono::nanoseconds::max()), gossip::ValidationError);
    CHECK(bus.publish(tick) == gossip::PublishStatus::accepted);
}

// Shutdown

TEST_CASE("shutdown handles everything that was accepted", "[stopping]") {
    const unsigned workers = GENERATE(0U, 1U, 2U, 4U);
    gossip::EventBus bus{gossip::Config{.workers = workers, .buffer_size = 2048}};
    std::atomic<int> seen{0};
    auto s = bus.subscribe(tick, [&] { ++seen; });
    for (int i = 0; i < 1000; ++i) {
        REQUIRE(bus.publish(tick) == gossip::PublishStatus::accepted);
    }

    const gossip::ShutdownReport report = bus.shutdown();

    CHECK(report.complete);
    CHECK(seen == 1000);
    CHECK(report.accepted == 1000);
    CHECK(report.handled == 1000);
    CHECK(report.adds_up());
}

TEST_CASE("the destructor handles everything that was accepted", "[stopping]") {
    const unsigned workers = GENERATE(0U, 2U);
    std::atomic<int> seen{0};
    gossip::Subscription s;
    {
        gossip::EventBus bus{gossip::Config{.workers = workers, .buffer_size = 2048}};
        s = bus.subscribe(tick, [&] { ++seen; });
        for (int i = 0; i < 1000; ++i) {
            bus.publish(tick);
        }
    }
    CHECK(seen == 1000);
}

TEST_CASE("after shutdown everything is closed, and nothing panics", "[stopping]") {
    gossip::EventBus bus{gossip::Config{.workers = 1}};
    int runs = 0;
    auto s = bus.subscribe(tick, [&] { ++runs; });
    bus.shutdown();

    CHECK(bus.publish(tick) == gossip::PublishStatus::closed);
    CHECK(bus.publish(number, 1, {.key = "k"}) == gossip::PublishStatus::closed);
    CHECK(bus.publish(number, 1, {.priority = gossip::Priority::high}) == gossip::PublishStatus::closed);
    CHECK(bus.try_publish(tick) == gossip::PublishStatus::closed);
    gossip::Event event{number, 1};
    CHECK(bus.try_publish(event) == gossip::PublishStatus::closed);
    CHECK(event.data<int>() == 1);
    const auto result = bus.publish_sync(tick);
    REQUIRE(result.errors().size() == 1);
    CHECK(gossip::is(result.errors()[0], gossip::errors::closed));
    CHECK_FALSE(bus.cancel(bus.publish_after(1ms, tick)));
    CHECK(bus.poll() == 0);
    CHECK(bus.drain(20s));
    bus.flush();
    s.unsubscribe();
    CHECK(runs == 0);
    CHECK(bus.stats().accepted == 0);
}

TEST_CASE("a second shutdown returns the same report", "[stopping]") {
    gossip::EventBus bus{gossip::Config{.workers = 2}};
    auto s = bus.subscribe(tick, [] {});
    for (int i = 0; i < 10; ++i) {
        bus.publish(tick);
    }
    const auto first = bus.shutdown();
    const auto second = bus.shutdown();
    const auto third = bus.shutdown(1ms);
    CHECK(same(first, second));
    CHECK(same(first, third));
    CHECK(third.complete);
}

TEST_CASE("shutdown from several threads is one shutdown", "[stopping]") {
    const Bounded bounded("shutdown from several threads");
    for ([[maybe_unused]] const int round : gossip_test::Rounds(100)) {
        gossip::EventBus bus{gossip::Config{.workers = 2, .buffer_size = 64}};
        auto s = bus.subscribe(tick, [] { std::this_thread::yield(); });
        for (int i = 0; i < 20; ++i) {
            bus.publish(tick);
        }
        std::vector<gossip::ShutdownReport> reports(3);
        std::vector<std::thread> threads;
        for (std::size_t t = 0; t < 3; ++t) {
            threads.emplace_back([&bus, &reports, t] { reports[t] = t == 2 ? bus.shutdown(20s) : bus.shutdown(); });
        }
        for (auto& thread : threads) {
            thread.join();
        }
        for (const auto& report : reports) {
            REQUIRE(report.complete);
            REQUIRE(report.handled == 20);
            REQUIRE(same(report, reports[0]));
        }
    }
}

TEST_CASE("the provider is started once and shut down once", "[stopping]") {
    CountedProvider::starts = 0;
    CountedProvider::stops = 0;
    {
        gossip::EventBus<CountedProvider> bus{gossip::Config{.workers = 1}};
        bus.shutdown();
        bus.shutdown();
    }
    CHECK(CountedProvider::starts == 1);
    CHECK(CountedProvider::stops == 1);
}

TEST_CASE("blocked publishers wake at shutdown and get closed", "[stopping]") {
    const Bounded bounded("a blocked publisher at shutdown");
    for ([[maybe_unused]] const int round : gossip_test::Rounds(50)) {
        gossip::EventBus bus{gossip::Config{.workers = 1, .buffer_size = 2}};
        Gate go_on;
        std::atomic<int> begun{0};
        auto s = bus.subscribe(tick, [&] {
            ++begun;
            go_on.pass();
        });
        std::atomic<std::uint64_t> accepted{0};
        std::atomic<int> closed{0};
        std::vector<std::thread> publishers;
        for (int t = 0; t < 3; ++t) {
            publishers.emplace_back([&] {
                for (;;) {
                    const auto status = bus.publish(tick);
                    if (status != gossip::PublishStatus::accepted) {
                        closed += status == gossip::PublishStatus::closed ? 1 : 0;
                        return;
                    }
                    ++accepted;
                }
            });
        }
        REQUIRE(eventually([&] { return accepted >= 3; }));
        gossip::ShutdownReport report;
        std::thread ender([&] { report = bus.shutdown(); });
        REQUIRE(eventually([&] { return closed == 3 && begun == 1; })); // while the processor still runs
        go_on.open();
        ender.join();
        for (auto& thread : publishers) {
            thread.join();
        }
        REQUIRE(report.accepted == accepted);
        REQUIRE(report.handled == accepted);
    }
}

TEST_CASE("whatever publish called accepted is in the report of the shutdown that raced with it", "[stopping]") {
    const Bounded bounded("publish against shutdown");
    for (const int round : gossip_test::Rounds(200)) {
        gossip::EventBus bus{gossip::Config{.workers = 2, .buffer_size = 8, .overflow = gossip::Overflow::block}};
        std::atomic<std::uint64_t> calls{0};
        auto s = bus.subscribe(gossip::Pattern{"test.*"}, [&](const gossip::Event&) { ++calls; });
        std::atomic<std::uint64_t> accepted{0};
        std::vector<std::thread> publishers;
        for (int t = 0; t < 3; ++t) {
            publishers.emplace_back([&, t] {
                for (int i = 0;; ++i) {
                    const bool ok = t == 0   ? bus.publish(tick) == gossip::PublishStatus::accepted
                                    : t == 1 ? bus.publish(number, i, {.key = "k"}) == gossip::PublishStatus::accepted
                                             : bus.publish_sync(tick).ok();
                    if (!ok) {
                        return;
                    }
                    ++accepted;
                }
            });
        }
        static_cast<void>(eventually([&] { return calls > static_cast<std::uint64_t>(round % 50); }));
        const auto report = bus.shutdown();
        const std::uint64_t calls_at_return = calls;
        for (auto& thread : publishers) {
            thread.join();
        }
        INFO("round " << round);
        REQUIRE(report.accepted == accepted);
        REQUIRE(report.handled == accepted);
        REQUIRE(calls == calls_at_return);
        REQUIRE(same(report, bus.shutdown()));
    }
}

TEST_CASE("a publish_sync that races with shutdown has ended when shutdown returns, or is refused", "[stopping]") {
    const Bounded bounded("publish_sync against shutdown");
    int late = 0;
    for ([[maybe_unused]] const int round : gossip_test::Rounds(300)) {
        gossip::EventBus bus{gossip::Config{.workers = 0}};
        std::atomic<std::uint64_t> calls{0};
        std::atomic<bool> started{false};
        auto s = bus.subscribe(tick, [&] {
            std::this_thread::yield();
            ++calls;
        });
        std::thread publisher([&] {
            do {
                started = true;
            } while (bus.publish_sync(tick).ok());
        });
        static_cast<void>(eventually([&] { return started.load(); }));
        const auto report = bus.shutdown();
        const std::uint64_t calls_at_return = calls;
        publisher.join();
        late += calls != calls_at_return || report.handled != calls ? 1 : 0;
    }
    CHECK(late == 0);
}

TEST_CASE("at shutdown batches run when the inbox is empty and no worker has an event in its hands", "[stopping]") {
    for ([[maybe_unused]] const int round : gossip_test::Rounds(200)) {
        std::vector<std::size_t> sizes;
        gossip::EventBus bus{gossip::Config{.workers = 4}};
        auto s = bus.subscribe(number, gossip::batch<int>({.size = 10, .period = 1h}, [&](std::span<const int> items) {
                                   sizes.push_back(items.size());
                               }));
        for (int i = 0; i < 25; ++i) {
            bus.publish(number, i);
        }
        const auto report = bus.shutdown();

        REQUIRE(report.handled == 25);
        REQUIRE(sizes == std::vector<std::size_t>{10, 10, 5});
    }
}

TEST_CASE("redeliveries that wait at shutdown are dead-lettered, their keys released", "[stopping]") {
    const unsigned workers = GENERATE(0U, 2U);
    gossip::EventBus bus{gossip::Config{.workers = workers}};
    const Bounded bounded("shutdown with a waiting redelivery");
    std::atomic<int> letters{0};
    std::atomic<int> behind{0};
    gossip::PublishStatus from_letter = gossip::PublishStatus::accepted;
    auto hears = bus.subscribe(gossip::dead_letter, [&] {
        ++letters;
        from_letter = bus.publish(tick);
    });
    auto s = bus.subscribe(number,
                           [&](int n) -> gossip::Result {
                               if (n == 0) {
                                   return gossip::RetryableError{"in an hour"};
                               }
                               ++behind;
                               return {};
                           },
                           {.redelivery = {.attempts = 3, .first_delay = 1h}});
    bus.publish(number, 0, {.key = "k"});
    bus.publish(number, 1, {.key = "k"});

    const auto report = bus.shutdown();

    CHECK(report.complete);
    CHECK(letters == 1);
    CHECK(behind == 1);
    CHECK(report.failed == 1);
    CHECK(report.handled == 1);
    CHECK(report.dead_letters == 1);
    CHECK(from_letter == gossip::PublishStatus::closed);
    CHECK(report.adds_up());
}

TEST_CASE("publishes that wait for their time are counted apart at shutdown", "[stopping]") {
    gossip::EventBus bus{gossip::Config{.workers = 1}};
    std::vector<gossip::ScheduledId> ids;
    for (int i = 0; i < 5; ++i) {
        ids.push_back(bus.publish_after(1h, tick));
    }
    ids.push_back(bus.publish_every(1h, tick));
    CHECK(bus.cancel(ids[0]));

    const auto report = bus.shutdown();

    CHECK(report.cancelled == 6);
    CHECK(report.accepted == 0);
    CHECK_FALSE(bus.cancel(ids[0]));
    CHECK_FALSE(bus.cancel(ids[1]));
}

TEST_CASE("only after the drain is a processor's stop token fired", "[stopping]") {
    gossip::EventBus bus{gossip::Config{.workers = 1, .buffer_size = 64}};
    std::atomic<int> asked_early{0};
    std::atomic<int> runs{0};
    std::stop_token kept;
    Gate begun;
    Gate go_on;
    auto s = bus.subscribe(tick, [&](gossip::Context& context) {
        if (runs++ == 0) {
            kept = context.stop_token();
            begun.open();
            go_on.pass();
        }
        asked_early +=
            context.stop_requested() || context.stop_token().stop_requested() || !context.sleep_for(1ns) ? 1 : 0;
    });
    for (int i = 0; i < 20; ++i) {
        bus.publish(tick);
    }
    REQUIRE(begun.pass());
    std::thread ender([&] { bus.shutdown(); });
    REQUIRE(eventually([&] { return bus.publish(number, 1) == gossip::PublishStatus::closed; }));
    CHECK_FALSE(kept.stop_requested());
    go_on.open();
    ender.join();

    CHECK(asked_early == 0);
    CHECK(runs == 20);
    CHECK(kept.stop_requested());
}

TEST_CASE("a deadline inside a processor is kept while the bus shuts down, and is no cancelled publish", "[stopping]") {
    gossip::EventBus bus{gossip::Config{.workers = 2}};
    const Bounded bounded("a deadline while the bus shuts down");
    Gate begun;
    std::atomic<bool> fired{false};
    auto s = bus.subscribe(tick, gossip::middleware::timeout(100ms)([&](gossip::Context& context) {
                               std::mutex mutex;
                               std::condition_variable_any changed;
                               std::unique_lock lock(mutex);
                               const std::stop_token token = context.stop_token();
                               begun.open();
                               changed.wait(lock, token, [] { return false; });
                               fired = true;
                           }));
    bus.publish(tick);
    REQUIRE(begun.pass());

    const auto report = bus.shutdown();

    CHECK(fired);
    CHECK(report.failed == 1);
    CHECK(report.cancelled == 0);
}

TEST_CASE("past its deadline shutdown asks running processors to stop, starts no new ones and reports the rest",
          "[stopping]") {
    const unsigned workers = GENERATE(1U, 2U);
    gossip::EventBus bus{gossip::Config{.workers = workers, .buffer_size = 64}};
    const Bounded bounded("shutdown with a deadline");
    std::atomic<unsigned> running{0};
    std::vector<gossip::DropReason> reasons;
    auto s = bus.subscribe(tick, [&](gossip::Context& context) {
        ++running;
        while (context.sleep_for(1h)) {}
    });
    for (int i = 0; i < 10; ++i) {
        bus.publish(tick);
    }
    for (int i = 0; i < 5; ++i) {
        bus.publish(number, i, {.key = "k", .priority = gossip::Priority::high});
    }
    REQUIRE(eventually([&] { return running == workers; }));

    const auto report = bus.shutdown(1ms);

    CHECK(running == workers);
    CHECK(report.complete);
    CHECK(report.accepted == 15);
    CHECK(report.handled == workers);
    CHECK(report.adds_up());
    CHECK(same(report, bus.shutdown()));
}

TEST_CASE("at a deadline open deferrals and redeliveries are abandoned once, and may be resolved later", "[stopping]") {
    std::optional<gossip::Deferral> open;
    std::vector<std::string> dropped;
    gossip::ShutdownReport report;
    gossip::Counters after;
    {
        gossip::EventBus bus{
            gossip::Config{.workers = 0, .on_drop = [&](const gossip::Event& event, gossip::DropReason reason) {
                               if (reason == gossip::DropReason::abandoned) {
                                   dropped.emplace_back(event.type().name());
                               }
                           }}};
        int letters = 0;
        auto hears = bus.subscribe(gossip::dead_letter, [&] { ++letters; });
        auto defers = bus.subscribe(number, [&](gossip::Context& context, int n) {
            if (n == 0) {
                open = context.defer();
            }
        });
        auto redelivered = bus.subscribe(tick, []() -> gossip::Result { return gossip::RetryableError{"later"}; },
                                         {.redelivery = {.attempts = 5, .first_delay = 1h}});
        bus.publish(number, 0, {.key = "k"});
        bus.publish(number, 1, {.key = "k"});
        bus.poll();

        report = bus.shutdown(1ms);
        CHECK(open->pending());
        CHECK(open->event().data<int>() == 0);
        after = bus.stats();
        CHECK(letters == 0);
    }
    CHECK(report.accepted == 2);
    CHECK(report.abandoned == 2);
    CHECK(report.adds_up());
    CHECK(same(report, after));
    open->fail(gossip::ProcessingError{"nobody listens any more"});
    CHECK_FALSE(open->pending());
}

TEST_CASE("a deferral may outlive its bus when it was made by publish_sync", "[stopping]") {
    std::optional<gossip::Deferral> open;
    {
        gossip::EventBus bus{gossip::Config{.workers = 1}};
        auto s = bus.subscribe(number, [&](gossip::Context& context) { open = context.defer(); });
        CHECK(bus.publish_sync(number, 5).ok());
        CHECK_FALSE(bus.drain(1ms));
        const auto report = bus.shutdown(1ms);
        CHECK(report.abandoned == 1);
        CHECK(report.adds_up());
    }
    CHECK(open->event().data<int>() == 5);
    open.reset();
}

TEST_CASE("a deferral that is resolved while the deadline passes is counted once, in the report", "[stopping]") {
    const Bounded bounded("resolving against a deadline");
    for (const int round : gossip_test::Rounds(1000)) {
        std::atomic<int> hooks{0};
        gossip::EventBus bus{gossip::Config{.workers = 0, .on_error = [&](const gossip::ErrorReport&) {
                                                std::this_thread::yield();
                                                ++hooks;
                                            }}};
        std::optional<gossip::Deferral> open;
        auto s = bus.subscribe(tick, [&](gossip::Context& context) { open = context.defer(); });
        bus.publish(tick);
        REQUIRE(bus.poll() == 1);
        std::thread resolver([&] { open->fail(gossip::ProcessingError{"in the last moment"}); });
        if (round % 2 == 0) {
            std::this_thread::yield();
        }
        const auto report = bus.shutdown(0ns);
        const int hooks_at_return = hooks;
        resolver.join();
        INFO("round " << round);
        REQUIRE(report.adds_up());
        REQUIRE(report.failed + report.abandoned == 1);
        REQUIRE(hooks == hooks_at_return);
        REQUIRE(same(report, bus.shutdown()));
    }
}

TEST_CASE("events that wait for their turn at a deadline are abandoned and leak nothing", "[stopping]") {
    gossip::EventBus bus{gossip::Config{.workers = 2, .buffer_size = 64}};
    const Bounded bounded("a deadline with events in line for a turn");
    std::atomic<int> running{0};
    auto s = bus.subscribe(tick,
                           [&](gossip::Context& context) {
                               ++running;
                               context.sleep_for(1h);
                           },
                           {.max_concurrency = 1});
    for (int i = 0; i < 10; ++i) {
        bus.publish(tick);
    }
    REQUIRE(eventually([&] { return running == 1 && bus.stats().waiting == 0; }));

    const auto report = bus.shutdown(1ms);

    CHECK(running == 1);
    CHECK(report.handled == 1);
    CHECK(report.abandoned == 9);
    CHECK(report.adds_up());
}

TEST_CASE("a shutdown with a deadline cuts short one without", "[stopping]") {
    gossip::EventBus bus{gossip::Config{.workers = 1}};
    const Bounded bounded("a shutdown with a deadline beside one without");
    Gate begun;
    auto s = bus.subscribe(tick, [&](gossip::Context& context) {
        begun.open();
        context.sleep_for(1h);
    });
    bus.publish(tick);
    bus.publish(tick);
    REQUIRE(begun.pass());
    std::thread patient([&] { bus.shutdown(); });
    REQUIRE(eventually([&] { return bus.publish(number, 1) == gossip::PublishStatus::closed; }));

    const auto report = bus.shutdown(1ms);

    patient.join();
    CHECK(report.complete);
    CHECK(report.handled == 1);
    CHECK(report.abandoned >= 1);
    CHECK(report.adds_up());
}

TEST_CASE("without workers a deadline ends what the caller runs, and starts nothing new", "[stopping]") {
    const Bounded bounded("a shutdown that runs the processors itself");
    int begun = 0;
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    auto s = bus.subscribe(number, [&](gossip::Context& context, const int&) {
        ++begun;
        context.sleep_for(24h);
        CHECK(context.stop_requested());
    });
    for (int i = 0; i < 10; ++i) {
        bus.publish(number, i);
    }

    const auto report = bus.shutdown(500ms);

    CHECK(begun <= 1); // none where the time was up before the first could begin
    CHECK(report.handled == static_cast<std::uint64_t>(begun));
    CHECK(report.abandoned == 10U - static_cast<std::uint64_t>(begun));
}

TEST_CASE("on a manual clock a deadline ends what sleeps, on the workers and on the caller", "[stopping]") {
    const Bounded bounded("a shutdown over processors that sleep on a manual clock");
    gossip::testing::ManualClock clock;
    const auto workers = GENERATE(0U, 1U, 2U);
    gossip::EventBus bus{gossip::Config{.workers = workers, .clock = &clock}};
    auto a = bus.subscribe(number, gossip::middleware::rate_limit(1, 24h)([](const int&) {}));
    auto b = bus.subscribe(
        tick, gossip::middleware::timeout_detached(24h)([](gossip::Context& context) { context.sleep_for(12h); }));
    for (int i = 0; i < 4; ++i) {
        bus.publish(number, i);
        bus.publish(tick);
    }

    const auto report = bus.shutdown(20ms);

    CHECK(report.complete);
    CHECK(report.adds_up());
    CHECK(report.accepted == 8);
    CHECK(report.abandoned >= 4);
}

TEST_CASE("without workers a drain ends at its deadline, between two events", "[stopping]") {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    int runs = 0;
    auto s = bus.subscribe(number, [&](const int&) {
        ++runs;
        const auto end = std::chrono::steady_clock::now() + 20ms;
        while (std::chrono::steady_clock::now() < end) {}
    });
    for (int i = 0; i < 100; ++i) {
        bus.publish(number, i);
    }

    CHECK_FALSE(bus.drain(30ms));

    CHECK(runs <= 3);
}

TEST_CASE("from inside a processor shutdown closes the intake, joins nothing and says that it is incomplete",
          "[stopping]") {
    const unsigned workers = GENERATE(0U, 1U, 2U);
    const bool with_deadline = GENERATE(false, true);
    gossip::EventBus bus{gossip::Config{.workers = workers, .buffer_size = 64}};
    const Bounded bounded("shutdown from inside a processor");
    std::optional<gossip::ShutdownReport> inner;
    gossip::PublishStatus then = gossip::PublishStatus::accepted;
    std::atomic<int> others{0};
    auto s = bus.subscribe(tick, [&] {
        inner = with_deadline ? bus.shutdown(1h) : bus.shutdown();
        then = bus.publish(number, 1);
    });
    auto other = bus.subscribe(number, [&] { ++others; });
    bus.publish(tick);
    CHECK(bus.drain(20s));
    const auto outer = bus.shutdown();

    REQUIRE(inner.has_value());
    CHECK_FALSE(inner->complete);
    CHECK(then == gossip::PublishStatus::closed);
    CHECK(outer.complete);
    CHECK(outer.accepted == 1);
    CHECK(outer.handled == 1);
}

TEST_CASE("the destructor finishes a shutdown that a processor began", "[stopping]") {
    const Bounded bounded("the destructor after shutdown from inside");
    std::atomic<int> seen{0};
    gossip::Subscription s;
    {
        gossip::EventBus bus{gossip::Config{.workers = 2, .buffer_size = 64}};
        s = bus.subscribe(number, [&](int n) {
            if (n == 0) {
                bus.shutdown();
            }
            ++seen;
        });
        for (int i = 0; i < 20; ++i) {
            bus.publish(number, 19 - i);
        }
    }
    CHECK(seen == 20);
}

TEST_CASE("a shutdown past its deadline takes as long for each open end however many there are", "[stopping]") {
    constexpr int many = 50'000;
    std::vector<gossip::Deferral> open;
    open.reserve(many);
    std::atomic<int> deferred{0};
    gossip::EventBus bus{gossip::Config{.workers = 2}};
    auto lasts = bus.subscribe(tick, [](gossip::Context& context) { context.sleep_for(60s); }); // or until it is over
    gossip::Subscription s;
    SECTION("deferrals") {
        std::mutex mutex;
        s = bus.subscribe(number, [&](gossip::Context& context, int) {
            const std::lock_guard lock(mutex);
            open.push_back(context.defer());
            ++deferred;
        });
        for (int i = 0; i < many; ++i) {
            bus.publish(number, i);
        }
        REQUIRE(eventually([&] { return deferred == many; }));
    }
    SECTION("redeliveries that wait for their time") {
        s = bus.subscribe(number, [](int) -> gossip::Result { return gossip::errors::processing_failed; },
                          {.redelivery = {.attempts = 3, .first_delay = 1h}});
        for (int i = 0; i < many; ++i) {
            bus.publish(number, i);
        }
        REQUIRE(eventually([&] { return bus.stats().timers == many; }));
    }
    bus.publish(tick);

    const auto before = std::chrono::steady_clock::now();
    const auto report = bus.shutdown(10ms);
    const auto took = std::chrono::steady_clock::now() - before;

    CHECK(report.adds_up());
    CHECK(report.abandoned == many);
    CHECK(took < 2s); // each of them with a look at all the others took more
}

TEST_CASE("a bus that is idle costs no CPU", "[stopping]") {
    gossip::EventBus bus{gossip::Config{.workers = 4}};
    auto s = bus.subscribe(tick, [] {});
    bus.publish(tick);
    REQUIRE(bus.drain(20s));
    const auto cpu = [] {
        timespec now{};
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
        return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
    };
    // Until the workers lie down they search for a while; from some moment on half a second passes for next to nothing.
    // It is idleness that is measured: nobody notifies the condition, and however late the wait ends, the claim holds.
    const bool rests = eventually([&] {
        std::mutex mutex;
        std::condition_variable never;
        std::unique_lock lock(mutex);
        const auto before = cpu();
        static_cast<void>(never.wait_for(lock, 500ms));
        return cpu() - before < 5ms;
    });
    CHECK(rests);
}

TEST_CASE("a shutdown without memory goes on, and runs what batches have collected", "[stopping]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    for (int successes = 0; successes < 12; ++successes) {
        gossip::EventBus bus{gossip::Config{.workers = 0}};
        std::size_t seen = 0;
        auto s = bus.subscribe(number, gossip::batch<int>({.size = 8}, [&](std::span<const gossip::Event> events) {
                                   seen += events.size();
                               }));
        for (int i = 0; i < 3; ++i) {
            bus.publish(number, i);
        }
        CHECK(bus.poll() == 3);
        support::fail_allocation_after(successes);
        gossip::ShutdownReport report;
        CHECK_NOTHROW(report = bus.shutdown());
        support::fail_allocation_after(-1);
        CHECK(report.complete);
        CHECK(report.adds_up());
        CHECK(report.handled + report.failed == 3);
    }
}

TEST_CASE("a processor that sleeps inside of a shutdown is woken by another one that has less patience", "[stopping]") {
    const Bounded bounded("a sleep inside of a patient shutdown");
    const bool manual = GENERATE(false, true);
    gossip::testing::ManualClock clock;
    gossip::EventBus bus{gossip::Config{.workers = 0, .clock = manual ? &clock : nullptr}};
    std::atomic<bool> inside{false};
    std::atomic<bool> slept{true};
    auto s = bus.subscribe(number, [&](gossip::Context& context, const int&) {
        inside = true;
        slept = context.sleep_for(1h);
    });
    bus.publish(number, 1);
    std::thread patient([&] { static_cast<void>(bus.shutdown()); });
    REQUIRE(eventually([&] { return inside.load(); }));

    CHECK(bus.shutdown(1ms).adds_up());

    patient.join();
    CHECK_FALSE(slept);
}

} // namespace stopping_test
