#pragma once

#include <gossip/concurrency/ticket_ring.hpp>
#include <gossip/core/event.hpp>
#include <gossip/dispatch/held_keys.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

using EventRing = TicketRing<Event>;

/// An event that was accepted beyond the buffer.
struct SpilledEvent {
    SpilledEvent(std::size_t its_lane, EventRing::Ticket tail, std::uint64_t number) noexcept
        : lane(its_lane), before(tail), order(number) {}
    [[nodiscard]] Event* event() noexcept { return std::launder(reinterpret_cast<Event*>(storage)); }

    alignas(Event) unsigned char storage[sizeof(Event)];
    std::size_t lane;
    EventRing::Ticket before; // the first ticket that was drawn after it was accepted
    std::uint64_t order;
    SpilledEvent* next = nullptr; // in the order of acceptance
    WaitingLink behind = 0;       // the next of its key
};

/// What of one priority waits for something else than its place in line.
///
/// Threads: under the backlog's lock.
/// Cost:    `come_last` and `go` take a few instructions, whatever waits.
struct BacklogLane {
    using Ticket = EventRing::Ticket;
    static constexpr std::uint32_t no_slot = std::numeric_limits<std::uint32_t>::max();

    struct Slot {
        Ticket ticket = 0;
        WaitingLink next = 0;      // of its key
        WaitingKey* key = nullptr; // null: it has got it
        std::uint32_t older = no_slot;
        std::uint32_t newer = no_slot;
    };

    /// Enlists a slot whose ticket is higher than all others'.
    void come_last(std::size_t index) noexcept {
        const auto slot = static_cast<std::uint32_t>(index); // the largest buffer has 2^30 slots
        slots[slot].older = newest;
        (newest == no_slot ? oldest : slots[newest].newer) = slot;
        newest = slot;
    }
    void go(std::size_t index) noexcept {
        const Slot& gone = slots[index];
        (gone.older == no_slot ? oldest : slots[gone.older].newer) = gone.newer;
        (gone.newer == no_slot ? newest : slots[gone.newer].older) = gone.older;
    }

    std::vector<Slot> slots;        // one for each slot of the ring, made with the first keyed event
    std::vector<Ticket> ready;      // a heap, the smallest ticket first
    std::uint32_t oldest = no_slot; // of those that wait for their key or have got it, in the order of tickets
    std::uint32_t newest = no_slot;
    SpilledEvent* first_spilled = nullptr;
    SpilledEvent* last_spilled = nullptr;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
