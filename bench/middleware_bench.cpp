// What does a middleware add to a processor that succeeds? Beside them: the bare processor, and what a careful author
// would write by hand. One iteration is one event handled; what failed is counted and must be none.

#include "support/allocations.hpp"

#include <gossip/middleware/chain.hpp>
#include <gossip/middleware/circuit_breaker.hpp>
#include <gossip/middleware/concurrency_limit.hpp>
#include <gossip/middleware/correlation.hpp>
#include <gossip/middleware/logging.hpp>
#include <gossip/middleware/metrics.hpp>
#include <gossip/middleware/recovery.hpp>
#include <gossip/middleware/retry.hpp>
#include <gossip/middleware/timeout.hpp>
#include <gossip/middleware/tracing.hpp>

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>

namespace {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;

constexpr gossip::Topic<int> number{"bench.number"};
std::int64_t sum = 0;

/// Opaque, as a user's processor is to the bus.
[[gnu::noinline]] Result process(const int& n) {
    sum += n;
    benchmark::DoNotOptimize(sum);
    return {};
}

template <class Bound>
[[gnu::noinline]] Result call(Bound& bound, Context& context, const Event& event) {
    return bound(context, event);
}

void run(benchmark::State& state, auto bound) {
    Context context;
    const Event event{number, 1};
    std::int64_t failed = 0;
    const Allocations allocations;
    for (auto _ : state) {
        failed += call(bound, context, event) ? 0 : 1;
    }
    allocations.show(state, state.iterations());
    if (failed != 0) {
        state.SkipWithError("a run has failed");
    }
}

void wrapped(benchmark::State& state, const auto& wrapper) {
    run(state, gossip::bind_processor<int>(wrapper([](const int& n) { return process(n); })));
}

void bare(benchmark::State& state) { wrapped(state, middleware::chain()); }
void recovery_hand(benchmark::State& state) {
    run(state, [](Context&, const Event& event) -> Result {
        const int* const n = event.data_if<int>();
        if (n == nullptr) {
            return gossip::errors::nil_data;
        }
        try {
            return process(*n);
        } catch (const std::exception& e) {
            return gossip::ProcessingError{e.what()};
        }
    });
}
void retry_hand(benchmark::State& state) {
    run(state, [](Context& context, const Event& event) -> Result {
        const int* const n = event.data_if<int>();
        if (n == nullptr) {
            return gossip::errors::nil_data;
        }
        Result result;
        for (int attempt = 0; attempt < 4; ++attempt) {
            result = process(*n);
            if (result || gossip::is_fatal(result.error()) || !context.sleep_for(1ms)) {
                break;
            }
        }
        return result;
    });
}
/// What is called with a line for each failure.
using Sink = std::function<void(const std::string&)>;
const Sink no_sink = [](const std::string&) {};

void log_failure(const Sink& sink, const Event& event, const Result& result) {
    sink("bench: " + std::string(event.type().name()) + " failed: " + std::string(result.error().message()));
}

void logging_hand(benchmark::State& state) {
    run(state, [sink = no_sink](Context&, const Event& event) -> Result {
        const int* const n = event.data_if<int>();
        Result result = n == nullptr ? Result{gossip::errors::nil_data} : process(*n);
        if (!result) {
            log_failure(sink, event, result);
        }
        return result;
    });
}
void three_hand(benchmark::State& state) {
    run(state, [sink = no_sink](Context& context, const Event& event) -> Result {
        const int* const n = event.data_if<int>();
        if (n == nullptr) {
            return gossip::errors::nil_data;
        }
        Result result;
        for (int attempt = 0; attempt < 4; ++attempt) {
            try {
                result = process(*n);
            } catch (const std::exception& e) {
                result = gossip::ProcessingError{e.what()};
            }
            if (result || gossip::is_fatal(result.error()) || !context.sleep_for(1ms)) {
                break;
            }
        }
        if (!result) {
            log_failure(sink, event, result);
        }
        return result;
    });
}
void timeout_hand(benchmark::State& state) {
    run(state, [](Context& context, const Event& event) -> Result {
        const int* const n = event.data_if<int>();
        const auto end = context.now() + 5s;
        Result result = n == nullptr ? Result{gossip::errors::nil_data} : process(*n);
        return context.now() >= end ? gossip::errors::timeout : result;
    });
}

BENCHMARK(bare)->Name("bare");
BENCHMARK(recovery_hand)->Name("recovery/hand");
BENCHMARK_CAPTURE(wrapped, recovery, middleware::recovery())->Name("recovery/middleware");
BENCHMARK(retry_hand)->Name("retry/hand");
BENCHMARK_CAPTURE(wrapped, retry, middleware::retry(3, 1ms))->Name("retry/middleware");
BENCHMARK(logging_hand)->Name("logging_nothing/hand");
BENCHMARK_CAPTURE(wrapped, silent_logging,
                  middleware::logging(
                      "bench", [](const std::string&) {}, middleware::failures_only))
    ->Name("logging_nothing/middleware");
BENCHMARK(three_hand)->Name("logging_retry_recovery/hand");
BENCHMARK_CAPTURE(wrapped, three,
                  middleware::chain(middleware::logging(
                                        "bench", [](const std::string&) {}, middleware::failures_only),
                                    middleware::retry(3, 1ms), middleware::recovery()))
    ->Name("logging_retry_recovery/middleware");
BENCHMARK(timeout_hand)->Name("timeout/hand");
BENCHMARK_CAPTURE(wrapped, timeout, middleware::timeout(5s))->Name("timeout/middleware");
BENCHMARK_CAPTURE(wrapped, circuit, middleware::circuit_breaker())->Name("circuit_breaker/middleware");
BENCHMARK_CAPTURE(wrapped, limit, middleware::concurrency_limit(4))->Name("concurrency_limit/middleware");
BENCHMARK_CAPTURE(wrapped, correlation, middleware::correlation("request"))->Name("correlation/middleware");
BENCHMARK_CAPTURE(wrapped, metrics, middleware::metrics(middleware::Metrics{}, "bench"))->Name("metrics/middleware");
BENCHMARK_CAPTURE(wrapped, tracing, middleware::tracing())->Name("tracing/middleware");

} // namespace
