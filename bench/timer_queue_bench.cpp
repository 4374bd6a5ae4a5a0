// What do a timer's add, cancel and pop cost while 100,000 others are pending? Beside it: a std::multimap under a mutex
// whose ids are iterators, so that its cancel needs no search either. One item is one timer that came and went, by the
// two operations in the benchmark's name; the first to fail stops the run, so every item counted was done.

#include "support/allocations.hpp"

#include <gossip/concurrency/timer_queue.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace {

constexpr std::size_t pending = 100'000;
constexpr std::int64_t horizon = 1'000'000'000; // due times are spread over one second

/// As large as a small task: move-only, 32 bytes.
struct Task {
    std::unique_ptr<int> owned;
    std::uint64_t words[3] = {};
};

/// The baseline.
class LockedMultimap {
public:
    using Id = std::multimap<std::int64_t, Task>::iterator;
    static constexpr std::int64_t never = gossip::TimerQueue<Task>::never;

    Id add(std::int64_t due, Task&& task) {
        const std::lock_guard lock(mutex_);
        return timers_.emplace(due, std::move(task));
    }

    std::optional<Task> cancel(Id id) {
        const std::lock_guard lock(mutex_);
        std::optional<Task> task(std::move(id->second));
        timers_.erase(id);
        return task;
    }

    std::optional<Task> pop_due(std::int64_t now) {
        const std::lock_guard lock(mutex_);
        std::optional<Task> task;
        if (!timers_.empty() && timers_.begin()->first <= now) {
            task.emplace(std::move(timers_.begin()->second));
            timers_.erase(timers_.begin());
        }
        return task;
    }

    std::int64_t next_due() {
        const std::lock_guard lock(mutex_);
        return timers_.empty() ? never : timers_.begin()->first;
    }

private:
    std::mutex mutex_;
    std::multimap<std::int64_t, Task> timers_;
};

struct TimerQueue : gossip::TimerQueue<Task> {
    using Id = gossip::TimerId;
};

/// xorshift: cheap beside what is measured.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15U | 1U) {}

    std::uint64_t operator()() {
        state_ ^= state_ << 13U;
        state_ ^= state_ >> 7U;
        state_ ^= state_ << 17U;
        return state_;
    }

    std::int64_t delay() { return static_cast<std::int64_t>((*this)() % static_cast<std::uint64_t>(horizon)); }

private:
    std::uint64_t state_;
};

template <class Queue>
struct Filled {
    Queue queue;
    std::vector<typename Queue::Id> ids; // cancellers split them among the threads
};

template <class Queue>
std::unique_ptr<Filled<Queue>> filled;

template <class Queue>
void fill(const benchmark::State&) {
    filled<Queue> = std::make_unique<Filled<Queue>>();
    Random random(1);
    for (std::size_t i = 0; i < pending; ++i) {
        filled<Queue>->ids.push_back(filled<Queue>->queue.add(random.delay(), Task{}));
    }
}

template <class Queue>
void drop(const benchmark::State&) {
    filled<Queue>.reset();
}

/// Of all threads the counters are added up: one shows what all allocated.
void show_once(benchmark::State& state, const Allocations& allocations) {
    if (state.thread_index() == 0) {
        allocations.show(state, state.iterations() * state.threads());
    }
}

/// A timeout that is armed and almost never fires: cancel one of the pending timers at random, add another.
template <class Queue>
void add_cancel(benchmark::State& state) {
    auto& [queue, ids] = *filled<Queue>;
    Random random(static_cast<std::uint64_t>(state.thread_index()) + 2);
    const std::size_t share = ids.size() / static_cast<std::size_t>(state.threads());
    const std::size_t first = share * static_cast<std::size_t>(state.thread_index());
    const Allocations allocations;
    for (auto _ : state) {
        auto& id = ids[first + random() % share];
        const auto task = queue.cancel(id);
        if (!task) {
            state.SkipWithError("a pending timer could not be cancelled");
            break;
        }
        id = queue.add(random.delay(), Task{});
    }
    show_once(state, allocations);
    state.SetItemsProcessed(state.iterations());
}

/// A delay that runs out: pop the earliest, add another after it.
template <class Queue>
void add_pop(benchmark::State& state) {
    auto& queue = filled<Queue>->queue;
    Random random(static_cast<std::uint64_t>(state.thread_index()) + 2);
    const Allocations allocations;
    for (auto _ : state) {
        const std::int64_t due = queue.next_due();
        auto task = queue.pop_due(Queue::never);
        if (!task) {
            state.SkipWithError("no timer was due");
            break;
        }
        queue.add(due + random.delay(), std::move(*task));
    }
    show_once(state, allocations);
    state.SetItemsProcessed(state.iterations());
}

/// What a worker asks per run while nothing is due.
template <class Queue>
void nothing_due(benchmark::State& state) {
    auto& queue = filled<Queue>->queue;
    const Allocations allocations;
    for (auto _ : state) {
        benchmark::DoNotOptimize(queue.next_due() <= -1);
    }
    show_once(state, allocations);
    state.SetItemsProcessed(state.iterations());
}

/// 100,000 timers added to an empty queue and popped in order.
template <class Queue>
void fill_and_empty(benchmark::State& state) {
    const Allocations allocations;
    for (auto _ : state) {
        Queue queue;
        Random random(1);
        for (std::size_t i = 0; i < pending; ++i) {
            queue.add(random.delay(), Task{});
        }
        std::size_t popped = 0;
        while (queue.pop_due(horizon)) {
            ++popped;
        }
        if (popped != pending) {
            state.SkipWithError("timers were lost");
            break;
        }
    }
    allocations.show(state, state.iterations() * static_cast<std::int64_t>(pending));
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(pending));
}

} // namespace

#define GOSSIP_BENCH(name, Queue, label) \
    BENCHMARK(name<Queue>)->Name(#name "/" label)->Setup(fill<Queue>)->Teardown(drop<Queue>)->UseRealTime()

GOSSIP_BENCH(add_cancel, TimerQueue, "timer_queue")->Threads(1)->Threads(2);
GOSSIP_BENCH(add_cancel, LockedMultimap, "locked_multimap")->Threads(1)->Threads(2);
GOSSIP_BENCH(add_pop, TimerQueue, "timer_queue")->Threads(1)->Threads(2);
GOSSIP_BENCH(add_pop, LockedMultimap, "locked_multimap")->Threads(1)->Threads(2);
GOSSIP_BENCH(nothing_due, TimerQueue, "timer_queue")->Threads(1)->Threads(2);
GOSSIP_BENCH(nothing_due, LockedMultimap, "locked_multimap")->Threads(1)->Threads(2);
BENCHMARK(fill_and_empty<TimerQueue>)->Name("fill_and_empty/timer_queue")->Unit(benchmark::kMillisecond);
BENCHMARK(fill_and_empty<LockedMultimap>)->Name("fill_and_empty/locked_multimap")->Unit(benchmark::kMillisecond);
