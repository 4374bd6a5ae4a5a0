// What does it cost to add an event to a batch, and to run one, beside the user's work? Beside them: the same events
// into a processor that does nothing, and what a careful author would write by hand, a vector under a mutex. One
// item is one event on its way through the bus, on this thread alone; what was not delivered is an error. "adding" and
// "running" are the two steps timed apart: adding costs what an item of "adding/batch" takes beyond one of
// "adding/nothing", and a run of 100 what "running_100" takes beyond its "poll_of_nothing". "event" is the whole,
// "event/keyed" events of ten keys, published in place by publish_sync. `allocations` are those of one event.

#include <gossip/batch/batch.hpp>
#include <gossip/bus/event_bus.hpp>

#include "support/allocations.hpp"

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;

constexpr std::size_t size = 100;
constexpr std::size_t round = 1000; // events between two looks at the clock: ten batches

template <class T>
constexpr gossip::Topic<T> topic{"bench.batch"};

std::uint64_t seen = 0;

/// The user's work, as little as it can be: it looks at where the data is, and counts it.
template <class Item>
[[gnu::noinline]] void work(std::span<const Item> items) {
    seen += items.size();
    benchmark::DoNotOptimize(items.data());
}

template <class T>
T sample() {
    if constexpr (std::is_same_v<T, std::string>) {
        return "a.short@text"; // in the string itself: what malloc costs is not the question
    } else {
        return T{};
    }
}

/// Publishes rounds of events that this thread runs.
template <class T, class Processor>
void through_bus(benchmark::State& state, Processor processor, const std::vector<std::string>& keys = {}) {
    gossip::EventBus<> bus{gossip::Config{.workers = 0, .buffer_size = 1024}};
    const auto subscription = bus.subscribe(topic<T>, std::move(processor));
    seen = 0;
    std::uint64_t published = 0;
    const auto play = [&] {
        for (std::size_t i = 0; i < round; ++i) {
            if (keys.empty()) {
                bus.publish(topic<T>, sample<T>());
            } else {
                static_cast<void>(
                    bus.publish_sync(gossip::Event{topic<T>, sample<T>()}.with_key(keys[i % keys.size()])));
            }
        }
        bus.poll();
        published += round;
    };
    play(); // warm
    const Allocations counter;
    for (auto _ : state) {
        play();
    }
    const std::int64_t events = static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(round);
    state.counters["allocations"] = static_cast<double>(counter.count()) / static_cast<double>(events);
    state.SetItemsProcessed(events);
    bus.shutdown();
    if (seen != published) {
        state.SkipWithError("events are missing");
    }
}

const std::vector<std::string> ten_keys{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};

void see(gossip::Context&, const gossip::Event& event) {
    ++seen;
    benchmark::DoNotOptimize(&event);
}

template <class T>
void nothing(benchmark::State& state) {
    through_bus<T>(state, see);
}

/// By hand: no period, no shutdown, no failure of its own event, and the event is handled before the batch has run.
template <class T>
void by_hand(benchmark::State& state) {
    std::mutex mutex;
    std::vector<T> waiting;
    std::vector<T> running;
    waiting.reserve(size);
    running.reserve(size);
    through_bus<T>(state, [&](gossip::Context&, const gossip::Event& event) {
        const std::lock_guard lock(mutex);
        waiting.push_back(*event.data_if<T>());
        if (waiting.size() == size) {
            running.swap(waiting);
            work(std::span<const T>(running));
            running.clear();
        }
    });
}

template <class T, class Item>
void batch(benchmark::State& state) {
    through_bus<T>(state, gossip::batch<T>({.size = size, .period = 1h}, &work<Item>));
}

void keyed_nothing(benchmark::State& state) { through_bus<int>(state, see, ten_keys); }
void keyed_by_hand(benchmark::State& state) {
    std::mutex mutex;
    std::unordered_map<std::string, std::vector<int>> waiting;
    std::vector<int> running;
    through_bus<int>(
        state,
        [&](gossip::Context&, const gossip::Event& event) {
            const std::lock_guard lock(mutex);
            std::vector<int>& mine = waiting[std::string(event.key())];
            mine.push_back(*event.data_if<int>());
            if (mine.size() == size) {
                running.swap(mine);
                work(std::span<const int>(running));
                running.clear();
            }
        },
        ten_keys);
}
void keyed_batch(benchmark::State& state) {
    through_bus<int>(state, gossip::batch<int>({.size = size, .period = 1h, .by_key = true}, &work<int>), ten_keys);
}

