// What do a publish_after and its end cost while 100,000 others are pending? Beside them: the same with none pending,
// and a std::multimap of functions under a mutex. An iteration schedules one publish and takes it back, or moves the
// clock by the time in which one comes due on the average; an item is one that was handled. All that were taken back or
// handled are counted, and must be all that were scheduled.

#include "support/allocations.hpp"

#include <gossip/bus/event_bus.hpp>
#include <gossip/testing.hpp>

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

namespace {

using std::chrono::nanoseconds;

constexpr gossip::Topic<int> number{"bench.number"};
constexpr std::int64_t horizon = 1'000'000'000; // delays are spread over one second

/// The same delays for all.
class Delays {
public:
    nanoseconds next() noexcept {
        state_ ^= state_ << 13U;
        state_ ^= state_ >> 7U;
        state_ ^= state_ << 17U;
        return nanoseconds(1 + static_cast<std::int64_t>(state_ % horizon));
    }

private:
    std::uint64_t state_ = 0x9e3779b97f4a7c15U;
};

struct Bus {
    gossip::testing::ManualClock clock;
    gossip::EventBus<> bus{gossip::Config{.workers = 0, .clock = &clock}};
    std::int64_t heard = 0;
    gossip::Subscription subscription = bus.subscribe(number, [this](const int& n) { heard += n; });
};

/// The baseline.
class LockedMultimap {
public:
    using Timers = std::multimap<std::int64_t, std::function<void()>>;

    Timers::iterator after(std::int64_t due, std::function<void()> f) {
        const std::lock_guard lock(mutex_);
        return timers_.emplace(due, std::move(f));
    }
    void cancel(Timers::iterator place) {
        const std::lock_guard lock(mutex_);
        timers_.erase(place);
    }
    std::int64_t pending() {
        const std::lock_guard lock(mutex_);
        return static_cast<std::int64_t>(timers_.size());
    }
    bool run_one(std::int64_t now) {
        std::function<void()> due;
        {
            const std::lock_guard lock(mutex_);
            if (timers_.empty() || timers_.begin()->first > now) {
                return false;
            }
            due = std::move(timers_.begin()->second);
            timers_.erase(timers_.begin());
        }
        due();
        return true;
    }

private:
    std::mutex mutex_;
    Timers timers_;
};

void cancel_hand(benchmark::State& state) {
    LockedMultimap timers;
    Delays delays;
    std::int64_t heard = 0;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        timers.after(delays.next().count(), [&heard] { ++heard; });
    }
    const Allocations allocations;
    for (auto _ : state) {
        timers.cancel(timers.after(delays.next().count(), [&heard] { ++heard; }));
    }
    allocations.show(state, state.iterations());
    if (heard != 0 || timers.pending() != state.range(0)) {
        state.SkipWithError("not all could be taken back");
    }
}
void cancel_bus(benchmark::State& state) {
    Bus one;
    Delays delays;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        one.bus.publish_after(delays.next(), number, 1);
    }
    std::int64_t cancelled = 0;
    const Allocations allocations;
    for (auto _ : state) {
        cancelled += one.bus.cancel(one.bus.publish_after(delays.next(), number, 1)) ? 1 : 0;
    }
    allocations.show(state, state.iterations());
    if (cancelled != static_cast<std::int64_t>(state.iterations()) || one.heard != 0 ||
        static_cast<std::int64_t>(one.bus.stats().timers) != state.range(0)) {
        state.SkipWithError("not all could be taken back");
    }
}

/// Each that comes due schedules its successor: as many are pending at any time.
void due_hand(benchmark::State& state) {
    LockedMultimap timers;
    Delays delays;
    std::int64_t heard = 0;
    std::int64_t now = 0;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        timers.after(delays.next().count(), [&heard] { ++heard; });
    }
    const std::int64_t step = horizon / state.range(0) + 1;
    const Allocations allocations;
    for (auto _ : state) {
        now += step;
        while (timers.run_one(now)) {
            timers.after(now + delays.next().count(), [&heard] { ++heard; });
        }
    }
    allocations.show(state, heard);
    state.SetItemsProcessed(heard);
    if (timers.pending() != state.range(0)) {
        state.SkipWithError("not as many are pending as there were");
    }
}
void due_bus(benchmark::State& state) {
    Bus one;
    Delays delays;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        one.bus.publish_after(delays.next(), number, 1);
    }
    const nanoseconds step{horizon / state.range(0) + 1};
    std::int64_t before = 0;
    const Allocations allocations;
    for (auto _ : state) {
        one.clock.advance(step);
        one.bus.poll();
        for (; before < one.heard; ++before) {
            one.bus.publish_after(delays.next(), number, 1);
        }
    }
    allocations.show(state, one.heard);
    state.SetItemsProcessed(one.heard);
    const auto stats = one.bus.stats();
    if (static_cast<std::int64_t>(stats.timers) != state.range(0) ||
        static_cast<std::int64_t>(stats.handled) != one.heard || !one.bus.shutdown().adds_up()) {
        state.SkipWithError("what was handled is not what came due");
    }
}

BENCHMARK(cancel_hand)->Name("schedule_and_cancel/hand")->Arg(0)->Arg(100'000);
BENCHMARK(cancel_bus)->Name("schedule_and_cancel/bus")->Arg(0)->Arg(100'000);
BENCHMARK(due_hand)->Name("schedule_and_run/hand")->Arg(1)->Arg(100'000);
BENCHMARK(due_bus)->Name("schedule_and_run/bus")->Arg(1)->Arg(100'000);

} // namespace
