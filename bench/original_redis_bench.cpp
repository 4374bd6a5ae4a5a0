// What do the operations of the original's suite cost through a Redis server of our own, shape by shape? Beside what
// the Go library of this name took when it ran on a machine of this kind (`original_ns`; not of this run), where there
// is a figure of it, and beside hiredis by hand, which waits for each answer before it goes on. All over TCP on
// 127.0.0.1.
//
// publish: an iteration is one event published on one bus, accepted, received by another and handled; without
// processors, published and confirmed by the server. No data; text of 128 bytes, 1 KiB and 10 KiB with the default
// codec over Pub/Sub. contention: 50 threads publish on one bus; by hand each has a connection of its own.
// subscribe: one subscription made, confirmed by the server, and ended. new_bus: made and shut down; by hand two
// connections made and greeted. configuration: options checked; by hand the url read with sscanf. batch_add: one event
// published, received, collected and run, 100 to a run; batch_flush: 100 published, received, collected and run by one
// flush; by hand a vector, filled by the thread that reads. What does not arrive fails the run, and so do counters that
// do not add up. `allocations` are those of all threads for each iteration; hiredis' own are not among them.

#include "support/allocations.hpp"
#include "support/patience.hpp"

#include <gossip/batch/batch.hpp>
#include <gossip/bus/event_bus.hpp>
#include <gossip/redis.hpp>

#include "support/redis_server.hpp"

#include <benchmark/benchmark.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <hiredis/hiredis.h>

#include <sys/socket.h>
#include <sys/time.h>

namespace original_redis_bench {

using namespace std::chrono_literals;
using Bus = gossip::EventBus<gossip::RedisProvider>;

inline constexpr gossip::Topic<std::string> text{"bench.text"};
inline constexpr gossip::Topic<> nil{"bench.nil"};
constexpr std::int64_t batch_size = 100;

const gossip_test::RedisServer& server() {
    static const gossip_test::RedisServer only({"--appendonly", "no"});
    return only;
}

/// Two buses, one to publish on and one to listen on, and what the processors have counted.
struct Pair {
    const gossip::RedisOptions options{.url = server().tcp_url()};
    std::atomic<std::int64_t> handled{0};
    Bus sender{options, gossip::Config{.workers = 1}};
    Bus listener{options, gossip::Config{.workers = 1, .buffer_size = 65'536}};

    void count(bool right = true) { handled.fetch_add(right ? 1 : 0, std::memory_order_relaxed); } // relaxed: a count

    [[nodiscard]] bool wait_for(std::int64_t wanted) const {
        Patience patience;
        while (handled.load(std::memory_order_relaxed) < wanted) { // relaxed: a count
            if (!patience.lasts()) {
                return false;
            }
            std::this_thread::sleep_for(20us); // the processors are the others'
        }
        return handled == wanted;
    }

    /// True if all that was published has come to its end, and nothing else.
    [[nodiscard]] bool end() {
        const gossip::ShutdownReport sent = sender.shutdown(20s);
        const gossip::ShutdownReport heard = listener.shutdown(20s);
        return sent.complete && sent.adds_up() && heard.complete && heard.adds_up();
    }
};

/// `publish_one()` by so many threads, `count` times altogether; how many were accepted.
std::int64_t publish_all(std::int64_t count, std::int64_t publishers, const auto& publish_one) {
    std::atomic<std::int64_t> accepted{0};
    std::vector<std::thread> threads;
    for (std::int64_t i = 0; i < publishers; ++i) {
        threads.emplace_back([&] {
            std::int64_t mine = 0;
            for (std::int64_t number = 0; number < count / publishers; ++number) {
                mine += publish_one() ? 1 : 0;
            }
            accepted += mine;
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    return accepted;
}

/// Publishes so many at a time, a multiple of the publishers, and waits for them with `all_there(count)`.
void publish_through(benchmark::State& state, Pair& pair, std::int64_t count, std::int64_t publishers,
                     const auto& publish_one, const auto& all_there) {
    const Allocations allocations;
    while (state.KeepRunningBatch(count)) {
        pair.handled = 0;
        if (publish_all(count, publishers, publish_one) != count || !all_there(count)) {
            state.SkipWithError("not all events arrived");
            return;
        }
    }
    allocations.show(state, state.iterations());
    if (!pair.end()) {
        state.SkipWithError("the counters do not add up");
    }
}

void publish_no_processors(benchmark::State& state) {
    Pair pair;
    publish_through(
        state, pair, 10'000, 1, [&] { return pair.sender.publish(nil) == gossip::PublishStatus::accepted; },
        [&](std::int64_t) { return pair.sender.drain(30s); });
    state.SetLabel("until the server has confirmed it; no figure of the original");
}

void publish_nil(benchmark::State& state) {
    Pair pair;
    const auto subscription = pair.listener.subscribe(nil, [&pair](const gossip::Event&) { pair.count(); });
    publish_through(
        state, pair, 10'000, 1, [&] { return pair.sender.publish(nil) == gossip::PublishStatus::accepted; },
        [&](std::int64_t count) { return pair.wait_for(count); });
    state.SetLabel("no figure of the original");
}

void publish(benchmark::State& state, std::size_t bytes, std::int64_t publishers) {
    Pair pair;
    const std::string data(bytes, 'x');
    const auto subscription =
        pair.listener.subscribe(text, [&](const std::string& got) { pair.count(got.size() == data.size()); });
    publish_through(
        state, pair, bytes > 4096 ? 2'000 : 10'000, publishers,
        [&] { return pair.sender.publish(text, data) == gossip::PublishStatus::accepted; },
        [&](std::int64_t count) { return pair.wait_for(count); });
    if (bytes == 128) {
        state.counters["original_ns"] = publishers == 1 ? 1e9 / 18'500 : 1e9 / 58'500;
        state.SetLabel(publishers == 1
                           ? "the original: 17,000 to 20,000/s, 33 allocations each, each publish a round trip; here "
                             "publish returns at once, and all have been handled when the time ends"
                           : "the original: 49,000 to 68,000/s with 50 publishers, 33 allocations each, counted where "
                             "they arrived, as here");
    } else {
        state.SetLabel("no figure of the original");
    }
}

void subscribe(benchmark::State& state) {
    Pair pair;
    std::vector<gossip::Topic<std::string>> topics;
    for (int i = 0; i < 1000; ++i) { // names in turn, so that none is still being given up
        topics.emplace_back(gossip::EventType("bench.topic-" + std::to_string(i)));
    }
    std::size_t next = 0;
    const Allocations allocations;
    for (auto _ : state) {
        benchmark::DoNotOptimize(pair.listener.subscribe(topics[next], [](const std::string&) {}));
        next = next + 1 == topics.size() ? 0 : next + 1;
    }
    allocations.show(state, state.iterations());
    if (pair.listener.stats().subscriptions != 0 || !pair.end()) {
        state.SkipWithError("a subscription has stayed");
    }
    state.SetLabel("the original's figure is of subscribing in memory; here the server has confirmed it");
}

void new_bus(benchmark::State& state) {
    const gossip::RedisOptions options{.url = server().tcp_url()};
    const Allocations allocations;
    for (auto _ : state) {
        Bus bus(options, gossip::Config{});
        benchmark::DoNotOptimize(&bus);
    }
    allocations.show(state, state.iterations());
    state.SetLabel("two workers and the connections' threads made and joined; no figure of the original");
}

void configuration(benchmark::State& state) {
    gossip::RedisOptions options{
        .url = "redis://user:password@127.0.0.1:6379/3", .mode = gossip::RedisMode::streams, .group = "bench"};
    const Allocations allocations;
    for (auto _ : state) {
        benchmark::DoNotOptimize(&options);
        benchmark::ClobberMemory();
        gossip::redis::check(options);
    }
    allocations.show(state, state.iterations());
    state.SetLabel("every option against its rule; no figure of the original");
}

/// `flushed`: an iteration is 100 events and a flush; otherwise one event.
template <bool flushed>
void batch(benchmark::State& state) {
    Pair pair;
    std::int64_t seen = 0;
    std::atomic<std::int64_t> ran{0};
    const auto collector = pair.listener.subscribe(
        text, gossip::batch<std::string>(
                  {.size = static_cast<std::size_t>(flushed ? 2 * batch_size : batch_size), .period = 1h},
                  [&](std::span<const std::string> items) {
                      benchmark::DoNotOptimize(items.data());
                      ran += static_cast<std::int64_t>(items.size());
                  }));
    // Runs after the collector, so what it has counted is collected.
    const auto counter = pair.listener.subscribe(text, [&pair](const std::string&) { pair.count(); });
    const std::string data(128, 'x');
    const Allocations allocations;
    while (state.KeepRunningBatch(flushed ? 1 : batch_size)) {
        for (std::int64_t i = 0; i < batch_size; ++i) {
            pair.sender.publish(text, data);
        }
        seen += batch_size;
        bool there = pair.wait_for(seen);
        if constexpr (flushed) {
            pair.listener.flush();
        }
        for (Patience patience; there && ran < seen; there = patience.lasts()) {
            std::this_thread::sleep_for(20us);
        }
        if (!there) {
            state.SkipWithError("not all events arrived");
            return;
        }
    }
    allocations.show(state, state.iterations());
    if (ran != seen || !pair.end()) {
        state.SkipWithError("what ran is not what was published");
    }
    state.SetLabel("the original's figure is of a list in memory; here all come through the server");
}

using Context = std::unique_ptr<redisContext, decltype(&redisFree)>;
using Reply = std::unique_ptr<redisReply, decltype(&freeReplyObject)>;

Context connect() {
    Context context{redisConnect("127.0.0.1", server().port()), &redisFree};
    redisSetTimeout(context.get(), timeval{30, 0}); // what is lost fails the run, and does not hang it
    return context;
}

Reply command(redisContext& context, const char* words) {
    return {static_cast<redisReply*>(redisCommand(&context, words)), &freeReplyObject};
}
bool send(redisContext& context, const std::string& data) {
    const Reply sent{
        static_cast<redisReply*>(redisCommand(&context, "PUBLISH bench.hand %b", data.data(), data.size())),
        &freeReplyObject};
    return sent != nullptr && sent->type == REDIS_REPLY_INTEGER;
}
/// The next message of a listener, null if there is none.
Reply next(redisContext& context) {
    void* got = nullptr;
    if (redisGetReply(&context, &got) != REDIS_OK) {
        got = nullptr;
    }
    Reply reply{static_cast<redisReply*>(got), &freeReplyObject};
    return reply != nullptr && reply->type == REDIS_REPLY_ARRAY && reply->elements == 3
               ? std::move(reply)
               : Reply{nullptr, &freeReplyObject};
}

void publish_by_hand(benchmark::State& state, std::size_t bytes, bool listening) {
    const std::string data(bytes, 'x');
    const Context sender = connect();
    const Context listener = connect();
    if (listening) {
        command(*listener, "SUBSCRIBE bench.hand");
    }
    const Allocations allocations;
    for (auto _ : state) {
        if (!send(*sender, data) || (listening && next(*listener) == nullptr)) {
            state.SkipWithError("not all messages arrived");
            break;
        }
    }
    allocations.show(state, state.iterations());
}

void contend_by_hand(benchmark::State& state) {
    constexpr std::int64_t count = 10'000;
    constexpr std::int64_t publishers = 50;
    const std::string data(128, 'x');
    const Context listener = connect();
    command(*listener, "SUBSCRIBE bench.hand");
    std::vector<Context> connections;
    for (std::int64_t i = 0; i < publishers; ++i) {
        connections.push_back(connect());
    }
    const Allocations allocations;
    while (state.KeepRunningBatch(count)) {
        std::atomic<std::int64_t> turn{0};
        std::int64_t got = 0;
        std::thread reading([&] {
            while (got < count && next(*listener) != nullptr) {
                ++got;
            }
        });
        const std::int64_t sent = publish_all(count, publishers, [&] {
            thread_local redisContext* const mine = connections[static_cast<std::size_t>(turn++)].get();
            return send(*mine, data);
        });
        if (sent != count) { // the reader is not to wait for what never comes
            ::shutdown(listener->fd, SHUT_RDWR);
        }
        reading.join();
        if (sent != count || got != count) {
            state.SkipWithError("not all messages arrived");
            break;
        }
    }
    allocations.show(state, state.iterations());
}

void subscribe_by_hand(benchmark::State& state) {
    const Context listener = connect();
    for (auto _ : state) {
        if (command(*listener, "SUBSCRIBE bench.hand") == nullptr ||
            command(*listener, "UNSUBSCRIBE bench.hand") == nullptr) {
            state.SkipWithError("the server did not answer");
            break;
        }
    }
}

void connect_by_hand(benchmark::State& state) {
    for (auto _ : state) {
        const Context publisher = connect();
        const Context listener = connect();
        if (command(*publisher, "PING") == nullptr || command(*listener, "PING") == nullptr) {
            state.SkipWithError("the server did not answer");
            break;
        }
    }
}

void configure_by_hand(benchmark::State& state) {
    std::string url = "redis://user:password@127.0.0.1:6379/3";
    for (auto _ : state) {
        benchmark::DoNotOptimize(url.data());
        benchmark::ClobberMemory();
        char user[64];
        char password[64];
        char host[64];
        int port = 0;
        int database = 0;
        const int read =
            std::sscanf(url.c_str(), "redis://%63[^:]:%63[^@]@%63[^:]:%d/%d", user, password, host, &port, &database);
        if (read != 5 || port < 1 || port > 65'535 || database < 0) {
            state.SkipWithError("the url is wrong");
            break;
        }
        benchmark::DoNotOptimize(host);
    }
}

template <bool flushed>
void batch_by_hand(benchmark::State& state) {
    const std::string data(128, 'x');
    const Context sender = connect();
    const Context listener = connect();
    command(*listener, "SUBSCRIBE bench.hand");
    std::vector<std::string> collected;
    std::int64_t ran = 0;
    while (state.KeepRunningBatch(flushed ? 1 : batch_size)) {
        for (std::int64_t i = 0; i < batch_size; ++i) {
            const Reply message = send(*sender, data) ? next(*listener) : Reply{nullptr, &freeReplyObject};
            if (message == nullptr) {
                state.SkipWithError("not all messages arrived");
                return;
            }
            collected.emplace_back(message->element[2]->str, message->element[2]->len);
        }
        benchmark::DoNotOptimize(collected.data());
        ran += static_cast<std::int64_t>(collected.size());
        collected.clear();
    }
    if (ran != static_cast<std::int64_t>(state.iterations()) * (flushed ? batch_size : 1)) {
        state.SkipWithError("what ran is not what was published");
    }
}

BENCHMARK(publish_no_processors)->Name("publish_no_processors/bus")->UseRealTime();
BENCHMARK_CAPTURE(publish_by_hand, none, 0, false)->Name("publish_no_processors/hand")->UseRealTime();
BENCHMARK(publish_nil)->Name("publish_nil/bus")->UseRealTime();
BENCHMARK_CAPTURE(publish_by_hand, nil, 0, true)->Name("publish_nil/hand")->UseRealTime();
BENCHMARK_CAPTURE(publish, small, 128, 1)->Name("publish_small/bus")->UseRealTime();
BENCHMARK_CAPTURE(publish_by_hand, small, 128, true)->Name("publish_small/hand")->UseRealTime();
BENCHMARK_CAPTURE(publish, medium, 1024, 1)->Name("publish_medium/bus")->UseRealTime();
BENCHMARK_CAPTURE(publish_by_hand, medium, 1024, true)->Name("publish_medium/hand")->UseRealTime();
BENCHMARK_CAPTURE(publish, large, 10'240, 1)->Name("publish_large/bus")->UseRealTime();
BENCHMARK_CAPTURE(publish_by_hand, large, 10'240, true)->Name("publish_large/hand")->UseRealTime();
BENCHMARK_CAPTURE(publish, contention, 128, 50)->Name("publish_contention/bus")->UseRealTime();
BENCHMARK(contend_by_hand)->Name("publish_contention/hand")->UseRealTime();
BENCHMARK(subscribe)->Name("subscribe/bus")->UseRealTime();
BENCHMARK(subscribe_by_hand)->Name("subscribe/hand")->UseRealTime();
BENCHMARK(new_bus)->Name("new_bus/bus")->UseRealTime();
BENCHMARK(connect_by_hand)->Name("new_bus/hand")->UseRealTime();
BENCHMARK(configuration)->Name("configuration/bus");
BENCHMARK(configure_by_hand)->Name("configuration/hand");
BENCHMARK(batch<false>)->Name("batch_add/bus")->UseRealTime();
BENCHMARK(batch_by_hand<false>)->Name("batch_add/hand")->UseRealTime();
BENCHMARK(batch<true>)->Name("batch_flush/bus")->UseRealTime();
BENCHMARK(batch_by_hand<true>)->Name("batch_flush/hand")->UseRealTime();

} // namespace original_redis_bench
