// How many events a second arrive? From publish to the return of the processor, 48 bytes of data, timestamps on, for
// each number of publishers, workers and places in the buffer: the bus beside a bus of a mutex, two condition variables
// and a deque, and beside the bare textbook ring (no timestamps, no subscribers), whose threads never sleep but yield.
// The ring is there twice: with elements of the data's 48 bytes, and of the 120 that an event weighs, to tell how much
// of the distance between bus and ring is that of their sizes.
//
// One iteration is a bus made, `events` published and all of them handled; the time runs from the publishers' common
// start to the end of shutdown. Items are events *delivered*: what the processors counted must be what was published
// and what the bus reports, or the run fails. `allocations` are those of all threads for an event. `others` is how many
// processors the rest of the machine kept busy
// meanwhile: compare medians of one run in which it is small, and ratios rather than figures.
//
//   throughput_bench --benchmark_repetitions=9 --benchmark_enable_random_interleaving=true
//                    --benchmark_report_aggregates_only=true [--benchmark_filter='^(bus|ring)/.*publishers:2']

#include "support/allocations.hpp"
#include "support/heard.hpp"
#include "support/locked_bus.hpp"
#include "support/others.hpp"
#include "support/textbook_ring.hpp"

#include <gossip/gossip.hpp>

#include <benchmark/benchmark.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace {

struct Data {
    std::uint64_t words[6] = {};
};
static_assert(sizeof(Data) == 48);

/// The same data in an element as large as an event.
struct WideData {
    Data data;
    std::uint64_t rest[9] = {};
};
static_assert(sizeof(WideData) == 120 && sizeof(gossip::Event) == 120);

inline constexpr gossip::Topic<Data> topic{"bench.event"};

struct Setting {
    std::size_t buffer;
    unsigned publishers;
    unsigned workers;
    unsigned subscribers;
    std::uint64_t events; // by each publisher

    [[nodiscard]] std::uint64_t published() const { return events * publishers; }
};

const Data& data_of(const Data& data) { return data; }
const Data& data_of(const WideData& element) { return element.data; }

void process(const Data& data) {
    auto word = data.words[0]; // newer versions want something that they may change
    benchmark::DoNotOptimize(word);
    Heard::note();
}

/// What a delivery is measured by; `delivered` is what the subject itself reports, 0 if its counters do not add up.
struct Outcome {
    double seconds;
    std::uint64_t delivered;
    std::uint64_t allocations;
};

/// Runs `publish(data)` on every publisher, then `finish()`.
template <class Publish, class Finish>
Outcome run(const Setting& setting, Publish publish, Finish finish) {
    std::latch ready(setting.publishers + 1);
    std::vector<std::thread> publishers;
    for (unsigned i = 0; i < setting.publishers; ++i) {
        publishers.emplace_back([&setting, &ready, &publish, i] {
            ready.arrive_and_wait();
            for (std::uint64_t number = 0; number < setting.events; ++number) {
                publish(Data{{number, i, 2, 3, 4, 5}});
            }
        });
    }
    ready.arrive_and_wait();
    const Allocations allocations;
    const auto start = std::chrono::steady_clock::now();
    for (std::thread& thread : publishers) {
        thread.join();
    }
    const std::uint64_t delivered = finish();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return {seconds, delivered, allocations.count()};
}

Outcome through_bus(const Setting& setting) {
    gossip::EventBus bus{gossip::Config{.workers = setting.workers, .buffer_size = setting.buffer}};
    std::vector<gossip::Subscription> subscriptions;
    for (unsigned i = 0; i < setting.subscribers; ++i) {
        subscriptions.push_back(bus.subscribe(topic, process));
    }
    return run(
        setting, [&bus](Data&& data) { bus.publish(topic, std::move(data)); },
        [&]() -> std::uint64_t {
            const gossip::ShutdownReport report = bus.shutdown();
            const bool whole = report.complete && report.adds_up() && report.accepted == setting.published();
            return whole ? report.handled : 0;
        });
}

