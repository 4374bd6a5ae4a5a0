// What does an event cost from publish on one bus to the processor on another, through a Redis server of our own, in
// the shapes of the original's suite? Beside what the Go library of this name took when it ran on a machine of this
// kind (`original_ns`; not of this run), and beside a publisher and a subscriber of hiredis alone, without pipelines.
//
// An iteration is one event published, accepted, received and handled: what did not arrive fails the run. Text of 16
// bytes, 1 KiB and 10 KiB with the default codec over Pub/Sub; `publishers:50` are as many threads on one bus. The
// original's figures were taken with messages of 128 bytes, whose number was counted where they arrived.

#include <gossip/bus/event_bus.hpp>
#include <gossip/redis.hpp>

#include "support/redis_server.hpp"

#include <benchmark/benchmark.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <hiredis/hiredis.h>

namespace original_redis_bench {

using namespace std::chrono_literals;

inline constexpr gossip::Topic<std::string> topic{"bench.text"};

const gossip_test::RedisServer& server() {
    static const gossip_test::RedisServer only({"--appendonly", "no"});
    return only;
}

void publish(benchmark::State& state) {
    using Bus = gossip::EventBus<gossip::RedisProvider>;
    const std::string data(static_cast<std::size_t>(state.range(0)), 'x');
    const auto publishers = static_cast<std::int64_t>(state.range(1));
    const std::int64_t count = data.size() > 4096 ? 2'000 : 10'000; // a multiple of the publishers
    const gossip::RedisOptions options{.url = server().url()};
    std::atomic<std::int64_t> handled{0};
    Bus sender(options, gossip::Config{.workers = 1});
    Bus listener(options, gossip::Config{.workers = 1, .buffer_size = 65'536});
    const auto subscription = listener.subscribe(topic, [&](const std::string& got) {
        handled.fetch_add(got.size() == data.size() ? 1 : 0, std::memory_order_relaxed); // relaxed: a count
    });
    while (state.KeepRunningBatch(count)) {
        handled = 0;
        std::atomic<std::int64_t> accepted{0};
        std::vector<std::thread> threads;
        for (std::int64_t i = 0; i < publishers; ++i) {
            threads.emplace_back([&] {
                std::int64_t mine = 0;
                for (std::int64_t number = 0; number < count / publishers; ++number) {
                    mine += sender.publish(topic, data) == gossip::PublishStatus::accepted ? 1 : 0;
                }
                accepted += mine;
            });
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
        const auto until = std::chrono::steady_clock::now() + 30s;
        while (handled < count && std::chrono::steady_clock::now() < until) {
            std::this_thread::sleep_for(50us);
        }
        if (accepted != count || handled != count) {
            state.SkipWithError("not all events arrived");
            break;
        }
    }
    state.counters["original_ns"] = publishers == 1 ? 1e9 / 18'500 : 1e9 / 58'500;
    state.SetLabel(publishers == 1 ? "the original: 17,000 to 20,000/s, 33 allocations each, each publish a round trip"
                                   : "the original: 49,000 to 68,000/s, 33 allocations each");
}

using Context = std::unique_ptr<redisContext, decltype(&redisFree)>;
using Reply = std::unique_ptr<redisReply, decltype(&freeReplyObject)>;

Context connect() { return {redisConnectUnix(server().socket().c_str()), &redisFree}; }

void publish_by_hand(benchmark::State& state) {
    const std::string data(static_cast<std::size_t>(state.range(0)), 'x');
    const Context sender = connect();
    const Context listener = connect();
    const Reply subscribed{static_cast<redisReply*>(redisCommand(listener.get(), "SUBSCRIBE bench.hand")),
                           &freeReplyObject};
    for (auto _ : state) {
        const Reply sent{
            static_cast<redisReply*>(redisCommand(sender.get(), "PUBLISH bench.hand %b", data.data(), data.size())),
            &freeReplyObject};
        void* got = nullptr;
        if (sent == nullptr || redisGetReply(listener.get(), &got) != REDIS_OK) {
            state.SkipWithError("not all messages arrived");
            break;
        }
        const Reply message{static_cast<redisReply*>(got), &freeReplyObject};
        benchmark::DoNotOptimize(message.get());
    }
}

BENCHMARK(publish)
    ->Name("publish/bus")
    ->ArgNames({"bytes", "publishers"})
    ->UseRealTime()
    ->Args({16, 1})
    ->Args({1024, 1})
    ->Args({10240, 1})
    ->Args({16, 50});
BENCHMARK(publish_by_hand)->Name("publish/hand")->ArgName("bytes")->UseRealTime()->Arg(16)->Arg(1024)->Arg(10240);

} // namespace original_redis_bench
