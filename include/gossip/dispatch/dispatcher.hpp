// What becomes of an event once it has begun: its processors, its failures, its end.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/dispatch/run.hpp>

#include <memory>
#include <new>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: those of gossip/dispatch/engine.hpp

/// Room for a run that most events do not need; an empty std::optional costs 128 bytes of zeros an event here.
class LateRun {
public:
    LateRun() noexcept = default;
    LateRun(const LateRun&) = delete;
    LateRun& operator=(const LateRun&) = delete;
    ~LateRun() {
        if (run_ != nullptr) [[unlikely]] {
            std::destroy_at(run_);
        }
    }

    [[nodiscard]] Run* get() const noexcept { return run_; }
    [[gnu::cold, gnu::noinline]] void make(Engine& engine, Seat& seat, Event& event, Kind kind) noexcept {
        run_ = ::new (static_cast<void*>(room_)) Run(engine, seat, event, kind);
    }

private:
    Run* run_ = nullptr;
    alignas(Run) unsigned char room_[sizeof(Run)];
};

inline void Engine::run_event(Seat& seat, Frame& frame, Event& event, Kind kind, SyncOutcome* outcome) noexcept {
    if (EventAccess::has_receipt(event) && !EventAccess::receipt(event)->may_begin()) [[unlikely]] {
        leave_unbegun(seat, event);
        return;
    }
    const ProcessorList* list = nullptr;
    if (!registry_.protect_latest(seat, EventAccess::name(event), list)) [[unlikely]] {
        if (const Result found = guard([&] { list = registry_.protect_other(seat, event.type()); }); !found) {
            end_unroutable(seat, event, kind, found.error(), outcome);
            return;
        }
    }
    if (list == nullptr) {
        if (kind == Kind::letter) {
            open_letters_.close(); // [letters] those who listened have gone
            return;
        }
        if (EventAccess::has_extras(event)) {
            settle_receipt(event, Ending::unrouted, nullptr); // first, as it may be left to others: see Receipt
            if (event.has_key() && kind == Kind::event) {
                let_go_of_key(event);
            }
        }
        seat.ledger.add(Tally::unrouted);
        return;
    }
    ++(kind == Kind::letter ? frame.letters : frame.events);
    if (list->takes(EventAccess::ops(event))) {
        LateRun failed;
        const std::size_t called =
            call_blind(seat, *list, EventAccess::data(event), [&](Subscriber& subscriber, const Error& error) {
                if (failed.get() == nullptr) {
                    failed.make(*this, seat, event, kind);
                }
                failed.get()->add_failure(subscriber, error);
            });
        if (outcome != nullptr) {
            outcome->processors = called;
        }
        if (failed.get() == nullptr) [[likely]] {
            end_well(seat, event, kind);
        } else {
            finish_slowly(*failed.get(), outcome);
        }
    } else {
        Run run(*this, seat, event, kind);
        const std::size_t called = call_all(seat, *list, run);
        if (outcome != nullptr) {
            outcome->processors = called;
        }
        finish(run, outcome);
    }
    --(kind == Kind::letter ? frame.letters : frame.events);
    leave(seat);
}

/// The run is over: neither the list of processors nor the last of them is in use any more.
inline void Engine::leave(Seat& seat) noexcept {
    seat.current.show(nullptr); // [running] all have returned
    SubscriptionRegistry::unprotect(seat);
    tell_enders();
}

/// True if the processor may be called: shows that it runs before it looks whether its subscription has ended.
inline bool Engine::enter(Seat& seat, const Subscriber& subscriber) noexcept {
    seat.current.show(&subscriber, registry_.fence()); // [running] [returned] shown; now the looks
    if ((inbox_.raised() & Inbox::enders_bit) != 0) [[unlikely]] {
        enders_.wake_all();
    }
    return subscriber.tenure.goes_on(); // [running] or whoever ends it sees us in it
}

