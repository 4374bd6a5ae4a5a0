#pragma once

#include <gossip/concurrency/wait_queue.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/dispatch/attention.hpp>
#include <gossip/dispatch/backlog.hpp>
#include <gossip/dispatch/claimed_runs.hpp>
#include <gossip/dispatch/lanes.hpp>
#include <gossip/dispatch/seat.hpp>
#include <gossip/platform.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <thread>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// What publish does when the buffer of an event's priority is full.
enum class Overflow : std::uint8_t {
    block,       // wait for room
    reject,      // say `full`
    drop_oldest, // make room: the oldest event of that priority that has not begun is dropped, and counted
};

namespace detail {

// Edges: those of gossip/dispatch/claimed_runs.hpp
// Edges: those of gossip/dispatch/attention.hpp

/// The bounded buffer between publishers and workers: a ring for each priority, the backlog of what waits for a key,
/// and the runs that workers have claimed and not begun.
///
/// An event with normal priority and no key is one ticket, one slot, and one look whether somebody sleeps. Workers
/// claim such events in runs; what is claimed and not begun stays in its slot, counts as waiting, and can be taken over
/// by others. All else raises a bit in `attention`, and is looked for only while a bit is up.
///
/// Threads: every member from any thread; `worker` names the caller's own run.
/// Order:   of one priority by ticket. Higher priorities first; see `patience`.
/// Stalls:  as the ring. Keys, spilling and dropping take the backlog's mutex.
/// Owns:    the events that wait.
class Inbox {
public:
    using Ticket = EventRing::Ticket;
    using Refusal = EventRing::Refusal;

    static constexpr std::size_t normal = Lanes::normal;
    /// A lane that has waited while this many events of higher priority were begun by one worker gets the next turn.
    /// All who poll count as one worker.
    static constexpr std::uint8_t patience = 16;
    static constexpr std::uint32_t longest_run = 32;
    static constexpr std::uint8_t turns_a_look = 32;
    static constexpr unsigned no_worker = ClaimedRuns::no_worker;

    static constexpr std::uint32_t lane_bit(std::size_t lane) noexcept { return 1U << lane; }
    static constexpr std::uint32_t tasks_bit = 1U << 8;
    static constexpr std::uint32_t enders_bit = 1U << 9;

    Inbox(std::size_t capacity, unsigned workers)
        : capacity_(EventRing::round_up(capacity)), lanes_(capacity_), runs_(workers) {}
    Inbox(const Inbox&) = delete;
    Inbox& operator=(const Inbox&) = delete;
    ~Inbox() {
        TakenEvent event;
        while (take_any(event)) {
            event.reset();
        }
    }

    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

    /// The plain way: `build(storage)` makes the event in its slot and must not throw.
    template <class Build>
    [[nodiscard]] Refusal offer_plain(Build&& build) noexcept {
        Ticket ticket = 0;
        const Refusal refusal = lanes_.plain().reserve(ticket);
        if (refusal == Refusal::none) [[likely]] {
            build(lanes_.plain().storage(ticket));
            lanes_.plain().commit(ticket);
        }
        return refusal;
    }

    /// Any event. Moves from it only if it is accepted. May throw std::bad_alloc, and leaves it with the caller then.
    /// `moved`: somebody has to look at the lane even if it is not, as spilled events have moved in.
    [[nodiscard]] Refusal offer(Event& event, bool& moved) {
        const auto lane = static_cast<std::size_t>(event.priority());
        EventRing& ring = lanes_.of(lane);
        if (event.has_key()) {
            EventAccess::box_data(event);
        }
        Refusal refusal = offer_to(lane, ring, event);
        if (refusal == Refusal::gated && ring.has_room()) {
            moved = true;
            if (refill(lane, ring)) {
                refusal = offer_to(lane, ring, event);
            }
        }
        if (refusal == Refusal::none && lane != normal) {
            raise(lane_bit(lane));
        }
        return refusal;
    }

    /// Accepts an event, beyond the buffer if it must be. False if intake is closed.
    [[nodiscard]] bool spill(Event& event) {
        EventAccess::box_data(event);
        const auto lane = static_cast<std::size_t>(event.priority());
        const bool accepted = backlog_.spill(lane, lanes_.of(lane), event);
        if (accepted) {
            raise(lane_bit(lane));
        }
        return accepted;
    }

    /// Lets go of the event's key. True if another event may run now.
    bool pass_key_on(const Event& event) noexcept {
        const int lane = backlog_.pass_on(event);
        if (lane < 0) {
            return false;
        }
        raise(lane_bit(static_cast<std::size_t>(lane)));
        return true;
    }

    /// Takes the oldest event of a lane that has not begun out of the buffer. `held_key`: its key must be passed on.
    [[nodiscard]] bool drop_oldest(std::size_t lane, TakenEvent& into, bool& held_key) noexcept {
        EventRing& ring = lanes_.of(lane);
        for (int tries = 0; tries < 1'000; ++tries) {
            Ticket oldest = Backlog::none; // of those that are in runs: all of them are older than those in line
            const unsigned holder = lane == normal ? runs_.holder_of_oldest(oldest) : no_worker;
            Ticket ticket = 0;
            const Ticket parked = backlog_.oldest(lane);
            if (parked > oldest ? runs_.take(holder, ticket) : holder == no_worker && claim_one(ring, ticket, parked)) {
                take_out(lane, ring, ticket, into);
                held_key = into->has_key();
                return true;
            }
            if (const auto found = backlog_.take_oldest(lane, ring, oldest, into); found != Backlog::Oldest::none) {
                held_key = found == Backlog::Oldest::holds_key;
                return true;
            }
            if (holder == no_worker && !ring.pending() && !ring_busy(ring)) {
                return false;
            }
            std::this_thread::yield(); // somebody is between claiming and beginning
        }
        return false;
    }

    /// The next event of this worker's run, or of a new one of up to `most`. The plain way: nothing wants attention.
    /// `kept`: the rest of the new one could be seen by nobody until now; the caller looks whether somebody sleeps.
    [[nodiscard]] bool take_plain(unsigned worker, std::uint32_t most, TakenEvent& into, bool& kept) noexcept {
        Ticket ticket = 0;
        if (!runs_.take(worker, ticket)) {
            const EventRing::Run claimed = lanes_.plain().claim(most);
            if (claimed.count == 0) {
                return false;
            }
            ticket = claimed.first;
            if (claimed.count > 1) {
                runs_.keep(worker, claimed.first + 1, claimed.count - 1);
                kept = true;
            }
        }
        take_out(normal, lanes_.plain(), ticket, into);
        return true;
    }

    /// Asked before a turn; each 32nd time it looks at the oldest event that somebody has claimed and not begun. If
    /// that is the one of the last look its worker is held up, and it is taken over; what comes after it is next.
    [[nodiscard]] bool take_overdue(unsigned worker, Seat& seat, TakenEvent& into) noexcept {
        if (++seat.turns < turns_a_look) [[likely]] {
            return false;
        }
        Ticket ticket = Backlog::none;
        const unsigned holder = runs_.holder_of_oldest(ticket);
        const bool overdue = holder != no_worker && holder != worker && ticket == seat.oldest;
        seat.oldest = ticket;
        if (!overdue || !runs_.take(holder, ticket)) {
            seat.turns = 0;
            return false;
        }
        seat.turns = turns_a_look - 1;
        seat.oldest = ticket + 1;
        take_out(normal, lanes_.plain(), ticket, into);
        return true;
    }

    /// Takes over part of what another worker has claimed and not begun. A worker keeps the rest of it as its own run,
    /// and then looks whether somebody sleeps.
    [[nodiscard]] bool steal(unsigned worker, TakenEvent& into) noexcept {
        Ticket ticket = 0;
        if (!runs_.steal(worker, ticket)) {
            return false;
        }
        take_out(normal, lanes_.plain(), ticket, into);
        return true;
    }

    [[nodiscard]] bool has_run(unsigned worker) const noexcept { return runs_.has_run(worker); }

    /// The next event in the order of priorities, by anybody; only tickets below `limits`, if given. A worker that has
    /// a run afterwards looks whether somebody sleeps.
    [[nodiscard]] bool take_by_priority(unsigned worker, Seat& seat, TakenEvent& into,
                                        const std::array<Ticket, priority_count>* limits = nullptr) noexcept {
        const std::uint32_t wanted = raised();
        auto& skipped = worker == no_worker ? skipped_by_pollers_ : seat.skipped;
        const auto set = [&skipped](std::size_t lane, std::uint8_t times) {
            skipped[lane].store(times, std::memory_order_relaxed); // relaxed: a tally; two who poll may lose one
        };
        const auto take = [&](std::size_t lane) {
            if (!(lane == normal && take_overdue(worker, seat, into)) && !take_from_lane(lane, worker, into, limits)) {
                return false;
            }
            for (std::size_t lower = 0; lower < lane; ++lower) {
                const bool waits =
                    lower == normal ? lane_has_work(normal) || runs_.any() : (wanted & lane_bit(lower)) != 0;
                const unsigned before = skipped[lower].load(std::memory_order_relaxed); // relaxed: as above
                set(lower, waits ? static_cast<std::uint8_t>(before + 1) : std::uint8_t{0});
            }
            set(lane, 0);
            return true;
        };
        for (std::size_t lane = 0; lane < priority_count; ++lane) { // those that have waited long enough, lowest first
            if (skipped[lane].load(std::memory_order_relaxed) >= patience) { // relaxed: as above
                set(lane, 0);
                if (take(lane)) {
                    return true;
                }
            }
        }
        for (std::size_t lane = priority_count; lane-- > 0;) {
            if ((lane == normal || (wanted & lane_bit(lane)) != 0) && take(lane)) {
                return true;
            }
        }
        return false;
    }

    /// Takes anything that waits, in no particular order, keys or not; for giving up what is left.
    [[nodiscard]] bool take_any(TakenEvent& into) noexcept {
        for (std::size_t lane = priority_count; lane-- > 0;) {
            if (take_from_lane(lane, no_worker, into, nullptr)) {
                return true;
            }
        }
        return backlog_.take_parked(lanes_.all(), into);
    }

    [[nodiscard]] std::uint32_t raised() const noexcept { return attention_.raised(); }
    void raise(std::uint32_t bit) noexcept { attention_.raise(bit); }
    /// The caller then looks again whether there is a reason for the bit, and if so raises it.
    void lower(std::uint32_t bit) noexcept { attention_.lower(bit); }

    /// Whether something waits that nobody has begun and that may run now.
    [[nodiscard]] bool has_work() const noexcept {
        for (std::size_t lane = 0; lane < priority_count; ++lane) {
            if (lane_has_work(lane)) {
                return true;
            }
        }
        return runs_.any();
    }
    /// Whether some ticket has been drawn that nobody has claimed, committed or not.
    [[nodiscard]] bool pending() const noexcept {
        for (std::size_t lane = 0; lane < priority_count; ++lane) {
            if (const EventRing* const ring = lanes_.known(lane); ring != nullptr && ring->pending()) {
                return true;
            }
        }
        return false;
    }
    /// How many events of normal priority nobody has claimed.
    [[nodiscard]] std::uint64_t unclaimed() const noexcept {
        const Ticket head = lanes_.plain().head();
        const Ticket tail = lanes_.plain().tail();
        return tail > head ? tail - head : 0;
    }

    /// How many events wait, about.
    [[nodiscard]] std::uint64_t waiting() const noexcept {
        std::uint64_t sum = backlog_.parked();
        for (std::size_t lane = 0; lane < priority_count; ++lane) {
            if (const EventRing* const ring = lanes_.known(lane)) {
                sum += backlog_.spilled(lane); // first: what moves in meanwhile is not missing
                // In line: drawn, less claimed, less without a value.
                const std::uint64_t gone = ring->head() - ring->passed_over() + backlog_.parked_ever(lane);
                const std::uint64_t drawn = ring->tail() - ring->stepped_over();
                sum += drawn > gone ? drawn - gone : 0;
            }
        }
        return sum + runs_.size();
    }
    [[nodiscard]] std::array<Ticket, priority_count> tails() const noexcept { return lanes_.tails(); }

    /// Events that have been accepted here, ever.
    [[nodiscard]] std::uint64_t accepted() const noexcept {
        return backlog_.accepted([this] { return lanes_.drawn(); });
    }
    [[nodiscard]] std::uint64_t spilled_ever() const noexcept { return backlog_.spilled_ever(); }

    void close() noexcept {
        lanes_.close();
        backlog_.await_spills();
        for (WaitQueue& line : room_) {
            line.wake_all();
        }
    }
    [[nodiscard]] bool closed() const noexcept { return lanes_.plain().closed(); }

    /// Where publishers wait for room in a lane.
    [[nodiscard]] WaitQueue& room(std::size_t lane) noexcept { return room_[lane]; }
    /// Whether a good part of a lane is free; a hint.
    [[nodiscard]] bool roomy(std::size_t lane) noexcept {
        const EventRing& ring = lanes_.of(lane);
        const Ticket head = ring.head();
        const Ticket tail = ring.tail();
        return ring.closed() || tail <= head || tail - head <= capacity_ - capacity_ / 4;
    }
    /// Whether a publisher may sleep: its lane is full, and no event of it is just being begun.
    [[nodiscard]] bool really_full(std::size_t lane) noexcept {
        EventRing& ring = lanes_.of(lane);
        if (ring.closed()) {
            return false;
        }
        return !ring.has_room() && !ring_busy(ring);
    }

private:
    [[nodiscard]] Refusal offer_to(std::size_t lane, EventRing& ring, Event& event) {
        if (event.has_key()) {
            return backlog_.accept(lane, ring, event);
        }
        Ticket ticket = 0;
        const Refusal refusal = ring.reserve(ticket);
        if (refusal == Refusal::none) {
            ::new (ring.storage(ticket)) Event(std::move(event));
            ring.commit(ticket);
        }
        return refusal;
    }
    /// Moves what was spilled to where there is room by now. True if nothing is left of it: the gate is up.
    [[nodiscard]] bool refill(std::size_t lane, EventRing& ring) noexcept {
        bool all = false;
        while (!all && ring.has_room() && !ring.closed()) {
            all = backlog_.refill(lane, ring);
        }
        raise(lane_bit(lane)); // also for those that wait for their key: somebody has to step over them
        return all;
    }

    static bool claim_one(EventRing& ring, Ticket& ticket, Ticket limit = Backlog::none) noexcept {
        const EventRing::Run claimed = ring.claim(1, limit);
        ticket = claimed.first;
        return claimed.count != 0;
    }

    /// Moves a begun event out of its slot, and gives the room to a publisher that waits for it.
    void take_out(std::size_t lane, EventRing& ring, Ticket ticket, TakenEvent& into) noexcept {
        into.take(ring.address(ticket));
        ring.vacate(ticket);
        if (room_[lane].any()) [[unlikely]] { // [take] after the ticket was taken
            room_[lane].wake_one();
        }
    }

    bool take_from_lane(std::size_t lane, unsigned worker, TakenEvent& into,
                        const std::array<Ticket, priority_count>* limits) noexcept {
        EventRing* const ring = lanes_.known(lane);
        if (ring == nullptr) {
            return false;
        }
        const Ticket limit = limits == nullptr ? Backlog::none : (*limits)[lane];
        for (;;) {
            // What has got its key takes its turn by its ticket, whether that is before the next one in line or among
            // them.
            const Ticket ready = backlog_.first_ready(lane);
            Ticket next = ring->head();
            if (lane == normal && worker != no_worker) {
                next = runs_.first(worker, next);
            }
            next = next < limit ? next : limit;
            if (ready < next && backlog_.take_ready(lane, *ring, next, into)) {
                look_for_publishers(lane);
                return true;
            }
            Ticket ticket = 0;
            if ((lane == normal && worker != no_worker && runs_.take(worker, ticket)) ||
                claim_one(*ring, ticket, ready < limit ? ready : limit)) {
                take_out(lane, *ring, ticket, into);
                return true;
            }
            if (backlog_.take_ready(lane, *ring, limit, into)) {
                look_for_publishers(lane);
                return true;
            }
            if (lane == normal && steal(worker, into)) {
                return true;
            }
            if (backlog_.spilled(lane) != 0 && backlog_.take_spilled(lane, *ring, into)) {
                look_for_publishers(lane);
                return true;
            }
            lower(lane_bit(lane));
            if (limits != nullptr || !lane_has_work(lane)) {
                if (lane_has_work(lane)) {
                    raise(lane_bit(lane));
                }
                return false;
            }
            raise(lane_bit(lane)); // [attention] something came between
            if (ring->pending()) {
                return false; // drawn and not committed: the worker comes back
            }
        }
    }

    void look_for_publishers(std::size_t lane) noexcept {
        if (room_[lane].any()) {
            room_[lane].wake_one();
        }
    }

    [[nodiscard]] bool lane_has_work(std::size_t lane) const noexcept {
        const EventRing* const ring = lanes_.known(lane);
        return ring != nullptr && (backlog_.spilled(lane) != 0 || // first: what moves into the ring is seen there
                                   ring->pending() || backlog_.first_ready(lane) != Backlog::none);
    }
    /// Whether the value in the way of the next ticket has been claimed, and is in nobody's run: it is being begun.
    [[nodiscard]] bool ring_busy(const EventRing& ring) const noexcept {
        Ticket blocking = 0;
        return ring.in_the_way(blocking) && ring.claimed(blocking) && !runs_.holds(blocking);
    }

    const std::size_t capacity_;
    alignas(platform::cache_line) BasicAttention<> attention_{};
    Lanes lanes_;
    ClaimedRuns runs_;
    std::array<WaitQueue, priority_count> room_;
    std::array<std::atomic<std::uint8_t>, priority_count> skipped_by_pollers_{};
    Backlog backlog_;
};

} // namespace detail
} // namespace gossip::GOSSIP_VERSION_NAMESPACE
