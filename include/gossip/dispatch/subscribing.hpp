// How subscriptions begin, and how they end: not before the last run of their processor on another thread.
#pragma once

#include <gossip/core/guard.hpp>
#include <gossip/dispatch/engine.hpp>

#include <algorithm>

namespace gossip::detail {

// Edges: each name stands at both of its ends in the code
//   [running]  a run's store of `current` (release), the light half of a fence, and its look at `active`  are ordered with
//              the end of the subscription, the heavy half, and its look at `current` (acquire): at least one sees the other,
//              and what a finished run has done happens before whoever waited for it goes on

inline SubscriptionId Engine::subscribe(Processor processor, SubscribeOptions options, std::vector<EventType> names,
                                        std::vector<Pattern> patterns) {
    const SubscriptionId id = registry_.next_id();
    Ref<Subscriber> subscriber(new Subscriber(id, std::move(processor), std::move(options)));
    if (!complete() && !inbox_.closed()) {
        registry_.add(std::move(subscriber), std::move(names), std::move(patterns));
        registry_.collect(seats_);
    }
    return id;
}

inline bool Engine::unsubscribe(SubscriptionId id) noexcept {
    Ref<Subscriber> gone;
    if (!guard([&] { gone = registry_.remove(id); }) || !gone) {
        return false;
    }
    registry_.fence().heavy(); // [running] every run that begins from here on sees that it is over
    const bool inside_itself = runs_on_this_thread(*this, *gone, nullptr);
    await_end_of_runs(*gone);

    Seat& seat = seats_.sit_down();
    {
        FrameScope scope(this, seat);
        // What its batches have collected is run here, what waits to be delivered again is over.
        for (const std::shared_ptr<Collector>& collector : gone->end_collecting()) {
            collector->finish(seat);
        }
        static_cast<void>(guard([&] {
                              for (std::unique_ptr<Task>& task : timers_.take_if([&](const std::unique_ptr<Task>& waiting) {
                                       return waiting->belongs_to(*gone);
                                   })) {
                                  task->give_up(*this, seat);
                              }
                          }).ok());
        if (gone->limit != nullptr) {
            std::deque<void*> waiting;
            {
                const std::lock_guard lock(gone->limit->mutex);
                waiting.swap(gone->limit->waiting);
                gone->limit->changed.notify_all();
            }
            for (void* const part : waiting) {
                static_cast<Settlement::Part*>(part)->home->settle(seat, *static_cast<Settlement::Part*>(part), {});
            }
        }
    }
    SeatTable::stand_up(seat);
    if (!inside_itself) {
        gone->processor.reset(); // nobody is in it, and nobody will be
    }
    static_cast<void>(guard([&] { registry_.collect(seats_); }).ok());
    tell_drainers();
    return true;
}

/// Waits until no other thread runs the processor, unless those threads (transitively) wait for this one in the same way.
inline void Engine::await_end_of_runs(const Subscriber& subscriber) noexcept {
    const void* const me = this_thread();
    const auto runs_elsewhere = [&](const Subscriber& target, auto&& visit) {
        seats_.for_each([&](const Seat& seat) {
            if (seat.current.load(std::memory_order_acquire) == &target) { // [running]
                const void* const thread = seat.thread.load(std::memory_order_relaxed); // relaxed: stored before `current`
                visit(thread);
            }
        });
    };
    Ender self{me, &subscriber, nullptr};
    // Follows who runs the target, what those threads wait for, who runs that, ... back to this thread?
    const auto would_close_cycle = [&](auto&& again, const Subscriber& target, int depth) -> bool {
        bool closes = false;
        if (depth > 64) {
            return true;
        }
        runs_elsewhere(target, [&](const void* thread) {
            for (const Ender* other = waiting_enders_; other != nullptr && !closes; other = other->next) {
                if (other->thread == thread && thread != me) {
                    const Subscriber& next = *other->target;
                    bool mine = false;
                    runs_elsewhere(next, [&](const void* runner) { mine = mine || runner == me; });
                    closes = mine || again(again, next, depth + 1);
                }
            }
        });
        return closes;
    };
    WaitQueue::Waiter waiter;
    bool listed = false;
    for (;;) {
        enders_.join(waiter);
        inbox_.raise(Inbox::enders_bit);
        registry_.fence().heavy(); // [running] whoever returns from here on sees that somebody waits
        bool running = false;
        runs_elsewhere(subscriber, [&](const void* thread) { running = running || thread != me; });
        if (!running) {
            break;
        }
        {
            const std::lock_guard lock(enders_mutex_);
            if (would_close_cycle(would_close_cycle, subscriber, 0)) {
                break;
            }
            if (!listed) {
                self.next = waiting_enders_;
                waiting_enders_ = &self;
                listed = true;
            }
        }
        enders_.park(waiter, -1);
    }
    enders_.leave(waiter);
    const std::lock_guard lock(enders_mutex_);
    if (listed) {
        Ender** link = &waiting_enders_;
        while (*link != &self) {
            link = &(*link)->next;
        }
        *link = self.next;
    }
    if (!enders_.any()) {
        inbox_.lower(Inbox::enders_bit);
        if (enders_.any()) {
            inbox_.raise(Inbox::enders_bit);
        }
    }
}

} // namespace gossip::detail