/// The short way: processors that see the data alone. Nothing can be deferred.
template <class Fail>
std::size_t Engine::call_blind(Seat& seat, const ProcessorList& list, const void* data, Fail&& fail) noexcept {
    std::size_t called = 0;
    for (const ProcessorList::Entry& entry : list.entries) {
        if (enter(seat, *entry.subscriber)) [[likely]] {
            ++called;
            if (const Result result = entry.invoke_data(entry.state, data); !result) [[unlikely]] {
                fail(*entry.subscriber, result.error());
            }
        }
    }
    return called;
}

inline std::size_t Engine::call_all(Seat& seat, const ProcessorList& list, Run& run) noexcept {
    Context context(run, run.attempt_);
    std::size_t called = 0;
    for (const ProcessorList::Entry& entry : list.entries) {
        Subscriber& subscriber = *entry.subscriber;
        if (!enter(seat, subscriber)) [[unlikely]] {
            continue;
        }
        run.subscriber_ = &subscriber;
        ++called;
        const Result result =
            entry.plain ? entry.invoke(entry.state, context, run.event_) : run_special(run, context, subscriber);
        if (!result) [[unlikely]] {
            run.add_failure(subscriber, result.error());
        }
    }
    return called;
}

/// The end of an event that has no other: all its processors have run, and well.
inline void Engine::end_well(Seat& seat, Event& event, Kind kind) noexcept {
    if (EventAccess::has_extras(event)) {
        if (kind == Kind::event && event.has_key()) {
            let_go_of_key(event);
        }
        settle_receipt(event, Ending::handled, nullptr);
    }
    count_as_handled(seat, kind);
}
inline void Engine::count_as_handled(Seat& seat, Kind kind) noexcept {
    if (kind == Kind::letter) {
        open_letters_.close(); // [letters] it has been read
    } else {
        seat.ledger.add(Tally::handled);
    }
}

/// The same for data that no event was made of; false if some processor wants one.
inline bool Engine::run_data(Seat& seat, Frame& frame, const EventType& type, const PayloadOps* ops, const void* data,
                             SyncOutcome& outcome) noexcept {
    const ProcessorList* list = nullptr;
    if (!registry_.protect_latest(seat, type.name(), list)) [[unlikely]] {
        if (!guard([&] { list = registry_.protect_other(seat, type); })) {
            return false; // the long way says so
        }
    }
    if (list == nullptr || !list->takes(ops)) {
        SubscriptionRegistry::unprotect(seat);
        return false;
    }
    ++frame.events;
    seat.ledger.add(Tally::accepted);
    outcome.processors = call_blind(seat, *list, data, [&](Subscriber& subscriber, const Error& error) {
        outcome.fail(subscriber.id, subscriber.options.name, error);
    });
    seat.ledger.add(outcome.ok() ? Tally::handled : Tally::failed);
    --frame.events;
    leave(seat);
    return true;
}

/// The end of a run: of the event itself, or of this run's share in it.
[[gnu::always_inline]] inline void Engine::finish(Run& run, SyncOutcome* outcome) noexcept {
    if (run.open_ends_ == nullptr && run.settlement_ == nullptr && run.failed_without_memory_ == nullptr) [[likely]] {
        if (run.collecting_.collector == nullptr) {
            end_well(run.seat_, run.event_, run.kind_);
        } else {
            finish_collected(run);
        }
    } else {
        finish_slowly(run, outcome);
    }
}

/// A batch is the only one with a share in the event: it gets the event itself.
[[gnu::always_inline]] inline void Engine::finish_collected(Run& run) noexcept {
    Collecting& to = run.collecting_;
    // Its attempt is the first: others have a receipt, or a settlement that this run would have.
    if (EventAccess::is_plain(run.event_) && run.kind_ == Kind::event && to.collector->try_add_plain(run.event_))
        [[likely]] {
        return; // `leave` shows that all have returned
    }
    const bool keyed = run.kind_ == Kind::event && run.event_.has_key();
    if (!keyed && to.collector->try_add(run.event_, {nullptr, run.attempt_, run.kind_}, to.added) && !to.added.more)
        [[likely]] {
        return; // `leave` shows that all have returned
    }
    finish_collecting(run, keyed);
}
[[gnu::noinline]] inline void Engine::finish_collecting(Run& run, bool keyed) noexcept {
    Collecting& to = run.collecting_;
    Seat& seat = run.seat_;
    seat.current.show(&seat); // [running] all have returned; the event has not ended
    tell_enders();
    Result added;
    if (!to.added.taken) {
        added = keyed ? collect_keyed(seat, run) : collect(seat, to, run.event_, {nullptr, run.attempt_, run.kind_});
    }
    if (to.added.taken) {
        if (to.added.more) {
            proceed(seat, to, run.kind_);
        }
        return;
    }
    if (added) {
        settle_receipt(run.event_, Ending::handled, nullptr);
        count_as_handled(seat, run.kind_);
    } else {
        fail_alone(seat, run.event_, run.kind_, run.attempt_, *to.subscriber, added.error());
    }
}

/// The event lets its key go when it has been collected.
inline Result Engine::collect_keyed(Seat& seat, Run& run) noexcept {
    std::optional<Event> key; // shares the data, which is boxed, so that the copy throws nothing; keeps the key
    static_cast<void>(succeeds([&] { key.emplace(run.event_); }));
    Result added = collect(seat, run.collecting_, run.event_, {nullptr, run.attempt_, run.kind_});
    if (key) {
        let_go_of_key(*key);
    }
    return added;
}

/// Gives the event to a batch.
inline Result Engine::collect(Seat& seat, Collecting& to, Event& event, const Collector::Mark& mark) noexcept {
    return guard([&] { to.collector->add(seat, event, mark, to.added); });
}
/// Does what is left to do after that, perhaps a run. What was collected is the batch's, not this run's any more.
inline void Engine::proceed(Seat& seat, const Collecting& to, Kind kind) noexcept {
    std::uint32_t& own = kind == Kind::letter ? innermost->letters : innermost->events;
    --own;
    to.collector->proceed(seat, to.added);
    ++own;
}

/// Gives the event to the batches that have a share in it besides others.
inline void Engine::share_with_batches(Run& run) noexcept {
    run.for_each_collecting([&](Collecting& to) {
        Settlement::Part* part = nullptr;
        const Result added = guard([&]() -> Result {
            part = run.find_part(*to.subscriber);
            if (part == nullptr) {
                part = &run.open_part(*to.subscriber);
            }
            part->collect();
            Event copy(run.event_);
            return collect(run.seat_, to, copy, {part, run.attempt_, run.kind_});
        });
        if (!added) {
            run.add_failure(*to.subscriber, added.error());
        }
        if (part != nullptr && !to.added.taken) {
            run.settlement_->settle_collected(run.seat_, *part, {});
        }
    });
}

/// The end of a run that somebody failed, deferred, or collected.
[[gnu::noinline]] inline void Engine::finish_slowly(Run& run, SyncOutcome* outcome) noexcept {
    Seat& seat = run.seat_;
    const bool keyed = run.kind_ == Kind::event && run.event_.has_key();
    seat.current.show(&seat); // [running] all have returned; the event has not ended
    tell_enders();
    share_with_batches(run);
    bool failed_without_memory = false;
    std::vector<Failure> final;
    const auto fail = [&](Subscriber& subscriber, const Error& error, bool by_filter) {
        if (outcome != nullptr) {
            outcome->fail(subscriber.id, subscriber.options.name, error);
        }
        if (Settlement::Part* const shared = run.find_part(subscriber)) {
            run.settlement_->fail(*shared, error); // others have a share in it: whoever closes the last one goes on
            return;
        }
        if (run.kind_ != Kind::sync && wants_redelivery(seat, subscriber, run.attempt_, error)) {
            Settlement::Part* part = nullptr;
            const Result opened = guard([&] { part = &run.settle_later().open(subscriber, run.attempt_, true); });
            if (opened) {
                for (Failure& earlier : final) {
                    run.settlement_->add_failure(std::move(earlier));
                }
                final.clear();
                part->asks_filter = by_filter;
                run.settlement_->fail(*part, error);
                run.settlement_->try_again(seat, *part);
                return;
            }
        }
        if (run.settlement_ != nullptr) {
            run.settlement_->add_failure(subscriber, run.attempt_, error);
        } else if (!succeeds([&] {
                       final.push_back(Failure{error, subscriber.id, subscriber.options.name, run.attempt_});
                   })) {
            failed_without_memory = true;
        }
    };
    run.for_each_failure(fail);
    run.close_shares();
    if (run.settlement_ != nullptr) {
        for (Failure& failure : final) {
            run.settlement_->add_failure(std::move(failure));
        }
        run.settlement_->close(seat, true);
        run.for_each_collecting([&](const Collecting& to) {
            if (to.added.more) {
                proceed(seat, to, run.kind_);
            }
        });
        return;
    }
    if (keyed) {
        let_go_of_key(run.event_);
    }
    if (final.empty() && failed_without_memory) {
        end_without_memory(seat, run.event_, run.kind_, errors::out_of_memory);
        return;
    }
    end(seat, run.event_, run.kind_, final);
}

/// Out of memory for a name that was never seen before: the event has begun, and can't be delivered.
inline void Engine::end_unroutable(Seat& seat, Event& event, Kind kind, const Error& error,
                                   SyncOutcome* outcome) noexcept {
    std::vector<Failure> lost;
    succeeds([&] { lost.push_back(Failure{error}); });
    if (outcome != nullptr) {
        outcome->fail({}, {}, error);
    }
    if (event.has_key() && kind == Kind::event) {
        let_go_of_key(event);
    }
    if (lost.empty()) {
        end_without_memory(seat, event, kind, error);
        return;
    }
    end(seat, event, kind, lost);
}

inline void Engine::run_part(Seat& seat, Settlement::Part& part, bool has_turn) noexcept {
    Settlement& home = *part.home;
    const Ref<Subscriber> subscriber = part.subscriber;
    if (!has_turn && subscriber->limit != nullptr) {
        ConcurrencyLimit& limit = *subscriber->limit;
        const std::lock_guard lock(limit.mutex);
        if (limit.running >= subscriber->options.max_concurrency && succeeds([&] { limit.waiting.push_back(&part); })) {
            return; // whoever hands on the turn runs it
        }
        ++limit.running;
        has_turn = true;
    }
    std::uint32_t& own = home.kind() == Kind::letter ? innermost->letters : innermost->events;
    ++own;
    Run run(*this, seat, home.event(), home.kind());
    run.settlement_ = &home;
    run.parts_ = &part;
    part.next_of_run = nullptr;
    run.attempt_ = part.attempt;
    run.subscriber_ = subscriber.get();
    Context context(run, part.attempt);
    Result result;
    const bool may_begin = this->may_begin(home);
    const bool entered = may_begin && enter(seat, *subscriber);
    if (entered) {
        if (part.attempt > 1) {
            tell_attempt(home, part.attempt);
        }
        const bool asks = part.asks_filter;
        part.begin();
        if (!asks || passes_filter(home.event(), *subscriber, result)) {
            result = subscriber->processor.invoke()(subscriber->processor.state(), context, home.event());
        } else {
            part.asks_filter = true;
        }
    }
    const Kind kind = home.kind();
    seat.current.show(&seat); // [running] it has returned; the event is being ended
    tell_enders();
    share_with_batches(run);
    if (has_turn) {
        hand_on(*subscriber);
    }
    if (entered) {
        run.for_each_failure([&](const Subscriber&, const Error& error, bool) { home.fail(part, error); });
        home.settle(seat, part, std::move(result));
    } else {
        if (!may_begin) {
            home.leave_to_others(part);
        }
        home.give_up(seat, part); // its attempts end with the subscription, or go on elsewhere
    }
    run.for_each_collecting([&](const Collecting& to) {
        if (to.added.more) {
            proceed(seat, to, kind);
        }
    });
    --own;
    seat.current.show(nullptr); // [running] over
    tell_enders();
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
