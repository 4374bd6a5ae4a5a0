#pragma once

#include <gossip/platform.hpp>

#include <atomic>
#include <cstdint>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: each name stands at both of its ends in the code
//   [attention]  a ticket or an entry of the backlog (seq_cst), followed by the look at the bit, is ordered with the
//                bit's clearing (seq_cst), followed by another look at the lane: at least one sees the other.
//                What a bit is raised for (release) happens before its clearing (acquire)

/// Bits that say what there is besides the plain way of an event; while none is up nobody looks for any of it.
///
/// Threads: every member from any thread.
/// Cost:    `raised` is one load, `raise` too while the bit is up.
template <template <class> class Atom = std::atomic>
class BasicAttention {
public:
    [[nodiscard]] std::uint32_t raised() const noexcept {
        return bits_.load(std::memory_order_relaxed); // relaxed: who raises a bit wakes somebody afterwards
    }
    void raise(std::uint32_t bit) noexcept {
        if ((bits_.load(std::memory_order_seq_cst) & bit) == 0) { // [attention] up: cleared after what came before
            bits_.fetch_or(bit, std::memory_order_release);       // [attention] after what it is raised for
        }
    }
    /// The caller then looks again whether there is a reason for the bit, and if so raises it.
    void lower(std::uint32_t bit) noexcept {
        bits_.fetch_and(~bit, std::memory_order_seq_cst); // [attention] before that look
    }

private:
    Atom<std::uint32_t> bits_{0};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
