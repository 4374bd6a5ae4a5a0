#pragma once

#include <gossip/core/call_counter.hpp>
#include <gossip/middleware/middleware.hpp>

#include <cstdint>

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

/// The policy of fail_every().
class FailEvery {
public:
    FailEvery(std::int64_t n, const Error& error) : n_(static_cast<std::uint64_t>(n)), error_(error) {
        detail::require(n >= 1, "n", n, "must be at least 1");
    }

    template <class Next>
    Result operator()(Next& next, Context& context, const Event& event) const {
        if (calls_.next() % n_ == 0) {
            return error_;
        }
        return next(context, event);
    }

private:
    std::uint64_t n_;
    Error error_;
    detail::CallCounter calls_;
};

/// For tests: every n-th call does not reach the processor and fails with `error`. Each processor counts for itself.
[[nodiscard]] inline auto fail_every(std::int64_t n, const Error& error = errors::retryable) {
    return Middleware(FailEvery(n, error));
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware
