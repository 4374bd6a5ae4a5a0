// What does an event cost whose processor fails? By returning an error or by throwing one; beside a processor that
// succeeds, and beside what one would write by hand. One iteration is one event; all that must fail is counted.

#include "support/allocations.hpp"

#include <gossip/bus/event_bus.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

namespace {

using gossip::Context;
using gossip::Event;
using gossip::Result;
using gossip::detail::Processor;

constexpr gossip::Topic<int> number{"bench.number"};

void check(benchmark::State& state, std::int64_t failed, bool fails) {
    if (failed != (fails ? static_cast<std::int64_t>(state.iterations()) : 0)) {
        state.SkipWithError("not every run ended as it should");
    }
}

/// A processor as the bus keeps it: type-erased and guarded.
void run(benchmark::State& state, auto processor, bool fails) {
    const Processor erased(gossip::bind_processor<int>(std::move(processor)));
    Context context;
    const Event event{number, 1};
    std::int64_t failed = 0;
    const Allocations allocations;
    for (auto _ : state) {
        const Result result = erased.invoke()(erased.state(), context, event);
        failed += result ? 0 : 1;
    }
    allocations.show(state, state.iterations());
    check(state, failed, fails);
}

[[gnu::noinline]] Result succeed() { return {}; }
[[gnu::noinline]] Result return_new() { return gossip::ProcessingError{"the bank did not answer"}; }
[[gnu::noinline]] Result return_ready_made() { return gossip::errors::processing_failed; }
[[gnu::noinline]] Result throw_new() { throw gossip::ProcessingError{"the bank did not answer"}; }
[[gnu::noinline]] Result throw_foreign() { throw std::runtime_error{"the bank did not answer"}; }

void processor_succeeds(benchmark::State& state) {
    run(
        state, [](const int&) { return succeed(); }, false);
}
void processor_returns(benchmark::State& state) {
    run(
        state, [](const int&) { return return_new(); }, true);
}
void processor_returns_ready_made(benchmark::State& state) {
    run(
        state, [](const int&) { return return_ready_made(); }, true);
}
void processor_throws(benchmark::State& state) {
    run(
        state, [](const int&) { return throw_new(); }, true);
}
void processor_throws_foreign(benchmark::State& state) {
    run(
        state, [](const int&) { return throw_foreign(); }, true);
}

/// By hand: the text of the error; empty is success.
[[gnu::noinline]] std::string text_by_hand() { return "the bank did not answer"; }
[[gnu::noinline]] void throw_by_hand() { throw std::runtime_error{"the bank did not answer"}; }

void return_by_hand(benchmark::State& state) {
    std::int64_t failed = 0;
    const Allocations allocations;
    for (auto _ : state) {
        const std::string error = text_by_hand();
        failed += error.empty() ? 0 : 1;
    }
    allocations.show(state, state.iterations());
    check(state, failed, true);
}
void catch_by_hand(benchmark::State& state) {
    std::int64_t failed = 0;
    const Allocations allocations;
    for (auto _ : state) {
        std::string error;
        try {
            throw_by_hand();
        } catch (const std::exception& exception) {
            error = exception.what();
        }
        failed += error.empty() ? 0 : 1;
    }
    allocations.show(state, state.iterations());
    check(state, failed, true);
}

/// From publish to the end of the event, on one thread, and nobody listens to dead letters.
void end_to_end(benchmark::State& state, auto processor, bool fails) {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    const auto subscription = bus.subscribe(number, std::move(processor));
    const Allocations allocations;
    for (auto _ : state) {
        bus.publish(number, 1);
        bus.poll();
    }
    allocations.show(state, state.iterations());
    check(state, static_cast<std::int64_t>(bus.stats().failed), fails);
    if (!bus.shutdown().adds_up()) {
        state.SkipWithError("the counters do not add up");
    }
}
void bus_succeeds(benchmark::State& state) {
    end_to_end(
        state, [](const int&) { return succeed(); }, false);
}
void bus_returns(benchmark::State& state) {
    end_to_end(
        state, [](const int&) { return return_new(); }, true);
}
void bus_throws(benchmark::State& state) {
    end_to_end(
        state, [](const int&) { return throw_new(); }, true);
}

BENCHMARK(processor_succeeds)->Name("processor/succeeds");
BENCHMARK(return_by_hand)->Name("returned/hand");
BENCHMARK(processor_returns)->Name("returned/processor");
BENCHMARK(processor_returns_ready_made)->Name("returned/processor_ready_made");
BENCHMARK(catch_by_hand)->Name("thrown/hand");
BENCHMARK(processor_throws)->Name("thrown/processor");
BENCHMARK(processor_throws_foreign)->Name("thrown/processor_foreign");
BENCHMARK(bus_succeeds)->Name("publish_and_poll/succeeds");
BENCHMARK(bus_returns)->Name("publish_and_poll/returned");
BENCHMARK(bus_throws)->Name("publish_and_poll/thrown");

} // namespace
