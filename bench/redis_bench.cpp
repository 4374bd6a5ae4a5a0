// How many events a second go from one bus to another through a Redis server of our own, on a Unix socket? Beside
// hiredis alone doing the same: one connection that publishes in pipelines of 1,000, two at a time, one that reads; for
// streams with XREADGROUP COUNT 256 and XACK. And beside Redis' own redis-benchmark, where it is installed: one client
// that sends as many bytes 64 commands at a time, and that nobody listens to.
//
// An iteration publishes a fixed number of events, and ends when all have been handled (and, on streams, acknowledged).
// What did not arrive fails the run, and so do counters that do not add up. `allocations` are those of all threads for
// an event; hiredis' own are not among them.

#include "support/allocations.hpp"
#include "support/quick.hpp"

#include <gossip/bus/event_bus.hpp>
#include <gossip/provider/redis/fast_codec.hpp>
#include <gossip/redis.hpp>

#include "support/redis_server.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include <hiredis/hiredis.h>

#include <sys/time.h>

struct Order {
    std::string order_id;
    std::string customer;
    double amount = 0;
    int items = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Order, order_id, customer, amount, items)

template <>
inline constexpr auto gossip::members<Order> = gossip::member_list("order_id", &Order::order_id, "customer",
                                                                   &Order::customer, "amount", &Order::amount, "items",
                                                                   &Order::items);

