#pragma once

#include <gossip/middleware/middleware.hpp>

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

/// The policy of recovery().
class Recovery {
public:
    template <class Next>
    Result operator()(Next& next, Context& context, const Event& event) const noexcept {
        return next(context, event); // a policy's `next` has been guarded
    }
};

/// Makes a failed Result of any exception, never a success: an Error keeps its kind, a foreign exception becomes a
/// ProcessingError with its text and its exception_ptr.
///
/// Every middleware sees exceptions as failed Results already, and so does the bus; recovery is for where nothing else
/// stands outside of a policy of yours that may throw, and for saying so where the chain is read.
///
/// Cost: nothing while nothing is thrown.
[[nodiscard]] inline auto recovery() noexcept { return Middleware<Recovery>(Recovery{}); }

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware

template <class Next>
inline constexpr bool gossip::detail::never_fails<gossip::detail::Bound<gossip::middleware::Recovery, Next>> =
    gossip::detail::never_fails<Next>;
