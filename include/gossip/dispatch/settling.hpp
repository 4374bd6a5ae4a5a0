// The ends of events, at once or by their settlement; redelivery and dead letters.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/core/random.hpp>
#include <gossip/dispatch/engine.hpp>

#include <algorithm>
#include <cmath>
#include <string>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: those of gossip/dispatch/engine.hpp

/// Another attempt, and its place among those that may wait: counted by who makes it.
class RedeliveryTask final : public Task {
public:
    explicit RedeliveryTask(Settlement::Part& part) noexcept : part_(part), subscriber_(part.subscriber) {}
    RedeliveryTask(const RedeliveryTask&) = delete;
    RedeliveryTask& operator=(const RedeliveryTask&) = delete;
    ~RedeliveryTask() override { stop_waiting(); }
    void run(Engine& engine, Seat& seat) noexcept override {
        stop_waiting();
        engine.run_part(seat, part_, false);
    }
    void give_up(Engine& engine, Seat& seat) noexcept override {
        const OwnScope own(part_.home->kind() == Kind::letter);
        if (engine.ending()) {
            part_.home->leave_to_others(part_);
        }
        part_.home->give_up(seat, part_);
    }
    [[nodiscard]] bool belongs_to(const Subscriber& subscriber) const noexcept override {
        return part_.subscriber.get() == &subscriber;
    }

private:
    void stop_waiting() noexcept {
        if (std::exchange(waits_, false)) {
            subscriber_->redeliveries.take();
        }
    }

    Settlement::Part& part_;
    const Ref<Subscriber> subscriber_; // the part may be gone before the task
    bool waits_ = true;
};

class LetterTask final : public Task {
public:
    explicit LetterTask(DeadLetter letter) : event_(dead_letter, std::move(letter)) {}
    void run(Engine& engine, Seat& seat) noexcept override { engine.run_event(seat, *innermost, event_, Kind::letter); }
    void give_up(Engine& engine, Seat& seat) noexcept override { engine.abandon(seat, event_, Kind::letter); }

private:
    Event event_;
};

inline std::chrono::system_clock::time_point wall_time(std::int64_t ns) noexcept {
    return std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(ns)));
}

inline void Engine::report(const Error& error, const Event& event, SubscriptionId id, std::string_view name,
                           bool letter) noexcept {
    if (settings_.on_error) {
        // What an error hook throws has nobody left to be told.
        succeeds([&] { settings_.on_error(ErrorReport{error, event, id, name, letter}); });
    }
}

inline void Engine::settle_receipt(Event& event, Ending ending, const Error* error) noexcept {
    if (Receipt* const receipt = EventAccess::take_receipt(event)) {
        receipt->settled(ending, error);
    }
}

inline void Engine::tell_attempt(Settlement& settlement, int attempt) noexcept {
    if (EventAccess::has_receipt(settlement.event())) {
        const std::lock_guard lock(open_mutex_); // nobody abandons it meanwhile, which would end the receipt
        if (!settlement.has_ended()) {
            EventAccess::receipt(settlement.event())->attempted(attempt);
        }
    }
}

inline void Engine::tell_leaving(Settlement& settlement) noexcept {
    const std::lock_guard lock(open_mutex_); // as above
    if (!settlement.has_ended()) {
        EventAccess::receipt(settlement.event())->leaving();
    }
}

inline bool Engine::may_begin(Settlement& settlement) noexcept {
    if (!EventAccess::has_receipt(settlement.event())) {
        return true;
    }
    const std::lock_guard lock(open_mutex_); // as above
    return settlement.has_ended() || EventAccess::receipt(settlement.event())->may_begin();
}

[[gnu::cold, gnu::noinline]] inline void Engine::leave_unbegun(Seat& seat, Event& event) noexcept {
    if (event.has_key()) {
        let_go_of_key(event);
    }
    abandon(seat, event, Kind::event);
}

inline void Engine::drop(Seat& seat, Event& event) noexcept {
    if (settings_.on_drop) {
        const OwnScope own;
        if (const Result told = guard([&] { settings_.on_drop(event, DropReason::overflow); }); !told) {
            report(told.error(), event, {}, {}, false);
        }
    }
    settle_receipt(event, Ending::dropped, nullptr);
    seat.ledger.add(Tally::dropped);
}

inline void Engine::abandon(Seat& seat, Event& event, Kind kind) noexcept {
    const OwnScope own(kind == Kind::letter);
    abandon_own(seat, event, kind);
}
inline void Engine::abandon_own(Seat& seat, Event& event, Kind kind) noexcept {
    if (kind != Kind::letter) {
        if (settings_.on_drop) {
            if (const Result told = guard([&] { settings_.on_drop(event, DropReason::abandoned); }); !told) {
                report(told.error(), event, {}, {}, false);
            }
        }
        settle_receipt(event, Ending::abandoned, nullptr);
    }
    count_as_abandoned(seat, kind);
}
inline void Engine::count_as_abandoned(Seat& seat, Kind kind) noexcept {
    if (kind == Kind::letter) {
        seat.ledger.add(Tally::dead_letters_abandoned);
        open_letters_.close(); // [letters] after its counter
    } else {
        seat.ledger.add(Tally::abandoned);
    }
}

inline void Engine::end(Seat& seat, Event& event, Kind kind, std::vector<Failure>& failures,
                        std::int64_t first_failed_ns) noexcept {
    if (failures.empty()) {
        if (kind == Kind::letter) {
            open_letters_.close(); // [letters] it has been read
        } else {
            settle_receipt(event, Ending::handled, nullptr);
            seat.ledger.add(Tally::handled);
        }
        return;
    }
    if (kind == Kind::letter) {
        for (const Failure& failure : failures) {
            report(failure.error, event, failure.subscription, failure.name, true);
        }
        seat.ledger.add(Tally::dead_letters_failed);
        open_letters_.close(); // [letters] after its counter
        return;
    }
    std::unique_ptr<Task> letter;
    if (kind == Kind::event) {
        const Failure& first = failures.front();
        report(first.error, event, first.subscription, first.name, false);
        if (registry_.heard(dead_letter.type())) {
            const std::int64_t now = stamp();
            const Result made = guard([&] {
                DeadLetter content{event,         first.error, first.attempts,
                                   first.name,    failures,    wall_time(first_failed_ns == 0 ? now : first_failed_ns),
                                   wall_time(now)};
                letter = std::make_unique<LetterTask>(std::move(content));
            });
            if (!made) {
                report(made.error(), event, {}, {}, true);
            }
        }
    }
    if (letter != nullptr) {
        open_letters_.open(); // [letters] before the end of the event that it is about
        seat.ledger.add(Tally::dead_letters);
    }
    settle_receipt(event, Ending::failed, &failures.front().error);
    seat.ledger.add(Tally::failed);
    if (letter != nullptr) {
        enqueue(std::move(letter));
    }
}

inline bool Engine::wants_redelivery(Seat& seat, const Subscriber& subscriber, int attempt,
                                     const Error& error) noexcept {
    const Redelivery& policy = subscriber.options.redelivery;
    if (attempt >= policy.attempts || is_fatal(error) || is_validation(error) ||
        !subscriber.tenure.goes_on()) { // [running] not for one that has ended; where the bus does, redeliver sees
        return false;
    }
    if (!policy.when) {
        return true;
    }
    // The question is the subscription's as much as its processor is: whoever ends it waits for both.
    const void* const before = seat.current.own();
    bool wanted = false;
    if (enter(seat, subscriber)) { // past the deadline of a shutdown nobody is asked, and redeliver sees it
        wanted = giving_up() || (guard([&] { wanted = policy.when(error); }).ok() && wanted);
    }
    seat.current.show(before); // [running] it has been asked
    tell_enders();
    return wanted;
}

/// The delay before attempt number `attempt` (2 and more).
inline std::int64_t redelivery_delay(const Redelivery& policy, int attempt) noexcept {
    if (policy.first_delay.count() == 0) {
        return 0; // however large the power is that it would be multiplied with
    }
    const auto longest = static_cast<double>(std::max(policy.max_delay, policy.first_delay).count());
    double delay = static_cast<double>(policy.first_delay.count()) * std::pow(policy.growth, attempt - 2);
    delay = delay < longest ? delay : longest;
    delay -= delay * policy.jitter * random_fraction();
    return delay > 0 ? static_cast<std::int64_t>(delay) : 0;
}

inline bool Engine::redeliver(Settlement::Part& part) noexcept {
    if (ending()) { // before anything is needed that there may be none of
        part.home->leave_to_others(part);
        return false;
    }
    part.deferrals.begin();
    part.shares.begin();
    ++part.attempt;
    const std::int64_t delay = redelivery_delay(part.subscriber->options.redelivery, part.attempt);
    const Ref<Subscriber> subscriber = part.subscriber; // once it is scheduled the part may be gone
    TimerId timer{};
    bool scheduled = false;
    if (subscriber->redeliveries.add() < subscriber->options.redelivery.max_waiting) {
        std::unique_ptr<Task> task(new (std::nothrow) RedeliveryTask(part));
        if (task == nullptr) {
            subscriber->redeliveries.take();
        } else {
            scheduled = succeeds([&] { timer = schedule(saturated_add(now(), delay), std::move(task)); });
        }
    } else {
        subscriber->redeliveries.take();
    }
    if (!scheduled) {
        --part.attempt;
        return false;
    }
    // Whoever ended the subscription, or the bus, meanwhile may have looked at the timers before this one was there.
    const bool bus_ends = ending();
    if ((bus_ends || !subscriber->tenure.goes_on()) && // [running] after the timers' lock
        withdraw(timer) != nullptr) {
        if (bus_ends) {
            part.home->leave_to_others(part);
        }
        --part.attempt;
        return false;
    }
    count(Tally::redelivered);
    return true;
}

inline void Engine::link(Settlement& settlement) noexcept {
    const std::lock_guard lock(open_mutex_);
    settlement.next = open_;
    if (open_ != nullptr) {
        open_->previous = &settlement;
    }
    open_ = &settlement;
    settlement.listed = true;
}
inline void Engine::unlink(Settlement& settlement) noexcept {
    const std::lock_guard lock(open_mutex_);
    if (settlement.listed) {
        take_off(settlement);
    }
}
/// Under open_mutex_.
inline void Engine::take_off(Settlement& settlement) noexcept {
    settlement.listed = false;
    (settlement.previous == nullptr ? open_ : settlement.previous->next) = settlement.next;
    if (settlement.next != nullptr) {
        settlement.next->previous = settlement.previous;
    }
}

/// The end of an event that failed, where there is no memory to say how.
inline void Engine::end_without_memory(Seat& seat, Event& event, Kind kind, const Error& error) noexcept {
    report(error, event, {}, {}, kind == Kind::letter);
    if (kind == Kind::letter) {
        seat.ledger.add(Tally::dead_letters_failed);
        open_letters_.close(); // [letters] after its counter
    } else {
        settle_receipt(event, Ending::failed, &error);
        seat.ledger.add(Tally::failed);
    }
}

/// The end of an event that failed for good in one subscription, which had it alone.
inline void Engine::fail_alone(Seat& seat, Event& event, Kind kind, int attempt, const Subscriber& subscriber,
                               const Error& error) noexcept {
    std::vector<Failure> failures;
    succeeds([&] { // without memory for the name the failure still counts
        failures.push_back(Failure{error, subscriber.id, {}, attempt});
        failures.back().name = subscriber.options.name;
    });
    if (failures.empty()) {
        end_without_memory(seat, event, kind, error);
        return;
    }
    if (kind == Kind::sync) {
        report(error, event, subscriber.id, failures.front().name, false); // its caller has gone
    }
    end(seat, event, kind, failures);
}

inline void Engine::settle_item(Seat& seat, Event& event, Settlement::Part* share, Kind kind, int attempt,
                                Subscriber& subscriber, Result result) noexcept {
    if (share != nullptr) {
        share->home->settle_collected(seat, *share, std::move(result));
        return;
    }
    if (!result) {
        const Error error = result.error();
        if (kind != Kind::sync && wants_redelivery(seat, subscriber, attempt, error)) {
            Settlement* home = nullptr;
            Settlement::Part* part = nullptr;
            const Result opened = guard([&] {
                auto made = std::make_unique<Settlement>(shared_from_this(), event, kind);
                part = &made->open(subscriber, attempt, false);
                home = made.release();
            });
            if (opened) {
                EventAccess::pass_receipt(event, home->event());
                link(*home);
                home->fail(*part, error);
                home->try_again(seat, *part); // it has just been asked
                home->close(seat, false);     // the key was let go when the event was collected
                return;
            }
        }
        fail_alone(seat, event, kind, attempt, subscriber, error);
        return;
    }
    settle_receipt(event, Ending::handled, nullptr);
    count_as_handled(seat, kind);
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
