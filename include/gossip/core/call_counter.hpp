#pragma once

#include <gossip/core/shared_count.hpp>
#include <gossip/version.hpp>

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

    [[nodiscard]] std::uint64_t next() const noexcept { return count_.add() + 1; }

private:
    mutable SharedCount<> count_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
