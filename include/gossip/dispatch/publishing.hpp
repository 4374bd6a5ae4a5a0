// How events come in when the plain way is closed: keys, other priorities, full buffers, publish_sync.
#pragma once

#include <gossip/dispatch/engine.hpp>

#include <algorithm>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: those of gossip/dispatch/engine.hpp

/// Why a publish was refused.
[[nodiscard]] inline Error refusal_error(PublishStatus status) noexcept {
    switch (status) {
    case PublishStatus::full:
        return errors::full;
    case PublishStatus::unavailable:
        return errors::unavailable;
    case PublishStatus::too_large:
        return errors::too_large;
    case PublishStatus::not_encodable:
        return errors::not_encodable;
    case PublishStatus::accepted:
    case PublishStatus::closed:
        break;
    }
    return errors::closed;
}

/// Offers an event to the inbox, and wakes somebody for what has come in.
inline EventRing::Refusal Engine::offer(Event& event) {
    struct Waking { // also where the inbox throws
        explicit Waking(WorkerPool<Engine>& workers) noexcept : pool(workers) {}
        Waking(const Waking&) = delete;
        Waking& operator=(const Waking&) = delete;
        ~Waking() {
            if (wanted) {
                pool.notify();
            }
        }
        WorkerPool<Engine>& pool;
        bool wanted = false;
    } waking(pool_);
    const EventRing::Refusal refusal = inbox_.offer(event, waking.wanted);
    waking.wanted = waking.wanted || refusal == EventRing::Refusal::none;
    return refusal;
}

inline PublishStatus Engine::publish(Event& event, bool may_wait) {
    const auto lane = static_cast<std::size_t>(event.priority());
    for (;;) {
        switch (offer(event)) {
        case EventRing::Refusal::none:
            return PublishStatus::accepted;
        case EventRing::Refusal::closed:
            return PublishStatus::closed;
        case EventRing::Refusal::gated:
        case EventRing::Refusal::full:
            break;
        }
        if (settings_.overflow == Overflow::drop_oldest) {
            EventRing::Refusal refusal = EventRing::Refusal::full;
            if (inside_drop_hook(this) || !take_place(lane, event, refusal)) {
                return refuse(event);
            }
            if (refusal == EventRing::Refusal::none || refusal == EventRing::Refusal::closed) {
                return refusal == EventRing::Refusal::none ? PublishStatus::accepted : PublishStatus::closed;
            }
        } else if (!may_wait || settings_.overflow == Overflow::reject) {
            return refuse(event);
        } else if (inside(this)) {
            return publish_spilling(event) ? PublishStatus::accepted : PublishStatus::closed;
        } else if (settings_.workers == 0) {
            return refuse(event);
        } else {
            return wait_for_room(event, lane, far_future);
        }
    }
}

inline PublishStatus Engine::receive(Event& event, std::chrono::nanoseconds patience, std::optional<unsigned>* place) {
    switch (offer(event)) {
    case EventRing::Refusal::none:
        return PublishStatus::accepted;
    case EventRing::Refusal::closed:
        return PublishStatus::closed;
    case EventRing::Refusal::gated:
    case EventRing::Refusal::full:
        break;
    }
    if (place != nullptr) {
        give_back(*place);
    }
    if (settings_.overflow == Overflow::drop_oldest) {
        return publish(event, false);
    }
    if (inside(this)) {
        return publish_spilling(event) ? PublishStatus::accepted : PublishStatus::closed;
    }
    return wait_for_room(event, static_cast<std::size_t>(event.priority()),
                         saturated_add(platform::monotonic_ns(), patience.count()));
}

inline void Engine::lose(Event& event) noexcept {
    Seat& seat = seats_.sit_down();
    {
        FrameScope scope(this, seat);
        seat.ledger.add(Tally::accepted);
        abandon(seat, event, Kind::event);
    }
    SeatTable::stand_up(seat);
    tell_drainers();
}

/// Under drop_oldest only where there is nothing to drop: what is spilled may not be.
inline bool Engine::publish_spilling(Event& event) {
    const auto lane = static_cast<std::size_t>(event.priority());
    const bool may_drop = settings_.overflow == Overflow::drop_oldest && !inside_drop_hook(this);
    EventRing::Refusal refusal = offer(event);
    const auto refused = [&refusal] {
        return refusal == EventRing::Refusal::full || refusal == EventRing::Refusal::gated;
    };
    while (refused() && may_drop && take_place(lane, event, refusal)) {}
    if (refused()) {
        const bool accepted = inbox_.spill(event);
        pool_.notify();
        return accepted;
    }
    return refusal == EventRing::Refusal::none;
}

inline PublishStatus Engine::refuse(Event&) {
    count(Tally::rejected);
    return PublishStatus::full;
}

