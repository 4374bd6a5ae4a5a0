// How long does an event take from the time when it was due, in one bus, through a Redis server of our own on a Unix
// socket to the first instruction of the processor in another, at 1,000 events a second? Beside hiredis alone, which
// publishes and reads with nothing between: for Streams with XREADGROUP and an XACK for each entry.
//
// One iteration is 2,000 events of the pass-through codec; all of them must be handled, or the run fails. Open loop: an
// event that is sent late counts from when it was due. `p50`, `p99`, `p99.9` and `max` are in microseconds;
// `allocations` are those of all threads for an event, without hiredis' own. Publisher, server and listener share the
// machine's processors.

#include "support/allocations.hpp"

#include <gossip/gossip.hpp>
#include <gossip/redis.hpp>

#include "support/open_loop.hpp"
#include "support/quick.hpp"
#include "support/redis_server.hpp"

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include <hiredis/hiredis.h>

#include <sys/time.h>

namespace redis_latency_bench {

using namespace std::chrono_literals;
using gossip::RedisMode;

constexpr std::int64_t rate = 1'000;
const std::int64_t count = unless_quick(2'000, 500);

inline constexpr gossip::Topic<std::string> text{"bench.text"};

const gossip_test::RedisServer& server() {
    static const gossip_test::RedisServer only({"--appendonly", "no"});
    return only;
}

OpenLoop::Clock::rep due_of(const std::string& data) { return std::strtoll(data.c_str(), nullptr, 10); }

void buses(benchmark::State& state, RedisMode mode) {
    using Bus = gossip::EventBus<gossip::BasicRedisProvider<gossip::RawCodec>>;
    for (auto _ : state) {
        server().command({"FLUSHALL"});
        const gossip::RedisOptions options{
            .url = server().url(), .mode = mode, .group = mode == RedisMode::streams ? "bench" : ""};
        OpenLoop loop(rate, count);
        Bus sender(options, gossip::Config{.workers = 1});
        Bus listener(options, gossip::Config{.workers = 1});
        auto s = listener.subscribe(text, [&loop](const std::string& data) { loop.arrived(due_of(data)); });
        const Allocations allocations;
        loop.run([&](OpenLoop::Clock::rep due) { sender.publish(text, std::to_string(due)); });
        const auto until = OpenLoop::Clock::now() + 20s;
        while (!loop.complete() && OpenLoop::Clock::now() < until) {
            std::this_thread::sleep_for(1ms);
        }
        const std::uint64_t allocated = allocations.count();
        const gossip::ShutdownReport sent = sender.shutdown(20s);
        const gossip::ShutdownReport heard = listener.shutdown(20s);
        if (!loop.complete() || !sent.adds_up() || !heard.adds_up() ||
            heard.handled != static_cast<std::uint64_t>(count)) {
            state.SkipWithError("not all events arrived");
            break;
        }
        state.counters["allocations"] = static_cast<double>(allocated) / static_cast<double>(count);
        loop.report(state);
    }
}

using Context = std::unique_ptr<redisContext, decltype(&redisFree)>;
using Reply = std::unique_ptr<redisReply, decltype(&freeReplyObject)>;

Context connect() {
    Context context{redisConnectUnix(server().socket().c_str()), &redisFree};
    redisSetTimeout(context.get(), timeval{30, 0}); // what is lost fails the run, and does not hang it
    return context;
}
Reply next(redisContext& context) {
    void* reply = nullptr;
    if (redisGetReply(&context, &reply) != REDIS_OK) {
        reply = nullptr;
    }
    return {static_cast<redisReply*>(reply), &freeReplyObject};
}

/// Sends `command` with each event's due time; `listen(loop)` reads them on a thread of its own.
template <class Listen>
void alone(benchmark::State& state, const char* command, Listen listen) {
    OpenLoop loop(rate, count);
    std::thread listener([&] { listen(loop); });
    const Context context = connect();
    const Allocations allocations;
    loop.run([&](OpenLoop::Clock::rep due) {
        const std::string data = std::to_string(due);
        redisAppendCommand(context.get(), command, data.data(), data.size());
        next(*context);
    });
    listener.join();
    if (loop.complete()) {
        allocations.show(state, count);
        loop.report(state);
    } else {
        state.SkipWithError("not all messages arrived");
    }
}

void hiredis_pub_sub(benchmark::State& state) {
    for (auto _ : state) {
        const Context listener = connect();
        redisAppendCommand(listener.get(), "SUBSCRIBE bench.text");
        next(*listener);
        alone(state, "PUBLISH bench.text %b", [&](OpenLoop& loop) {
            for (std::int64_t got = 0; got < count; ++got) {
                const Reply reply = next(*listener);
                if (reply == nullptr || reply->type != REDIS_REPLY_ARRAY || reply->elements != 3) {
                    return;
                }
                loop.arrived(due_of(reply->element[2]->str));
            }
        });
    }
}

void hiredis_streams(benchmark::State& state) {
    for (auto _ : state) {
        server().command({"FLUSHALL"});
        server().command({"XGROUP", "CREATE", "bench.text", "bench", "0", "MKSTREAM"});
        const Context listener = connect();
        alone(state, "XADD bench.text * event %b", [&](OpenLoop& loop) {
            for (std::int64_t got = 0; got < count;) {
                redisAppendCommand(listener.get(),
                                   "XREADGROUP GROUP bench one COUNT 64 BLOCK 5000 STREAMS bench.text >");
                const Reply reply = next(*listener);
                if (reply == nullptr || reply->type != REDIS_REPLY_ARRAY) {
                    return;
                }
                const redisReply& entries = *reply->element[0]->element[1];
                for (std::size_t i = 0; i < entries.elements; ++i, ++got) {
                    loop.arrived(due_of(entries.element[i]->element[1]->element[1]->str));
                    redisAppendCommand(listener.get(), "XACK bench.text bench %s", entries.element[i]->element[0]->str);
                    next(*listener);
                }
            }
        });
    }
}

BENCHMARK(hiredis_pub_sub)
    ->Name("pub_sub/hiredis_alone")
    ->UseManualTime()
    ->Iterations(1)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(buses, pub_sub, RedisMode::pub_sub)
    ->Name("pub_sub/bus")
    ->UseManualTime()
    ->Iterations(1)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(hiredis_streams)
    ->Name("streams/hiredis_alone")
    ->UseManualTime()
    ->Iterations(1)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(buses, streams, RedisMode::streams)
    ->Name("streams/bus")
    ->UseManualTime()
    ->Iterations(1)
    ->Unit(benchmark::kMicrosecond);

} // namespace redis_latency_bench
