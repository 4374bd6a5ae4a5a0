#pragma once

#include <gossip/concurrency/ticket_ring.hpp>
#include <gossip/core/event.hpp>
#include <gossip/dispatch/held_keys.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

using EventRing = TicketRing<Event>;

/// An event that was accepted beyond the buffer.
struct SpilledEvent {
    explicit SpilledEvent(std::size_t its_lane) noexcept : lane(its_lane) {}
    [[nodiscard]] Event* event() noexcept { return std::launder(reinterpret_cast<Event*>(storage)); }

    alignas(Event) unsigned char storage[sizeof(Event)];
    std::size_t lane;
    std::uint64_t order = 0;         // of acceptance
    SpilledEvent* earlier = nullptr; // its neighbours among all that are spilled
    SpilledEvent* later = nullptr;
    SpilledEvent* next_to_run = nullptr;
    WaitingKey* key = nullptr; // that it waits for; null: it may run
    WaitingLink before = 0;    // its neighbours among those who wait for that key
    WaitingLink behind = 0;
};

/// The events of one priority that were accepted beyond the buffer, in the order of their acceptance: those that may
/// run, and those that wait for their key.
///
/// Threads: under the backlog's lock.
/// Cost:    a few instructions, whatever is there; `let_run` passes by those that may run and are older.
/// Owns:    the events, until they are removed.
class SpillList {
public:
    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
    [[nodiscard]] SpilledEvent* first() const noexcept { return first_; }
    [[nodiscard]] SpilledEvent* first_to_run() const noexcept { return first_to_run_; }

    /// One that may run needs let_run after that.
    SpilledEvent& append(std::unique_ptr<SpilledEvent> accepted) noexcept {
        SpilledEvent& event = *accepted.release();
        event.order = ++appended_;
        event.earlier = last_;
        (last_ == nullptr ? first_ : last_->later) = &event;
        last_ = &event;
        return event;
    }
    void let_run(SpilledEvent& event) noexcept {
        // Most come last; one that has waited for its key takes its place among them.
        SpilledEvent** link = &first_to_run_;
        if (last_to_run_ != nullptr && last_to_run_->order < event.order) {
            link = &last_to_run_->next_to_run;
        }
        while (*link != nullptr && (*link)->order < event.order) {
            link = &(*link)->next_to_run;
        }
        event.next_to_run = *link;
        *link = &event;
        if (event.next_to_run == nullptr) {
            last_to_run_ = &event;
        }
    }
    /// Any event that waits for its key, or the first of those that may run.
    [[nodiscard]] std::unique_ptr<SpilledEvent> remove(SpilledEvent& event) noexcept {
        if (&event == first_to_run_) {
            first_to_run_ = event.next_to_run;
            last_to_run_ = first_to_run_ == nullptr ? nullptr : last_to_run_;
        }
        (event.earlier == nullptr ? first_ : event.earlier->later) = event.later;
        (event.later == nullptr ? last_ : event.later->earlier) = event.earlier;
        return std::unique_ptr<SpilledEvent>(&event);
    }

private:
    SpilledEvent* first_ = nullptr;
    SpilledEvent* last_ = nullptr;
    SpilledEvent* first_to_run_ = nullptr;
    SpilledEvent* last_to_run_ = nullptr;
    std::uint64_t appended_ = 0;
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
        WaitingKey* key = nullptr; // that it waits for; null: it has got it
        WaitingLink before = 0;    // its neighbours among those who wait for that key
        WaitingLink behind = 0;
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
    SpillList spilled;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
