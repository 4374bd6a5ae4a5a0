// How many events a second get through when the traffic is not the plain one? Beside a bus of a mutex, two condition
// variables and a deque that does the same; 48 bytes of data, 2 workers.
//
// topics:          events of so many names in turn, each with a processor of its own; the locked bus looks the name up
//                  in an unordered_map.
// keys/uniform:    events of 1,000 keys in turn, in order within each; keys/hot: nine of ten have one key. The locked
//                  bus keeps the order by having one worker.
// bursts:          1,000 events as fast as one thread publishes them, then nothing until all are handled, and again.
// slow_neighbour:  one event in a thousand goes to a processor that takes 20 µs.
// from_processors: each event has its processor publish a second one.
//
// One iteration is a bus made, all events published and all of them handled; the time runs from the first publish to
// the end of shutdown. Items are events delivered: what the processors counted must be what was published, or the run
// fails. `allocations` are those of all threads for an event delivered.

#include "support/allocations.hpp"
#include "support/heard.hpp"
#include "support/locked_bus.hpp"
#include "support/others.hpp"
#include "support/patience.hpp"

#include <gossip/gossip.hpp>

#include <benchmark/benchmark.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

struct Data {
    std::uint64_t words[6] = {};
};

using Clock = std::chrono::steady_clock;

constexpr unsigned workers = 2;
constexpr std::size_t buffer = 1024;

void process(const Data& data) {
    benchmark::DoNotOptimize(&data);
    Heard::note();
}

void dawdle(const Data& data) {
    const auto end = Clock::now() + std::chrono::microseconds(20);
    while (Clock::now() < end) {
        gossip::platform::cpu_pause();
    }
    process(data);
}

struct Measured {
    double seconds = 0;
    std::uint64_t allocations = 0;
};

/// `through(events, measured)` publishes that many events and ends its bus; true if the bus says that all went well.
template <class Through>
void run(benchmark::State& state, std::uint64_t events, std::uint64_t calls, Through through) {
    const Others others;
    Measured measured;
    for (auto _ : state) {
        Heard::reset();
        if (!through(events, measured) || Heard::total() != calls) {
            state.SkipWithError("what was delivered is not what was published");
            break;
        }
        state.SetIterationTime(measured.seconds);
    }
    const std::int64_t delivered = state.iterations() * static_cast<std::int64_t>(calls);
    state.SetItemsProcessed(delivered);
    state.counters["allocations"] = static_cast<double>(measured.allocations) / static_cast<double>(delivered);
    state.counters["others"] = others.busy();
}

/// From the first publish to the end of shutdown.
template <class Bus, class Publish>
bool drive(Bus& bus, std::uint64_t events, Measured& measured, Publish publish) {
    const Allocations allocations;
    const auto start = Clock::now();
    for (std::uint64_t i = 0; i < events; ++i) {
        publish(i);
    }
    const auto end = bus.shutdown();
    measured.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    measured.allocations += allocations.count();
    return end.accepted == end.handled && end.accepted >= events;
}

std::vector<std::string> names(std::size_t count) {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < count; ++i) {
        all.push_back("bench.topic-" + std::to_string(i));
    }
    return all;
}

void topics_bus(benchmark::State& state) {
    std::vector<gossip::Topic<Data>> topics;
    for (const std::string& name : names(static_cast<std::size_t>(state.range(0)))) {
        topics.emplace_back(gossip::EventType(name));
    }
    constexpr std::uint64_t events = 1'000'000;
    run(state, events, events, [&](std::uint64_t all, Measured& measured) {
        gossip::EventBus bus{gossip::Config{.workers = workers, .buffer_size = buffer}};
        std::vector<gossip::Subscription> subscriptions;
        for (const auto& topic : topics) {
            subscriptions.push_back(bus.subscribe(topic, process));
        }
        std::size_t next = 0;
        return drive(bus, all, measured, [&](std::uint64_t) {
            bus.publish(topics[next], Data{});
            next = next + 1 == topics.size() ? 0 : next + 1;
        });
    });
}

struct Named {
    std::string_view name;
    Data data;
};

void topics_locked_bus(benchmark::State& state) {
    const std::vector<std::string> all_names = names(static_cast<std::size_t>(state.range(0)));
    std::unordered_map<std::string_view, std::function<void(const Data&)>> processors;
    for (const std::string& name : all_names) {
        processors.emplace(name, process);
    }
    constexpr std::uint64_t events = 200'000;
    run(state, events, events, [&](std::uint64_t all, Measured& measured) {
        LockedBus<Named> bus(workers, buffer);
        bus.subscribe([&](const Named& event) { processors.find(event.name)->second(event.data); });
        std::size_t next = 0;
        return drive(bus, all, measured, [&](std::uint64_t) {
            bus.publish(Named{all_names[next], {}});
            next = next + 1 == all_names.size() ? 0 : next + 1;
        });
    });
}

inline constexpr gossip::Topic<Data> topic{"bench.event"};
inline constexpr gossip::Topic<Data> second{"bench.second"};

