#pragma once

#include <gossip/core/shared_count.hpp>
#include <gossip/middleware/middleware.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

/// One run as a structured sink sees it. Lives for the call of the sink.
struct LogRecord {
    std::string_view name; // what logging() was told
    const Event& event;
    int attempt; // as Context::attempt(): redeliveries count
    const Result& result;
    std::optional<std::chrono::nanoseconds> duration; // measured only where the predicate does not say beforehand
    std::uint64_t lost;                               // records that the sink threw at, so far

    /// `charge: payment.received 00c0ffee... attempt 1 failed after 1.5ms: processing error: no answer`
    [[nodiscard]] std::string text() const {
        std::string line;
        line.append(name).append(": ").append(event.type().name()).append(" ").append(event.id_text());
        line.append(" attempt ")
            .append(std::string_view{detail::ValueText{attempt}})
            .append(result ? " ok" : " failed");
        if (duration) {
            line.append(" after ").append(std::string_view{detail::ValueText{*duration}});
        }
        if (!result) {
            line.append(": ").append(describe(result.error()));
        }
        if (lost > 0) {
            line.append(" (lines lost: ").append(std::string_view{detail::ValueText{lost}}).append(")");
        }
        return line;
    }
};

/// Which runs are logged.
struct EveryRun {
    bool operator()(const Event&, const Result&, std::chrono::nanoseconds) const noexcept { return true; }
};
struct FailedRuns {
    bool operator()(const Event&, const Result& result) const noexcept { return !result; }
};
struct SlowRuns {
    std::chrono::nanoseconds limit;
    bool operator()(const Event&, const Result& result, std::chrono::nanoseconds duration) const noexcept {
        return !result || duration >= limit;
    }
};

inline constexpr FailedRuns failures_only{};

/// Failures, and what took `limit` or longer.
template <class Rep, class Period>
[[nodiscard]] SlowRuns slower_than(std::chrono::duration<Rep, Period> limit) {
    const auto ns = detail::clamped_nanoseconds(limit);
    detail::require(ns.count() >= 0, "limit", ns, "must not be negative");
    return {ns};
}

template <class Sink>
concept log_sink = std::invocable<const Sink&, const LogRecord&> || std::invocable<const Sink&, const std::string&> ||
    std::invocable<Sink&, const LogRecord&> || std::invocable<Sink&, const std::string&>;

/// The policy of logging().
template <class Sink, class Predicate>
class Logging {
public:
    using Lost = std::shared_ptr<detail::SharedCount<>>;

    Logging(std::string name, Sink sink, Predicate predicate, Lost lost)
        : name_(std::move(name)), sink_(std::move(sink)), predicate_(std::move(predicate)), lost_(std::move(lost)) {}

    template <class Next>
    Result operator()(Next& next, Context& context, const Event& event) {
        if constexpr (std::predicate<const Predicate&, const Event&, const Result&>) {
            Result result = next(context, event);
            if (predicate_(event, result)) [[unlikely]] {
                write(context, event, result, std::nullopt);
            }
            return result;
        } else {
            const auto start = context.now();
            Result result = next(context, event);
            const auto duration = context.now() - start;
            if (predicate_(event, result, duration)) {
                write(context, event, result, duration);
            }
            return result;
        }
    }

private:
    [[gnu::cold, gnu::noinline]] void write(Context& context, const Event& event, const Result& result,
                                            std::optional<std::chrono::nanoseconds> duration) {
        const std::uint64_t lost = lost_->get();
        const LogRecord record{name_, event, context.attempt(), result, duration, lost};
        const Result written = guard([&] {
            if constexpr (std::invocable<Sink&, const LogRecord&>) {
                static_cast<void>(sink_(record));
            } else {
                const std::string line = record.text();
                static_cast<void>(sink_(line));
            }
        });
        if (!written) {
            lost_->add();
        }
    }

    std::string name_;
    Sink sink_;
    [[no_unique_address]] Predicate predicate_;
    Lost lost_;
};

/// What logging() returns: a middleware that knows how many records its sink has lost.
template <class Policy>
class LoggingMiddleware : public Middleware<Policy> {
public:
    LoggingMiddleware(Policy policy, typename Policy::Lost lost)
        : Middleware<Policy>(std::move(policy)), lost_(std::move(lost)) {}

    /// Records that the sink threw at, over all that was wrapped.
    [[nodiscard]] std::uint64_t lost() const noexcept { return lost_->get(); }

private:
    typename Policy::Lost lost_;
};

/// Tells the sink of each run: `logging("charge", [](const std::string& line) { ... })`, or a structured sink that
/// takes `const LogRecord&`. The predicate chooses the runs: `failures_only`, `slower_than(1s)`, or one of yours:
/// (const Event&, const Result&), where the run is not timed, or with a third parameter, the duration in nanoseconds.
///
/// Threads: the sink is copied to each processor and called by as many threads at once as the bus has workers.
/// Cost:    the clock is read twice if the predicate wants the duration (all runs, by default); otherwise a run that is
///          not logged costs the predicate.
/// Errors:  a sink that throws changes no result; the record is lost, and counted in the next ones and in lost().
///          What the predicate throws fails the event. A processor that has deferred is logged as ok.
template <class Sink, class Predicate>
[[nodiscard]] auto logging(std::string name, Sink sink, Predicate predicate) {
    static_assert(log_sink<Sink>,
                  "gossip: the sink of logging() takes (const std::string&), (std::string_view) or (const "
                  "gossip::middleware::LogRecord&)");
    static_assert(std::predicate<const Predicate&, const Event&, const Result&> ||
                      std::predicate<const Predicate&, const Event&, const Result&, std::chrono::nanoseconds>,
                  "gossip: the predicate of logging() takes (const Event&, const Result&), or these and a duration in "
                  "std::chrono::nanoseconds, and returns bool");
    using Policy = Logging<Sink, Predicate>;
    auto lost = std::make_shared<detail::SharedCount<>>();
    return LoggingMiddleware<Policy>(Policy(std::move(name), std::move(sink), std::move(predicate), lost), lost);
}
template <class Sink>
[[nodiscard]] auto logging(std::string name, Sink sink) {
    return logging(std::move(name), std::move(sink), EveryRun{});
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware

template <class Sink, class Predicate, class Next>
inline constexpr bool
    gossip::detail::never_fails<gossip::detail::Bound<gossip::middleware::Logging<Sink, Predicate>, Next>> =
        gossip::detail::never_fails<Next>;
