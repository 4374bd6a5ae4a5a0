// Middleware: a policy that has not met its processor yet.
#pragma once

#include <gossip/core/require.hpp>
#include <gossip/core/value_text.hpp>
#include <gossip/core/wrapped.hpp>

#include <chrono>
#include <concepts>
#include <string_view>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

/// What tells a middleware from a processor where one stands for the other by mistake.
struct MiddlewareBase {};

/// Called with a processor, it puts the policy around it: what comes back can be subscribed, or wrapped again.
///
/// A policy is a copyable function `Result(next, context, event)`, const or not, where `next(context, event)` is the
/// processor, and never throws. A processor that defers has succeeded as far as any policy can see: how a deferral ends
/// is told to the bus alone.
///
/// Threads: a value; applied through const, to any number of processors. The policy is copied to each of them; where
///          it says so, the copies share their state.
/// Cost:    what the policy does. Nothing is type-erased.
template <class Policy>
class Middleware : public MiddlewareBase {
public:
    using policy_type = Policy;

    constexpr explicit Middleware(Policy policy) : policy_(std::move(policy)) {}

    template <class P>
    [[nodiscard]] constexpr auto operator()(P&& processor) const -> detail::Wrapped<Policy, std::decay_t<P>> {
        static_assert(!std::derived_from<std::decay_t<P>, MiddlewareBase>,
                      "gossip: a middleware is called with a processor, not with another middleware; write "
                      "chain(outer, inner)(processor)");
        static_assert(std::derived_from<std::decay_t<P>, MiddlewareBase> || detail::may_be_processor<std::decay_t<P>>(),
                      "gossip: a middleware is called with a processor: a callable, or a batch, filter or middleware "
                      "around one");
        return {policy_, std::forward<P>(processor)};
    }

protected:
    [[nodiscard]] const Policy& policy() const noexcept { return policy_; }

private:
    [[no_unique_address]] Policy policy_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware
