#pragma once

#include <gossip/concurrency/brief_lock.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/shared_count.hpp>
#include <gossip/dispatch/backlog_hints.hpp>
#include <gossip/dispatch/backlog_lane.hpp>
#include <gossip/dispatch/held_keys.hpp>
#include <gossip/dispatch/taken_event.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
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
/// While anything of a priority is spilled the gate of its ring is down: all that draws a ticket then was spilled, and
/// moves in, the oldest first, as soon as somebody publishes and there is room. So whatever is in the ring was accepted
/// before whatever is spilled.
///
/// Threads: every member from any thread; one brief lock. No user code runs under it: the data of keyed events is boxed
///          before.
/// Order:   `ready` hands out by ticket, so that events take their turn among those that did not wait; what is spilled
///          comes after that.
/// Cost:    an event whose key is free: two hash lookups; a node is made only while more keys are held than before.
///          Only users of keys, and of full buffers, come here.
class Backlog {
public:
    using Ticket = EventRing::Ticket;
    using Refusal = EventRing::Refusal;
    enum class Oldest : std::uint8_t { none, holds_key, waits_for_key };
    static constexpr Ticket none = BasicBacklogHints<>::none;

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
            append(key->second, park(lane, ring, ticket, key->second));
            parked_.add();
        }
        return Refusal::none;
    }

    /// Accepts an event that has found `ring` full: behind what was spilled before it, in the ring if there is room for
    /// all of that by now, beyond it if not. False if intake is closed. May throw std::bad_alloc; the event is the
    /// caller's then.
    [[nodiscard]] bool spill(std::size_t lane, EventRing& ring, Event& event) {
        auto node = std::make_unique<Spilled>(lane);
        const std::lock_guard lock(lock_);
        if (ring.closed()) {
            return false;
        }
        Key* waits_for = nullptr;
        if (event.has_key()) {
            prepare(lane, ring);
            const auto [key, fresh] = keys_.hold(event);
            waits_for = fresh ? nullptr : &key->second;
        }
        SpillList& list = lanes_[lane].spilled;
        Ticket ticket = 0;
        if (move_in(lane, ring) && ring.reserve(ticket, true) == Refusal::none) {
            ::new (ring.storage(ticket)) Event(std::move(event));
            if (waits_for == nullptr) {
                ring.commit(ticket);
            } else {
                append(*waits_for, park(lane, ring, ticket, *waits_for));
                parked_.add();
            }
            ring.raise_gate(); // not before: the room is for whoever is inside
            return true;
        }
        ring.lower_gate();
        ::new (static_cast<void*>(node->storage)) Event(std::move(event));
        spilled_ever_.add(); // under the lock, and so before it can end
        Spilled& spilled = list.append(std::move(node));
        if (waits_for == nullptr) {
            let_run(spilled);
        } else {
            spilled.key = waits_for;
            append(*waits_for, link_to(spilled));
            parked_.add();
        }
        return true;
    }

    /// Moves some of what was spilled to where `ring` has room by now. True if nothing is left of it: the gate is up.
    [[nodiscard]] bool refill(std::size_t lane, EventRing& ring) noexcept {
        const std::lock_guard lock(lock_);
        if (!move_in(lane, ring)) {
            return false;
        }
        ring.raise_gate();
        return true;
    }

    /// Returns when each spill that has seen the intake open has been counted.
    void await_spills() noexcept { const std::lock_guard lock(lock_); }

    /// The key of an event that has let it go passes to the next event of that key, if there is one. Returns the lane
    /// in which that is ready now, or a negative number.
    [[nodiscard]] int pass_on(const Event& event) noexcept {
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
        unlink(key->second, next);
        if (is_spilled(next)) {
            Spilled& spilled = spilled_of(next);
            spilled.key = nullptr;
            parked_.take();
            let_run(spilled);
            return static_cast<int>(spilled.lane);
        }
        const std::size_t lane = lane_of(next);
        make_ready(lane, index_of(next));
        return static_cast<int>(lane);
    }

    /// The ticket of the first ready event of a lane, or `none`.
    [[nodiscard]] Ticket first_ready(std::size_t lane) const noexcept { return hints_.first_ready(lane); }
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
        parked_.take();
        into.take(ring.address(ticket));
        ring.vacate_parked(ticket);
        return true;
    }

    /// How many spilled events of a lane may run now.
    [[nodiscard]] std::size_t spilled(std::size_t lane) const noexcept { return hints_.spilled(lane); }
    /// Takes the first of them, unless something in the ring may run: that was accepted before it.
    [[nodiscard]] bool take_spilled(std::size_t lane, EventRing& ring, TakenEvent& into) noexcept {
        std::unique_ptr<Spilled> node;
        const std::lock_guard lock(lock_);
        Lane& here = lanes_[lane];
        if (here.spilled.first_to_run() == nullptr || ring.pending() || !here.ready.empty()) {
            return false;
        }
        node = here.spilled.remove(*here.spilled.first_to_run());
        if (here.spilled.empty()) {
            ring.raise_gate();
        }
        hints_.took_spilled(lane);
        into.take(node->event());
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
        parked_.take();
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
            parked_.take();
            if (is_spilled(link)) {
                Spilled& spilled = spilled_of(link);
                node = lanes_[spilled.lane].spilled.remove(spilled);
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
    [[nodiscard]] std::uint64_t parked_ever(std::size_t lane) const noexcept { return parked_ever_[lane].get(); }
    /// Events that wait for their key, or have got it and not begun.
    [[nodiscard]] std::size_t parked() const noexcept { return parked_.get(); }
    [[nodiscard]] std::uint64_t spilled_ever() const noexcept { return spilled_ever_.get(); }
    /// Events that have ever been accepted; `drawn` tells how many have drawn a ticket, those among them that had been
    /// spilled before.
    template <class Drawn>
    [[nodiscard]] std::uint64_t accepted(Drawn drawn) const noexcept {
        if (spilled_ever() == 0) {
            return drawn();
        }
        const std::lock_guard lock(lock_); // nothing is on its way into the ring
        return spilled_ever() + drawn() - moved_in_;
    }

private:
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

    Link& behind(Link link) noexcept {
        return is_spilled(link) ? spilled_of(link).behind : lanes_[lane_of(link)].slots[index_of(link)].behind;
    }
    Link& before(Link link) noexcept {
        return is_spilled(link) ? spilled_of(link).before : lanes_[lane_of(link)].slots[index_of(link)].before;
    }
    void append(Key& key, Link link) noexcept {
        behind(link) = 0;
        before(link) = key.last;
        (key.last == 0 ? key.first : behind(key.last)) = link;
        key.last = link;
    }
    void unlink(Key& key, Link link) noexcept {
        (before(link) == 0 ? key.first : behind(before(link))) = behind(link);
        (behind(link) == 0 ? key.last : before(behind(link))) = before(link);
    }
    void replace(Key& key, Link link, Link by) noexcept {
        before(by) = before(link);
        behind(by) = behind(link);
        (before(by) == 0 ? key.first : behind(before(by))) = by;
        (behind(by) == 0 ? key.last : before(behind(by))) = by;
    }
    /// Leaves an event that waits for a key in its slot; the caller links it to the others who do.
    Link park(std::size_t lane, EventRing& ring, Ticket ticket, Key& key) noexcept {
        const std::size_t index = ticket & (ring.capacity() - 1);
        lanes_[lane].slots[index] = {ticket, &key};
        lanes_[lane].come_last(index);
        ring.commit_parked(ticket);
        parked_ever_[lane].add();
        return link_to(lane, index);
    }
    /// Moves what was spilled to where the ring has room. False if something is left of it: there is no more room, or
    /// the lock has been held for long enough.
    bool move_in(std::size_t lane, EventRing& ring) noexcept {
        SpillList& list = lanes_[lane].spilled;
        for (unsigned moved = 0; !list.empty(); ++moved) {
            Ticket ticket = 0;
            if (moved == most_at_once || ring.reserve(ticket, true) != Refusal::none) {
                return false;
            }
            Spilled& first = *list.first();
            EventAccess::relocate(ring.storage(ticket), first.event());
            ++moved_in_;
            if (first.key != nullptr) {
                replace(*first.key, link_to(first), park(lane, ring, ticket, *first.key));
            } else {
                ring.commit(ticket);
                hints_.moved_in(lane);
            }
            static_cast<void>(list.remove(first));
        }
        return true;
    }
    void make_ready(std::size_t lane, std::size_t index) noexcept {
        Lane& here = lanes_[lane];
        here.slots[index].key = nullptr;
        here.ready.push_back(here.slots[index].ticket); // within what was reserved: a slot is ready once
        std::push_heap(here.ready.begin(), here.ready.end(), std::greater<>{});
        show_first(lane);
    }
    void show_first(std::size_t lane) noexcept {
        hints_.show_first(lane, lanes_[lane].ready.empty() ? none : lanes_[lane].ready.front());
    }
    void let_run(Spilled& spilled) noexcept {
        lanes_[spilled.lane].spilled.let_run(spilled);
        hints_.let_run(spilled.lane);
    }

    static constexpr unsigned most_at_once = 64; // events that move under one holding of the lock

    mutable BriefLock lock_;
    HeldKeys keys_;
    std::array<Lane, priority_count> lanes_;
    BasicBacklogHints<> hints_{};
    std::uint64_t moved_in_ = 0; // of those spilled; under lock_
    std::array<SharedCount<>, priority_count> parked_ever_;
    SharedCount<std::size_t> parked_;
    SharedCount<> spilled_ever_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
