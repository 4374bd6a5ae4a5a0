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
// Edges: those of gossip/dispatch/engine.hpp

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

namespace detail {

/// Dead letters that are on their way: opened before the end of the event that they are about is counted, closed when
/// they have been read, or after the counter of what became of them else.
///
/// Threads: every member from any thread.
template <template <class> class Atom = std::atomic>
class BasicOpenLetters {
public:
    void open() noexcept { open_.fetch_add(1, std::memory_order_relaxed); } // relaxed: seen with the event's end
    void close() noexcept {
        open_.fetch_sub(1, std::memory_order_release); // [letters] what its processors did, and what they published
    }
    /// Asked after the ends of events.
    [[nodiscard]] std::uint64_t count() const noexcept {
        return open_.load(std::memory_order_acquire); // [letters] what those that are gone have led to
    }

private:
    Atom<std::uint64_t> open_{0};
};

/// Publishes to come, from before the look whether the bus is closed until what became of them is counted.
///
/// Threads: every member from any thread.
template <template <class> class Atom = std::atomic>
class BasicPublishesToCome {
public:
    /// The caller then looks whether the bus is closed.
    template <class Fence>
    void open(const Fence& fence) noexcept {
        count_.fetch_add(1, std::memory_order_relaxed); // relaxed: the fence is between this and that look
        fence.light();                                  // [to_come] one more; now the look
    }
    /// The same: a shutdown may wait for this.
    template <class Fence>
    void close(const Fence& fence) noexcept {
        count_.fetch_sub(1, std::memory_order_release); // [to_come] what became of it is counted
        fence.light();                                  // [to_come] one less; now the look
    }
    [[nodiscard]] bool any() const noexcept {
        return count_.load(std::memory_order_acquire) != 0; // [to_come] what became of those that are gone
    }

private:
    Atom<std::uint64_t> count_{0};
};

} // namespace detail

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
