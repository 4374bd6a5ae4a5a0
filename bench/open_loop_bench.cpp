// How long does an event take from the time when it was due to the processor's first instruction, while events come at
// a constant rate? The bus beside the bus of a mutex, two condition variables and a deque; 2 workers, 1,024 places, 48
// bytes of data, one publisher.
//
// One iteration is a bus, and 1 s of events at that rate (at most 200,000); all of them must be handled, or the run
// fails. Open loop: the publisher keeps to its schedule and waits for no answer, and an event that it sends late counts
// from when it was due, so that a pause of the bus shows in every event that it delayed. `p50`, `p99`, `p99.9` and
// `max` are in microseconds; `allocations` are those of all threads for an event.

#include "support/allocations.hpp"
#include "support/locked_bus.hpp"
#include "support/open_loop.hpp"
#include "support/others.hpp"
#include "support/quick.hpp"

#include <gossip/gossip.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace {

struct Data {
    OpenLoop::Clock::rep due = 0;
    std::uint64_t words[5] = {};
};

inline constexpr gossip::Topic<Data> topic{"bench.event"};

std::int64_t count_at(std::int64_t rate) { return std::min(rate, unless_quick(200'000, 30'000)); }

void through_bus(benchmark::State& state) {
    const Others others;
    for (auto _ : state) {
        OpenLoop loop(state.range(0), count_at(state.range(0)));
        gossip::EventBus bus{gossip::Config{.workers = 2}};
        const auto subscription = bus.subscribe(topic, [&loop](const Data& data) { loop.arrived(data.due); });
        const Allocations allocations;
        loop.run([&bus](OpenLoop::Clock::rep due) { bus.publish(topic, Data{.due = due}); });
        if (!bus.shutdown().adds_up() || !loop.complete()) {
            state.SkipWithError("not all events arrived");
            break;
        }
        loop.report(state);
        allocations.show(state, count_at(state.range(0)));
    }
    state.counters["others"] = others.busy();
}

void through_locked_bus(benchmark::State& state) {
    const Others others;
    for (auto _ : state) {
        OpenLoop loop(state.range(0), count_at(state.range(0)));
        LockedBus<Data> bus(2, 1024);
        bus.subscribe([&loop](const Data& data) { loop.arrived(data.due); });
        const Allocations allocations;
        loop.run([&bus](OpenLoop::Clock::rep due) { bus.publish(Data{.due = due}); });
        bus.shutdown();
        if (!loop.complete()) {
            state.SkipWithError("not all events arrived");
            break;
        }
        loop.report(state);
        allocations.show(state, count_at(state.range(0)));
    }
    state.counters["others"] = others.busy();
}

} // namespace

#define GOSSIP_OPEN_LOOP(function, name) \
    BENCHMARK(function)->Name(name)->ArgName("rate")->UseManualTime()->Iterations(1)->Unit(benchmark::kMicrosecond)

GOSSIP_OPEN_LOOP(through_bus, "memory/bus")->Arg(1'000)->Arg(100'000)->Arg(1'000'000);
GOSSIP_OPEN_LOOP(through_locked_bus, "memory/locked_bus")->Arg(1'000)->Arg(100'000)->Arg(1'000'000);

BENCHMARK_MAIN();