/// A hundred events are added, one less than would run by themselves; then they are run: the two are timed apart.
template <class Processor, class Flush>
void in_steps(benchmark::State& state, bool time_adding, Processor processor, Flush flush) {
    constexpr std::size_t step = size;
    gossip::EventBus<> bus{gossip::Config{.workers = 0, .buffer_size = 1024}};
    const auto subscription = bus.subscribe(topic<int>, std::move(processor));
    seen = 0;
    std::uint64_t published = 0;
    const auto play = [&] {
        for (std::size_t i = 0; i < step; ++i) {
            bus.publish(topic<int>, 1);
        }
        published += step;
        const auto start = std::chrono::steady_clock::now();
        bus.poll();
        const auto added = std::chrono::steady_clock::now();
        flush(bus);
        const auto flushed = std::chrono::steady_clock::now();
        state.SetIterationTime(std::chrono::duration<double>(time_adding ? added - start : flushed - added).count());
    };
    for (auto _ : state) {
        play();
    }
    if (time_adding) {
        state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(step));
    }
    bus.shutdown();
    if (seen != published) {
        state.SkipWithError("events are missing");
    }
}

void step_nothing(benchmark::State& state) {
    in_steps(state, true, see, [](auto&) {});
}
void step_by_hand(benchmark::State& state, bool adding) {
    std::mutex mutex;
    std::vector<int> waiting;
    std::vector<int> running;
    waiting.reserve(size + 1);
    running.reserve(size + 1);
    in_steps(
        state, adding,
        [&](gossip::Context&, const gossip::Event& event) {
            const std::lock_guard lock(mutex);
            waiting.push_back(*event.data_if<int>());
        },
        [&](auto&) {
            {
                const std::lock_guard lock(mutex);
                running.swap(waiting);
            }
            work(std::span<const int>(running));
            running.clear();
        });
}
/// The run is asked for, and done by poll: both are in its time.
template <class Item>
void step_batch(benchmark::State& state, bool adding) {
    in_steps(state, adding, gossip::batch<int>({.size = size + 1, .period = 1h}, &work<Item>), [](auto& bus) {
        bus.flush();
        bus.poll();
    });
}
void step_batch_of_data(benchmark::State& state, bool adding) { step_batch<int>(state, adding); }
void step_batch_of_events(benchmark::State& state, bool adding) { step_batch<gossip::Event>(state, adding); }
void step_poll(benchmark::State& state) {
    in_steps(
        state, false, [](gossip::Context&, const gossip::Event&) { ++seen; }, [](auto& bus) { bus.poll(); });
}

BENCHMARK(step_nothing)->Name("adding/nothing")->UseManualTime();
BENCHMARK_CAPTURE(step_by_hand, add, true)->Name("adding/vector_and_mutex")->UseManualTime();
BENCHMARK_CAPTURE(step_batch_of_data, add, true)->Name("adding/batch")->UseManualTime();
BENCHMARK(step_poll)->Name("running_100/poll_of_nothing")->UseManualTime();
BENCHMARK_CAPTURE(step_by_hand, run, false)->Name("running_100/vector_and_mutex")->UseManualTime();
BENCHMARK_CAPTURE(step_batch_of_data, run, false)->Name("running_100/batch_of_data")->UseManualTime();
BENCHMARK_CAPTURE(step_batch_of_events, run, false)->Name("running_100/batch_of_events")->UseManualTime();
BENCHMARK(nothing<int>)->Name("event/int/nothing");
BENCHMARK(by_hand<int>)->Name("event/int/vector_and_mutex");
BENCHMARK((batch<int, int>))->Name("event/int/batch_of_data");
BENCHMARK((batch<int, gossip::Event>))->Name("event/int/batch_of_events");
BENCHMARK(nothing<std::string>)->Name("event/string/nothing");
BENCHMARK(by_hand<std::string>)->Name("event/string/vector_and_mutex");
BENCHMARK((batch<std::string, std::string>))->Name("event/string/batch_of_data");
BENCHMARK((batch<std::string, gossip::Event>))->Name("event/string/batch_of_events");
BENCHMARK(keyed_nothing)->Name("event/keyed/nothing");
BENCHMARK(keyed_by_hand)->Name("event/keyed/vector_and_mutex");
BENCHMARK(keyed_batch)->Name("event/keyed/batch_of_data");

} // namespace
