// How do parts of the library stand beside what others have made of them, in the same run? Only those are measured that
// this system has; the report names the missing.
//
// push_pop and handoff: queues of 64-byte items and 1,024 places; one item is one value *delivered*, its push, its pop
// and every retry of both; a thread that finds the queue full or empty yields. moodycamel's queue keeps only the order
// of each producer, and its 1,024 places are a hint. Boost.Lockfree's keeps nodes, not places.
// sync: one publish to 1 and 10 processors on the calling thread; every call is counted. Boost.Signals2 locks, and
// lets slots come and go meanwhile, as the bus does; by_hand is a loop over functions behind a reader's lock.

#include "support/allocations.hpp"
#include "support/handoff.hpp"
#include "support/textbook_ring.hpp"

#include <gossip/concurrency/mpmc_queue.hpp>
#include <gossip/gossip.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <utility>
#include <vector>

#if GOSSIP_BENCH_MOODYCAMEL
#include <concurrentqueue.h>
#endif
#if GOSSIP_BENCH_TBB
#include <tbb/concurrent_queue.h>
#endif
#if GOSSIP_BENCH_BOOST
#include <boost/lockfree/queue.hpp>
#include <boost/signals2.hpp>
#endif

namespace {

template <class T>
using MpmcQueue = gossip::MpmcQueue<T>;
using handing_off::LockedDeque;

#if GOSSIP_BENCH_MOODYCAMEL
template <class T>
class Moodycamel {
public:
    explicit Moodycamel(std::size_t capacity) : queue_(capacity, 0, 4) {}

    bool try_push(T&& value) { return queue_.try_enqueue(std::move(value)); }
    std::optional<T> try_pop() {
        std::optional<T> value(std::in_place);
        if (!queue_.try_dequeue(*value)) {
            value.reset();
        }
        return value;
    }

private:
    moodycamel::ConcurrentQueue<T> queue_;
};
#endif

#if GOSSIP_BENCH_TBB
template <class T>
class OneTbb {
public:
    explicit OneTbb(std::size_t capacity) { queue_.set_capacity(static_cast<std::ptrdiff_t>(capacity)); }

    bool try_push(T&& value) { return queue_.try_push(std::move(value)); }
    std::optional<T> try_pop() {
        std::optional<T> value(std::in_place);
        if (!queue_.try_pop(*value)) {
            value.reset();
        }
        return value;
    }

private:
    tbb::concurrent_bounded_queue<T> queue_;
};
#endif

#if GOSSIP_BENCH_BOOST
template <class T>
class BoostLockfree {
public:
    explicit BoostLockfree(std::size_t capacity) : queue_(capacity) {}

    bool try_push(T&& value) { return queue_.bounded_push(value); }
    std::optional<T> try_pop() {
        std::optional<T> value(std::in_place);
        if (!queue_.pop(*value)) {
            value.reset();
        }
        return value;
    }

private:
    boost::lockfree::queue<T> queue_;
};
#endif

struct Data {
    std::uint64_t words[6] = {};
};
inline constexpr gossip::Topic<Data> topic{"bench.event"};
std::int64_t called = 0;

void process(const Data& data) {
    auto word = data.words[0]; // newer versions want something that they may change
    benchmark::DoNotOptimize(word);
    ++called;
}

void calls(benchmark::State& state, const auto& call) {
    called = 0;
    std::uint64_t number = 0;
    const Allocations counter;
    for (auto _ : state) {
        call(Data{{++number, 1, 2, 3, 4, 5}});
    }
    state.counters["allocations"] = static_cast<double>(counter.count()) / static_cast<double>(state.iterations());
    if (called != static_cast<std::int64_t>(state.iterations()) * state.range(0)) {
        state.SkipWithError("a processor did not run");
    }
}

void sync_bus(benchmark::State& state) {
    gossip::EventBus<> bus{gossip::Config{.workers = 0}};
    std::vector<gossip::Subscription> subscriptions;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        subscriptions.push_back(bus.subscribe(topic, process));
    }
    calls(state, [&bus](Data&& data) { benchmark::DoNotOptimize(bus.publish_sync(topic, std::move(data)).ok()); });
}

void sync_by_hand(benchmark::State& state) {
    const std::vector<std::function<void(const Data&)>> processors(static_cast<std::size_t>(state.range(0)), process);
    std::shared_mutex mutex;
    calls(state, [&](Data&& data) {
        const std::shared_lock lock(mutex);
        for (const auto& processor : processors) {
            processor(data);
        }
    });
}

#if GOSSIP_BENCH_BOOST
void sync_signals2(benchmark::State& state) {
    boost::signals2::signal<void(const Data&)> signal;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        signal.connect(process);
    }
    calls(state, [&signal](Data&& data) { signal(data); });
}
#endif

} // namespace

GOSSIP_QUEUE(MpmcQueue, 64, "mpmc_queue");
GOSSIP_QUEUE(TextbookRing, 64, "textbook_ring");
GOSSIP_QUEUE(LockedDeque, 64, "locked_deque");
BENCHMARK(sync_bus)->Name("sync/bus")->ArgName("subscribers")->Arg(1)->Arg(10);
BENCHMARK(sync_by_hand)->Name("sync/by_hand")->ArgName("subscribers")->Arg(1)->Arg(10);
#if GOSSIP_BENCH_MOODYCAMEL
GOSSIP_QUEUE(Moodycamel, 64, "moodycamel");
#endif
#if GOSSIP_BENCH_TBB
GOSSIP_QUEUE(OneTbb, 64, "onetbb");
#endif
#if GOSSIP_BENCH_BOOST
GOSSIP_QUEUE(BoostLockfree, 64, "boost_lockfree");
BENCHMARK(sync_signals2)->Name("sync/boost_signals2")->ArgName("subscribers")->Arg(1)->Arg(10);
#endif

BENCHMARK_MAIN();
