// RefCount: the counter inside a block that several owners share.
//
// Edges: each name stands at both of its ends in the code
//   [released]  an owner's decrement(release)  happens before  the last owner's load or decrement(acquire)
#pragma once

#include <gossip/version.hpp>

#include <atomic>
#include <cstdint>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// Counts the owners of an immutable block; starts at one.
///
/// Threads: every member from any thread whose own reference keeps the block alive.
/// Cost:    add is one read-modify-write; drop by the only owner is one load.
template <template <class> class Atom = std::atomic>
class BasicRefCount {
public:
    constexpr BasicRefCount() noexcept = default;
    BasicRefCount(const BasicRefCount&) = delete;
    BasicRefCount& operator=(const BasicRefCount&) = delete;

    void add() noexcept { count_.fetch_add(1, std::memory_order_relaxed); } // relaxed: the caller's own keeps it alive

    /// Gives up one reference; true says that it was the last and the caller has to free the block.
    [[nodiscard]] bool drop() noexcept {
        if (unique()) {
            return true;
        }
        const auto before = count_.fetch_sub(1, std::memory_order_acq_rel); // [released] reads end before the free
        return before == 1;
    }

    /// True when the caller is the only owner, and thereby may change the block.
    [[nodiscard]] bool unique() const noexcept {
        return count_.load(std::memory_order_acquire) == 1; // [released] what the others read, they have read
    }

private:
    Atom<std::uint32_t> count_{1};
};

using RefCount = BasicRefCount<>;

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
