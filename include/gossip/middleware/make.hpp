#pragma once

#include <gossip/middleware/middleware.hpp>

#include <functional>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

/// The policy of a function of yours.
template <class F>
class Made {
public:
    explicit Made(F f) : f_(std::move(f)) {}

    template <class Next>
    Result operator()(Next& next, Context& context, const Event& event) {
        constexpr bool callable = std::is_invocable_v<F&, Next&, Context&, const Event&>;
        static_assert(callable,
                      "gossip: make(f): f is called with (auto& next, gossip::Context&, const gossip::Event&)");
        if constexpr (callable) {
            using Returned = std::invoke_result_t<F&, Next&, Context&, const Event&>;
            static_assert(
                std::is_convertible_v<Returned, Result>,
                "gossip: make(f): f returns a Result, usually what next(context, event) returned; without it a "
                "failure would become a success");
            if constexpr (std::is_convertible_v<Returned, Result>) {
                return std::invoke(f_, next, context, event);
            }
        }
        return {};
    }

private:
    [[no_unique_address]] F f_;
};

/// Middleware of your own:
/// `make([](auto& next, gossip::Context& context, const gossip::Event& event) { return next(context, event); })`.
/// `next` may be called any number of times and never throws: what the processor throws is a failed Result.
///
/// Threads: f is copied to every processor, and there called by as many threads at once as the bus has workers.
/// Errors:  what f throws fails the event.
template <class F>
[[nodiscard]] auto make(F f) {
    return Middleware<Made<F>>(Made<F>(std::move(f)));
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware
