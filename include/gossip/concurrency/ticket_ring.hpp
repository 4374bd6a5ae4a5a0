#pragma once

#include <gossip/platform.hpp>

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

// Edges: each name stands at both of its ends in the code
//   [filled]   commit's turn.store(release)  happens before  claim's turn.load(acquire)
//   [emptied]  vacate's turn.store(release)  happens before  the next lap's reserve's turn.load(acquire)
//   [ticket]   reserve's tail CAS(seq_cst)  is ordered with  whoever announces its sleep and then asks pending()
//   [begun]    claim's head CAS(seq_cst)  is ordered with  whoever announces that it waits and then asks claimed()
//              vacate_parked's turn CAS(seq_cst)  is ordered with  whoever announces that it waits and asks has_room()

/// The mechanism under every queue of the library: a bounded ring whose tickets order producers and consumers.
/// Each slot carries a turn: the ticket that it belongs to, and whether it is free, full or parked. A parked slot is
/// occupied by a value that waits for something else than its place in line: producers and consumers step over it, and
/// it counts as occupied until `vacate`, so the number of values in the ring never exceeds its capacity.
///
/// Threads: every member from any thread, as far as the ticket given to it is held by the caller.
/// Order:   claims hand out tickets in the order of reserve.
/// Cost:    reserve and claim are one compare-exchange each when uncontended, plus one step for each parked slot in
///          the way; a run of n costs one as well.
/// Stalls:  no member waits, but a producer halted between reserve and commit hides the slots behind its own until it
///          resumes, and a consumer halted between claim and vacate has reserve refuse one lap later, whatever else is
///          free; in the strict sense that is not lock-free.
/// Owns:    the memory. Values are built and destroyed by the callers.
template <class T, template <class> class Atom = std::atomic>
class TicketRing {
public:
    using Ticket = std::uint64_t;

    enum class Refusal : std::uint8_t { none, full, gated, closed };

    struct Run {
        Ticket first = 0;
        std::uint32_t count = 0;
    };

    /// Capacity is rounded up to a power of two, and is at least 2.
    explicit TicketRing(std::size_t capacity) : mask_(round_up(capacity) - 1), slots_(new Slot[mask_ + 1]) {
        for (std::size_t i = 0; i <= mask_; ++i) {
            slots_[i].turn.store(free_at(i), std::memory_order_relaxed); // relaxed: nobody else knows the ring yet
        }
    }

    [[nodiscard]] static constexpr std::size_t round_up(std::size_t capacity) noexcept {
        return std::bit_ceil(capacity < 2 ? std::size_t{2} : capacity);
    }
    [[nodiscard]] std::size_t capacity() const noexcept { return mask_ + 1; }

    /// Draws the next ticket. Only `none` hands one out, and its holder must commit it, soon.
    [[nodiscard]] Refusal reserve(Ticket& ticket, bool pass_gate = false) noexcept {
        std::uint64_t tail = tail_.load(std::memory_order_relaxed); // relaxed: a guess, checked by the CAS
        for (;;) {
            if ((tail & flags) != 0) [[unlikely]] {
                if ((tail & closed_flag) != 0) {
                    return Refusal::closed;
                }
                if (!pass_gate) {
                    return Refusal::gated;
                }
            }
            const Ticket at = tail & ~flags;
            Slot& slot = slots_[at & mask_];
            const std::uint64_t turn = slot.turn.load(std::memory_order_acquire); // [emptied] the old T is gone
            if (turn == free_at(at)) [[likely]] {
                if (tail_.compare_exchange_weak(tail, tail + 1, std::memory_order_seq_cst, // [ticket] announces work
                                                std::memory_order_relaxed)) {              // relaxed: another guess
                    ticket = at;
                    fetch(at + ahead);
                    return Refusal::none;
                }
                continue;
            }
            const auto lag = static_cast<std::int64_t>((turn >> state_bits) - at);
            if (lag < 0 && ((turn & state_mask) != parked || !room_from(at))) {
                const std::uint64_t again = tail_.load(std::memory_order_acquire); // [ticket] was the guess stale?
                if (again == tail) {
                    return Refusal::full;
                }
                tail = again;
                continue;
            }
            if (lag < 0) {
                std::uint64_t expected = turn;
                if (!slot.turn.compare_exchange_strong(expected, parked_at(at),
                                                       std::memory_order_acq_rel,    // [filled] passes the T on
                                                       std::memory_order_relaxed)) { // relaxed: it is read again
                    tail = tail_.load(std::memory_order_relaxed);                    // relaxed: another guess
                    continue; // if vacated, the slot is free for this very ticket: a step would lose it
                }
            }
            step_over(tail_, tail);
        }
    }

    /// Where the value of a ticket lives, between reserve and commit, or between claim and vacate.
    [[nodiscard]] T* address(Ticket ticket) noexcept {
        return std::launder(reinterpret_cast<T*>(slots_[ticket & mask_].storage));
    }
    [[nodiscard]] void* storage(Ticket ticket) noexcept { return slots_[ticket & mask_].storage; }

    /// Shows the value that the caller has built to the consumers.
    void commit(Ticket ticket) noexcept {
        slots_[ticket & mask_].turn.store(full_at(ticket), std::memory_order_release); // [filled] publishes the T
    }
    /// Leaves the value in its slot, out of line, until somebody vacates it.
    void commit_parked(Ticket ticket) noexcept {
        slots_[ticket & mask_].turn.store(parked_at(ticket), std::memory_order_release); // [filled] publishes the T
    }

    /// Takes up to `most` committed values off the line, in order. They stay in their slots, and count, until vacated.
    [[nodiscard]] Run claim(std::uint32_t most) noexcept { return claim(most, ~std::uint64_t{0}); }

    /// The same, of tickets below `limit` alone.
    [[nodiscard]] Run claim(std::uint32_t most, Ticket limit) noexcept {
        Ticket head = head_.load(std::memory_order_relaxed); // relaxed: a guess, checked by the CAS
        for (;;) {
            std::uint32_t count = 0;
            std::uint64_t turn = 0;
            while (count < most && head + count < limit) {
                turn = slots_[(head + count) & mask_].turn.load(std::memory_order_acquire); // [filled] the T is built
                if (turn != full_at(head + count)) {
                    break;
                }
                fetch_to_take(head + count);
                ++count;
            }
            if (count > 0) {
                if (head_.compare_exchange_weak(head, head + count,
                                                std::memory_order_seq_cst,    // [begun] frees room soon
                                                std::memory_order_relaxed)) { // relaxed: another guess
                    return {head, count};
                }
                continue;
            }
            if (head >= limit) {
                return {};
            }
            const auto lag = static_cast<std::int64_t>((turn >> state_bits) - head);
            if (lag > 0 || (lag == 0 && (turn & state_mask) == parked)) {
                step_over(head_, head);
                continue;
            }
            return {};
        }
    }

    /// Gives a claimed slot back to the producers; the caller has moved the value out and destroyed it.
    void vacate(Ticket ticket) noexcept {
        slots_[ticket & mask_].turn.store(free_at(ticket + mask_ + 1), std::memory_order_release); // [emptied] T gone
    }
    /// The same for a parked slot, named by any ticket that it was ever given.
    void vacate_parked(Ticket ticket) noexcept {
        Slot& slot = slots_[ticket & mask_];
        std::uint64_t turn = slot.turn.load(std::memory_order_relaxed); // relaxed: checked by the CAS
        while (!slot.turn.compare_exchange_weak(turn, ((turn >> state_bits) + mask_ + 1) << state_bits,
                                                std::memory_order_seq_cst,    // [emptied] [begun] frees room
                                                std::memory_order_relaxed)) { // relaxed: a producer stepped over it
        }
    }

    /// Whether some ticket has been drawn that no consumer has claimed; true already before its commit.
    [[nodiscard]] bool pending() const noexcept {
        const Ticket at = head_.load(std::memory_order_seq_cst); // [begun] at most one ahead of the tail, by a step
        return at < tail();                                      // sees a ticket drawn before the announcement
    }
    /// Whether consumers have claimed `ticket`.
    [[nodiscard]] bool claimed(Ticket ticket) const noexcept {
        return head_.load(std::memory_order_seq_cst) > ticket; // [begun] sees a claim made before the announcement
    }

    [[nodiscard]] Ticket head() const noexcept {
        return head_.load(std::memory_order_acquire); // [begun] at least what the caller has seen claimed
    }
    [[nodiscard]] Ticket tail() const noexcept {
        return tail_.load(std::memory_order_seq_cst) & ~flags; // [ticket] at least what the caller has seen published
    }
    /// Whether reserve would find a free slot, parked ones stepped over. Sees what vacate_parked freed before the
    /// caller's announcement that it waits; what vacate freed only if a fence stands between on both sides.
    [[nodiscard]] bool has_room() const noexcept { return room_from(tail()); }
    /// The ticket of the value, parked ones stepped over, that must be gone before reserve finds room; false if nothing
    /// is in the way, or parked ones alone.
    [[nodiscard]] bool in_the_way(Ticket& ticket) const noexcept {
        Ticket at = tail();
        for (const Ticket end = at + mask_ + 1; at != end; ++at) {
            const std::uint64_t turn = slots_[at & mask_].turn.load(std::memory_order_seq_cst); // [begun] freed by now?
            if ((turn & state_mask) != parked) {
                ticket = turn >> state_bits;
                return ticket < at;
            }
        }
        return false;
    }
    /// Tickets that were drawn without a value: steps over parked slots.
    [[nodiscard]] std::uint64_t stepped_over() const noexcept {
        return stepped_.load(std::memory_order_acquire); // [ticket] follows the CAS that it corrects
    }

