#pragma once

#include <gossip/version.hpp>

#include <atomic>
#include <cstdint>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// Numbers calls: 1, 2, 3... A copy is a counter of its own and starts anew.
///
/// Threads: next from any thread; no number is given out twice.
class CallCounter {
public:
    CallCounter() noexcept = default;
    CallCounter(const CallCounter&) noexcept {}
    CallCounter& operator=(const CallCounter&) = delete;
    ~CallCounter() = default;

    [[nodiscard]] std::uint64_t next() const noexcept {
        return count_.fetch_add(1, std::memory_order_relaxed) + 1; // relaxed: only its being unique counts
    }

private:
    mutable std::atomic<std::uint64_t> count_{0};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
