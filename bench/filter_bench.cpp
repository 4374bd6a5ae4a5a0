// What does a filter cost? Beside each, the comparison it stands for, written by hand. One iteration is one question to
// one event with three entries of metadata; every answer is counted, and a wrong one fails the run.

#include "support/allocations.hpp"

#include <gossip/filter/logic.hpp>
#include <gossip/filter/metadata.hpp>
#include <gossip/filter/payload.hpp>
#include <gossip/filter/sampling.hpp>

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace {

namespace filter = gossip::filter;
using gossip::Event;

struct Payment {
    double amount = 0;
};
constexpr gossip::Topic<Payment> paid{"payment.received"};

Event sample() {
    return Event{paid, {500}}.with_metadata("source", "api").with_metadata("priority", "high").with_metadata("n", 2);
}

/// One of `part` answers is to be yes.
template <class Filter>
void ask(benchmark::State& state, const Filter& filter, std::int64_t part = 1) {
    Event event = sample();
    std::int64_t yes = 0;
    const Allocations allocations;
    for (auto _ : state) {
        benchmark::DoNotOptimize(&event);
        benchmark::ClobberMemory();
        yes += filter(event) ? 1 : 0;
    }
    allocations.show(state, state.iterations());
    if (yes != state.iterations() / part) {
        state.SkipWithError("not every answer was right");
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

void metadata_hand(benchmark::State& state) {
    ask(state, [](const Event& event) { return has_text(event, "source", "api"); });
}
void metadata_filter(benchmark::State& state) { ask(state, filter::metadata("source", "api")); }
void and_hand(benchmark::State& state) {
    ask(state,
        [](const Event& event) { return has_text(event, "source", "api") && has_text(event, "priority", "high"); });
}
void and_filter(benchmark::State& state) {
    ask(state, filter::metadata("source", "api") && filter::metadata("priority", "high"));
}
void where_hand(benchmark::State& state) {
    ask(state, [](const Event& event) {
        const Payment* const data = event.data_if<Payment>();
        return data != nullptr && data->amount > 100;
    });
}
void where_filter(benchmark::State& state) {
    ask(state, filter::where<Payment>([](const Payment& p) { return p.amount > 100; }));
}
void type_hand(benchmark::State& state) {
    ask(state, [](const Event& event) { return event.type() == paid.type(); });
}
void type_filter(benchmark::State& state) { ask(state, filter::type(paid)); }
void every_nth_hand(benchmark::State& state) {
    ask(
        state,
        [seen = std::make_shared<std::atomic<std::uint64_t>>(0)](const Event&) {
            return seen->fetch_add(1, std::memory_order_relaxed) % 10 == 9; // relaxed: a count
        },
        10);
}
void every_nth_filter(benchmark::State& state) { ask(state, filter::every_nth(10), 10); }

BENCHMARK(metadata_hand)->Name("metadata/hand");
BENCHMARK(metadata_filter)->Name("metadata/filter");
BENCHMARK(and_hand)->Name("and_of_two/hand");
BENCHMARK(and_filter)->Name("and_of_two/filter");
BENCHMARK(where_hand)->Name("where/hand");
BENCHMARK(where_filter)->Name("where/filter");
BENCHMARK(type_hand)->Name("type/hand");
BENCHMARK(type_filter)->Name("type/filter");
BENCHMARK(every_nth_hand)->Name("every_nth/hand");
BENCHMARK(every_nth_filter)->Name("every_nth/filter");

} // namespace
