#pragma once

#include <gossip/core/clock.hpp>
#include <gossip/core/waiter.hpp>
#include <gossip/middleware/middleware.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::errors {

namespace blocks {
[[gnu::visibility("default")]] inline constinit const detail::ErrorBlock too_many_at_once =
    detail::immortal_error(ErrorKind::retryable, "too many events at once");
} // namespace blocks

/// What a concurrency limit answers to an event that would have to wait for too long.
inline constexpr ReadyMade<RetryableError> too_many_at_once{blocks::too_many_at_once};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::errors

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

struct ConcurrencyLimitOptions {
    int runs = 1;                                                        // at most so many at once
    std::chrono::nanoseconds max_wait = std::chrono::nanoseconds::max(); // who waits longer is refused; 0: nobody waits
};

/// The right to run, so many times.
class Permits {
public:
    explicit Permits(const ConcurrencyLimitOptions& options) : free_(options.runs), max_wait_(options.max_wait) {
        detail::require(options.runs >= 1, "runs", options.runs, "must be at least 1");
        detail::require(options.max_wait.count() >= 0, "max_wait", options.max_wait, "must not be negative");
    }

    /// False if the wait, the context's deadline or a stop ended before it was our turn; or a subscription whose end
    /// would wait for us, while it may be the end that keeps others from making room.
    [[nodiscard]] bool acquire(Context& context) {
        detail::Waiter waiter;
        {
            const std::lock_guard lock(mutex_);
            if (free_ > 0) {
                --free_;
                return true;
            }
            if (max_wait_.count() == 0) {
                return false;
            }
            line_.push_back(&waiter);
        }
        Place place{*this, waiter};
        const auto until = detail::saturated_add(context.now().count(), max_wait_.count());
        place.granted = waiter.wait(context, std::chrono::nanoseconds{until}, detail::Waiter::Unless::ended);
        return place.leave();
    }

    void release() {
        const std::lock_guard lock(mutex_);
        if (line_.empty()) {
            ++free_;
        } else {
            detail::Waiter* const first = line_.front();
            line_.pop_front();
            first->fire(); // under the lock: it takes itself out of the line under it before it goes
        }
    }

private:
    /// One waiter's place in the line, given up also when its waiting throws.
    struct Place {
        Permits& permits;
        detail::Waiter& waiter;
        bool granted = false;
        bool left = false;

        Place(Permits& of, detail::Waiter& whose) : permits(of), waiter(whose) {}
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;
        ~Place() {
            if (!left && leave()) {
                permits.release();
            }
        }

        /// Whether a permit came with it: it may have been handed over just when the waiting ended.
        bool leave() {
            left = true;
            if (!granted) {
                const std::lock_guard lock(permits.mutex_);
                const auto found = std::find(permits.line_.begin(), permits.line_.end(), &waiter);
                granted = found == permits.line_.end();
                if (!granted) {
                    permits.line_.erase(found);
                }
            }
            return granted;
        }
    };

    std::mutex mutex_;
    int free_;
    std::deque<detail::Waiter*> line_;
    const std::chrono::nanoseconds max_wait_;
};

/// The policy of concurrency_limit().
class ConcurrencyLimit {
public:
    explicit ConcurrencyLimit(std::shared_ptr<Permits> permits) : permits_(std::move(permits)) {}

    template <class T, class Next>
    auto around(Next next) const {
        static_assert(
            !detail::collects<Next>,
            "gossip: concurrency_limit() around a batch would limit the collecting of events, and not the batch's "
            "runs; say it with the `concurrency` of the batch instead");
        return detail::Bound<ConcurrencyLimit, Next>(*this, std::move(next));
    }

    template <class Next>
    Result operator()(Next& next, Context& context, const Event& event) const {
        if (!permits_->acquire(context)) {
            return refusal(context);
        }
        Result result = next(context, event);
        permits_->release();
        return result;
    }

private:
    [[gnu::cold]] static Result refusal(Context& context) {
        switch (context.ended()) {
        case detail::Ended::itself:
            if (context.attempt() == 1) {
                return {}; // as a processor that is not called any more
            }
            break; // what failed before has failed
        case detail::Ended::around_it:
            return errors::deadlock;
        case detail::Ended::no:
            break;
        }
        return errors::too_many_at_once;
    }

    std::shared_ptr<Permits> permits_;
};

/// Lets at most so many run at once; the others wait for their turn, or are refused with `errors::too_many_at_once`, a
/// RetryableError, when `max_wait`, the run's deadline or a stop ends the wait.
///
/// Threads: one limit for all that is wrapped by it or its copies.
/// Order:   who came first goes first.
/// Cost:    two uncontended locks. Who waits looks a hundred times a second whether its subscription has ended.
/// Stalls:  who waits holds its worker: with a limit below the number of workers, one slow processor can hold all of
///          them. With `max_wait` 0 and a redelivery nobody waits. A processor that publishes synchronously into its
///          own limit of 1 waits for itself, until `max_wait`. An open deferral holds nothing. Nobody goes on waiting
///          once its subscription has ended: its event is as one that comes too late, handled, or failed if it has
///          failed before. Where that of a run around it has ended it is refused with `errors::deadlock`.
/// Errors:  bad options are ValidationErrors.
[[nodiscard]] inline auto concurrency_limit(const ConcurrencyLimitOptions& options) {
    return Middleware(ConcurrencyLimit(std::make_shared<Permits>(options)));
}
[[nodiscard]] inline auto concurrency_limit(int runs) {
    ConcurrencyLimitOptions options;
    options.runs = runs;
    return concurrency_limit(options);
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware
