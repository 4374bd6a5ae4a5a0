// Waiting for quiet, and the end of the bus.
#pragma once

#include <gossip/core/guard.hpp>
#include <gossip/core/outgoing.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/dispatch/helping.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: those of gossip/dispatch/engine.hpp

/// Real time, whatever the bus's clock says: deadlines of drain and shutdown are the caller's patience.
class Patience {
public:
    explicit Patience(std::optional<std::chrono::nanoseconds> timeout) noexcept
        : until_(timeout ? saturated_add(platform::monotonic_ns(), timeout->count()) : far_future) {}

    explicit Patience(std::int64_t until) noexcept : until_(until) {}

    [[nodiscard]] std::int64_t left() const noexcept {
        if (until_ == far_future) {
            return far_future;
        }
        const std::int64_t left = until_ - platform::monotonic_ns();
        return left < 0 ? 0 : left;
    }
    [[nodiscard]] bool over() const noexcept { return left() == 0; }
    [[nodiscard]] std::int64_t until() const noexcept { return until_; }

private:
    std::int64_t until_;
};

/// True if at some moment during the call nothing was in flight but `own`, which is own_here() or nothing.
/// The ends are read first, then the open dead letters, then the beginnings: each end was counted after its beginning,
/// and each dead letter before the end of its event, so what is equal here was equal when the dead letters were read.
inline bool Engine::is_quiet(const Own& own) const noexcept {
    std::uint64_t ended = 0;
    seats_.for_each([&ended](const Seat& seat) { ended += seat.ledger.ended(); });
    if (open_letters_.count() != own.letters) { // [letters] after the ends
        return false;
    }
    std::uint64_t accepted = inbox_.accepted();
    seats_.for_each([&accepted](const Seat& seat) { accepted += seat.ledger.of(Tally::accepted); });
    return accepted - ended == own.events &&
           (own == Own{} || own == own_here()); // nobody has left a run on this thread meanwhile
}

/// What the runs that this thread is in have begun and not ended, and what those that wait for them have.
inline Engine::Own Engine::own_here() const noexcept {
    Own own;
    for (const Frame* frame = innermost; frame != nullptr; frame = frame->outer) {
        if (frame->engine == this) {
            own.events += frame->events;
            own.letters += frame->letters;
        }
    }
    Helping::for_each_here([&](const Helping& run) {
        if (run.engine() == this) {
            own.events += run.events();
            own.letters += run.letters();
        }
    });
    return own;
}

/// Another thread than this one, and than those that wait for this one. A helper is not counted: while its event has
/// not ended there is who waits for it, and from then on its run is late, and nobody's.
inline bool Engine::somebody_runs() const noexcept {
    bool running = false;
    const auto waits_for_us = [](const void* thread) {
        bool waits = thread == this_thread();
        Helping::for_each_here([&](const Helping& run) { waits = waits || run.caller() == thread; });
        return waits;
    };
    seats_.for_each([&](const Seat& seat) {
        running = running || (seat.current.seen() != nullptr &&              // [running] over: we see its doings
                              !seat.helps.load(std::memory_order_relaxed) && // relaxed: stored before `current`
                              !waits_for_us(seat.thread.load(std::memory_order_relaxed))); // relaxed: the same
    });
    return running;
}

/// One round of the caller's own work; false if there was nothing to do.
inline bool Engine::pump(std::size_t most) {
    const Totals before = totals();
    const std::size_t tasks = tasks_.size();
    const bool due = until_due() == 0;
    const std::size_t done = poll(most);
    return done != 0 || tasks != 0 || due || totals().ended() != before.ended();
}

inline bool Engine::drain(std::chrono::nanoseconds timeout) {
    const Patience patience(timeout);
    int depth = 0;
    for (const Frame* frame = innermost; frame != nullptr; frame = frame->outer) {
        depth += frame->engine == this ? 1 : 0;
    }
    constexpr int deepest = 64;
    WaitQueue::Waiter waiter;
    bool quiet = false;
    for (;;) {
        get_in_line(drainers_, waiter, registry_.fence()); // [drained] whoever ends something now sees that we wait
        // Whoever pumps has the clock in hand: what it has made due comes first.
        quiet = !(pumped_ && (until_due() == 0 || tasks_.size() != 0)) && is_quiet(own_here());
        if (quiet || patience.over()) {
            break;
        }
        if (pumped_ && depth > deepest) {
            break; // called from one of its own events, again and again: the stack has an end
        }
        if (pumped_) {
            // With a deadline one by one: what is there may take longer than that.
            if (patience.until() == far_future ? pump() : pump(1)) {
                continue;
            }
            if (!has_work() && !somebody_runs()) {
                quiet = is_quiet(own_here());
                break; // what is left waits for a time, or for others
            }
        }
        const std::int64_t left = patience.left();
        drainers_.park(waiter, left == far_future ? -1 : left);
    }
    drainers_.leave(waiter);
    return quiet;
}

/// Asks for a run of every batch that has something. A batch for which there is no memory to ask runs on this thread if
/// that has a seat; otherwise it stands ready for the next worker that comes by.
inline std::size_t Engine::flush(Seat* here) noexcept {
    std::size_t flushed = 0;
    bool short_of_memory = false;
    collectors_.for_each([&](Collector& collector) {
        const Collector::Flushed answer = collector.flush();
        flushed += answer == Collector::Flushed::nothing ? 0 : 1;
        short_of_memory = short_of_memory || answer == Collector::Flushed::no_memory;
    });
    if (short_of_memory && here != nullptr) {
        collectors_.run_all(*here);
    }
    return flushed;
}

/// Gives up the timers that `wanted` is true for: in the order in which they would have been due, or in none where
/// there is no memory for that. How many there were.
template <class Wanted>
std::size_t Engine::give_up_timers(Seat& seat, Wanted wanted) noexcept {
    std::vector<std::unique_ptr<Task>> in_order;
    if (succeeds([&] { in_order = timers_.take_if(wanted); })) {
        for (const std::unique_ptr<Task>& task : in_order) {
            task->give_up(*this, seat);
        }
        return in_order.size();
    }
    std::size_t given_up = 0;
    std::array<std::unique_ptr<Task>, 64> some;
    while (const std::size_t taken = timers_.take_some(wanted, some)) {
        for (std::size_t i = 0; i < taken; ++i) {
            some[i]->give_up(*this, seat);
            some[i].reset();
        }
        given_up += taken;
    }
    return given_up;
}

/// Redeliveries that wait for their time are not waited for: they become dead letters. False if there were none.
inline bool Engine::end_redeliveries(Seat& seat) noexcept {
    no_more_redeliveries_.store(true, std::memory_order_relaxed); // relaxed: before the timers' lock
    return give_up_timers(seat,
                          [](const std::unique_ptr<Task>& task) { return task->waits() == Task::Waiting::event; }) != 0;
}

/// All events whose end is open end here: abandoned.
inline void Engine::abandon_open(Seat& seat) noexcept {
    for (;;) { // each open end is still held by somebody; the last who holds one frees the block
        Settlement* open = nullptr;
        {
            const std::lock_guard lock(open_mutex_);
            open = open_;
            if (open == nullptr) {
                break;
            }
            take_off(*open);
            if (!open->abandon()) {
                continue; // whoever closed the last one ends it
            }
        }
        open->end_abandoned(seat);
    }
}

/// Past the deadline: all that has not begun, and all whose end is open, is abandoned. The workers have been joined.
inline void Engine::give_up_everything(Seat& seat) noexcept {
    TakenEvent event;
    for (;;) {
        while (inbox_.take_any(event)) {
            abandon(seat, *event, Kind::event);
            event.reset();
        }
        if (!inbox_.pending()) {
            break;
        }
        std::this_thread::yield(); // a publisher is between its ticket and its event: intake is closed, it is the last
    }
    abandon_open(seat);
    collectors_.drain([&](Collector& collector) { collector.give_up(seat); });
    end_redeliveries(seat);
    give_up_tasks(seat);
}

inline void Engine::give_up_tasks(Seat& seat) noexcept {
    while (const std::unique_ptr<Task> task = tasks_.pop()) {
        task->give_up(*this, seat);
    }
}

inline bool Engine::shutdown(std::optional<std::chrono::nanoseconds> timeout) {
    inbox_.close();
    if (inside(this)) {
        return false; // whoever calls from outside waits for this very processor, among others
    }
    patience_.shorten(Patience(timeout).until());
    const std::lock_guard lock(shutdown_mutex_);
    if (complete()) {
        return true;
    }
    Seat& seat = seats_.sit_down();
    {
        FrameScope scope(this, seat);
        const NoOutgoingScope other_events;
        shutting_down_.store(this_thread(), std::memory_order_relaxed); // relaxed: only this thread finds itself
        give_up_timers(seat, // publishes to come, each of which counts itself
                       [](const std::unique_ptr<Task>& task) { return task->waits() == Task::Waiting::publish; });

        constexpr std::int64_t look_again_ns = 10'000'000;
        WaitQueue::Waiter waiter;
        bool in_time = true;
        for (;;) {
            get_in_line(drainers_, waiter, registry_.fence()); // [drained] whoever ends something now sees that we wait
            if (is_quiet({}) && !publishes_to_come() && !somebody_runs()) {
                break;
            }
            const Patience patience(patience_.until());
            if (patience.over()) {
                in_time = false;
                break;
            }
            if (pumped_ && pump()) {
                continue;
            }
            if (!has_work() && until_due() != 0 && !somebody_runs()) {
                if (flush(&seat) != 0 || end_redeliveries(seat)) {
                    continue;
                }
            }
            const std::int64_t left = patience.left();
            drainers_.park(waiter, left < look_again_ns ? left : look_again_ns);
        }
        drainers_.leave(waiter);
        if (!in_time) {
            giving_up_.begin();                                           // [giving_up] before all are told to look
            no_more_redeliveries_.store(true, std::memory_order_relaxed); // relaxed: before give_up_everything's lock
            inbox_.raise(Inbox::tasks_bit); // ends the runs of the workers at the event that they are in
            stop_.request_stop();
        }
        pool_.stop();
        const auto await_end = [&](const auto& over) {
            for (;;) {
                // [drained] [running] [to_come] whoever begins from here on sees that it is too late
                get_in_line(drainers_, waiter, registry_.fence());
                if (over()) {
                    break;
                }
                drainers_.park(waiter, look_again_ns);
            }
            drainers_.leave(waiter);
        };
        const auto await_others = [&] { // publish_sync, poll, a deferral's end or a batch, on a thread of the user's
            await_end([&] { return !somebody_runs(); });
        };
        await_others();
        helpers_->join(); // late runs of timeout_detached, which nobody waits for any more
        if (in_time) {
            give_up_tasks(seat);
        } else {
            give_up_everything(seat);
            await_others(); // an end that came just before ours is being counted
            await_end([&] { // and a publish to come that a thread of the user's has just cancelled, or found due
                give_up_tasks(seat);
                return !publishes_to_come();
            });
        }
        collectors_.drain([&](Collector& collector) { collector.finish(seat); });
        stop_.request_stop();
        shutting_down_.store(nullptr, std::memory_order_relaxed); // relaxed: as above
        complete_.set(true);                                      // [complete] the counters are final
    }
    SeatTable::stand_up(seat);
    tell_drainers(); // those who drain beside us
    if (settings_.clock != nullptr) {
        settings_.clock->detach(*this);
    }
    return true;
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
