// What does a publish cost the thread that calls it? 48 bytes of data, timestamps on.
//
// publish: 512 events into a warm buffer, timed together; taking them out is not timed. Beside it the bus of a mutex,
// two condition variables and a deque, and try_push of the textbook ring, which stamps nothing. With `workers:1` a
// worker that never sleeps takes the events out meanwhile, on another processor if there is one.
// publish_sync: 1 and 10 processors, beside the same calls of std::function in a loop, bare and behind a reader's lock.
//
// `ns` is the time of one publish; `allocations` are those of each publish, on whatever thread. What is refused, or
// does not come out again, fails the run.
//
//   publish_bench --benchmark_repetitions=15 --benchmark_enable_random_interleaving=true
//                 --benchmark_report_aggregates_only=true

#include "support/allocations.hpp"
#include "support/locked_bus.hpp"
#include "support/textbook_ring.hpp"

#include <gossip/gossip.hpp>

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <utility>
#include <vector>

namespace {

struct Data {
    std::uint64_t words[6] = {};
};
static_assert(sizeof(Data) == 48);

inline constexpr gossip::Topic<Data> topic{"bench.event"};
constexpr std::uint64_t burst = 512;

void process(const Data& data) {
    auto word = data.words[0]; // newer versions want something that they may change
    benchmark::DoNotOptimize(word);
}

void report(benchmark::State& state, double nanoseconds, std::uint64_t allocations, std::uint64_t publishes) {
    const auto count = static_cast<double>(publishes);
    state.counters["ns"] = nanoseconds / count;
    state.counters["allocations"] = static_cast<double>(allocations) / count;
}

/// Times `burst` calls of `publish` an iteration, which say whether they were accepted; `take_out()` empties the buffer
/// and says how many came.
template <class Publish, class TakeOut>
void bursts(benchmark::State& state, Publish publish, TakeOut take_out) {
    if (!allocations_are_counted()) {
        state.SkipWithError("allocations are not counted in this build");
        return;
    }
    double nanoseconds = 0;
    std::uint64_t allocations = 0;
    std::uint64_t published = 0;
    bool whole = true;
    for (int round = 0; round < 300; ++round) { // every slot has been used, and the clock has found its rate
        for (std::uint64_t i = 0; i < burst; ++i) {
            whole &= publish(Data{{i}});
        }
        whole &= take_out() == burst;
    }
    for (auto _ : state) {
        const Allocations counter;
        const auto start = std::chrono::steady_clock::now();
        for (std::uint64_t i = 0; i < burst; ++i) {
            whole &= publish(Data{{i, 1, 2, 3, 4, 5}});
        }
        const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
        allocations += counter.count();
        nanoseconds += took.count();
        published += burst;
        state.SetIterationTime(took.count() * 1e-9);
        whole &= take_out() == burst;
        if (!whole) {
            state.SkipWithError("what came out is not what was published");
            return;
        }
    }
    report(state, nanoseconds, allocations, published);
}

void publish_to_bus(benchmark::State& state) {
    const auto workers = static_cast<unsigned>(state.range(1));
    gossip::EventBus bus{gossip::Config{
        .workers = workers, .buffer_size = static_cast<std::size_t>(state.range(0)), .idle = gossip::Idle::spin}};
    const gossip::Subscription subscription = bus.subscribe(topic, process);
    std::uint64_t handled = 0;
    bursts(
        state, [&bus](Data&& data) { return bus.publish(topic, std::move(data)) == gossip::PublishStatus::accepted; },
        [&]() -> std::uint64_t {
            const bool drained = bus.drain(std::chrono::seconds(30));
            return drained ? bus.stats().handled - std::exchange(handled, bus.stats().handled) : 0;
        });
    if (!bus.shutdown().adds_up()) {
        state.SkipWithError("the counters do not add up");
    }
}

void publish_to_locked_bus(benchmark::State& state) {
    LockedBus<Data> bus(0, static_cast<std::size_t>(state.range(0)));
    bus.subscribe(process);
    bursts(
        state,
        [&bus](Data&& data) {
            bus.publish(std::move(data));
            return true;
        },
        [&bus] { return bus.poll(); });
}

void push_to_ring(benchmark::State& state) {
    TextbookRing<Data> ring(static_cast<std::size_t>(state.range(0)));
    bursts(
        state, [&ring](Data&& data) { return ring.try_push(std::move(data)); },
        [&ring] {
            std::uint64_t popped = 0;
            for (; const auto data = ring.try_pop(); ++popped) {
                process(*data);
            }
            return popped;
        });
}

/// Times one call of `call` an iteration.
template <class Call>
void calls(benchmark::State& state, Call call) {
    for (std::uint64_t i = 0; i < 10'000; ++i) {
        call(Data{{i}});
    }
    const Allocations counter;
    std::uint64_t number = 0;
    for (auto _ : state) {
        call(Data{{++number, 1, 2, 3, 4, 5}});
    }
    state.counters["allocations"] =
        benchmark::Counter(static_cast<double>(counter.count()), benchmark::Counter::kAvgIterations);
}

void publish_sync(benchmark::State& state) {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    std::vector<gossip::Subscription> subscriptions;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        subscriptions.push_back(bus.subscribe(topic, process));
    }
    bool all_ran = true;
    calls(state, [&](Data&& data) {
        const gossip::SyncResult result = bus.publish_sync(topic, std::move(data));
        all_ran &= result.ok() && result.processors() == subscriptions.size();
    });
    if (!all_ran) {
        state.SkipWithError("a processor did not run");
    }
}

void call_by_hand(benchmark::State& state) {
    const std::vector<std::function<void(const Data&)>> processors(static_cast<std::size_t>(state.range(0)), process);
    calls(state, [&processors](Data&& data) {
        for (const auto& processor : processors) {
            processor(data);
        }
    });
}

void call_by_hand_locked(benchmark::State& state) {
    const std::vector<std::function<void(const Data&)>> processors(static_cast<std::size_t>(state.range(0)), process);
    std::shared_mutex mutex;
    calls(state, [&](Data&& data) {
        const std::shared_lock lock(mutex);
        for (const auto& processor : processors) {
            processor(data);
        }
    });
}

void buffers(benchmark::internal::Benchmark* each) { each->ArgName("buffer")->UseManualTime()->Arg(1024)->Arg(65536); }

} // namespace

BENCHMARK(publish_to_bus)
    ->Name("publish/bus")
    ->ArgNames({"buffer", "workers"})
    ->UseManualTime()
    ->Iterations(2000) // a million publishes; taking them out again, which is not timed, takes many times as long
    ->ArgsProduct({{1024, 65536}, {0, 1}});
BENCHMARK(publish_to_locked_bus)->Name("publish/locked_bus")->Apply(buffers);
BENCHMARK(push_to_ring)->Name("publish/ring")->Apply(buffers);
BENCHMARK(publish_sync)->Name("publish_sync/bus")->ArgName("processors")->Arg(1)->Arg(10);
BENCHMARK(call_by_hand)->Name("publish_sync/by_hand")->ArgName("processors")->Arg(1)->Arg(10);
BENCHMARK(call_by_hand_locked)->Name("publish_sync/by_hand_locked")->ArgName("processors")->Arg(1)->Arg(10);

BENCHMARK_MAIN();
