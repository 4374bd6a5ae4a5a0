#pragma once

#include <gossip/core/random.hpp>

#include <algorithm>
#include <chrono>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// The pauses between attempts: each drawn evenly from nothing up to a bound that doubles from `first` to `most`, so
/// that many clients of a server that comes back do not come back together.
class Backoff {
public:
    Backoff(std::chrono::milliseconds first, std::chrono::milliseconds most) noexcept
        : first_(first), most_(most), bound_(first) {}

    [[nodiscard]] std::chrono::nanoseconds next() noexcept {
        const std::chrono::nanoseconds bound = bound_;
        bound_ = std::min(bound_ * 2, most_);
        return std::chrono::nanoseconds{
            static_cast<std::int64_t>(gossip::detail::random_fraction() * static_cast<double>(bound.count()))};
    }
    void reset() noexcept { bound_ = first_; }

private:
    std::chrono::milliseconds first_;
    std::chrono::milliseconds most_;
    std::chrono::milliseconds bound_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
