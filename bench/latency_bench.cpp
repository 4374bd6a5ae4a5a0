// How long does an event take from publish on an idle bus to the processor's first instruction?
//
// sleeping: the bus and the bus of a mutex, two condition variables and a deque in turn, one event each, after a pause
// in which both went to sleep, and so did the processors, which are not equally fast to wake after long and short
// sleeps: both see the same machine, whatever else it does. One iteration is one event for each, now the one first, now
// the other; the time is that of the bus. `bus_p50`, `bus_p99`, `locked_p50` and `locked_p99` are in microseconds;
// `allocations` are those of the bus for an event, on all threads. An event that does not come fails the run.
// spinning: the same for a bus whose one worker never sleeps, and for a thread that spins on a textbook ring, in runs
// of their own, as they would not leave each other a processor; the publisher spins between events, too.
//
//   latency_bench --benchmark_repetitions=9 --benchmark_enable_random_interleaving=true
//                 --benchmark_report_aggregates_only=true

#include "support/allocations.hpp"
#include "support/locked_bus.hpp"
#include "support/others.hpp"
#include "support/patience.hpp"
#include "support/quick.hpp"
#include "support/textbook_ring.hpp"

#include <gossip/gossip.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Data {
    std::uint64_t words[6] = {};
};

inline constexpr gossip::Topic<Data> topic{"bench.event"};

/// When the processor began, handed back to the publisher.
class Arrival {
public:
    void note() { at_.store(Clock::now().time_since_epoch().count()); }

    /// Waits on the processor for it: nothing else should be between the two threads. Negative if it does not come.
    [[nodiscard]] double take_us(Clock::time_point sent) {
        Clock::rep at = 0;
        for (Patience patience; (at = at_.exchange(0)) == 0;) {
            if (!patience.lasts()) {
                return -1;
            }
            gossip::platform::cpu_pause();
        }
        return std::chrono::duration<double, std::micro>(Clock::duration(at) - sent.time_since_epoch()).count();
    }

private:
    std::atomic<Clock::rep> at_{0};
};

double percentile(std::vector<double>& samples, double part) {
    const auto at = static_cast<std::ptrdiff_t>(part * static_cast<double>(samples.size() - 1));
    std::nth_element(samples.begin(), samples.begin() + at, samples.end());
    return samples[static_cast<std::size_t>(at)];
}

void report(benchmark::State& state, const char* p50, const char* p99, std::vector<double>& samples) {
    state.counters[p50] = percentile(samples, 0.5);
    state.counters[p99] = percentile(samples, 0.99);
}

void pause_asleep() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

void pause_awake() {
    const auto end = Clock::now() + std::chrono::microseconds(20);
    while (Clock::now() < end) {
        gossip::platform::cpu_pause();
    }
}

void sleeping(benchmark::State& state) {
    const auto workers = static_cast<unsigned>(state.range(0));
    Arrival arrival;
    gossip::EventBus bus{gossip::Config{.workers = workers}};
    const gossip::Subscription subscription = bus.subscribe(topic, [&arrival](const Data&) { arrival.note(); });
    LockedBus<Data> locked(workers, 1024);
    locked.subscribe([&arrival](const Data&) { arrival.note(); });

    const Others others;
    std::vector<double> bus_us;
    std::vector<double> locked_us;
    std::uint64_t allocations = 0;
    const auto through_bus = [&] {
        pause_asleep();
        const Allocations counter;
        const auto sent = Clock::now();
        bus.publish(topic, Data{{1}});
        const double took = arrival.take_us(sent);
        allocations += counter.count();
        bus_us.push_back(took);
    };
    const auto through_locked = [&] {
        pause_asleep();
        const auto sent = Clock::now();
        locked.publish(Data{{1}});
        locked_us.push_back(arrival.take_us(sent));
    };
    bool bus_first = false;
    for (auto _ : state) {
        bus_first = !bus_first;
        if (bus_first) {
            through_bus();
        }
        through_locked();
        if (!bus_first) {
            through_bus();
        }
        if (bus_us.back() < 0 || locked_us.back() < 0) {
            state.SkipWithError("an event did not come");
            return;
        }
        state.SetIterationTime(bus_us.back() * 1e-6);
    }
    const gossip::ShutdownReport end = bus.shutdown();
    if (!end.adds_up() || end.handled != bus_us.size() || locked.shutdown().handled != locked_us.size()) {
        state.SkipWithError("what was delivered is not what was published");
    }
    state.counters["allocations"] = static_cast<double>(allocations) / static_cast<double>(bus_us.size());
    report(state, "bus_p50", "bus_p99", bus_us);
    report(state, "locked_p50", "locked_p99", locked_us);
    state.counters["others"] = others.busy();
}

template <class Publish>
void spin(benchmark::State& state, Arrival& arrival, Publish publish) {
    const Others others;
    std::vector<double> samples;
    samples.reserve(static_cast<std::size_t>(state.max_iterations));
    const Allocations allocations;
    for (auto _ : state) {
        pause_awake();
        const auto sent = Clock::now();
        publish(Data{{1}});
        samples.push_back(arrival.take_us(sent));
        if (samples.back() < 0) {
            state.SkipWithError("an event did not come");
            return;
        }
        state.SetIterationTime(samples.back() * 1e-6);
    }
    allocations.show(state, state.iterations());
    report(state, "p50", "p99", samples);
    state.counters["others"] = others.busy();
}

void spinning_bus(benchmark::State& state) {
    Arrival arrival;
    gossip::EventBus bus{gossip::Config{.workers = 1, .idle = gossip::Idle::spin}};
    const gossip::Subscription subscription = bus.subscribe(topic, [&arrival](const Data&) { arrival.note(); });
    spin(state, arrival, [&bus](Data&& data) { bus.publish(topic, std::move(data)); });
    const gossip::ShutdownReport end = bus.shutdown();
    if (!end.adds_up() || end.handled != static_cast<std::uint64_t>(state.iterations())) {
        state.SkipWithError("what was delivered is not what was published");
    }
}

void spinning_ring(benchmark::State& state) {
    Arrival arrival;
    TextbookRing<Data> ring(1024);
    std::atomic<bool> ended{false};
    std::thread consumer([&] {
        while (!ended.load()) {
            if (const std::optional<Data> data = ring.try_pop()) {
                arrival.note();
            } else {
                gossip::platform::cpu_pause();
            }
        }
    });
    spin(state, arrival, [&ring](Data&& data) { benchmark::DoNotOptimize(ring.try_push(std::move(data))); });
    ended = true;
    consumer.join();
}

} // namespace

BENCHMARK(sleeping)->ArgName("workers")->Arg(1)->Arg(2)->Arg(4)->UseManualTime()->Iterations(unless_quick(1000, 250));
BENCHMARK(spinning_bus)->Name("spinning/bus")->UseManualTime()->Iterations(unless_quick(5000, 1000));
BENCHMARK(spinning_ring)->Name("spinning/ring")->UseManualTime()->Iterations(unless_quick(5000, 1000));

BENCHMARK_MAIN();
