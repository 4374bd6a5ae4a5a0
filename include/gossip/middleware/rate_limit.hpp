#pragma once

#include <gossip/core/clock.hpp>
#include <gossip/middleware/middleware.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::errors {

namespace blocks {
[[gnu::visibility("default")]] inline constinit const detail::ErrorBlock rate_limited =
    detail::immortal_error(ErrorKind::retryable, "rate limit is exceeded");
} // namespace blocks

/// What a rate limit answers to an event that would have to wait for too long.
inline constexpr ReadyMade<RetryableError> rate_limited{blocks::rate_limited};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::errors

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

struct RateLimitOptions {
    std::int64_t events = 100;                              // so many
    std::chrono::nanoseconds per = std::chrono::seconds(1); // in this time, on the average,
    std::int64_t burst = 0;                                 // and so many at once after a pause; 0: as many as `events`
    std::chrono::nanoseconds max_wait =
        std::chrono::nanoseconds::max(); // who must wait longer is refused; 0: nobody waits
};

/// A bucket of tokens, as the time at which it will be full again.
template <template <class> class Atom = std::atomic>
class BasicTokenBucket {
public:
    explicit BasicTokenBucket(const RateLimitOptions& options) : max_wait_(options.max_wait.count()) {
        detail::require(options.events >= 1, "events", options.events, "must be at least 1");
        detail::require(options.per.count() > 0, "per", options.per, "must be positive");
        detail::require(options.burst >= 0, "burst", options.burst, "must not be negative");
        detail::require(options.max_wait.count() >= 0, "max_wait", options.max_wait, "must not be negative");
        const std::int64_t burst = options.burst == 0 ? options.events : options.burst;
        const std::int64_t step =
            options.per.count() / options.events + (options.per.count() % options.events != 0 ? 1 : 0);
        step_ = step < longest_time ? step : longest_time;
        depth_ = step_ > longest_time / burst ? longest_time : step_ * burst;
    }

    /// Takes a token and says how long to wait before using it; nothing if that is longer than allowed or than `left`.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> take(std::int64_t now, std::int64_t left) noexcept {
        const std::int64_t longest = left < max_wait_ ? left : max_wait_;
        std::int64_t full_at = full_at_.load(std::memory_order_relaxed); // relaxed: a guess, checked by the exchange
        for (;;) {
            const std::int64_t filled = detail::saturated_add(full_at > now ? full_at : now, step_);
            const std::int64_t wait = filled - now > depth_ ? filled - now - depth_ : 0;
            if (wait > longest) {
                return std::nullopt;
            }
            if (full_at_.compare_exchange_weak(full_at, filled,
                                               std::memory_order_relaxed,    // relaxed: it is all that there is to it
                                               std::memory_order_relaxed)) { // relaxed: another guess
                return std::chrono::nanoseconds{wait};
            }
        }
    }

private:
    static constexpr std::int64_t longest_time = detail::far_future / 4; // 73 years: sums of three stay in range

    std::int64_t step_;  // between two tokens
    std::int64_t depth_; // of the bucket, in time
    std::int64_t max_wait_;
    Atom<std::int64_t> full_at_{0};
};

using TokenBucket = BasicTokenBucket<>;

/// The policy of rate_limit().
class RateLimit {
public:
    explicit RateLimit(std::shared_ptr<TokenBucket> bucket) : bucket_(std::move(bucket)) {}

    template <class Next>
    Result operator()(Next& next, Context& context, const Event& event) const {
        const auto wait = bucket_->take(context.now().count(), context.remaining().count());
        if (!wait) {
            return errors::rate_limited;
        }
        if (wait->count() > 0 && !context.sleep_for(*wait)) {
            return errors::cancelled;
        }
        return next(context, event);
    }

private:
    std::shared_ptr<TokenBucket> bucket_;
};

/// Lets through so many events in so much time (a token bucket); the others wait, or are refused with
/// `errors::rate_limited`, a RetryableError, if that would take longer than `max_wait` or than the run's deadline.
///
/// Threads: one bucket for all that is wrapped by it or its copies.
/// Order:   who came first goes first.
/// Cost:    a reading of the clock and one compare-exchange.
/// Stalls:  who waits holds its worker; with `max_wait` 0 and a redelivery nobody does.
/// Errors:  bad options are ValidationErrors. Stopped while it waits: `errors::cancelled`, and the token is gone.
[[nodiscard]] inline auto rate_limit(const RateLimitOptions& options) {
    return Middleware(RateLimit(std::make_shared<TokenBucket>(options)));
}
template <class Rep, class Period>
[[nodiscard]] auto rate_limit(std::int64_t events, std::chrono::duration<Rep, Period> per) {
    RateLimitOptions options;
    options.events = events;
    options.per = detail::clamped_nanoseconds(per);
    return rate_limit(options);
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware
