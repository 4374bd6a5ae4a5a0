// What do the operations cost that the original's own suite measures? The suite of the Go library of this name, shape
// by shape, each beside what that suite said when it ran on a machine of this kind (`original_ns`; not of this run),
// and beside what one would write by hand, in this run.
//
// The suite counts calls, and most of its publishes are refused by a full buffer. `calls` counts so: an iteration is
// one publish into a buffer of 1,024 that refuses when it is full, whatever came of it; `refused` is the part that
// was. In `delivered` an iteration is one event accepted and handled: publish waits when the buffer is full, and the
// time ends when the last event is handled; beside it a bus of a mutex, two condition variables and a deque. What was
// handled must be what was published, or the run fails.
// Data: none; 16 bytes; 1 KiB; 10 KiB, each copied into its event, where the original passes a pointer.
// subscribe: one subscription made and ended; by hand in a map of vectors under a mutex. batch_add: one event
// published, collected and run, 100 to a run; batch_flush: 100 events published, collected and run by one flush; by
// hand a vector under a mutex, filled by the locked bus. Filters and middleware: one question, one call.
// `allocations` are those of all threads for each iteration.

#include "support/allocations.hpp"
#include "support/locked_bus.hpp"

#include <gossip/gossip.hpp>

#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
namespace filter = gossip::filter;
namespace middleware = gossip::middleware;
using gossip::Config;
using gossip::Context;
using gossip::Event;
using gossip::Overflow;
using gossip::PublishStatus;
using gossip::Result;

template <std::size_t size>
using Bytes = std::array<std::uint64_t, size / sizeof(std::uint64_t)>;
template <class T>
inline constexpr gossip::Topic<T> topic{"bench.event"};

/// Events between two drains: so many that waiting for the last of them is not what is measured.
template <class T>
constexpr std::int64_t burst = sizeof(T) > 4096 ? 20'000 : 200'000;
template <>
constexpr std::int64_t burst<void> = 200'000;

void report(benchmark::State& state, std::uint64_t allocations) {
    state.counters["allocations"] = static_cast<double>(allocations) / static_cast<double>(state.iterations());
}

void beside_original(benchmark::State& state, double nanoseconds, const char* difference) {
    state.counters["original_ns"] = nanoseconds;
    state.SetLabel(difference);
}

template <class T>
PublishStatus publish(gossip::EventBus<>& bus) {
    if constexpr (std::is_void_v<T>) {
        return bus.publish(topic<void>);
    } else {
        return bus.publish(topic<T>, T{});
    }
}

template <class T>
gossip::Subscription subscribe(gossip::EventBus<>& bus) {
    if constexpr (std::is_void_v<T>) {
        return bus.subscribe(topic<void>, [](const Event& event) { benchmark::DoNotOptimize(&event); });
    } else {
        return bus.subscribe(topic<T>, [](const T& data) { benchmark::DoNotOptimize(&data); });
    }
}

template <class T, bool processor>
void calls(benchmark::State& state) {
    gossip::EventBus<> bus{Config{.overflow = Overflow::reject}};
    std::optional<gossip::Subscription> subscription;
    if constexpr (processor) {
        subscription.emplace(subscribe<T>(bus));
    }
    std::uint64_t refused = 0;
    const Allocations counter;
    for (auto _ : state) {
        refused += publish<T>(bus) == PublishStatus::accepted ? 0 : 1;
    }
    report(state, counter.count());
    state.counters["refused"] = static_cast<double>(refused) / static_cast<double>(state.iterations());
    const gossip::ShutdownReport end = bus.shutdown();
    if (!end.adds_up() || end.accepted + refused != static_cast<std::uint64_t>(state.iterations())) {
        state.SkipWithError("the counters do not add up");
    }
    beside_original(state, 130, "both count refusals; the original: the middle of 110 to 150 ns, whatever the data");
}

/// The data that stands for none.
struct None {};

template <class T, bool processor>
void calls_locked(benchmark::State& state) {
    LockedBus<T> bus(2, 1024);
    if constexpr (processor) {
        bus.subscribe([](const T& data) { benchmark::DoNotOptimize(&data); });
    }
    std::uint64_t refused = 0;
    const Allocations counter;
    for (auto _ : state) {
        refused += bus.try_publish(T{}) ? 0 : 1;
    }
    report(state, counter.count());
    state.counters["refused"] = static_cast<double>(refused) / static_cast<double>(state.iterations());
    const auto end = bus.shutdown();
    if (end.handled != end.accepted || end.accepted + refused != static_cast<std::uint64_t>(state.iterations())) {
        state.SkipWithError("the counters do not add up");
    }
}

