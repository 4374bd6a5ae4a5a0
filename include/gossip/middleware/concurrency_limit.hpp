#pragma once

#include <gossip/core/awaited.hpp>
#include <gossip/core/clock.hpp>
#include <gossip/core/waiter.hpp>
#include <gossip/middleware/middleware.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
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
    /// A place among those who have one, or would like to; lives on its thread's stack.
    class Permit {
    public:
        Permit() = default;
        Permit(const Permit&) = delete;
        Permit& operator=(const Permit&) = delete;

    private:
        friend class Permits;
        const void* const thread_ = detail::this_thread();
        Permit* previous_ = nullptr; // among those who have one, in the order in which they got it
        Permit* next_ = nullptr;
    };
    enum class Acquired : std::uint8_t { yes, no, never };

    explicit Permits(const ConcurrencyLimitOptions& options) : free_(options.runs), max_wait_(options.max_wait) {
        detail::require(options.runs >= 1, "runs", options.runs, "must be at least 1");
        detail::require(options.max_wait.count() >= 0, "max_wait", options.max_wait, "must not be negative");
    }

    /// `no` if the wait, the context's deadline or a stop ended before it was our turn; or a subscription whose end
    /// would wait for us, while it may be the end that keeps others from making room. `never` if no such thing would
    /// end the wait, and all who have a permit wait for us.
    [[nodiscard]] Acquired acquire(Permit& permit, Context& context) {
        {
            const std::lock_guard lock(mutex_);
            if (take(permit)) {
                return Acquired::yes;
            }
        }
        return max_wait_.count() == 0 ? Acquired::no : wait_for(permit, context);
    }

    void release(Permit& permit) {
        const std::lock_guard lock(mutex_);
        (permit.previous_ == nullptr ? first_ : permit.previous_->next_) = permit.next_;
        (permit.next_ == nullptr ? last_ : permit.next_->previous_) = permit.previous_;
        if (line_.empty()) {
            ++free_;
        } else {
            Place& first = *line_.front();
            line_.pop_front();
            hold(first.permit);
            first.waits = false;
            first.waiter.fire(); // under the lock: it looks at itself under it before it goes
        }
    }

private:
    /// One waiter's place in the line, given up also when its waiting throws.
    struct Place final : detail::Awaited {
        Permits& permits;
        Permit& permit;
        detail::Waiter waiter;
        bool waits = false; // under the lock of the permits
        bool left = true;

        Place(Permits& of, Permit& whose) : permits(of), permit(whose) {}
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;
        ~Place() {
            if (!left && leave()) {
                permits.release(permit);
            }
        }

        /// Whether a permit came with it: it may have been handed over just when the waiting ended.
        bool leave() {
            const std::lock_guard lock(permits.mutex_);
            left = true;
            if (waits) {
                permits.line_.erase(std::find(permits.line_.begin(), permits.line_.end(), this));
            }
            return !waits;
        }

        [[nodiscard]] const void* holder(std::size_t place) const noexcept override {
            const std::lock_guard lock(permits.mutex_);
            const Permit* found = waits ? permits.first_ : nullptr;
            for (; found != nullptr && place != 0; --place) {
                found = found->next_;
            }
            return found == nullptr ? nullptr : found->thread_;
        }
        void look_again() noexcept override { waiter.look_again(); }
    };

    [[gnu::cold, gnu::noinline]] Acquired wait_for(Permit& permit, Context& context) {
        Place place{*this, permit};
        {
            const std::lock_guard lock(mutex_);
            if (take(permit)) {
                return Acquired::yes;
            }
            line_.push_back(&place);
            place.waits = true;
            place.left = false;
        }
        const std::chrono::nanoseconds until{detail::saturated_add(context.now().count(), max_wait_.count())};
        const bool has_end = std::min(until, context.deadline()) != Context::no_deadline;
        const std::unique_ptr<detail::ListedWait> listed =
            context.host() == nullptr ? nullptr : context.host()->list_wait(place, has_end);
        bool hopeless = false;
        static_cast<void>(place.waiter.wait(context, until, [&] { // the place knows more
            const std::uint64_t asked = listed == nullptr ? 0 : listed->asked();
            if (context.ended() != detail::Ended::no) {
                return true;
            }
            hopeless = listed != nullptr && listed->is_hopeless(asked);
            return hopeless;
        }));
        return place.leave() ? Acquired::yes : hopeless ? Acquired::never : Acquired::no;
    }

    // Under the lock
    bool take(Permit& permit) noexcept {
        if (free_ == 0) {
            return false;
        }
        --free_;
        hold(permit);
        return true;
    }
    void hold(Permit& permit) noexcept {
        permit.previous_ = last_;
        permit.next_ = nullptr;
        (last_ == nullptr ? first_ : last_->next_) = &permit;
        last_ = &permit;
    }

    std::mutex mutex_;
    int free_;
    Permit* first_ = nullptr; // of those who have one
    Permit* last_ = nullptr;
    std::deque<Place*> line_;
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
        Permits::Permit permit;
        const Permits::Acquired acquired = permits_->acquire(permit, context);
        if (acquired != Permits::Acquired::yes) {
            return refusal(context, acquired);
        }
        Result result = next(context, event);
        permits_->release(permit);
        return result;
    }

private:
    [[gnu::cold]] static Result refusal(Context& context, Permits::Acquired acquired) {
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
        return acquired == Permits::Acquired::never ? Result{errors::deadlock} : Result{errors::too_many_at_once};
    }

    std::shared_ptr<Permits> permits_;
};

/// Lets at most so many run at once; the others wait for their turn, or are refused with `errors::too_many_at_once`, a
/// RetryableError, when `max_wait`, the run's deadline or a stop ends the wait.
///
/// Threads: one limit for all that is wrapped by it or its copies.
/// Order:   who came first goes first.
/// Cost:    two uncontended locks. Who waits sleeps until it is its turn, or something ends the wait.
/// Stalls:  who waits holds its worker: with a limit below the number of workers, one slow processor can hold all of
///          them. With `max_wait` 0 and a redelivery nobody waits. An open deferral holds nothing. Nobody goes on
///          waiting once its subscription has ended: its event is as one that comes too late, handled, or failed if it
///          has failed before. Where that of a run around it has ended it is refused with `errors::deadlock`, and so is
///          one that would wait for ever: without `max_wait` and a deadline, while all who run wait, over however many
///          others and in whatever bus, for it to end; such as a processor that publishes synchronously into its own
///          limit of 1, also where a `timeout_detached` between the two would end that in time. What waits in `drain`
///          is not seen. With an end of its own the wait lasts until then.
/// Errors:  bad options are ValidationErrors. Waiting allocates; without memory the run fails.
[[nodiscard]] inline auto concurrency_limit(const ConcurrencyLimitOptions& options) {
    return Middleware(ConcurrencyLimit(std::make_shared<Permits>(options)));
}
[[nodiscard]] inline auto concurrency_limit(int runs) {
    ConcurrencyLimitOptions options;
    options.runs = runs;
    return concurrency_limit(options);
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware
