// What does a bus cost that does nothing? Processor time of 4 idle workers, a bus of 4 workers made and shut down, and
// memory; beside the bus of a mutex, two condition variables and a deque, and beside 4 bare threads.
//
// idle: 200 ms in which nothing is published, after the workers had 50 ms to fall asleep; `cpu_us` is the processor
// time that the whole process used in them.
// life: construction and shutdown without an event between them.
// memory: what malloc hands out, without the stacks of the threads, for a bus of the default configuration, for each
// event in a full buffer (the growth from 1,024 to 65,536 places), for each of 1,000 subscriptions to
// one topic, and for each of 1,000 topics beyond its subscription.
//
//   footprint_bench --benchmark_repetitions=15 --benchmark_enable_random_interleaving=true
//                   --benchmark_report_aggregates_only=true

#include "support/locked_bus.hpp"
#include "support/others.hpp"

#include <gossip/gossip.hpp>

#include <benchmark/benchmark.h>

#include <malloc.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Data {
    std::uint64_t words[6] = {};
};

inline constexpr gossip::Topic<Data> topic{"bench.event"};
constexpr unsigned workers = 4;

void nothing(const Data&) {}

void watch_idle(benchmark::State& state) {
    std::int64_t used = 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    for (auto _ : state) {
        const std::int64_t before = own_cpu_us();
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        used += own_cpu_us() - before;
    }
    state.counters["cpu_us"] = benchmark::Counter(static_cast<double>(used), benchmark::Counter::kAvgIterations);
}

void idle_bus(benchmark::State& state) {
    gossip::EventBus bus{gossip::Config{.workers = workers}};
    const gossip::Subscription subscription = bus.subscribe(topic, nothing);
    bus.publish(topic, Data{});
    watch_idle(state);
}

void idle_locked_bus(benchmark::State& state) {
    LockedBus<Data> bus(workers, 1024);
    bus.subscribe(nothing);
    bus.publish(Data{});
    watch_idle(state);
}

void life_of_bus(benchmark::State& state) {
    for (auto _ : state) {
        gossip::EventBus bus{gossip::Config{.workers = workers}};
        benchmark::DoNotOptimize(bus.shutdown().accepted);
    }
}

void life_of_locked_bus(benchmark::State& state) {
    for (auto _ : state) {
        LockedBus<Data> bus(workers, 1024);
        benchmark::DoNotOptimize(bus.shutdown().accepted);
    }
}

void life_of_threads(benchmark::State& state) {
    for (auto _ : state) {
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < workers; ++i) {
            threads.emplace_back([] {});
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
    }
}

std::size_t allocated() {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/// Bytes of a bus that has carried no event.
std::size_t bytes_of_bus(std::size_t buffer) {
    const std::size_t before = allocated();
    const gossip::EventBus bus{gossip::Config{.workers = 0, .buffer_size = buffer}};
    return allocated() - before;
}

void memory(benchmark::State& state) {
    constexpr std::size_t subscriptions = 1000;
    for (auto _ : state) {
        const std::size_t small = bytes_of_bus(1024);
        const std::size_t large = bytes_of_bus(65536);
        gossip::EventBus bus{gossip::Config{.workers = 0}};
        std::vector<gossip::Subscription> kept;
        kept.reserve(subscriptions);
        const std::size_t before = allocated();
        for (std::size_t i = 0; i < subscriptions; ++i) {
            kept.push_back(bus.subscribe(topic, nothing));
        }
        const std::size_t after = allocated();
        gossip::EventBus wide{gossip::Config{.workers = 0}};
        std::vector<gossip::Subscription> others;
        others.reserve(subscriptions);
        const std::size_t before_topics = allocated();
        for (std::size_t i = 0; i < subscriptions; ++i) {
            const gossip::Topic<Data> other{gossip::EventType("bench.topic-" + std::to_string(i))};
            others.push_back(wide.subscribe(other, nothing));
        }
        const std::size_t after_topics = allocated();
        state.counters["bus"] = static_cast<double>(small);
        state.counters["place"] = static_cast<double>(large - small) / (65536 - 1024);
        state.counters["subscription"] = static_cast<double>(after - before) / static_cast<double>(subscriptions);
        state.counters["topic"] =
            static_cast<double>(after_topics - before_topics - (after - before)) / static_cast<double>(subscriptions);
    }
    state.counters["sizeof_event"] = sizeof(gossip::Event);
    state.counters["sizeof_bus"] = sizeof(gossip::EventBus<>);
}

} // namespace

BENCHMARK(idle_bus)->Name("idle/bus")->Iterations(1)->UseRealTime();
BENCHMARK(idle_locked_bus)->Name("idle/locked_bus")->Iterations(1)->UseRealTime();
BENCHMARK(life_of_bus)->Name("life/bus")->UseRealTime();
BENCHMARK(life_of_locked_bus)->Name("life/locked_bus")->UseRealTime();
BENCHMARK(life_of_threads)->Name("life/threads")->UseRealTime();
BENCHMARK(memory)->Name("memory/bytes")->Iterations(1);

BENCHMARK_MAIN();