template <class T, bool processor>
void delivered(benchmark::State& state) {
    gossip::EventBus<> bus{Config{}};
    std::optional<gossip::Subscription> subscription;
    if constexpr (processor) {
        subscription.emplace(subscribe<T>(bus));
    }
    const Allocations counter;
    while (state.KeepRunningBatch(burst<T>)) {
        for (std::int64_t i = 0; i < burst<T>; ++i) {
            publish<T>(bus);
        }
        if (!bus.drain(60s)) {
            state.SkipWithError("events are stuck");
            return;
        }
    }
    report(state, counter.count());
    const gossip::ShutdownReport end = bus.shutdown();
    if (!end.adds_up() || (processor ? end.handled : end.unrouted) != static_cast<std::uint64_t>(state.iterations())) {
        state.SkipWithError("what was delivered is not what was published");
    }
    if constexpr (processor) {
        beside_original(state, 1450, "the original: for each event accepted, with one processor");
    } else {
        beside_original(state, 150, "the original: for each event accepted, nothing delivered");
    }
}

template <class T, bool processor>
void delivered_locked(benchmark::State& state) {
    LockedBus<T> bus(2, 1024);
    if constexpr (processor) {
        bus.subscribe([](const T& data) { benchmark::DoNotOptimize(&data); });
    }
    const Allocations counter;
    while (state.KeepRunningBatch(burst<T>)) {
        for (std::int64_t i = 0; i < burst<T>; ++i) {
            bus.publish(T{});
        }
        bus.drain();
    }
    report(state, counter.count());
    if (bus.shutdown().handled != static_cast<std::uint64_t>(state.iterations())) {
        state.SkipWithError("what was delivered is not what was published");
    }
}

std::unique_ptr<gossip::EventBus<>> shared_bus;
std::optional<gossip::Subscription> shared_subscription;
std::unique_ptr<LockedBus<Bytes<16>>> shared_locked_bus;

void make_shared_bus(const benchmark::State&) {
    shared_bus = std::make_unique<gossip::EventBus<>>(Config{});
    shared_subscription.emplace(subscribe<Bytes<16>>(*shared_bus));
}
void drop_shared_bus(const benchmark::State&) {
    shared_subscription.reset();
    shared_bus.reset();
}
void make_shared_locked_bus(const benchmark::State&) {
    shared_locked_bus = std::make_unique<LockedBus<Bytes<16>>>(2U, 1024U);
    shared_locked_bus->subscribe([](const Bytes<16>& data) { benchmark::DoNotOptimize(&data); });
}
void drop_shared_locked_bus(const benchmark::State&) { shared_locked_bus.reset(); }

/// Runs on every thread; when all have come to their end, `whole(published)` on the first.
void contend(benchmark::State& state, const auto& publish_one, const auto& whole) {
    std::int64_t accepted = 0;
    const Allocations counter;
    for (auto _ : state) {
        accepted += publish_one() ? 1 : 0;
    }
    if (accepted != static_cast<std::int64_t>(state.iterations())) {
        state.SkipWithError("an event was refused");
    }
    if (state.thread_index() == 0) { // of all threads the counters are added up: these are the figures once
        counter.show(state, state.iterations() * state.threads());
        if (!whole(static_cast<std::uint64_t>(state.iterations()) * static_cast<std::uint64_t>(state.threads()))) {
            state.SkipWithError("what was delivered is not what was published");
        }
    }
}

void contention(benchmark::State& state) {
    contend(
        state, [] { return publish<Bytes<16>>(*shared_bus) == PublishStatus::accepted; },
        [](std::uint64_t published) {
            const gossip::ShutdownReport end = shared_bus->shutdown();
            return end.adds_up() && end.handled == published;
        });
    if (state.thread_index() == 0) {
        beside_original(state, 130, "the original counts refusals; here publishers wait while the buffer is full");
    }
}
void contention_locked(benchmark::State& state) {
    contend(
        state,
        [] {
            shared_locked_bus->publish(Bytes<16>{});
            return true;
        },
        [](std::uint64_t published) { return shared_locked_bus->shutdown().handled == published; });
}

