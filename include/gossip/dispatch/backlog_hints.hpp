#pragma once

#include <gossip/core/priority.hpp>
#include <gossip/platform.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: each name stands at both of its ends in the code
//   [ready]    what may run (seq_cst), followed by the look whether somebody sleeps, is ordered with a worker's
//              announcement that it will sleep, followed by its look at this: at least one sees the other
//   [moved]    what was spilled draws a ticket before it is no longer counted (release); whoever finds it not counted
//              (acquire) and then looks into the ring sees the ticket

/// What of a backlog may run now, by lane, for those who look without its lock.
///
/// Threads: `first_ready` and `spilled` from any thread, all else under the lock of the backlog.
template <template <class> class Atom = std::atomic>
class BasicBacklogHints {
public:
    static constexpr std::uint64_t none = std::numeric_limits<std::uint64_t>::max();

    /// The ticket of the first event whose key has come free, or `none`.
    [[nodiscard]] std::uint64_t first_ready(std::size_t lane) const noexcept {
        return first_ready_[lane].load(std::memory_order_seq_cst); // [ready] after the caller's announcement
    }
    void show_first(std::size_t lane, std::uint64_t ticket) noexcept {
        first_ready_[lane].store(ticket, std::memory_order_seq_cst); // [ready] before the caller looks who sleeps
    }
    /// How many spilled events may run.
    [[nodiscard]] std::size_t spilled(std::size_t lane) const noexcept {
        return spilled_[lane].load(std::memory_order_seq_cst); // [ready] [moved] after the caller's announcement
    }
    void let_run(std::size_t lane) noexcept {
        spilled_[lane].fetch_add(1, std::memory_order_seq_cst); // [ready] before somebody is woken for it
    }
    void took_spilled(std::size_t lane) noexcept {
        spilled_[lane].fetch_sub(1, std::memory_order_relaxed); // relaxed: who misses it looks in vain
    }
    void moved_in(std::size_t lane) noexcept {
        spilled_[lane].fetch_sub(1, std::memory_order_release); // [moved] after its ticket was drawn
    }

private:
    std::array<Atom<std::uint64_t>, priority_count> first_ready_{none, none, none, none};
    std::array<Atom<std::size_t>, priority_count> spilled_{};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