template <bool hot>
void keys_bus(benchmark::State& state) {
    const std::vector<std::string> keys = names(1'000);
    constexpr std::uint64_t events = 500'000;
    run(state, events, events, [&](std::uint64_t all, Measured& measured) {
        gossip::EventBus bus{gossip::Config{.workers = workers, .buffer_size = buffer}};
        const auto subscription = bus.subscribe(topic, process);
        return drive(bus, all, measured, [&](std::uint64_t i) {
            bus.publish(topic, Data{}, {.key = keys[hot && i % 10 != 0 ? 0 : i % keys.size()]});
        });
    });
}

void keys_locked_bus(benchmark::State& state) {
    constexpr std::uint64_t events = 200'000;
    run(state, events, events, [](std::uint64_t all, Measured& measured) {
        LockedBus<Data> bus(1, buffer);
        bus.subscribe(process);
        return drive(bus, all, measured, [&](std::uint64_t) { bus.publish(Data{}); });
    });
}

/// Publishes in bursts, and waits for each to be handled.
template <class Publish>
auto in_bursts(const std::atomic<std::uint64_t>& handled, Publish publish) {
    return [&handled, publish](std::uint64_t i) {
        publish();
        if ((i + 1) % 1'000 == 0) {
            Patience patience; // what is lost is told at the end
            while (handled.load(std::memory_order_relaxed) != i + 1 && patience.lasts()) { // relaxed: a count
                std::this_thread::yield();
            }
        }
    };
}
auto counting(std::atomic<std::uint64_t>& handled) {
    return [&handled](const Data& data) {
        process(data);
        handled.fetch_add(1, std::memory_order_relaxed); // relaxed: a count
    };
}

void bursts_bus(benchmark::State& state) {
    constexpr std::uint64_t events = 200'000;
    run(state, events, events, [](std::uint64_t all, Measured& measured) {
        std::atomic<std::uint64_t> handled{0};
        gossip::EventBus bus{gossip::Config{.workers = workers, .buffer_size = buffer}};
        const auto subscription = bus.subscribe(topic, counting(handled));
        return drive(bus, all, measured, in_bursts(handled, [&bus] { bus.publish(topic, Data{}); }));
    });
}

void bursts_locked_bus(benchmark::State& state) {
    constexpr std::uint64_t events = 200'000;
    run(state, events, events, [](std::uint64_t all, Measured& measured) {
        std::atomic<std::uint64_t> handled{0};
        LockedBus<Data> bus(workers, buffer);
        bus.subscribe(counting(handled));
        return drive(bus, all, measured, in_bursts(handled, [&bus] { bus.publish(Data{}); }));
    });
}

void slow_neighbour_bus(benchmark::State& state) {
    constexpr std::uint64_t events = 500'000;
    run(state, events, events, [](std::uint64_t all, Measured& measured) {
        gossip::EventBus bus{gossip::Config{.workers = workers, .buffer_size = buffer}};
        const auto quick = bus.subscribe(topic, process);
        const auto slow = bus.subscribe(second, dawdle);
        return drive(bus, all, measured,
                     [&](std::uint64_t i) { bus.publish(i % 1'000 == 0 ? second : topic, Data{}); });
    });
}

void slow_neighbour_locked_bus(benchmark::State& state) {
    constexpr std::uint64_t events = 200'000;
    run(state, events, events, [](std::uint64_t all, Measured& measured) {
        LockedBus<Data> bus(workers, buffer);
        bus.subscribe([](const Data& data) { data.words[0] == 0 ? dawdle(data) : process(data); });
        return drive(bus, all, measured, [&](std::uint64_t i) { bus.publish(Data{{i % 1'000}}); });
    });
}

void from_processors_bus(benchmark::State& state) {
    constexpr std::uint64_t events = 500'000;
    run(state, events, 2 * events, [](std::uint64_t all, Measured& measured) {
        gossip::EventBus bus{gossip::Config{.workers = workers, .buffer_size = buffer}};
        const auto first = bus.subscribe(topic, [&bus](const Data& data) {
            process(data);
            bus.publish(second, data);
        });
        const auto further = bus.subscribe(second, process);
        return drive(bus, all, measured, [&](std::uint64_t i) {
            bus.publish(topic, Data{});
            if (i + 1 == all) { // what a processor publishes after the beginning of shutdown would be refused
                bus.drain(std::chrono::minutes(1));
            }
        });
    });
}

void from_processors_locked_bus(benchmark::State& state) {
    constexpr std::uint64_t events = 200'000;
    run(state, events, 2 * events, [](std::uint64_t all, Measured& measured) {
        LockedBus<Data> bus(workers, 2 * events); // room for all: its workers would wait for themselves
        bus.subscribe([&bus](const Data& data) {
            process(data);
            if (data.words[0] == 0) {
                bus.publish(Data{{1}});
            }
        });
        return drive(bus, all, measured, [&](std::uint64_t) { bus.publish(Data{}); });
    });
}

} // namespace

#define GOSSIP_TRAFFIC(function, name) BENCHMARK(function)->Name(name)->UseManualTime()->Iterations(1)

GOSSIP_TRAFFIC(topics_bus, "topics/bus")->ArgName("topics")->Arg(1)->Arg(100)->Arg(10'000);
GOSSIP_TRAFFIC(topics_locked_bus, "topics/locked_bus")->ArgName("topics")->Arg(1)->Arg(100)->Arg(10'000);
GOSSIP_TRAFFIC(keys_bus<false>, "keys/uniform/bus");
GOSSIP_TRAFFIC(keys_locked_bus, "keys/uniform/locked_bus");
GOSSIP_TRAFFIC(keys_bus<true>, "keys/hot/bus");
GOSSIP_TRAFFIC(keys_locked_bus, "keys/hot/locked_bus");
GOSSIP_TRAFFIC(bursts_bus, "bursts/bus");
GOSSIP_TRAFFIC(bursts_locked_bus, "bursts/locked_bus");
GOSSIP_TRAFFIC(slow_neighbour_bus, "slow_neighbour/bus");
GOSSIP_TRAFFIC(slow_neighbour_locked_bus, "slow_neighbour/locked_bus");
GOSSIP_TRAFFIC(from_processors_bus, "from_processors/bus");
GOSSIP_TRAFFIC(from_processors_locked_bus, "from_processors/locked_bus");

BENCHMARK_MAIN();