Outcome through_locked_bus(const Setting& setting) {
    LockedBus<Data> bus(setting.workers, setting.buffer);
    for (unsigned i = 0; i < setting.subscribers; ++i) {
        bus.subscribe(process);
    }
    return run(
        setting, [&bus](Data&& data) { bus.publish(std::move(data)); },
        [&]() -> std::uint64_t {
            const auto counters = bus.shutdown();
            return counters.accepted == setting.published() ? counters.handled : 0;
        });
}

template <class Element>
Outcome through_ring(const Setting& setting) {
    TextbookRing<Element> ring(setting.buffer);
    std::atomic<bool> ended{false};
    std::atomic<std::uint64_t> popped{0};
    std::vector<std::thread> consumers;
    for (unsigned i = 0; i < setting.workers; ++i) {
        consumers.emplace_back([&] {
            std::uint64_t mine = 0;
            for (bool last_look = false;;) {
                if (const std::optional<Element> element = ring.try_pop()) {
                    process(data_of(*element));
                    ++mine;
                } else if (last_look) {
                    break;
                } else if (!(last_look = ended.load())) { // once the publishers are gone, empty means done
                    std::this_thread::yield();
                }
            }
            popped += mine;
        });
    }
    return run(
        setting,
        [&ring](Data&& data) {
            Element element{std::move(data)};
            while (!ring.try_push(std::move(element))) {
                std::this_thread::yield();
            }
        },
        [&]() -> std::uint64_t {
            ended = true;
            for (std::thread& thread : consumers) {
                thread.join();
            }
            return popped.load();
        });
}

template <auto through, std::uint64_t events>
void delivered(benchmark::State& state) {
    const auto publishers = static_cast<unsigned>(state.range(1));
    const Setting setting{static_cast<std::size_t>(state.range(0)), publishers, static_cast<unsigned>(state.range(2)),
                          static_cast<unsigned>(state.range(3)), events / publishers};
    const Others others;
    std::uint64_t allocations = 0;
    for (auto _ : state) {
        Heard::reset();
        const Outcome outcome = through(setting);
        if (outcome.delivered != setting.published() || Heard::total() != setting.published() * setting.subscribers) {
            state.SkipWithError("what was delivered is not what was published");
            break;
        }
        state.SetIterationTime(outcome.seconds);
        allocations += outcome.allocations;
    }
    const std::int64_t published = state.iterations() * static_cast<std::int64_t>(setting.published());
    state.SetItemsProcessed(published);
    state.counters["allocations"] = static_cast<double>(allocations) / static_cast<double>(published);
    state.counters["others"] = others.busy();
}

void one_subscriber(benchmark::internal::Benchmark* each) {
    each->ArgNames({"buffer", "publishers", "workers", "subscribers"})->UseManualTime()->Iterations(1);
    each->ArgsProduct({{1024, 65536}, {1, 2, 4}, {1, 2, 4}, {1}});
}

void ten_subscribers(benchmark::internal::Benchmark* each) {
    each->ArgNames({"buffer", "publishers", "workers", "subscribers"})->UseManualTime()->Iterations(1);
    each->ArgsProduct({{1024, 65536}, {1, 2, 4}, {1, 2, 4}, {10}});
}

} // namespace

BENCHMARK(delivered<through_bus, 1'000'000>)->Name("bus")->Apply(one_subscriber);
BENCHMARK(delivered<through_ring<Data>, 1'000'000>)->Name("ring")->Apply(one_subscriber);
BENCHMARK(delivered<through_ring<WideData>, 1'000'000>)->Name("ring_of_120_bytes")->Apply(one_subscriber);
BENCHMARK(delivered<through_locked_bus, 200'000>)->Name("locked_bus")->Apply(one_subscriber);
BENCHMARK(delivered<through_bus, 400'000>)->Name("bus")->Apply(ten_subscribers);
BENCHMARK(delivered<through_locked_bus, 200'000>)->Name("locked_bus")->Apply(ten_subscribers);

BENCHMARK_MAIN();