void subscribing(benchmark::State& state) {
    gossip::EventBus<> bus{Config{.workers = 0}};
    const Allocations counter;
    for (auto _ : state) {
        benchmark::DoNotOptimize(subscribe<Bytes<16>>(bus));
    }
    report(state, counter.count());
    if (bus.stats().subscriptions != 0) {
        state.SkipWithError("a subscription has stayed");
    }
    beside_original(state, 355, "the original only subscribes; here the subscription is ended, too");
}

void subscribing_by_hand(benchmark::State& state) {
    using Processor = std::function<void(const Bytes<16>&)>;
    std::mutex mutex;
    std::unordered_map<std::string, std::vector<std::pair<std::uint64_t, Processor>>> processors;
    std::uint64_t last_id = 0;
    const Allocations counter;
    for (auto _ : state) {
        const std::uint64_t id = ++last_id;
        {
            const std::lock_guard lock(mutex);
            processors["bench.event"].emplace_back(id, [](const Bytes<16>& data) { benchmark::DoNotOptimize(&data); });
        }
        const std::lock_guard lock(mutex);
        std::erase_if(processors["bench.event"], [id](const auto& each) { return each.first == id; });
    }
    report(state, counter.count());
    if (!processors["bench.event"].empty()) {
        state.SkipWithError("a subscription has stayed");
    }
}

void new_bus(benchmark::State& state) {
    const Allocations counter;
    for (auto _ : state) {
        gossip::EventBus<> bus{Config{}};
        benchmark::DoNotOptimize(&bus);
    }
    report(state, counter.count());
    state.SetLabel("two threads made and joined; no figure of the original");
}
void new_locked_bus(benchmark::State& state) {
    const Allocations counter;
    for (auto _ : state) {
        LockedBus<int> bus(2, 1024);
        benchmark::DoNotOptimize(&bus);
    }
    report(state, counter.count());
}

void configuration(benchmark::State& state) {
    const Allocations counter;
    for (auto _ : state) {
        gossip::EventBus<> bus{Config{.workers = 0, .buffer_size = 64, .overflow = Overflow::drop_oldest}};
        benchmark::DoNotOptimize(&bus);
    }
    report(state, counter.count());
    state.SetLabel("checked, and a bus without workers made of it; no figure of the original");
}
void configuration_locked(benchmark::State& state) {
    const Allocations counter;
    for (auto _ : state) {
        LockedBus<int> bus(0, 64);
        benchmark::DoNotOptimize(&bus);
    }
    report(state, counter.count());
    state.SetLabel("nothing to check, and a deque that grows as it is used");
}

/// `flushed`: an iteration is 100 events and a flush; otherwise one event.
template <bool flushed>
void batch(benchmark::State& state) {
    constexpr std::int64_t size = 100;
    gossip::EventBus<> bus{Config{.workers = 0}};
    std::int64_t seen = 0;
    const auto subscription =
        bus.subscribe(topic<int>, gossip::batch<int>({.size = flushed ? 2 * size : size, .period = 1h},
                                                     [&](std::span<const int> items) {
                                                         seen += static_cast<std::int64_t>(items.size());
                                                         benchmark::DoNotOptimize(items.data());
                                                     }));
    const auto collect = [&bus] {
        for (int i = 0; i < size; ++i) {
            bus.publish(topic<int>, int{i});
        }
        bus.poll();
        if constexpr (flushed) {
            bus.flush();
            bus.poll();
        }
    };
    collect();
    seen = 0;
    const Allocations counter;
    if constexpr (flushed) {
        for (auto _ : state) {
            collect();
        }
    } else {
        while (state.KeepRunningBatch(size)) {
            collect();
        }
    }
    report(state, counter.count());
    if (seen != static_cast<std::int64_t>(state.iterations()) * (flushed ? size : 1)) {
        state.SkipWithError("what ran is not what was published");
    }
    if constexpr (flushed) {
        beside_original(state, 7700,
                        "the original flushes 100 added directly, with 102 allocations; here all 100 come "
                        "through the bus");
    } else {
        beside_original(state, 17,
                        "the original adds to a list; here the event is published, taken out, collected and "
                        "run, and counted");
    }
}

