#pragma once

#include <gossip/concurrency/brief_lock.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/dispatch/backlog_lane.hpp>
#include <gossip/dispatch/held_keys.hpp>
#include <gossip/dispatch/taken_event.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// What waits for something else than its place in line: events whose key is held (each parked in its slot of the
/// ring), those whose key has come free (`ready`), and those that processors published into a full buffer (`spilled`).
/// A key is held from the acceptance of its first event until the last one has let it go.
///
/// Threads: every member from any thread; one brief lock. No user code runs under it: the data of keyed events is boxed
///          before.
/// Order:   `ready` hands out by ticket, so that events take their turn among those that did not wait.
/// Cost:    an event whose key is free: two hash lookups; a node is made only while more keys are held than before.
///          Only users of keys, and of full buffers, come here.
class Backlog {
public:
    using Ticket = EventRing::Ticket;
    using Refusal = EventRing::Refusal;
    enum class Oldest : std::uint8_t { none, holds_key, waits_for_key };
    static constexpr Ticket none = std::numeric_limits<Ticket>::max();

    /// Accepts a keyed event into `ring`: in line if its key is free, parked behind the others of its key if not.
    /// Moves from `event` only if accepted. May throw std::bad_alloc; nothing has changed then.
    [[nodiscard]] Refusal accept(std::size_t lane, EventRing& ring, Event& event) {
        const std::lock_guard lock(lock_);
        prepare(lane, ring);
        const auto [key, fresh] = keys_.hold(event);
        Ticket ticket = 0;
        const Refusal refusal = ring.reserve(ticket);
        if (refusal != Refusal::none) {
            if (fresh) {
                keys_.let_go(key);
            }
            return refusal;
        }
        EventAccess::relocate(ring.storage(ticket), &event);
        ::new (static_cast<void*>(&event)) Event(husk());
        if (fresh) {
            ring.commit(ticket);
        } else {
            const std::size_t index = ticket & (ring.capacity() - 1);
            lanes_[lane].slots[index] = {ticket, 0, &key->second};
            append(key->second, link_to(lane, index));
            lanes_[lane].come_last(index);
            ring.commit_parked(ticket);
            parked_ever_[lane].fetch_add(1, std::memory_order_release); // [spilled] statistics
            count(parked_, +1);
        }
        return Refusal::none;
    }

    /// Accepts an event that has found `ring` full, beyond the buffer. False if intake is closed.
    [[nodiscard]] bool spill(std::size_t lane, EventRing& ring, Event& event) {
        auto node = std::make_unique<Spilled>(lane, 0, 0);
        const std::lock_guard lock(lock_);
        if (ring.closed()) {
            return false;
        }
        node->before = ring.tail();
        node->order = ++spills_;
        bool waits = false;
        if (event.has_key()) {
            const auto [key, fresh] = keys_.hold(event);
            if (!fresh) {
                append(key->second, link_to(*node));
                waits = true;
            }
        }
        ::new (static_cast<void*>(node->storage)) Event(std::move(event));
        spilled_ever_.fetch_add(1, std::memory_order_release); // [spilled] counted before it can end
        Spilled* const spilled = node.release();
        if (waits) {
            count(parked_, +1);
        } else {
            queue_spilled(*spilled, ring);
        }
        return true;
    }

    /// Returns when each spill that has seen the intake open has been counted.
    void await_spills() noexcept { const std::lock_guard lock(lock_); }

    /// The key of an event that has let it go passes to the next event of that key, if there is one. Returns the lane
    /// in which that is ready now, or a negative number.
    [[nodiscard]] int pass_on(const Event& event, const std::array<EventRing*, priority_count>& rings) noexcept {
        const std::lock_guard lock(lock_);
        const auto key = keys_.find(event);
        if (key == keys_.none()) {
            return -1;
        }
        const Link next = key->second.first;
        if (next == 0) {
            keys_.let_go(key);
            return -1;
        }
        key->second.first = after(next);
        if (key->second.first == 0) {
            key->second.last = 0;
        }
        if (is_spilled(next)) {
            Spilled& spilled = spilled_of(next);
            count(parked_, -1);
            queue_spilled(spilled, *rings[spilled.lane]);
            return static_cast<int>(spilled.lane);
        }
        const std::size_t lane = lane_of(next);
        make_ready(lane, index_of(next));
        return static_cast<int>(lane);
    }

    /// The ticket of the first ready event of a lane, or `none`.
    [[nodiscard]] Ticket first_ready(std::size_t lane) const noexcept {
        return first_ready_[lane].load(
            std::memory_order_seq_cst); // [ready] what was there before the caller's announcement
    }
    /// Takes the first ready event of a lane if its ticket is below `limit`.
    [[nodiscard]] bool take_ready(std::size_t lane, EventRing& ring, Ticket limit, TakenEvent& into) noexcept {
        const std::lock_guard lock(lock_);
        Lane& here = lanes_[lane];
        if (here.ready.empty() || here.ready.front() >= limit) {
            return false;
        }
        const Ticket ticket = here.ready.front();
        std::pop_heap(here.ready.begin(), here.ready.end(), std::greater<>{});
        here.ready.pop_back();
        show_first(lane);
        here.go(ticket & (ring.capacity() - 1));
        count(parked_, -1);
        into.take(ring.address(ticket));
        ring.vacate_parked(ticket);
        return true;
    }

    /// How many spilled events of a lane may run now.
    [[nodiscard]] std::size_t spilled(std::size_t lane) const noexcept {
        return spilled_[lane].load(
            std::memory_order_seq_cst); // [ready] what was there before the caller's announcement
    }
    /// The first ticket that was drawn after the first spilled event was accepted, or `none`.
    [[nodiscard]] Ticket first_spilled(std::size_t lane) const noexcept {
        return first_spilled_[lane].load(std::memory_order_acquire); // [ready] as of now; taking it decides
    }
    [[nodiscard]] bool take_spilled(std::size_t lane, EventRing& ring, TakenEvent& into) noexcept {
        std::unique_ptr<Spilled> node;
        {
            const std::lock_guard lock(lock_);
            Lane& here = lanes_[lane];
            if (here.first_spilled == nullptr) {
                return false;
            }
            node.reset(here.first_spilled);
            here.first_spilled = node->next;
            if (here.first_spilled == nullptr) {
                here.last_spilled = nullptr;
                ring.raise_gate();
            }
            show_first_spilled(lane);
            spilled_[lane].fetch_sub(1, std::memory_order_seq_cst); // [ready] nobody needs to stay awake for it
            into.take(node->event());
        }
        return true;
    }

    /// The ticket of the event that take_oldest would take, or `none`.
    [[nodiscard]] Ticket oldest(std::size_t lane) noexcept {
        const std::lock_guard lock(lock_);
        const Lane& here = lanes_[lane];
        return here.oldest == Lane::no_slot ? none : here.slots[here.oldest].ticket;
    }
    /// Takes the oldest event that waits for its key, or has just got it, if it is older than `limit`.
    [[nodiscard]] Oldest take_oldest(std::size_t lane, EventRing& ring, Ticket limit, TakenEvent& into) noexcept {
        const std::lock_guard lock(lock_);
        Lane& here = lanes_[lane];
        const std::uint32_t index = here.oldest;
        if (index == Lane::no_slot || here.slots[index].ticket >= limit) {
            return Oldest::none;
        }
        const Ticket ticket = here.slots[index].ticket;
        Key* const waits_for = here.slots[index].key;
        if (waits_for == nullptr) { // no other ready one is older
            std::pop_heap(here.ready.begin(), here.ready.end(), std::greater<>{});
            here.ready.pop_back();
            show_first(lane);
        } else {
            unlink(*waits_for, link_to(lane, index));
        }
        here.go(index);
        count(parked_, -1);
        into.take(ring.address(ticket));
        ring.vacate_parked(ticket);
        return waits_for == nullptr ? Oldest::holds_key : Oldest::waits_for_key;
    }

    /// Takes any event that waits for its key, spilled or not; for giving up everything that waits. Forgets on its way
    /// who holds a key that nobody waits for: intake is closed.
    [[nodiscard]] bool take_parked(const std::array<EventRing*, priority_count>& rings, TakenEvent& into) noexcept {
        std::unique_ptr<Spilled> node;
        const std::lock_guard lock(lock_);
        for (auto held = keys_.any(); held != keys_.none(); held = keys_.any()) {
            Key& key = held->second;
            const Link link = key.first;
            if (link == 0) {
                keys_.let_go(held);
                continue;
            }
            unlink(key, link);
            count(parked_, -1);
            if (is_spilled(link)) {
                node.reset(&spilled_of(link));
                into.take(node->event());
            } else {
                const Ticket ticket = lanes_[lane_of(link)].slots[index_of(link)].ticket;
                lanes_[lane_of(link)].go(index_of(link));
                into.take(rings[lane_of(link)]->address(ticket));
                rings[lane_of(link)]->vacate_parked(ticket);
            }
            return true;
        }
        return false;
    }

    /// Events that have ever taken a slot of that lane's ring without standing in line there.
    [[nodiscard]] std::uint64_t parked_ever(std::size_t lane) const noexcept {
        return parked_ever_[lane].load(std::memory_order_acquire); // [spilled] statistics
    }
    /// Events that wait for their key, or have got it and not begun.
    [[nodiscard]] std::size_t parked() const noexcept {
        return parked_.load(std::memory_order_acquire); // [spilled] statistics
    }
    [[nodiscard]] std::uint64_t spilled_ever() const noexcept {
        return spilled_ever_.load(std::memory_order_acquire); // [spilled] read after the ends
    }

private:
    // Edges: each name stands at both of its ends in the code
    //   [ready]    what may run (seq_cst), followed by the look whether somebody sleeps, is ordered with a worker's
    //              announcement that it will sleep, followed by its look at this
    //   [spilled]  an event is counted (release) before whoever sees its end reads the count (acquire)

    using Link = WaitingLink;
    using Key = WaitingKey;
    using Spilled = SpilledEvent;
    using Lane = BacklogLane;

    static Event husk() noexcept { return EventAccess::make(EventType::literal("gossip.moved"), 0, Priority::normal); }

    void prepare(std::size_t lane, const EventRing& ring) {
        Lane& here = lanes_[lane];
        if (here.slots.empty()) {
            here.ready.reserve(ring.capacity());
            here.slots.resize(ring.capacity());
        }
    }

    static bool is_spilled(Link link) noexcept { return (link & 1) != 0; }
    static Spilled& spilled_of(Link link) noexcept { return *reinterpret_cast<Spilled*>(link - 1); }
    static std::size_t lane_of(Link link) noexcept { return ((link >> 1) - 1) & 3; }
    static std::size_t index_of(Link link) noexcept { return ((link >> 1) - 1) >> 2; }
    static Link link_to(std::size_t lane, std::size_t index) noexcept { return ((index << 2 | lane) + 1) << 1; }
    static Link link_to(Spilled& spilled) noexcept { return reinterpret_cast<Link>(&spilled) + 1; }

    Link& after(Link link) noexcept {
        return is_spilled(link) ? spilled_of(link).behind : lanes_[lane_of(link)].slots[index_of(link)].next;
    }
    void append(Key& key, Link link) noexcept {
        after(link) = 0;
        if (key.last == 0) {
            key.first = link;
        } else {
            after(key.last) = link;
        }
        key.last = link;
    }
    void unlink(Key& key, Link link) noexcept {
        Link before = 0;
        for (Link at = key.first; at != link; at = after(at)) {
            before = at;
        }
        (before == 0 ? key.first : after(before)) = after(link);
        if (key.last == link) {
            key.last = before;
        }
    }
    void make_ready(std::size_t lane, std::size_t index) noexcept {
        Lane& here = lanes_[lane];
        here.slots[index].key = nullptr;
        here.ready.push_back(here.slots[index].ticket); // within what was reserved: a slot is ready once
        std::push_heap(here.ready.begin(), here.ready.end(), std::greater<>{});
        show_first(lane);
    }
    void show_first(std::size_t lane) noexcept {
        first_ready_[lane].store(lanes_[lane].ready.empty() ? none : lanes_[lane].ready.front(),
                                 std::memory_order_seq_cst); // [ready] before the caller looks who sleeps
    }
    void queue_spilled(Spilled& spilled, EventRing& ring) noexcept {
        Lane& here = lanes_[spilled.lane];
        // Most come last; one that has waited for its key takes its place among them.
        Spilled** link = &here.first_spilled;
        if (here.last_spilled != nullptr && here.last_spilled->order < spilled.order) {
            link = &here.last_spilled->next;
        }
        while (*link != nullptr && (*link)->order < spilled.order) {
            link = &(*link)->next;
        }
        spilled.next = *link;
        *link = &spilled;
        if (spilled.next == nullptr) {
            here.last_spilled = &spilled;
        }
        ring.lower_gate();
        show_first_spilled(spilled.lane);
        spilled_[spilled.lane].fetch_add(1, std::memory_order_seq_cst); // [ready] before somebody is woken for it
    }
    void show_first_spilled(std::size_t lane) noexcept {
        const Spilled* const first = lanes_[lane].first_spilled;
        first_spilled_[lane].store(first == nullptr ? none : first->before,
                                   std::memory_order_release); // [ready] as of now; taking it decides
    }
    static void count(std::atomic<std::size_t>& counter, int by) noexcept {
        counter.fetch_add(static_cast<std::size_t>(by), std::memory_order_release); // [spilled] statistics
    }

    BriefLock lock_;
    HeldKeys keys_;
    std::array<Lane, priority_count> lanes_;
    std::array<std::atomic<Ticket>, priority_count> first_ready_{none, none, none, none};
    std::array<std::atomic<Ticket>, priority_count> first_spilled_{none, none, none, none};
    std::array<std::atomic<std::size_t>, priority_count> spilled_{};
    std::uint64_t spills_ = 0; // under lock_
    std::array<std::atomic<std::uint64_t>, priority_count> parked_ever_{};
    std::atomic<std::size_t> parked_{0};
    std::atomic<std::uint64_t> spilled_ever_{0};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
