#pragma once

#include <gossip/core/call_counter.hpp>
#include <gossip/middleware/middleware.hpp>

#include <cstdint>

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

/// The policy of duplicate_every().
class DuplicateEvery {
public:
    explicit DuplicateEvery(std::int64_t n) : n_(static_cast<std::uint64_t>(n)) {
        detail::require(n >= 1, "n", n, "must be at least 1");
    }

    template <class Next>
    Result operator()(Next& next, Context& context, const Event& event) const {
        const bool twice = calls_.next() % n_ == 0;
        Result result = next(context, event);
        if (twice && result) {
            return next(context, event);
        }
        return result;
    }

private:
    std::uint64_t n_;
    detail::CallCounter calls_;
};

/// For tests: runs the processor twice for every n-th event that it handles, as a broker that delivers at least once
/// may. The answer is the first failure. Each processor counts for itself.
[[nodiscard]] inline auto duplicate_every(std::int64_t n) { return Middleware(DuplicateEvery(n)); }

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware
