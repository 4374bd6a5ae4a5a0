// How subscriptions begin, and how they end: not before the last run of their processor on another thread.
#pragma once

#include <gossip/core/guard.hpp>
#include <gossip/dispatch/engine.hpp>

#include <algorithm>

namespace gossip::detail {

// Edges: those of gossip/dispatch/engine.hpp

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
    Seat& seat = seats_.sit_down();
    seat.current.store(&seat,
                       std::memory_order_release); // [running] a shutdown waits for what is taken out of its sight
    const bool ended = end_subscription(id, seat);
    seat.current.store(nullptr, std::memory_order_release); // [running] over
    SeatTable::stand_up(seat);
    succeeds([&] { registry_.collect(seats_); });
    tell_drainers();
    return ended;
}

inline bool Engine::end_subscription(SubscriptionId id, Seat& seat) noexcept {
    Ref<Subscriber> gone;
    if (!succeeds([&] { gone = registry_.remove(id); })) {
        return false;
    }
    if (!gone) {
        gone = registry_.ending(id);
        if (gone) { // ended by somebody else, or by itself: its runs are waited for all the same
            await_end_of_runs(*gone);
        }
        return false;
    }
    registry_.fence().heavy(); // [running] every run that begins from here on sees that it is over
    const bool inside_itself = runs_on_this_thread(*this, *gone, nullptr);
    const bool nobody_left = await_end_of_runs(*gone);

    {
        FrameScope scope(this, seat);
        // What its batches have collected is run here, what waits to be delivered again is over.
        for (const std::shared_ptr<Collector>& collector : gone->end_collecting()) {
            collector->finish(seat, nobody_left);
        }
        const auto its_own = [&](const std::unique_ptr<Task>& waiting) { return waiting->belongs_to(*gone); };
        succeeds([&] {
            for (std::unique_ptr<Task>& task : timers_.take_if(its_own)) {
                task->give_up(*this, seat);
            }
        });
        if (gone->limit != nullptr) {
            std::deque<void*> waiting;
            {
                const std::lock_guard lock(gone->limit->mutex);
                waiting.swap(gone->limit->waiting);
                gone->limit->changed.notify_all();
            }
            for (void* const waiter : waiting) {
                Settlement::Part& part = *static_cast<Settlement::Part*>(waiter);
                const OwnScope own(part.home->kind() == Kind::letter);
                part.attempt -= part.last.ok() ? 0 : 1;
                part.home->settle(seat, part, part.last); // a success, unless it has failed before
            }
        }
    }
    if (nobody_left && !inside_itself) {
        gone->processor.reset(); // nobody is in it, and nobody will be
    }
    return true;
}

/// Waits until no other thread runs the processor, but for threads that (transitively) wait for this one in the same
/// way. True if no other thread is left in it.
inline bool Engine::await_end_of_runs(const Subscriber& subscriber) noexcept {
    const void* const me = this_thread();
    const auto runs_elsewhere = [&](const Subscriber& target, auto&& visit) {
        seats_.for_each([&](const Seat& seat) {
            if (seat.current.load(std::memory_order_acquire) == &target) { // [running] if not, its doings are seen
                const void* const thread =
                    seat.thread.load(std::memory_order_relaxed); // relaxed: stored before `current`
                visit(thread);
            }
        });
    };
    Ender self{me, &subscriber, nullptr};
    // Follows what that thread waits for, who runs that, what those wait for, ... back to this thread?
    const auto waits_for_me = [&](auto&& again, const void* thread) -> bool {
        bool waits = false;
        for (Ender* ender = waiting_enders_; ender != nullptr && !waits; ender = ender->next) {
            if (ender->thread == thread && !std::exchange(ender->seen, true)) {
                runs_elsewhere(*ender->target,
                               [&](const void* runner) { waits = waits || runner == me || again(again, runner); });
            }
        }
        return waits;
    };
    WaitQueue::Waiter waiter;
    bool listed = false;
    bool nobody_left = false;
    for (;;) {
        enders_.join(waiter);
        inbox_.raise(Inbox::enders_bit);
        registry_.fence().heavy(); // [returned] whoever returns from here on sees that we wait
        bool running = false;
        runs_elsewhere(subscriber, [&](const void* thread) { running = running || thread != me; });
        if (!running) {
            nobody_left = true;
            break;
        }
        {
            const std::lock_guard lock(enders_mutex_);
            if (!listed) {
                self.next = waiting_enders_;
                waiting_enders_ = &self;
                listed = true;
            }
            bool others = false;
            bool worth_it = false;
            runs_elsewhere(subscriber, [&](const void* thread) {
                for (Ender* ender = waiting_enders_; ender != nullptr; ender = ender->next) {
                    ender->seen = ender == &self;
                }
                others = others || thread != me;
                worth_it = worth_it || (thread != me && !waits_for_me(waits_for_me, thread));
            });
            if (!others) {
                continue; // the last one has just returned
            }
            if (!worth_it) {
                break;
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
    return nobody_left;
}

} // namespace gossip::detail
