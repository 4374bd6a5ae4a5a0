#pragma once

#include <gossip/core/clock.hpp>
#include <gossip/middleware/middleware.hpp>

#include <chrono>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

/// The policy of timeout().
class Timeout {
public:
    explicit Timeout(std::chrono::nanoseconds timeout) : timeout_(timeout) {
        detail::require(timeout.count() > 0, "timeout", timeout, "must be positive");
    }

    template <class T, class Next>
    auto around(Next next) const {
        static_assert(
            !detail::collects<Next>,
            "gossip: timeout() around a batch would limit the collecting of each event, and not the batch's runs; "
            "let the batch's callable look at the clock instead");
        return detail::Bound<Timeout, Next>(*this, std::move(next));
    }

    template <class Next>
    Result operator()(Next& next, Context& context, const Event& event) const {
        const std::chrono::nanoseconds end{detail::saturated_add(context.now().count(), timeout_.count())};
        Context limited(context, end);
        Result result = next(limited, event);
        if (end != Context::no_deadline && context.now() >= end) [[unlikely]] {
            return late(result);
        }
        return result;
    }

private:
    [[gnu::cold, gnu::noinline]] Result late(const Result& result) const noexcept {
        return result ? TimeoutError{timeout_, "the processor succeeded, but too late"}
                      : TimeoutError{timeout_, Cause{result.error()}};
    }

    std::chrono::nanoseconds timeout_;
};

/// Gives each run of the processor a deadline: `context.stop_requested()` is true and `context.sleep_for()` ends when
/// it has passed, and `context.stop_token()` is fired then. A run that ends at the deadline or later is a TimeoutError
/// with what it returned as the cause, a success as well: whoever set the time was promised an answer within it.
///
/// Threads: keeps nothing between events.
/// Cost:    two readings of the clock.
/// Stalls:  a processor that does not look at its context keeps its worker until it returns; timeout_detached is for
///          those. A retry outside of it begins only after that: two runs for one event never overlap.
/// Errors:  a timeout of zero or less is a ValidationError; one beyond the clock's end never comes. A processor that
///          defers within the time has succeeded; how long the deferral stays open is not limited.
template <class Rep, class Period>
[[nodiscard]] auto timeout(std::chrono::duration<Rep, Period> timeout) {
    return Middleware(Timeout(detail::clamped_nanoseconds(timeout)));
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware
