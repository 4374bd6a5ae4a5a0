#pragma once

#include <gossip/core/random.hpp>
#include <gossip/middleware/middleware.hpp>

#include <chrono>
#include <cstdint>
#include <limits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

/// How often, how soon, and what is tried again.
struct RetryPolicy {
    int attempts = 4; // the first call included
    std::chrono::nanoseconds first_delay = std::chrono::milliseconds(100);
    double growth = 2.0;                                          // each delay is the one before times this,
    std::chrono::nanoseconds max_delay = std::chrono::minutes(1); // up to this
    double jitter = 0.5; // the part of a delay that is left to chance: 0 none, 1 anything from nothing to the whole
    bool (*retry_if)(const Error&) = nullptr; // null: every failure that is not final
};

/// The policy of retry().
template <class Predicate>
class Retry {
public:
    Retry(const RetryPolicy& policy, Predicate predicate) : policy_(policy), predicate_(std::move(predicate)) {
        using std::chrono::nanoseconds;
        detail::require(policy.attempts >= 1, "attempts", policy.attempts, "must be at least 1");
        detail::require(policy.first_delay >= nanoseconds{0}, "first_delay", policy.first_delay,
                        "must not be negative");
        detail::require(policy.growth >= 1 && policy.growth <= std::numeric_limits<double>::max(), "growth",
                        policy.growth, "must be a number of at least 1");
        detail::require(policy.max_delay >= policy.first_delay, "max_delay", policy.max_delay,
                        "must be at least first_delay");
        detail::require(policy.jitter >= 0 && policy.jitter <= 1, "jitter", policy.jitter, "must be between 0 and 1");
    }

    template <class Next>
    Result operator()(Next& next, Context& context, const Event& event) const {
        Result result = next(context, event);
        if (!result) [[unlikely]] {
            try_again(result, next, context, event);
        }
        return result;
    }

    template <class T, class Next>
    auto around(Next next) const {
        static_assert(!detail::never_fails<Next>,
                      "gossip: retry() around what never fails, such as a noexcept processor that returns nothing, "
                      "ignore_errors() or a batch, never retries; put it inside, let the processor return a Result, or "
                      "use the subscription's redelivery");
        return detail::Bound<Retry, Next>(*this, std::move(next));
    }

private:
    template <class Next>
    [[gnu::cold, gnu::noinline]] void try_again(Result& result, Next& next, Context& context,
                                                const Event& event) const {
        auto delay = static_cast<double>(policy_.first_delay.count());
        const auto longest = static_cast<double>(policy_.max_delay.count());
        for (int attempt = 1; attempt < policy_.attempts && !result; ++attempt) {
            const Error error = result.error();
            if (is_fatal(error) || is_validation(error) || !predicate_(error)) {
                return;
            }
            const double drawn = policy_.jitter > 0 ? delay * (1 - policy_.jitter * detail::random_fraction()) : delay;
            if (!context.sleep_for(to_duration(drawn))) {
                return;
            }
            delay = delay * policy_.growth < longest ? delay * policy_.growth : longest;
            result = next(context, event);
        }
    }

    static std::chrono::nanoseconds to_duration(double ns) noexcept {
        return ns < 0x1p63 ? std::chrono::nanoseconds(static_cast<std::int64_t>(ns)) : std::chrono::nanoseconds::max();
    }

    RetryPolicy policy_;
    [[no_unique_address]] Predicate predicate_;
};

/// Calls the processor again after a failure, on this worker, until it succeeds, the attempts are used up, the failure
/// has a FatalError or ValidationError in its chain or the predicate says no, or the run is stopped or out of time. The
/// last Result is returned as it came. To wait without holding a worker, use the subscription's redelivery.
///
/// Threads: keeps nothing between events.
/// Cost:    one compare on success.
/// Stalls:  holds its worker, and the event's key, while it waits; a stop or the deadline ends the wait.
/// Errors:  a bad policy is a ValidationError. A processor that has deferred has succeeded and is not called again.
template <class Predicate>
[[nodiscard]] auto retry(const RetryPolicy& policy, Predicate predicate) {
    static_assert(std::predicate<const Predicate&, const Error&>,
                  "gossip: the predicate of retry() can be called as const with (const Error&) and returns bool");
    return Middleware(Retry<Predicate>(policy, std::move(predicate)));
}
[[nodiscard]] inline auto retry(const RetryPolicy& policy) {
    return retry(policy, [retry_if = policy.retry_if](const Error& e) { return retry_if == nullptr || retry_if(e); });
}

/// The first call and `times` further ones, with growing delays: `retry(3, 10ms)`.
template <class Rep, class Period>
[[nodiscard]] auto retry(int times, std::chrono::duration<Rep, Period> first_delay) {
    detail::require(times >= 0, "times", times, "must not be negative");
    RetryPolicy policy;
    policy.attempts = times < std::numeric_limits<int>::max() ? times + 1 : times;
    policy.first_delay = detail::clamped_nanoseconds(first_delay);
    policy.max_delay = policy.max_delay < policy.first_delay ? policy.first_delay : policy.max_delay;
    return retry(policy);
}
[[nodiscard]] inline auto retry(int times) { return retry(times, RetryPolicy{}.first_delay); }

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware
