// What becomes of an event once it has begun: its processors, its failures, its end.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/dispatch/run.hpp>

#include <optional>

namespace gossip::detail {

inline void Engine::run_event(Seat& seat, Frame& frame, Event& event, Kind kind, std::vector<Failure>* failures,
                              std::size_t* processors) noexcept {
    std::unique_ptr<const ProcessorList> stray;
    const ProcessorList* list = nullptr;
    if (const Result found = guard([&] { list = registry_.protect(seat, event, stray); }); !found) {
        // Out of memory for a name never seen before: the event has begun and can't be delivered.
        std::vector<Failure> lost;
        lost.push_back(Failure{found.error()});
        end(seat, event, kind, failures == nullptr ? lost : *failures, 0);
        return;
    }
    if (list == nullptr) {
        if (kind == Kind::letter) {
            open_letters_.fetch_sub(1, std::memory_order_seq_cst); // [letters]
            return;
        }
        if (event.has_key() && kind == Kind::event) {
            let_go_of_key(event);
        }
        seat.ledger.add(Tally::unrouted);
        return;
    }

    ++(kind == Kind::letter ? frame.letters : frame.events);
    Run run(*this, seat, event, kind);
    Context context(run, 1);
    std::size_t called = 0;
    for (const ProcessorList::Entry& entry : list->entries) {
        Subscriber& subscriber = *entry.subscriber;
        seat.current.store(&subscriber, std::memory_order_release); // [running] the one before has returned
        registry_.fence().light();
        if (inbox_.attention() != 0 && (inbox_.attention() & Inbox::enders_bit) != 0) [[unlikely]] {
            enders_.wake_all();
        }
        if (!subscriber.active.load(std::memory_order_acquire)) [[unlikely]] { // [running]
            continue;
        }
        run.subscriber_ = &subscriber;
        ++called;
        const Result result = entry.plain ? entry.invoke(entry.state, context, event) : run_special(run, context, subscriber);
        if (!result) [[unlikely]] {
            run.failed_.push_back({&subscriber, result.error()});
        }
    }
    if (processors != nullptr) {
        *processors = called;
    }
    finish(run, failures);
    --(kind == Kind::letter ? frame.letters : frame.events);
    seat.current.store(nullptr, std::memory_order_release); // [running] all have returned
    SubscriptionRegistry::unprotect(seat);
    tell_enders();
}

/// The end of a run: of the event itself, or of this run's share in it.
inline void Engine::finish(Run& run, std::vector<Failure>* failures) noexcept {
    const bool keyed = run.kind_ == Kind::event && run.event_.has_key();
    if (run.failed_.empty() && run.settlement_ == nullptr && run.collecting_.empty()) [[likely]] {
        if (keyed) {
            let_go_of_key(run.event_);
        }
        if (run.kind_ == Kind::letter) {
            open_letters_.fetch_sub(1, std::memory_order_seq_cst); // [letters]
        } else {
            run.seat_.ledger.add(Tally::handled);
        }
        return;
    }
    finish_slowly(run, failures);
}

/// A batch is the only one with a share in the event: it gets the event itself.
inline void Engine::finish_collected(Run& run) noexcept {
    Run::Collecting& to = run.collecting_.front();
    const bool keyed = run.kind_ == Kind::event && run.event_.has_key();
    std::optional<Event> key;
    bool taken = false;
    const Result added = guard([&] {
        if (keyed) {
            key.emplace(run.event_); // shares its data, which is boxed, and keeps the key for afterwards
        }
        Collector::Item item{std::move(run.event_), nullptr, run.kind_, to.attempt};
        taken = to.collector->add(*this, run.seat_, *to.subscriber, std::move(item));
        if (!taken) {
            run.event_ = std::move(item.event);
        }
    });
    if (keyed) {
        let_go_of_key(key ? *key : run.event_);
    }
    if (added && taken) {
        return;
    }
    std::vector<Failure> lost;
    if (!added) {
        lost.push_back(Failure{added.error(), to.subscriber->id, to.subscriber->options.name, to.attempt});
    }
    end(run.seat_, run.event_, run.kind_, lost, run.begun_ns_);
}

/// The end of a run that somebody failed, deferred, or collected.
inline void Engine::finish_slowly(Run& run, std::vector<Failure>* failures) noexcept {
    if (run.failed_.empty() && run.settlement_ == nullptr && run.collecting_.size() == 1) {
        finish_collected(run);
        return;
    }
    Seat& seat = run.seat_;
    const bool keyed = run.kind_ == Kind::event && run.event_.has_key();
    // Several have a share: each is an open end of a settlement, if only until they are looked at below.
    std::vector<Failure> final;
    const auto fail_for_good = [&](Subscriber& subscriber, const Error& error) {
        if (failures != nullptr) {
            failures->push_back(Failure{error, subscriber.id, subscriber.options.name, run.attempt_});
        }
        if (run.settlement_ != nullptr) {
            run.settlement_->add_failure(subscriber, run.attempt_, error);
        } else {
            final.push_back(Failure{error, subscriber.id, subscriber.options.name, run.attempt_});
        }
    };
    for (const Run::Failed& failed : run.failed_) {
        if (run.kind_ != Kind::sync && wants_redelivery(*failed.subscriber, run.attempt_, failed.error)) {
            Settlement::Part* part = nullptr;
            const Result opened = guard([&] {
                const bool first = run.settlement_ == nullptr;
                part = &run.settle_later().open(*failed.subscriber, run.attempt_, true);
                if (first) {
                    for (Failure& earlier : final) {
                        run.settlement_->add_failure(std::move(earlier));
                    }
                    final.clear();
                }
            });
            if (opened) {
                if (redeliver(*part, failed.error)) {
                    continue;
                }
                fail_for_good(*failed.subscriber, failed.error);
                run.settlement_->close(seat, true);
                continue;
            }
        }
        fail_for_good(*failed.subscriber, failed.error);
    }
    for (Run::Collecting& to : run.collecting_) {
        Settlement::Part* part = nullptr;
        bool taken = false;
        const Result added = guard([&] {
            part = &run.settle_later().open(*to.subscriber, to.attempt, false);
            taken = to.collector->add(*this, seat, *to.subscriber, Collector::Item{run.event_, part, run.kind_, to.attempt});
        });
        if (!added) {
            fail_for_good(*to.subscriber, added.error());
        }
        if (part != nullptr && !taken) {
            run.settlement_->close(seat, false);
        }
    }
    if (run.settlement_ != nullptr) {
        for (Failure& failure : final) {
            run.settlement_->add_failure(std::move(failure));
        }
        run.settlement_->close(seat, true);
        return;
    }
    if (keyed) {
        let_go_of_key(run.event_);
    }
    end(seat, run.event_, run.kind_, final, run.begun_ns_);
}

inline void Engine::run_part(Seat& seat, Settlement::Part& part, bool has_turn) noexcept {
    Settlement& home = *part.home;
    const Ref<Subscriber> subscriber = part.subscriber;
    if (!has_turn && subscriber->limit != nullptr) {
        ConcurrencyLimit& limit = *subscriber->limit;
        const std::lock_guard lock(limit.mutex);
        if (limit.running >= subscriber->options.max_concurrency &&
            guard([&] { limit.waiting.push_back(&part); }).ok()) {
            return; // whoever hands on the turn runs it
        }
        ++limit.running;
        has_turn = true;
    }
    std::uint32_t& own = home.kind() == Kind::letter ? innermost->letters : innermost->events;
    ++own;
    Run run(*this, seat, home.event(), home.kind());
    run.settlement_ = &home;
    run.attempt_ = part.attempt;
    run.subscriber_ = subscriber.get();
    Context context(run, part.attempt);
    seat.current.store(subscriber.get(), std::memory_order_release); // [running] the one before has returned
    registry_.fence().light();
    Result result;
    if (subscriber->active.load(std::memory_order_acquire)) { // [running]
        result = subscriber->processor.invoke()(subscriber->processor.state(), context, home.event());
    } else if (!part.last.ok()) {
        result = part.last; // its attempts end with the subscription
    }
    for (Run::Collecting& to : run.collecting_) {
        Settlement::Part* collected = nullptr;
        bool taken = false;
        const Result added = guard([&] {
            collected = &home.open(*to.subscriber, to.attempt, false);
            taken = to.collector->add(*this, seat, *to.subscriber, Collector::Item{home.event(), collected, home.kind(), to.attempt});
        });
        if (!added) {
            home.add_failure(*to.subscriber, to.attempt, added.error());
        }
        if (collected != nullptr && !taken) {
            home.close(seat, false);
        }
    }
    seat.current.store(nullptr, std::memory_order_release); // [running] it has returned
    if (has_turn) {
        hand_on(*subscriber);
    }
    home.settle(seat, part, std::move(result));
    --own;
    tell_enders();
}

} // namespace gossip::detail