template <bool flushed>
void batch_by_hand(benchmark::State& state) {
    constexpr std::size_t size = 100;
    constexpr std::size_t most = flushed ? 2 * size : size;
    LockedBus<int> bus(0, 1024);
    std::mutex mutex;
    std::vector<int> waiting;
    std::vector<int> running;
    std::int64_t seen = 0;
    const auto flush = [&] {
        {
            const std::lock_guard lock(mutex);
            running.swap(waiting);
        }
        seen += static_cast<std::int64_t>(running.size());
        benchmark::DoNotOptimize(running.data());
        running.clear();
    };
    bus.subscribe([&](const int& item) {
        bool full = false;
        {
            const std::lock_guard lock(mutex);
            waiting.push_back(item);
            full = waiting.size() == most;
        }
        if (full) {
            flush();
        }
    });
    const auto collect = [&] {
        for (std::size_t i = 0; i < size; ++i) {
            bus.publish(static_cast<int>(i));
        }
        bus.poll();
        if constexpr (flushed) {
            flush();
        }
    };
    collect();
    collect(); // both vectors have grown
    seen = 0;
    const Allocations counter;
    while (state.KeepRunningBatch(flushed ? 1 : static_cast<std::int64_t>(size))) {
        collect();
    }
    report(state, counter.count());
    if (seen != static_cast<std::int64_t>(state.iterations()) * (flushed ? static_cast<std::int64_t>(size) : 1)) {
        state.SkipWithError("what ran is not what was published");
    }
}

void ask(benchmark::State& state, const auto& question, double original) {
    Event event = Event{topic<int>, 1}.with_metadata("source", "api").with_metadata("priority", "high");
    std::int64_t yes = 0;
    const Allocations counter;
    for (auto _ : state) {
        benchmark::DoNotOptimize(&event);
        benchmark::ClobberMemory();
        yes += question(event) ? 1 : 0;
    }
    report(state, counter.count());
    if (yes != static_cast<std::int64_t>(state.iterations())) {
        state.SkipWithError("a filter said no");
    }
    if (original > 0) {
        beside_original(state, original, "counted alike");
    }
}
bool has_text(const Event& event, std::string_view key, std::string_view value) {
    for (const auto& entry : event.metadata()) {
        if (entry.key == key) {
            const auto text = entry.value.get<std::string_view>();
            return text && *text == value;
        }
    }
    return false;
}
void one_filter_by_hand(benchmark::State& state) {
    ask(
        state, [](const Event& event) { return has_text(event, "source", "api"); }, 0);
}
void and_filter_by_hand(benchmark::State& state) {
    ask(
        state,
        [](const Event& event) { return has_text(event, "source", "api") && has_text(event, "priority", "high"); }, 0);
}
void one_filter(benchmark::State& state) { ask(state, filter::metadata("source", "api"), 13); }
void and_filter(benchmark::State& state) {
    ask(state, filter::metadata("source", "api") && filter::metadata("priority", "high"), 22);
}

void call(benchmark::State& state, const auto& wrapper, double original, const char* difference) {
    auto bound = gossip::bind_processor<int>(wrapper([](const int& n) -> Result {
        benchmark::DoNotOptimize(&n);
        return {};
    }));
    Context context;
    const Event event{topic<int>, 1};
    std::int64_t failed = 0;
    const Allocations counter;
    for (auto _ : state) {
        failed += bound(context, event) ? 0 : 1;
    }
    report(state, counter.count());
    if (failed != 0) {
        state.SkipWithError("a run has failed");
    }
    if (original > 0) {
        state.counters["original_ns"] = original;
    }
    state.SetLabel(difference);
}
void bare(benchmark::State& state) { call(state, middleware::chain(), 0, "no middleware"); }
void retry(benchmark::State& state) { call(state, middleware::retry(3, 1ms), 4, "counted alike"); }
void recovery(benchmark::State& state) { call(state, middleware::recovery(), 6, "counted alike"); }
void timeout(benchmark::State& state) {
    call(state, middleware::timeout(5s), 1700, "the original starts a goroutine for each call, with 8 allocations");
}
void chain(benchmark::State& state) {
    call(state, middleware::chain(middleware::recovery(), middleware::retry(3, 1ms), middleware::timeout(5s)), 0,
         "recovery, retry and timeout; no figure of the original");
}

} // namespace

