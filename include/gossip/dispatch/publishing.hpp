// How events come in when the plain way is closed: keys, other priorities, full buffers, publish_sync.
#pragma once

#include <gossip/dispatch/engine.hpp>

namespace gossip::detail {

inline PublishStatus Engine::publish(Event& event, bool may_wait) {
    const auto lane = static_cast<std::size_t>(event.priority());
    for (;;) {
        switch (inbox_.offer(event)) {
        case EventRing::Refusal::none:
            pool_.notify();
            return PublishStatus::accepted;
        case EventRing::Refusal::closed:
            return PublishStatus::closed;
        case EventRing::Refusal::gated:
        case EventRing::Refusal::full:
            break;
        }
        if (settings_.overflow == Overflow::drop_oldest) {
            if (!make_room(lane)) {
                return refuse(event);
            }
        } else if (!may_wait || settings_.overflow == Overflow::reject) {
            return refuse(event);
        } else if (inside(this)) {
            return publish_spilling(event) ? PublishStatus::accepted : PublishStatus::closed;
        } else if (settings_.workers == 0) {
            return refuse(event);
        } else {
            return wait_for_room(event, lane);
        }
    }
}

inline bool Engine::publish_spilling(Event& event) {
    switch (inbox_.offer(event)) {
    case EventRing::Refusal::none:
        break;
    case EventRing::Refusal::closed:
        return false;
    case EventRing::Refusal::gated:
    case EventRing::Refusal::full:
        if (!inbox_.spill(event)) {
            return false;
        }
        break;
    }
    pool_.notify();
    return true;
}

inline PublishStatus Engine::refuse(Event&) {
    Seat& seat = seats_.sit_down();
    seat.ledger.add(Tally::rejected);
    SeatTable::stand_up(seat);
    return PublishStatus::full;
}

inline bool Engine::make_room(std::size_t lane) {
    TakenEvent victim;
    bool held_key = false;
    if (!inbox_.drop_oldest(lane, victim, held_key)) {
        return false;
    }
    if (held_key) {
        let_go_of_key(*victim);
    }
    Seat& seat = seats_.sit_down();
    {
        const FrameScope frame(this, seat);
        drop(seat, *victim);
    }
    SeatTable::stand_up(seat);
    tell_drainers();
    return true;
}

inline PublishStatus Engine::wait_for_room(Event& event, std::size_t lane) {
    constexpr int pauses = 32;
    constexpr int yields = 96;
    WaitQueue& room = inbox_.room();
    WaitQueue::Waiter waiter;
    const auto arrived = [&](EventRing::Refusal refusal) {
        return refusal == EventRing::Refusal::none || refusal == EventRing::Refusal::closed;
    };
    EventRing::Refusal refusal = EventRing::Refusal::full;
    for (int round = 0; !arrived(refusal); ++round) {
        if (round < pauses) {
            platform::cpu_pause();
        } else if (round < pauses + yields) {
            std::this_thread::yield();
        } else {
            room.join(waiter);
            refusal = inbox_.offer(event);
            if (arrived(refusal)) {
                break;
            }
            if (inbox_.really_full(lane)) {
                room.park(waiter, -1);
            } else {
                std::this_thread::yield();
            }
        }
        refusal = inbox_.offer(event);
    }
    if (!room.leave(waiter) && room.any()) {
        room.wake_one(); // we may have been woken for room that somebody else should have
    }
    if (refusal == EventRing::Refusal::closed) {
        return PublishStatus::closed;
    }
    pool_.notify();
    return PublishStatus::accepted;
}

inline bool Engine::publish_sync(Event& event, std::vector<Failure>& failures, std::size_t& processors) {
    Seat& seat = seats_.sit_down(); // before the look whether the bus is closed: shutdown closes it, then looks at the seats
    const bool open = !inbox_.closed();
    if (open) {
        FrameScope scope(this, seat);
        seat.ledger.add(Tally::accepted);
        run_event(seat, scope.frame(), event, Kind::sync, &failures, &processors);
    }
    SeatTable::stand_up(seat);
    tell_drainers();
    return open;
}

} // namespace gossip::detail