namespace redis_bench {

using namespace std::chrono_literals;

const std::int64_t count = unless_quick(50'000, 10'000); // a multiple of a pipeline
constexpr const char* json = R"({"order_id":"o-123456","customer":"customer-42","amount":12.5,"items":3})";

inline constexpr gossip::Topic<Order> order{"bench.order"};
inline constexpr gossip::Topic<std::string> text{"bench.text"};

const gossip_test::RedisServer& server() {
    static const gossip_test::RedisServer only({"--appendonly", "no"});
    return only;
}

gossip::RedisOptions options(gossip::RedisMode mode) {
    return {.url = server().url(), .mode = mode, .group = mode == gossip::RedisMode::streams ? "bench" : ""};
}

bool wait_for(const std::atomic<std::int64_t>& handled) {
    const auto until = std::chrono::steady_clock::now() + 60s;
    while (handled < count && std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(100us);
    }
    return handled == count;
}

template <class Codec, class T>
void buses(benchmark::State& state, gossip::RedisMode mode, const gossip::Topic<T>& topic, const T& data) {
    using Bus = gossip::EventBus<gossip::BasicRedisProvider<Codec>>;
    server().command({"FLUSHALL"});
    std::atomic<std::int64_t> handled{0};
    Bus sender(options(mode), gossip::Config{.workers = 1});
    Bus listener(options(mode), gossip::Config{.workers = 1, .buffer_size = 65'536});
    auto s = listener.subscribe(topic, [&](const T& got) {
        benchmark::DoNotOptimize(&got);
        handled.fetch_add(1, std::memory_order_relaxed); // relaxed: a count
    });
    const Allocations allocations;
    for (auto _ : state) {
        handled = 0;
        std::int64_t accepted = 0;
        for (std::int64_t i = 0; i < count; ++i) {
            accepted += sender.publish(topic, data) == gossip::PublishStatus::accepted ? 1 : 0;
        }
        if (accepted != count || !wait_for(handled) || !listener.drain(60s)) {
            state.SkipWithError("not all events arrived");
            return;
        }
    }
    allocations.show(state, state.iterations() * count);
    state.SetItemsProcessed(state.iterations() * count);
    const gossip::ShutdownReport sent = sender.shutdown(60s);
    const gossip::ShutdownReport heard = listener.shutdown(60s);
    if (!sent.adds_up() || !heard.adds_up() || static_cast<std::int64_t>(heard.handled) != state.iterations() * count) {
        state.SkipWithError("what was handled is not what was published");
    }
}

void raw(benchmark::State& state, gossip::RedisMode mode) {
    buses<gossip::RawCodec>(state, mode, text, std::string(json));
}
template <class Codec>
void typed(benchmark::State& state, gossip::RedisMode mode) {
    buses<Codec>(state, mode, order, Order{"o-123456", "customer-42", 12.5, 3});
}

void fast(benchmark::State& state, gossip::RedisMode mode) { typed<gossip::FastCodec>(state, mode); }
void by_default(benchmark::State& state, gossip::RedisMode mode) { typed<gossip::JsonCodec>(state, mode); }

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

std::string message_around(const std::string& data) {
    return std::string(R"({"Type":"bench.order","Timestamp":"2024-01-02T03:04:05.123456789Z",)") + R"("Data":)" + data +
           R"(,"Metadata":{},"Id":"0123456789abcdef0123456789abcdef"})";
}

void publish_in_pipelines(const char* command) {
    const Context context = connect();
    constexpr std::int64_t pipeline = 1'000;
    const std::string message = message_around(json);
    const auto take_answers = [&] {
        for (std::int64_t i = 0; i < pipeline; ++i) {
            next(*context);
        }
    };
    for (std::int64_t sent = 0; sent < count; sent += pipeline) { // one pipeline is on its way while the next is made
        for (std::int64_t i = 0; i < pipeline; ++i) {
            redisAppendCommand(context.get(), command, message.data(), message.size());
        }
        for (int done = 0; done == 0 && redisBufferWrite(context.get(), &done) == REDIS_OK;) {}
        if (sent != 0) {
            take_answers();
        }
    }
    take_answers();
}

void hiredis_pub_sub(benchmark::State& state) {
    const Context listener = connect();
    redisAppendCommand(listener.get(), "SUBSCRIBE bench.order");
    next(*listener);
    const Allocations allocations;
    for (auto _ : state) {
        std::thread publisher([] { publish_in_pipelines("PUBLISH bench.order %b"); });
        std::int64_t got = 0;
        while (got < count && next(*listener) != nullptr) {
            ++got;
        }
        publisher.join();
        if (got != count) {
            state.SkipWithError("not all messages arrived");
            break;
        }
    }
    allocations.show(state, state.iterations() * count);
    state.SetItemsProcessed(state.iterations() * count);
}

void hiredis_streams(benchmark::State& state) {
    server().command({"FLUSHALL"});
    server().command({"XGROUP", "CREATE", "bench.order", "bench", "0", "MKSTREAM"});
    const Context listener = connect();
    const Allocations allocations;
    for (auto _ : state) {
        std::thread publisher([] { publish_in_pipelines("XADD bench.order * event %b"); });
        std::int64_t got = 0;
        while (got < count) {
            redisAppendCommand(listener.get(), "XREADGROUP GROUP bench one COUNT 256 BLOCK 5000 STREAMS bench.order >");
            const Reply reply = next(*listener);
            if (reply == nullptr || reply->type != REDIS_REPLY_ARRAY) {
                break;
            }
            const redisReply& entries = *reply->element[0]->element[1];
            std::string acknowledge = "XACK bench.order bench";
            for (std::size_t i = 0; i < entries.elements; ++i) {
                acknowledge.append(" ").append(entries.element[i]->element[0]->str);
            }
            redisAppendCommand(listener.get(), acknowledge.c_str());
            next(*listener);
            got += static_cast<std::int64_t>(entries.elements);
        }
        publisher.join();
        if (got != count) {
            state.SkipWithError("not all entries arrived");
            break;
        }
    }
    allocations.show(state, state.iterations() * count);
    state.SetItemsProcessed(state.iterations() * count);
}

/// Commands a second; 0 if it does not say.
double rate_of_redis_benchmark(const std::string& command) {
    const std::string line = "redis-benchmark -s " + server().socket() + " -c 1 -P 64 -n " + std::to_string(count) +
                             " --csv " + command + " 2>/dev/null";
    const std::unique_ptr<FILE, int (*)(FILE*)> program{::popen(line.c_str(), "r"), &::pclose};
    std::string said;
    std::array<char, 1024> piece;
    while (program != nullptr && std::fgets(piece.data(), piece.size(), program.get()) != nullptr) {
        said += piece.data();
    }
    const std::size_t start = said.rfind(R"("PUBLISH )");
    const std::size_t name = start == std::string::npos ? said.rfind(R"("XADD )") : start;
    const std::size_t rate = name == std::string::npos ? name : said.find(R"(",")", name);
    return rate == std::string::npos ? 0 : std::atof(said.c_str() + rate + 3);
}

void redis_benchmark(benchmark::State& state, const char* command) {
    server().command({"FLUSHALL"});
    const std::string message(message_around(json).size(), 'x');
    for (auto _ : state) {
        const double rate = rate_of_redis_benchmark(command + message);
        if (rate <= 0) {
            state.SkipWithError("redis-benchmark says nothing that is a rate");
            return;
        }
        state.SetIterationTime(static_cast<double>(count) / rate);
    }
    state.SetItemsProcessed(state.iterations() * count);
    state.SetLabel("one client, 64 commands at a time, no listener");
}

/// Without it there is nothing to stand beside, and no row.
[[maybe_unused]] const bool has_redis_benchmark = [] {
    if (std::system("command -v redis-benchmark >/dev/null 2>&1") != 0) {
        std::fputs("left out: redis-benchmark is not installed\n", stderr);
        return false;
    }
    benchmark::RegisterBenchmark("pub_sub/redis_benchmark", redis_benchmark, "PUBLISH bench.order ")
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark("streams/redis_benchmark", redis_benchmark, "XADD bench.order '*' event ")
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
    return true;
}();

using gossip::RedisMode;

BENCHMARK(hiredis_pub_sub)->Name("pub_sub/hiredis_alone")->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(raw, pub_sub, RedisMode::pub_sub)
    ->Name("pub_sub/raw_codec")
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(fast, pub_sub, RedisMode::pub_sub)
    ->Name("pub_sub/fast_codec")
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(by_default, pub_sub, RedisMode::pub_sub)
    ->Name("pub_sub/default_codec")
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(hiredis_streams)->Name("streams/hiredis_alone")->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(raw, streams, RedisMode::streams)
    ->Name("streams/raw_codec")
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(fast, streams, RedisMode::streams)
    ->Name("streams/fast_codec")
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(by_default, streams, RedisMode::streams)
    ->Name("streams/default_codec")
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

} // namespace redis_bench