BENCHMARK(calls<void, false>)->Name("publish_no_processors/calls/bus")->UseRealTime();
BENCHMARK(calls_locked<None, false>)->Name("publish_no_processors/calls/locked_bus")->UseRealTime();
BENCHMARK(delivered<void, false>)->Name("publish_no_processors/delivered/bus")->UseRealTime();
BENCHMARK(delivered_locked<None, false>)->Name("publish_no_processors/delivered/locked_bus")->UseRealTime();
BENCHMARK(calls<void, true>)->Name("publish_nil/calls/bus")->UseRealTime();
BENCHMARK(calls_locked<None, true>)->Name("publish_nil/calls/locked_bus")->UseRealTime();
BENCHMARK(delivered<void, true>)->Name("publish_nil/delivered/bus")->UseRealTime();
BENCHMARK(delivered_locked<None, true>)->Name("publish_nil/delivered/locked_bus")->UseRealTime();
BENCHMARK(calls<Bytes<16>, true>)->Name("publish_small/calls/bus")->UseRealTime();
BENCHMARK(calls_locked<Bytes<16>, true>)->Name("publish_small/calls/locked_bus")->UseRealTime();
BENCHMARK(delivered<Bytes<16>, true>)->Name("publish_small/delivered/bus")->UseRealTime();
BENCHMARK(delivered_locked<Bytes<16>, true>)->Name("publish_small/delivered/locked_bus")->UseRealTime();
BENCHMARK(calls<Bytes<1024>, true>)->Name("publish_medium/calls/bus")->UseRealTime();
BENCHMARK(calls_locked<Bytes<1024>, true>)->Name("publish_medium/calls/locked_bus")->UseRealTime();
BENCHMARK(delivered<Bytes<1024>, true>)->Name("publish_medium/delivered/bus")->UseRealTime();
BENCHMARK(delivered_locked<Bytes<1024>, true>)->Name("publish_medium/delivered/locked_bus")->UseRealTime();
BENCHMARK(calls<Bytes<10240>, true>)->Name("publish_large/calls/bus")->UseRealTime();
BENCHMARK(calls_locked<Bytes<10240>, true>)->Name("publish_large/calls/locked_bus")->UseRealTime();
BENCHMARK(delivered<Bytes<10240>, true>)->Name("publish_large/delivered/bus")->UseRealTime();
BENCHMARK(delivered_locked<Bytes<10240>, true>)->Name("publish_large/delivered/locked_bus")->UseRealTime();
BENCHMARK(contention)
    ->Name("publish_contention/bus")
    ->Setup(make_shared_bus)
    ->Teardown(drop_shared_bus)
    ->Threads(4)
    ->UseRealTime();
BENCHMARK(contention_locked)
    ->Name("publish_contention/locked_bus")
    ->Setup(make_shared_locked_bus)
    ->Teardown(drop_shared_locked_bus)
    ->Threads(4)
    ->UseRealTime();
BENCHMARK(subscribing)->Name("subscribe/bus");
BENCHMARK(subscribing_by_hand)->Name("subscribe/hand");
BENCHMARK(new_bus)->Name("new_bus/bus")->UseRealTime();
BENCHMARK(new_locked_bus)->Name("new_bus/locked_bus")->UseRealTime();
BENCHMARK(configuration)->Name("configuration/bus");
BENCHMARK(configuration_locked)->Name("configuration/locked_bus");
BENCHMARK(batch<false>)->Name("batch_add/bus");
BENCHMARK(batch_by_hand<false>)->Name("batch_add/hand");
BENCHMARK(batch<true>)->Name("batch_flush/bus");
BENCHMARK(batch_by_hand<true>)->Name("batch_flush/hand");
BENCHMARK(one_filter)->Name("filter/bus");
BENCHMARK(one_filter_by_hand)->Name("filter/hand");
BENCHMARK(and_filter)->Name("and_filter/bus");
BENCHMARK(and_filter_by_hand)->Name("and_filter/hand");
BENCHMARK(bare)->Name("bare");
BENCHMARK(retry)->Name("retry");
BENCHMARK(recovery)->Name("recovery");
BENCHMARK(timeout)->Name("timeout");
BENCHMARK(chain)->Name("chain");

BENCHMARK_MAIN();
