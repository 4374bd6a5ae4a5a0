// How does the number of events that arrive a second change with the number of subscribers, with the size of the data,
// and with the size of a batch? One publisher, 2 workers, 1,024 places; the bus beside a bus of a mutex, two condition
// variables and a deque, whose batch is a vector under a mutex.
//
// One iteration is a bus made, `events` published and all of them handled; the time runs from the first publish to the
// end of shutdown. Items are events *delivered*, each to all of its subscribers: what the processors counted must be
// what was published and what the bus reports, or the run fails. `allocations` are those of all threads for an event.

#include "support/allocations.hpp"
#include "support/heard.hpp"
#include "support/locked_bus.hpp"
#include "support/others.hpp"

#include <gossip/gossip.hpp>

#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;

template <std::size_t size>
using Bytes = std::array<std::uint64_t, size / sizeof(std::uint64_t)>;
template <class T>
inline constexpr gossip::Topic<T> topic{"bench.event"};

constexpr unsigned workers = 2;
constexpr std::size_t buffer = 1024;

template <class T>
void process(const T& data) {
    benchmark::DoNotOptimize(&data);
    Heard::note();
}

/// Adds `add(bus)` to a bus, publishes, shuts down; how many events it says it has handled.
template <class T, class Add>
struct ThroughBus {
    Add add;

    std::uint64_t operator()(std::uint64_t events, double& seconds, std::uint64_t& allocations) const {
        gossip::EventBus<> bus{gossip::Config{.workers = workers, .buffer_size = buffer}};
        const auto subscriptions = add(bus);
        const Allocations counter;
        const auto start = std::chrono::steady_clock::now();
        for (std::uint64_t i = 0; i < events; ++i) {
            bus.publish(topic<T>, T{});
        }
        const gossip::ShutdownReport end = bus.shutdown();
        seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        allocations += counter.count();
        return end.complete && end.adds_up() && end.accepted == events ? end.handled : 0;
    }
};

template <class T, class Add>
struct ThroughLockedBus {
    Add add;

    std::uint64_t operator()(std::uint64_t events, double& seconds, std::uint64_t& allocations) const {
        LockedBus<T> bus(workers, buffer);
        add(bus);
        const Allocations counter;
        const auto start = std::chrono::steady_clock::now();
        for (std::uint64_t i = 0; i < events; ++i) {
            bus.publish(T{});
        }
        const auto end = bus.shutdown();
        seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        allocations += counter.count();
        return end.accepted == events ? end.handled : 0;
    }
};

void run(benchmark::State& state, std::uint64_t events, std::uint64_t calls, const auto& through) {
    const Others others;
    std::uint64_t allocations = 0;
    for (auto _ : state) {
        Heard::reset();
        double seconds = 0;
        if (through(events, seconds, allocations) != events || Heard::total() != calls) {
            state.SkipWithError("what was delivered is not what was published");
            break;
        }
        state.SetIterationTime(seconds);
    }
    const auto all = static_cast<double>(state.iterations()) * static_cast<double>(events);
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(events));
    state.counters["allocations"] = static_cast<double>(allocations) / all;
    state.counters["others"] = others.busy();
}

template <class T, class Add>
ThroughBus<T, Add> through_bus(Add add) {
    return {std::move(add)};
}
template <class T, class Add>
ThroughLockedBus<T, Add> through_locked_bus(Add add) {
    return {std::move(add)};
}

using Small = Bytes<48>;

void subscribers_bus(benchmark::State& state) {
    const auto count = static_cast<std::uint64_t>(state.range(0));
    const std::uint64_t events = 10'000'000 / (count + 9);
    run(state, events, events * count, through_bus<Small>([count](gossip::EventBus<>& bus) {
            std::vector<gossip::Subscription> subscriptions;
            for (std::uint64_t i = 0; i < count; ++i) {
                subscriptions.push_back(bus.subscribe(topic<Small>, process<Small>));
            }
            return subscriptions;
        }));
}

void subscribers_locked_bus(benchmark::State& state) {
    const auto count = static_cast<std::uint64_t>(state.range(0));
    const std::uint64_t events = 2'000'000 / (count + 9);
    run(state, events, events * count, through_locked_bus<Small>([count](LockedBus<Small>& bus) {
            for (std::uint64_t i = 0; i < count; ++i) {
                bus.subscribe(process<Small>);
            }
        }));
}

template <std::size_t size>
void payload_bus(benchmark::State& state) {
    constexpr std::uint64_t events = size > 1024 ? 100'000 : 1'000'000;
    run(state, events, events, through_bus<Bytes<size>>([](gossip::EventBus<>& bus) {
            return bus.subscribe(topic<Bytes<size>>, process<Bytes<size>>);
        }));
}

template <std::size_t size>
void payload_locked_bus(benchmark::State& state) {
    constexpr std::uint64_t events = 200'000;
    run(state, events, events,
        through_locked_bus<Bytes<size>>([](LockedBus<Bytes<size>>& bus) { bus.subscribe(process<Bytes<size>>); }));
}

void note_all(std::span<const Small> items) {
    for (const Small& item : items) {
        process(item);
    }
}

void batch_bus(benchmark::State& state) {
    const auto size = static_cast<std::size_t>(state.range(0));
    constexpr std::uint64_t events = 1'000'000;
    run(state, events, events, through_bus<Small>([size](gossip::EventBus<>& bus) {
            return bus.subscribe(topic<Small>, gossip::batch<Small>({.size = size, .period = 1h}, note_all));
        }));
}

void batch_locked_bus(benchmark::State& state) {
    const auto size = static_cast<std::size_t>(state.range(0));
    constexpr std::uint64_t events = 200'000; // a multiple of every size
    std::mutex mutex;
    std::vector<Small> collected;
    run(state, events, events, through_locked_bus<Small>([&](LockedBus<Small>& bus) {
            bus.subscribe([&](const Small& data) {
                const std::lock_guard lock(mutex);
                collected.push_back(data);
                if (collected.size() >= size) {
                    note_all(collected);
                    collected.clear();
                }
            });
        }));
}

} // namespace

#define GOSSIP_SCALE(function, name, argument) \
    BENCHMARK(function)->Name(name)->ArgName(argument)->UseManualTime()->Iterations(1)
#define GOSSIP_PAYLOAD(size)                                              \
    GOSSIP_SCALE(payload_bus<size>, "payload/bus", "payload")->Arg(size); \
    GOSSIP_SCALE(payload_locked_bus<size>, "payload/locked_bus", "payload")->Arg(size)

GOSSIP_SCALE(subscribers_bus, "subscribers/bus", "subscribers")->Arg(1)->Arg(10)->Arg(100)->Arg(1000);
GOSSIP_SCALE(subscribers_locked_bus, "subscribers/locked_bus", "subscribers")->Arg(1)->Arg(10)->Arg(100)->Arg(1000);
GOSSIP_PAYLOAD(8);
GOSSIP_PAYLOAD(64);
GOSSIP_PAYLOAD(256);
GOSSIP_PAYLOAD(1024);
GOSSIP_PAYLOAD(4096);
GOSSIP_SCALE(batch_bus, "batch/bus", "batch")->Arg(1)->Arg(10)->Arg(100)->Arg(1000);
GOSSIP_SCALE(batch_locked_bus, "batch/locked_bus", "batch")->Arg(1)->Arg(10)->Arg(100)->Arg(1000);

BENCHMARK_MAIN();