/// Drops the oldest event of the lane for `event`. False if none can be dropped; `refusal` tells what became of
/// `event`. The hook is called after that, so that what it publishes doesn't get in between.
inline bool Engine::take_place(std::size_t lane, Event& event, EventRing::Refusal& refusal) {
    struct Victim {
        explicit Victim(Engine& bus) noexcept : engine(bus), seat(bus.seats_.sit_down()) {
            seat.current.show(&seat,
                              engine.registry_.fence()); // [running] shutdown waits for what is taken from here on
        }
        Victim(const Victim&) = delete;
        Victim& operator=(const Victim&) = delete;
        ~Victim() {
            if (event.has_value()) {
                FrameScope scope(&engine, seat);
                scope.frame().dropping = true;
                engine.drop(seat, *event);
            }
            seat.current.show(nullptr); // [running] it is counted
            SeatTable::stand_up(seat);
            engine.tell_drainers();
        }
        Engine& engine;
        Seat& seat;
        TakenEvent event{};
    };
    Victim victim{*this};
    if (giving_up()) {
        refusal = EventRing::Refusal::closed;
        return true;
    }
    bool held_key = false;
    if (!inbox_.drop_oldest(lane, victim.event, held_key)) {
        return false;
    }
    if (held_key) {
        let_go_of_key(*victim.event);
    }
    refusal = offer(event);
    return true;
}

/// `full` when it is not to be had before `until`, on the machine's steady clock.
inline PublishStatus Engine::wait_for_room(Event& event, std::size_t lane, std::int64_t until) {
    constexpr unsigned paused_rounds = 4;
    constexpr unsigned rounds = 64;
    WaitQueue& room = inbox_.room(lane);
    struct InLine { // also where `offer` throws
        explicit InLine(WaitQueue& line) noexcept : queue(line) {}
        InLine(const InLine&) = delete;
        InLine& operator=(const InLine&) = delete;
        ~InLine() {
            if (joined && !queue.leave(waiter) && queue.any()) {
                queue.wake_one(); // we may have been woken for room that somebody else should have
            }
        }
        WaitQueue& queue;
        WaitQueue::Waiter waiter{};
        bool joined = false;
    } line(room);
    const auto arrived = [](EventRing::Refusal refusal) {
        return refusal == EventRing::Refusal::none || refusal == EventRing::Refusal::closed;
    };
    EventRing::Refusal refusal = EventRing::Refusal::full;
    for (unsigned round = 0; !arrived(refusal); ++round) {
        if (round < rounds) {
            // At first for a good part of the buffer rather than for one slot: publishers that follow close behind the
            // workers take each other's cache lines away with every event.
            if (round < paused_rounds) {
                for (unsigned i = 0; i < 8; ++i) {
                    platform::cpu_pause();
                }
            } else {
                std::this_thread::yield();
            }
            if (!inbox_.roomy(lane) && round + 1 < rounds) {
                continue;
            }
        } else {
            room.join(line.waiter);
            line.joined = true;
            refusal = offer(event);
            if (arrived(refusal)) {
                break;
            }
            if (inbox_.really_full(lane)) {
                room.park(line.waiter,
                          until == far_future ? -1 : std::max<std::int64_t>(until - platform::monotonic_ns(), 0));
            } else {
                std::this_thread::yield();
            }
        }
        refusal = offer(event);
        if (until != far_future && round >= rounds && !arrived(refusal) && platform::monotonic_ns() >= until) {
            return PublishStatus::full;
        }
    }
    if (refusal == EventRing::Refusal::closed) {
        return PublishStatus::closed;
    }
    return PublishStatus::accepted;
}

inline bool Engine::publish_sync(Event& event, SyncOutcome& outcome) noexcept {
    Seat& seat = seats_.sit_down();
    // Before the look whether the bus is closed: shutdown closes it, then looks who runs.
    seat.current.show(&seat, registry_.fence()); // [running] shown before that look
    const bool open = !inbox_.closed();
    if (open) [[likely]] {
        FrameScope scope(this, seat);
        seat.ledger.add(Tally::accepted);
        run_event(seat, scope.frame(), event, Kind::sync, &outcome);
    }
    seat.current.show(nullptr); // [running] all have returned
    SeatTable::stand_up(seat);
    tell_drainers();
    return open;
}

inline Engine::Sync Engine::publish_sync(const EventType& type, const PayloadOps* ops, const void* data,
                                         SyncOutcome& outcome) noexcept {
    Seat& seat = seats_.sit_down();
    seat.current.show(&seat, registry_.fence()); // [running] as above
    Sync answer = Sync::closed;
    if (!inbox_.closed()) [[likely]] {
        FrameScope scope(this, seat);
        answer = run_data(seat, scope.frame(), type, ops, data, outcome) ? Sync::done : Sync::wants_event;
    }
    seat.current.show(nullptr); // [running] all have returned
    SeatTable::stand_up(seat);
    tell_drainers();
    return answer;
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
