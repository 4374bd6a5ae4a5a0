// What does a bus cost that does nothing? Processor time of 4 idle workers, a bus of 4 workers made and shut down, and
// memory; beside the bus of a mutex, two condition variables and a deque, and beside 4 bare threads.
//
// idle: 200 ms in which nothing is published, after the workers had 50 ms to fall asleep; `cpu_us` is the processor
// time that the whole process used in them.
// life: construction and shutdown without an event between them; `allocations` are those of one life.
// memory: bytes that malloc hands out, without the stacks of threads: `bus` for a bus of 2 workers and 1,024 places, as
// the default is, that has carried no event; `queued_event` for each event of 48 bytes in a full buffer, from the
// growth of a bus with 65,536 of them over one with 1,024; `subscription` for each of 1,000 to one topic; `topic` for
// each of 1,000 topics beyond its subscription. The locked bus has no topics.
//
//   footprint_bench --benchmark_repetitions=15 --benchmark_enable_random_interleaving=true
//                   --benchmark_report_aggregates_only=true

#include "support/allocations.hpp"
#include "support/locked_bus.hpp"
#include "support/others.hpp"

#include <gossip/gossip.hpp>

#include <benchmark/benchmark.h>

#include <malloc.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
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
    const Allocations allocations;
    for (auto _ : state) {
        gossip::EventBus bus{gossip::Config{.workers = workers}};
        benchmark::DoNotOptimize(bus.shutdown().accepted);
    }
    allocations.show(state, state.iterations());
}

void life_of_locked_bus(benchmark::State& state) {
    const Allocations allocations;
    for (auto _ : state) {
        LockedBus<Data> bus(workers, 1024);
        benchmark::DoNotOptimize(bus.shutdown().accepted);
    }
    allocations.show(state, state.iterations());
}

void life_of_threads(benchmark::State& state) {
    const Allocations allocations;
    for (auto _ : state) {
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < workers; ++i) {
            threads.emplace_back([] {});
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
    }
    allocations.show(state, state.iterations());
}

std::size_t allocated() {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/// What `make()` takes from malloc as long as its result lives.
std::size_t bytes_of(const auto& make) {
    const std::size_t before = allocated();
    const auto made = make();
    return allocated() - before;
}

std::unique_ptr<gossip::EventBus<>> bus_of(unsigned threads, std::size_t buffer) {
    return std::make_unique<gossip::EventBus<>>(gossip::Config{.workers = threads, .buffer_size = buffer});
}

/// A bus whose buffer is full, and nobody empties it.
std::unique_ptr<gossip::EventBus<>> full_bus(std::size_t buffer, bool& whole) {
    auto bus = bus_of(0, buffer);
    for (std::size_t i = 0; i < buffer; ++i) {
        whole &= bus->publish(topic, Data{}) == gossip::PublishStatus::accepted;
    }
    return bus;
}

std::unique_ptr<LockedBus<Data>> full_locked_bus(std::size_t buffer) {
    auto bus = std::make_unique<LockedBus<Data>>(0U, buffer);
    for (std::size_t i = 0; i < buffer; ++i) {
        bus->publish(Data{});
    }
    return bus;
}

constexpr std::size_t few = 1024;
constexpr std::size_t many = 65'536;
constexpr std::size_t subscriptions = 1000;

double each(std::size_t bytes, std::size_t count) { return static_cast<double>(bytes) / static_cast<double>(count); }

/// The same for several at a time: what malloc has kept of others before would hide a single small one.
double of_each(const auto& make) {
    constexpr std::size_t count = 32;
    return each(bytes_of([&make] {
                    std::vector<decltype(make())> made(count);
                    for (auto& one : made) {
                        one = make();
                    }
                    return made;
                }),
                count);
}

void memory_of_bus(benchmark::State& state) {
    for (auto _ : state) {
        state.counters["bus"] = of_each([] { return bus_of(2, few); });
        bool whole = true;
        const std::size_t full = bytes_of([&whole] { return full_bus(few, whole); });
        state.counters["queued_event"] = each(bytes_of([&whole] { return full_bus(many, whole); }) - full, many - few);
        if (!whole) {
            state.SkipWithError("a buffer with room refused an event");
            break;
        }
        const auto bus = bus_of(0, few);
        const std::size_t of_subscriptions = bytes_of([&bus] {
            std::vector<gossip::Subscription> kept;
            for (std::size_t i = 0; i < subscriptions; ++i) {
                kept.push_back(bus->subscribe(topic, nothing));
            }
            kept.shrink_to_fit();
            return kept;
        });
        const auto wide = bus_of(0, few);
        const std::size_t of_topics = bytes_of([&wide] {
            std::vector<gossip::Subscription> kept;
            for (std::size_t i = 0; i < subscriptions; ++i) {
                const gossip::Topic<Data> other{gossip::EventType("bench.topic-" + std::to_string(i))};
                kept.push_back(wide->subscribe(other, nothing));
            }
            kept.shrink_to_fit();
            return kept;
        });
        state.counters["subscription"] = each(of_subscriptions, subscriptions);
        state.counters["topic"] = each(of_topics - of_subscriptions, subscriptions);
    }
    state.counters["sizeof_event"] = sizeof(gossip::Event);
    state.counters["sizeof_bus"] = sizeof(gossip::EventBus<>);
}

void memory_of_locked_bus(benchmark::State& state) {
    for (auto _ : state) {
        state.counters["bus"] = of_each([] { return std::make_unique<LockedBus<Data>>(2U, few); });
        const std::size_t full = bytes_of([] { return full_locked_bus(few); });
        state.counters["queued_event"] = each(bytes_of([] { return full_locked_bus(many); }) - full, many - few);
        const auto bus = std::make_unique<LockedBus<Data>>(0U, few);
        const std::size_t before = allocated();
        for (std::size_t i = 0; i < subscriptions; ++i) {
            bus->subscribe(nothing);
        }
        state.counters["subscription"] = each(allocated() - before, subscriptions);
    }
}

} // namespace

BENCHMARK(idle_bus)->Name("idle/bus")->Iterations(1)->UseRealTime();
BENCHMARK(idle_locked_bus)->Name("idle/locked_bus")->Iterations(1)->UseRealTime();
BENCHMARK(life_of_bus)->Name("life/bus")->UseRealTime();
BENCHMARK(life_of_locked_bus)->Name("life/locked_bus")->UseRealTime();
BENCHMARK(life_of_threads)->Name("life/threads")->UseRealTime();
BENCHMARK(memory_of_bus)->Name("memory/bus")->Iterations(1);
BENCHMARK(memory_of_locked_bus)->Name("memory/locked_bus")->Iterations(1);

BENCHMARK_MAIN();
