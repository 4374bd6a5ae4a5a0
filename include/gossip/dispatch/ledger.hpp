#pragma once

#include <gossip/platform.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// What is counted. Every accepted event ends in exactly one of the five ends.
enum class Tally : std::uint8_t {
    accepted, // besides those that a ring's tickets count
    handled,
    failed,
    unrouted,
    dropped,
    abandoned,
    rejected,
    redelivered,
    dead_letters,
    dead_letters_failed,
    dead_letters_abandoned,
    cancelled,
    late,
    local, // of the accepted: published on a bus that leaves the process, and stayed
    count_,
};

// Edges: each name stands at both of its ends in the code
//   [counted]  add's store(release)  happens before  of's load(acquire): who sees an end has seen its beginning

/// The counters of one seat: written by whoever holds the seat, read by anybody.
///
/// Threads: `add` by the holder of the seat alone, `of` from any thread.
/// Cost:    add is a load and a store; nothing is shared but with readers.
template <template <class> class Atom = std::atomic>
class BasicLedgerShard {
public:
    void add(Tally what, std::uint64_t n = 1) noexcept {
        Atom<std::uint64_t>& cell = cells_[static_cast<std::size_t>(what)];
        cell.store(cell.load(std::memory_order_relaxed) + n, // relaxed: only the holder writes
                   std::memory_order_release);               // [counted] what led to the end is seen with it
    }
    [[nodiscard]] std::uint64_t of(Tally what) const noexcept {
        return cells_[static_cast<std::size_t>(what)].load(
            std::memory_order_acquire); // [counted] beginnings read after this include its own
    }
    /// All events that have ended.
    [[nodiscard]] std::uint64_t ended() const noexcept {
        return of(Tally::handled) + of(Tally::failed) + of(Tally::unrouted) + of(Tally::dropped) + of(Tally::abandoned);
    }

private:
    std::array<Atom<std::uint64_t>, static_cast<std::size_t>(Tally::count_)> cells_{};
};

using LedgerShard = BasicLedgerShard<>;

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
