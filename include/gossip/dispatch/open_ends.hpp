#pragma once

#include <gossip/platform.hpp>

#include <atomic>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: each name stands at both of its ends in the code
//   [closed]  each close (release)  happens before  the last one (acquire), whose caller ends what was open; of those
//             who would end an event exactly one does (exchange)

/// How many have a share in something that ends with the last one. Starts with one.
///
/// Threads: every member from any thread that has a share.
/// Cost:    close by the only one is one load.
template <template <class> class Atom = std::atomic>
class BasicShares {
public:
    void add() noexcept { count_.fetch_add(1, std::memory_order_relaxed); } // relaxed: the caller has one
    /// True if it was the last one. Who has the only one need not take it off: nobody else could make another.
    [[nodiscard]] bool close() noexcept {
        return count_.load(std::memory_order_acquire) == 1 ||       // [closed] after all others
               count_.fetch_sub(1, std::memory_order_acq_rel) == 1; // [closed] the same
    }
    /// Whether the caller's is the only one; others may close theirs meanwhile.
    [[nodiscard]] bool only_mine() const noexcept {
        return count_.load(std::memory_order_relaxed) == 1; // relaxed: closing it orders
    }
    /// Starts again with one, after the last was closed.
    void begin() noexcept {
        count_.store(1, std::memory_order_relaxed); // relaxed: the caller hands it on under a lock
    }

private:
    Atom<int> count_{1};
};

/// The open ends of an event: how many there are, how many of them its key waits for, and whether the event has ended,
/// which it may before the last of them is closed. Starts with one, for which the key waits.
///
/// Threads: `open`, `let_go_of_key` and `close` by those who hold an open end, the others under the lock of the list.
template <template <class> class Atom = std::atomic>
class BasicOpenEnds {
public:
    void open(bool for_key) noexcept {
        open_.fetch_add(1, std::memory_order_relaxed); // relaxed: the caller holds an open end already
        if (for_key) {
            for_key_.fetch_add(1, std::memory_order_relaxed); // relaxed: the same
        }
    }
    /// One more for who has found the event on the list; false if the last one is closed, as the event then ends.
    [[nodiscard]] bool join() noexcept {
        int open = open_.load(std::memory_order_relaxed); // relaxed: a guess, checked by the exchange
        while (open != 0 && !open_.compare_exchange_weak(open, open + 1,
                                                         std::memory_order_relaxed,    // relaxed: closing it orders
                                                         std::memory_order_relaxed)) { // relaxed: another guess
        }
        return open != 0;
    }
    /// True for the last of those that the key waits for.
    [[nodiscard]] bool let_go_of_key() noexcept {
        return for_key_.fetch_sub(1, std::memory_order_acq_rel) == 1; // [closed] after all that held it
    }
    /// True for the last one: then nobody else knows of the event but by the list.
    [[nodiscard]] bool close() noexcept {
        return open_.fetch_sub(1, std::memory_order_acq_rel) == 1; // [closed] after all others
    }
    /// True for exactly one of those who would end the event: who has closed the last open end, when it is off the
    /// list, or who finds it on the list, joins those who hold one, and abandons it.
    [[nodiscard]] bool end() noexcept {
        return !ended_.exchange(true, std::memory_order_relaxed); // relaxed: the lock of the list orders the two
    }
    [[nodiscard]] bool has_ended() const noexcept {
        return ended_.load(
            std::memory_order_relaxed); // relaxed: who asks holds an open end, or the list's lock decides
    }

private:
    Atom<bool> ended_{false};
    Atom<int> open_{1};
    Atom<int> for_key_{1};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
