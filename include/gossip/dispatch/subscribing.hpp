// How subscriptions begin, and how they end: not before the last run of their processor on another thread.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/core/outgoing.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/dispatch/wait_graph.hpp>

#include <algorithm>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: those of gossip/dispatch/engine.hpp

[[noreturn, gnu::cold, gnu::noinline]] inline void throw_stranger() {
    GOSSIP_THROW(
        ProcessingError{"a loaded library has its own copy of what gossip has once a process: link the program with "
                        "-rdynamic (CMake: ENABLE_EXPORTS)"});
}

inline SubscriptionId Engine::subscribe(Processor processor, SubscribeOptions options, std::vector<EventType> names,
                                        std::vector<Pattern> patterns, std::shared_ptr<void> listening) {
    if (!registry_.at_home()) [[unlikely]] {
        throw_stranger();
    }
    const SubscriptionId id = registry_.next_id();
    Ref<Subscriber> subscriber(new Subscriber(id, std::move(processor), std::move(options)));
    subscriber->listening = std::move(listening);
    if (!complete() && !inbox_.closed()) {
        registry_.add(std::move(subscriber), std::move(names), std::move(patterns));
        succeeds([&] { registry_.collect(seats_); }); // without memory for it the old lists wait for the next time
    }
    return id;
}

inline bool Engine::unsubscribe(SubscriptionId id) noexcept {
    Seat& seat = seats_.sit_down();
    seat.current.show(&seat); // [running] a shutdown waits for what is taken out of its sight
    const bool ended = end_subscription(id, seat);
    seat.current.show(nullptr); // [running] over
    SeatTable::stand_up(seat);
    succeeds([&] { registry_.collect(seats_); });
    tell_drainers();
    return ended;
}

inline bool Engine::end_subscription(SubscriptionId id, Seat& seat) noexcept {
    Ref<Subscriber> gone = registry_.remove(id, this_thread());
    if (!gone) {
        gone = registry_.ending(id);
        if (gone) { // ended by somebody else, or by itself: its runs are waited for all the same
            await_end_of_runs(*gone);
        }
        return false;
    }
    wait_graph.ask_all(); // a run of it, or inside of one, may wait for what we have: it lists itself, and then looks
    const bool inside_itself = runs_on_this_thread(*this, *gone, nullptr);
    collectors_.end(*gone);
    CollectorList::for_each_of(*gone, [](Collector& collector) { collector.close(); });
    const bool nobody_left = await_end_of_runs(*gone);

    {
        FrameScope scope(this, seat);
        const NoOutgoingScope other_events;
        // What its batches have collected is run here, what waits to be delivered again is over.
        CollectorList::for_each_of(*gone, [&](Collector& collector) { collector.finish(seat); });
        give_up_timers(seat, [&](const std::unique_ptr<Task>& waiting) { return waiting->belongs_to(*gone); });
        if (gone->limit != nullptr) {
            const auto next_in_line = [&limit = *gone->limit]() -> Settlement::Part* {
                const std::lock_guard lock(limit.mutex);
                limit.changed.notify_all();
                if (limit.waiting.empty()) {
                    return nullptr;
                }
                auto* const part = static_cast<Settlement::Part*>(limit.waiting.front());
                limit.waiting.pop_front();
                return part;
            };
            while (Settlement::Part* const part = next_in_line()) {
                const OwnScope own(part->home->kind() == Kind::letter);
                part->home->give_up(seat, *part); // a success, unless it has failed before
            }
        }
    }
    if (nobody_left && !inside_itself) {
        gone->processor.reset(); // nobody is in it, and nobody will be
    }
    gone->listening.reset();
    gone->tenure.over(); // [ended] others who end it need not wait for us
    tell_enders();
    return true;
}

/// Waits until no other thread runs the processor, but for threads that (transitively) wait for this one, in whatever
/// bus. True if no other thread is left in it.
inline bool Engine::await_end_of_runs(const Subscriber& subscriber) noexcept {
    WaitGraph::Waiter self(seats_, subscriber, WaitGraph::Until::all_return);
    WaitQueue::Waiter waiter;
    bool nobody_left = false;
    for (;;) {
        // [running] [returned] whoever begins from here on sees that it is over, whoever returns that we wait
        get_in_line(enders_, waiter, inbox_, Inbox::enders_bit, registry_.fence());
        const WaitGraph::Outlook outlook = wait_graph.look(self);
        nobody_left = outlook == WaitGraph::Outlook::nobody_runs;
        if (outlook != WaitGraph::Outlook::worth_it) {
            break;
        }
        enders_.park(waiter, -1);
    }
    get_out_of_line(enders_, waiter, inbox_, Inbox::enders_bit);
    return nobody_left;
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
