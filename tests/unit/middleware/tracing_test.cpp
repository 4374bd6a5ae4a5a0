#include <gossip/bus/event_bus.hpp>
#include <gossip/middleware/chain.hpp>
#include <gossip/middleware/timeout_detached.hpp>
#include <gossip/middleware/tracing.hpp>

#include "support/catch.hpp"
#include "support/processing.hpp"

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

namespace tracing_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;
using support::bind;
using support::number;
using support::Rig;
using support::Script;

using middleware::Span;
using middleware::TraceContext;

inline namespace parts {

inline constexpr gossip::Topic<int> other{"test.other"};
inline constexpr gossip::Topic<int> told{"test.told"};

const std::string parent_header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

Event published_elsewhere() {
    Event event = Event{number, 0}.with_metadata("traceparent", "somebody else's");
    gossip::detail::add_outgoing(event);
    return event;
}

struct Noted {
    std::vector<std::string>* notes;
    void on_start(const Span& span) const { notes->push_back("start " + std::string{span.name}); }
    void on_end(const Span& span, const Result& result, std::chrono::nanoseconds duration) const {
        CHECK(duration == std::chrono::milliseconds(5));
        notes->push_back((result ? "ok " : "failed ") + std::to_string(span.attempt));
    }
};

} // namespace parts

TEST_CASE("a run is a child of the span in its event, and parent of what it publishes", "[tracing]") {
    Rig rig;
    Event out{number, 0};
    std::string current;
    std::uint64_t before = 0;
    const auto traced = middleware::tracing("work", [&](const Span& span, const Result&, std::chrono::nanoseconds) {
        before = span.parent;
        CHECK(span.trace.text() == current);
    });
    auto bound = bind(traced([&](const int&) {
        REQUIRE(middleware::current_span() != nullptr);
        current = middleware::current_span()->trace.text();
        out = published_elsewhere();
    }));

    CHECK(rig.run(bound,
                  Event{number, 1}.with_metadata("traceparent", parent_header).with_metadata("tracestate", "a=1")));

    CHECK(before == TraceContext::parse(parent_header)->span);
    CHECK(TraceContext::parse(current)->trace_text() == TraceContext::parse(parent_header)->trace_text());
    CHECK(out.metadata().get<std::string>("traceparent") == current);
    CHECK(out.metadata().get<std::string>("tracestate") == "a=1");
    CHECK(middleware::current_span() == nullptr);
    CHECK(gossip::detail::outgoing_metadata == nullptr);
}

TEST_CASE("a tracestate goes with its traceparent", "[tracing]") {
    Rig rig;
    Event out{number, 0};
    auto bound = bind(middleware::tracing()([&](const int&) {
        out = Event{number, 0}
                  .with_metadata("traceparent", "somebody else's")
                  .with_metadata("tracestate", "b=2")
                  .with_metadata("other", 1);
        gossip::detail::add_outgoing(out);
    }));

    CHECK(rig.run(bound, Event{number, 1}.with_metadata("traceparent", parent_header)));
    CHECK_FALSE(out.metadata().contains("tracestate"));
    CHECK(out.metadata().get<int>("other") == 1);

    CHECK(rig.run(bound,
                  Event{number, 1}.with_metadata("traceparent", parent_header).with_metadata("tracestate", "a=1")));
    CHECK(out.metadata().get<std::string>("tracestate") == "a=1");
}

TEST_CASE("the state of an outer trace is not that of an inner one, nor on a helper thread", "[tracing]") {
    Rig rig;
    Event out{number, 0};
    auto begins = bind(middleware::chain(middleware::tracing(), middleware::timeout_detached(1h))([&](const int&) {
        out = Event{number, 0}.with_metadata("tracestate", "b=2");
        gossip::detail::add_outgoing(out);
    }));
    auto outer = bind(middleware::tracing()([&](const int&) { CHECK(rig.run(begins, Event{number, 2})); }));

    CHECK(rig.run(outer,
                  Event{number, 1}.with_metadata("traceparent", parent_header).with_metadata("tracestate", "a=1")));

    CHECK(out.metadata().contains("traceparent"));
    CHECK_FALSE(out.metadata().contains("tracestate"));
}

TEST_CASE("without a valid parent a run begins a trace", "[tracing]") {
    Rig rig;
    Event out{number, 0};
    auto bound = bind(middleware::tracing()([&](const int&) { out = published_elsewhere(); }));

    for (const Event& event : {Event{number, 1}, Event{number, 1}.with_metadata("traceparent", "nonsense"),
                               Event{number, 1}.with_metadata("traceparent", 7).with_metadata("tracestate", "a=1")}) {
        CHECK(rig.run(bound, event));
        CHECK(TraceContext::parse(*out.metadata().get<std::string>("traceparent")));
        CHECK_FALSE(out.metadata().contains("tracestate"));
    }
}

TEST_CASE("a nested run is published under the inner span", "[tracing]") {
    Rig rig;
    Event out{number, 0};
    std::string inside;
    const auto traced = middleware::tracing();
    auto inner = bind(traced([&](const int&) {
        inside = middleware::current_span()->trace.text();
        out = published_elsewhere();
    }));
    auto outer = bind(traced([&](const int&) { CHECK(rig.run(inner, published_elsewhere())); }));

    CHECK(rig.run(outer));

    CHECK(out.metadata().get<std::string>("traceparent") == inside);
}

TEST_CASE("a tracer hears of start and end", "[tracing]") {
    Rig rig;
    std::vector<std::string> notes;
    auto bound = bind(middleware::tracing("work", Noted{&notes})([&](const int& n) -> Result {
        rig.clock.advance(5ms);
        return n == 0 ? Result{} : gossip::errors::fatal;
    }));

    CHECK(rig.run(bound));
    CHECK_FALSE(rig.run(bound, Event{number, 1}, 2));

    CHECK(notes == std::vector<std::string>{"start work", "ok 1", "start work", "failed 2"});
}

TEST_CASE("a tracer that throws changes no result and is counted", "[tracing]") {
    Rig rig;
    const auto traced = middleware::tracing("work", [](const Span&, const Result&, std::chrono::nanoseconds) {
        throw std::runtime_error{"collector is down"};
    });
    auto bound = bind(traced([](const int&) {}));

    CHECK(rig.run(bound));

    CHECK(traced.lost() == 1);
}

TEST_CASE("another event that is run inside of a span is not in that span, nor what it publishes", "[tracing]") {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    bool spans = true;
    bool traced = true;
    bool back = false;
    auto listener = bus.subscribe(told, [&](const Event& event) { traced = event.metadata().contains("traceparent"); });
    auto another = bus.subscribe(other, [&](const int&) {
        spans = middleware::current_span() != nullptr;
        bus.publish(told, 1);
    });
    auto outer = bus.subscribe(number, middleware::tracing("outer")([&](const int&) {
                                   bus.poll();
                                   back = middleware::current_span() != nullptr;
                               }));
    bus.publish(number, 1);
    bus.publish(other, 1);

    CHECK(bus.drain(20s));

    CHECK_FALSE(spans);
    CHECK_FALSE(traced);
    CHECK(back);
}

} // namespace tracing_test
