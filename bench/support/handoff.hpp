#pragma once

#include "support/allocations.hpp"
#include "support/patience.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

// What queues are measured by. A queue has try_push(T&&) and try_pop(), which returns a std::optional<T>, and is made
// with a capacity. One item is one value *delivered*: its push, its pop and every retry of both.

namespace handing_off {

constexpr std::size_t capacity = 1024;

template <std::size_t bytes>
struct Item {
    std::uint64_t words[bytes / sizeof(std::uint64_t)] = {};
};

template <class T>
class LockedDeque {
public:
    explicit LockedDeque(std::size_t most) : most_(most) {}

    bool try_push(T&& value) {
        const std::lock_guard lock(mutex_);
        if (values_.size() == most_) {
            return false;
        }
        values_.push_back(std::move(value));
        return true;
    }

    std::optional<T> try_pop() {
        const std::lock_guard lock(mutex_);
        std::optional<T> value;
        if (!values_.empty()) {
            value.emplace(std::move(values_.front()));
            values_.pop_front();
        }
        return value;
    }

private:
    std::mutex mutex_;
    std::deque<T> values_;
    const std::size_t most_;
};

template <class Queue>
inline std::unique_ptr<Queue> queue;

template <class Queue>
void make(const benchmark::State&) {
    queue<Queue> = std::make_unique<Queue>(capacity);
}

template <class Queue>
void drop(const benchmark::State&) {
    queue<Queue>.reset();
}

/// Even threads produce, odd threads consume, as many iterations each.
template <template <class> class Queue, class T>
void handoff(benchmark::State& state) {
    auto& shared = *queue<Queue<T>>;
    const bool producer = state.thread_index() % 2 == 0;
    std::int64_t retries = 0;
    std::uint64_t number = 0;
    bool lost = false;
    const Allocations allocations;
    for (auto _ : state) {
        Patience patience;
        if (lost) {
            continue; // the other threads are to come to their end, too
        }
        if (producer) {
            T item;
            item.words[0] = ++number;
            for (; !lost && !shared.try_push(std::move(item)); ++retries) {
                lost = !patience.lasts();
                std::this_thread::yield();
            }
        } else {
            std::optional<T> item;
            for (; !lost && !(item = shared.try_pop()); ++retries) {
                lost = !patience.lasts();
                std::this_thread::yield();
            }
            benchmark::DoNotOptimize(item);
        }
    }
    if (lost) {
        state.SkipWithError("a value did not come out");
    }
    if (state.thread_index() == 0) { // of all threads the counters are added up
        allocations.show(state, state.iterations() * state.threads() / 2);
    }
    state.SetItemsProcessed(producer ? 0 : state.iterations());
    state.counters["retries_per_op"] =
        benchmark::Counter(static_cast<double>(retries), benchmark::Counter::kAvgIterations);
}

/// One thread, one value in the queue: what the operations themselves cost.
template <template <class> class Queue, class T>
void push_pop(benchmark::State& state) {
    auto& mine = *queue<Queue<T>>;
    std::uint64_t number = 0;
    const Allocations allocations;
    for (auto _ : state) {
        T item;
        item.words[0] = ++number;
        if (!mine.try_push(std::move(item))) {
            state.SkipWithError("an empty queue refused a value");
            break;
        }
        std::optional<T> popped = mine.try_pop();
        if (!popped) {
            state.SkipWithError("a value did not come out");
            break;
        }
        benchmark::DoNotOptimize(popped);
    }
    allocations.show(state, state.iterations());
    state.SetItemsProcessed(state.iterations());
}

} // namespace handing_off

#define GOSSIP_PUSH_POP(Queue, bytes, label)                          \
    BENCHMARK(handing_off::push_pop<Queue, handing_off::Item<bytes>>) \
        ->Name("push_pop/" label "/" #bytes)                          \
        ->Setup(handing_off::make<Queue<handing_off::Item<bytes>>>)   \
        ->Teardown(handing_off::drop<Queue<handing_off::Item<bytes>>>)
#define GOSSIP_HANDOFF(Queue, bytes, label)                            \
    BENCHMARK(handing_off::handoff<Queue, handing_off::Item<bytes>>)   \
        ->Name("handoff/" label "/" #bytes)                            \
        ->Setup(handing_off::make<Queue<handing_off::Item<bytes>>>)    \
        ->Teardown(handing_off::drop<Queue<handing_off::Item<bytes>>>) \
        ->UseRealTime()                                                \
        ->Threads(2)                                                   \
        ->Threads(4)                                                   \
        ->Threads(8)
#define GOSSIP_QUEUE(Queue, bytes, label) \
    GOSSIP_PUSH_POP(Queue, bytes, label); \
    GOSSIP_HANDOFF(Queue, bytes, label)