    /// Consumers' steps over tickets that stood for no value in line.
    [[nodiscard]] std::uint64_t passed_over() const noexcept {
        return passed_.load(std::memory_order_acquire); // [begun] follows the CAS that it corrects
    }

    /// No ticket is drawn any more; drawn ones stay good.
    void close() noexcept { tail_.fetch_or(closed_flag, std::memory_order_seq_cst); } // [ticket] ends the order
    [[nodiscard]] bool closed() const noexcept {
        return (tail_.load(std::memory_order_acquire) & closed_flag) != 0; // [ticket] as of some moment
    }
    /// While the gate is down only those who may pass it get tickets.
    void lower_gate() noexcept { tail_.fetch_or(gate_flag, std::memory_order_seq_cst); }   // [ticket] in one order
    void raise_gate() noexcept { tail_.fetch_and(~gate_flag, std::memory_order_seq_cst); } // [ticket] in one order

private:
    struct alignas(platform::cache_line) alignas(T) Slot {
        Atom<std::uint64_t> turn{0};
        alignas(T) std::byte storage[sizeof(T)];
    };

    static constexpr Ticket ahead = 8; // how far: some 150 ns of work, about what a line takes from a distant core
    static constexpr std::uint64_t closed_flag = std::uint64_t{1} << 63;
    static constexpr std::uint64_t gate_flag = std::uint64_t{1} << 62;
    static constexpr std::uint64_t flags = closed_flag | gate_flag;
    static constexpr unsigned state_bits = 2;
    static constexpr std::uint64_t state_mask = 3;
    static constexpr std::uint64_t full = 1;
    static constexpr std::uint64_t parked = 2;

    static constexpr std::uint64_t free_at(Ticket ticket) noexcept { return ticket << state_bits; }
    static constexpr std::uint64_t full_at(Ticket ticket) noexcept { return ticket << state_bits | full; }
    static constexpr std::uint64_t parked_at(Ticket ticket) noexcept { return ticket << state_bits | parked; }

    /// Whether the first slot from `at` on that is not parked is free, or `at` is no longer the tail.
    [[nodiscard]] bool room_from(Ticket at) const noexcept {
        for (const Ticket end = at + mask_ + 1; at != end; ++at) {
            const std::uint64_t turn = slots_[at & mask_].turn.load(std::memory_order_seq_cst); // [begun] freed by now?
            if ((turn & state_mask) != parked) {
                return (turn >> state_bits) >= at;
            }
        }
        return false;
    }

    /// Asks for the lines of a slot that is to be written soon: the locked operation of the next ticket waits for those
    /// writes, and without this it waits for the consumer's cache.
    void fetch(Ticket at) const noexcept {
        const Slot& slot = slots_[at & mask_];
        for (std::size_t i = 0; i < sizeof(Slot); i += platform::cache_line) {
            platform::prefetch_for_write(reinterpret_cast<const std::byte*>(&slot) + i);
        }
    }

    /// Asks for the lines of a slot that is to be emptied soon: the turn is to be written, the rest is not.
    void fetch_to_take(Ticket at) const noexcept {
        const auto* const slot = reinterpret_cast<const std::byte*>(&slots_[at & mask_]);
        platform::prefetch_for_write(slot);
        for (std::size_t i = platform::cache_line; i < sizeof(Slot); i += platform::cache_line) {
            platform::prefetch(slot + i);
        }
    }

    /// The slot at `at` needs nobody's attention any more: moves the index on, unless somebody else has.
    void step_over(Atom<std::uint64_t>& index, std::uint64_t& at) noexcept {
        if (index.compare_exchange_strong(at, at + 1,
                                          std::memory_order_seq_cst,    // [ticket] and [begun]: as the drawn ones
                                          std::memory_order_relaxed)) { // relaxed: another guess
            if (&index == &tail_) {
                stepped_.fetch_add(1, std::memory_order_release); // [ticket] the correction is seen after its ticket
            } else {
                passed_.fetch_add(1, std::memory_order_release); // [begun] the correction is seen after its step
            }
            ++at;
        }
    }

    const std::size_t mask_;
    const std::unique_ptr<Slot[]> slots_;
    alignas(platform::cache_line) Atom<std::uint64_t> tail_{0};
    alignas(platform::cache_line) Atom<std::uint64_t> head_{0};
    alignas(platform::cache_line) Atom<std::uint64_t> stepped_{0};
    Atom<std::uint64_t> passed_{0};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
