#pragma once

#include <gossip/core/outgoing.hpp>
#include <gossip/core/shared_count.hpp>
#include <gossip/middleware/middleware.hpp>
#include <gossip/middleware/trace_context.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

/// One run of a processor as a tracer sees it. Lives as long as the run.
struct Span {
    std::string_view name; // what tracing() was told
    TraceContext trace;
    std::uint64_t parent; // the span that published the event; 0: this one begins the trace
    const Event& event;
    int attempt;
    std::chrono::nanoseconds start; // on the bus's steady clock
};

/// The span of the processor that this thread is running; null outside of tracing().
[[nodiscard]] inline const Span* current_span() noexcept { return detail::innermost_span; }

template <class Tracer>
concept starts_spans = requires(Tracer& tracer, const Span& span) {
    tracer.on_start(span);
};
template <class Tracer>
concept ends_spans = requires(Tracer& tracer, const Span& span, const Result& result,
                              std::chrono::nanoseconds duration) {
    tracer.on_end(span, result, duration);
};
template <class Tracer>
concept called_with_spans = std::invocable<Tracer&, const Span&, const Result&, std::chrono::nanoseconds>;

/// Propagates and tells nobody.
struct NoTracer {
    void operator()(const Span&, const Result&, std::chrono::nanoseconds) const noexcept {}
};

/// The policy of tracing().
template <class Tracer>
class Tracing {
public:
    using Count = std::shared_ptr<detail::SharedCount<>>;

    Tracing(std::string name, Tracer tracer, Count lost)
        : name_(std::move(name)), tracer_(std::move(tracer)), lost_(std::move(lost)) {}

    template <class T, class Next>
    auto around(Next next) const {
        static_assert(
            !detail::collects<Next>,
            "gossip: tracing() around a batch would make a span of the collecting of each event, and not of the "
            "batch's runs; let the batch's callable begin a span of its own instead");
        return detail::Bound<Tracing, Next>(*this, std::move(next));
    }

    template <class Next>
    Result operator()(Next& next, Context& context, const Event& event) {
        const MetadataValue* const header = event.metadata().find("traceparent");
        const auto text = header == nullptr ? std::nullopt : header->template get<std::string_view>();
        const auto parent = text ? TraceContext::parse(*text) : std::nullopt;
        const Span span{name_,
                        parent ? parent->child() : TraceContext::root(),
                        parent ? parent->span : 0,
                        event,
                        context.attempt(),
                        context.now()};
        if constexpr (starts_spans<Tracer>) {
            told(guard([&] { static_cast<void>(tracer_.on_start(span)); }));
        }
        Result result = run(next, context, event, span, parent.has_value());
        if constexpr (!std::same_as<Tracer, NoTracer>) {
            const auto duration = context.now() - span.start;
            told(guard([&] {
                if constexpr (ends_spans<Tracer>) {
                    static_cast<void>(tracer_.on_end(span, result, duration));
                } else if constexpr (called_with_spans<Tracer>) {
                    static_cast<void>(tracer_(span, result, duration));
                }
            }));
        }
        return result;
    }

private:
    template <class Next>
    Result run(Next& next, Context& context, const Event& event, const Span& span, bool has_parent) {
        Metadata outgoing;
        outgoing.set("traceparent", span.trace.text());
        if (const MetadataValue* const state = event.metadata().find("tracestate"); state != nullptr && has_parent) {
            outgoing.set("tracestate", *state);
        }
        const detail::OutgoingScope scope(outgoing, {}, true, "tracestate"); // it belongs to its traceparent
        const Current current(span);
        return next(context, event);
    }

    struct Current {
        explicit Current(const Span& span) noexcept : outer(std::exchange(detail::innermost_span, &span)) {}
        Current(const Current&) = delete;
        Current& operator=(const Current&) = delete;
        ~Current() { detail::innermost_span = outer; }
        const Span* outer;
    };

    void told(const Result& result) const noexcept {
        if (!result) {
            lost_->add();
        }
    }

    std::string name_;
    [[no_unique_address]] Tracer tracer_;
    Count lost_;
};

template <class Tracer>
class TracingMiddleware : public Middleware<Tracing<Tracer>> {
public:
    using Count = typename Tracing<Tracer>::Count;

    TracingMiddleware(std::string name, Tracer tracer, Count lost)
        : Middleware<Tracing<Tracer>>(Tracing<Tracer>(std::move(name), std::move(tracer), lost)), lost_(lost) {}

    /// How often the tracer threw.
    [[nodiscard]] std::uint64_t lost() const noexcept { return lost_->get(); }

private:
    Count lost_;
};

/// Takes part in a distributed trace: each run is a span, whose parent is the `traceparent` in the event's metadata, or
/// which begins a trace. What the processor publishes on its thread carries the span as its `traceparent`, and the
/// event's `tracestate` or none, in place of those it has.
///
/// The tracer is an object with `on_start(const Span&)` and `on_end(const Span&, const Result&, nanoseconds)`, or one
/// of these, or a callable with the parameters of on_end. Within the run, on its thread, `current_span()` is the
/// span, for outside calls; on a helper of timeout_detached inside it is null, as a late run may outlive the span.
///
/// Threads: the tracer is copied to each processor and called by as many threads at once as the bus has workers.
/// Cost:    random ids, the text of the header (two allocations), and two readings of the clock: some 200 ns.
/// Errors:  a tracer that throws changes no result and is counted in lost(). A header that is none begins a new
/// trace. A deferral ends its span when the processor returns.
template <class Tracer>
[[nodiscard]] auto tracing(std::string name, Tracer tracer) {
    static_assert(starts_spans<Tracer> || ends_spans<Tracer> || called_with_spans<Tracer>,
                  "gossip: a tracer has on_start(const Span&), or on_end(const Span&, const Result&, "
                  "std::chrono::nanoseconds), or is called with what on_end takes");
    return TracingMiddleware<Tracer>(std::move(name), std::move(tracer), std::make_shared<detail::SharedCount<>>());
}
[[nodiscard]] inline auto tracing(std::string name = {}) { return tracing(std::move(name), NoTracer{}); }

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware

template <class Tracer, class Next>
inline constexpr bool gossip::detail::never_fails<gossip::detail::Bound<gossip::middleware::Tracing<Tracer>, Next>> =
    gossip::detail::never_fails<Next>;
