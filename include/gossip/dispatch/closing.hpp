// How open ends of an event, and shares in them, are closed: what the last one does.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/dispatch/engine.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: those of gossip/dispatch/engine.hpp

inline Settlement::Settlement(std::shared_ptr<Engine> engine, Event event, Kind kind)
    : engine_(std::move(engine)), event_(std::move(event)), kind_(kind) {}

inline Settlement::Part& Settlement::open(Subscriber& subscriber, int attempt, bool holds_key) {
    auto part = std::make_unique<Part>(*this, Ref<Subscriber>::share(&subscriber), attempt, holds_key);
    const std::lock_guard lock(mutex_);
    parts_.push_back(std::move(part));
    ends_.open(holds_key);
    return *parts_.back();
}

inline void Settlement::resolve(void* who, Result result) noexcept {
    const std::shared_ptr<Engine> engine = engine_; // the last end may delete this
    Seat& seat = engine->seats().sit_down();
    {
        const FrameScope frame(engine.get(), seat);
        const OwnScope own(kind_ == Kind::letter);
        seat.current.show(&seat); // [running] shutdown waits for ends under way
        settle(seat, *static_cast<Part*>(who), std::move(result));
        seat.current.show(nullptr); // [running] it is counted
    }
    SeatTable::stand_up(seat);
    engine->tell_drainers();
}

inline void Settlement::settle(Seat& seat, Part& part, Result result) noexcept {
    if (!result) {
        fail(part, result.error());
    }
    if (part.deferrals.close()) { // after the run and all deferrals
        // A batch lets the key go when it has collected the event, unless another attempt is to come. If only ours is
        // left, closing it lets the key go.
        if (part.holds_key && !part.shares.only_mine() && !has_failed(part)) {
            part.holds_key = false;
            let_go_of_key();
        }
        close_share(seat, part);
    }
}
inline void Settlement::settle_collected(Seat& seat, Part& part, Result result) noexcept {
    if (!result) {
        fail(part, result.error());
    }
    close_share(seat, part);
}
inline void Settlement::close_share(Seat& seat, Part& part) noexcept {
    if (!part.shares.close()) {
        return;
    }
    if (part.last || ends_.has_ended()) { // of what was abandoned there is no other attempt, and nobody is asked
        close(seat, part.holds_key);
    } else if (wants_another(seat, part)) {
        try_again(seat, part);
    } else {
        add_failures(part);
        close(seat, part.holds_key);
    }
}

inline void Settlement::fail(Part& part, const Error& error) noexcept {
    if (ends_.has_ended()) {
        return; // abandoned: it counts no more, and the clock may be gone
    }
    if (kind_ == Kind::sync || part.attempt >= part.subscriber->options.redelivery.attempts) {
        add_failure(*part.subscriber, part.attempt, error);
        return;
    }
    const std::int64_t now = engine_->stamp();
    const std::lock_guard lock(mutex_);
    note_failure(now);
    if (part.last) {
        part.last = error;
    } else if (!guard([&] { part.others.push_back(error); })) {
        part.final = true;
    }
}
inline bool Settlement::has_failed(const Part& part) noexcept {
    const std::lock_guard lock(mutex_);
    return !part.last;
}
/// Each failure is asked about once, and one that must not be tried again is enough.
inline bool Settlement::wants_another(Seat& seat, const Part& part) const noexcept {
    const auto wanted = [&](const Error& error) {
        return engine_->wants_redelivery(seat, *part.subscriber, part.attempt, error);
    };
    return !part.final && wanted(part.last.error()) && std::all_of(part.others.begin(), part.others.end(), wanted);
}
inline void Settlement::try_again(Seat& seat, Part& part) noexcept {
    if (!engine_->redeliver(part)) {
        add_failures(part);
        close(seat, part.holds_key);
    }
}
inline void Settlement::give_up(Seat& seat, Part& part) noexcept {
    if (!part.last) {
        --part.attempt;
        add_failures(part);
    }
    close(seat, part.holds_key);
}
inline void Settlement::leave_to_others(Part& part) noexcept {
    if (EventAccess::has_receipt(event_)) {
        left_to_others_.store(true, std::memory_order_relaxed); // relaxed: the closing of an open end follows
        part.begin();                                           // it has not failed for good
        engine_->tell_leaving(*this);
    }
}
inline void Settlement::add_failures(const Part& part) noexcept {
    if (part.last) {
        return; // abandoned before it failed
    }
    add_failure(*part.subscriber, part.attempt, part.last.error());
    for (const Error& error : part.others) {
        add_failure(*part.subscriber, part.attempt, error);
    }
}
/// Under the lock.
inline void Settlement::note_failure(std::int64_t now) noexcept {
    first_failed_ns_ = first_failed_ns_ == 0 ? now : first_failed_ns_;
}

inline void Settlement::add_failure(const Subscriber& subscriber, int attempt, const Error& error) noexcept {
    Failure failure{error, subscriber.id, {}, attempt};
    if (!guard([&] { failure.name = subscriber.options.name; })) {
        failure.name.clear();
    }
    add_failure(std::move(failure));
}
inline void Settlement::add_failure(Failure failure) noexcept {
    const std::int64_t now = engine_->stamp();
    const std::lock_guard lock(mutex_);
    note_failure(now);
    if (!guard([&] { failures_.push_back(std::move(failure)); })) {
        failed_without_memory_ = true;
    }
}

inline void Settlement::let_go_of_key() noexcept {
    if (ends_.let_go_of_key() && kind_ == Kind::event && event_.has_key()) {
        engine_->let_go_of_key(event_);
    }
}
inline void Settlement::close(Seat& seat, bool holds_key) noexcept {
    if (holds_key) {
        let_go_of_key();
    }
    if (ends_.close()) {
        const std::shared_ptr<Engine> engine = engine_;
        engine->unlink(*this);
        if (ends_.end()) { // unless it was abandoned
            end(seat);
        }
        delete this;
    }
}

/// What failed for good, where no dead letter says it, as the event comes again.
inline void Settlement::report_failures() noexcept {
    std::vector<Failure> failures;
    bool without_memory = false;
    {
        const std::lock_guard lock(mutex_); // others may hold open ends still
        failures.swap(failures_);
        without_memory = failed_without_memory_;
    }
    for (const Failure& failure : failures) {
        engine_->report(failure.error, event_, failure.subscription, failure.name, false);
    }
    if (without_memory) {
        engine_->report(errors::out_of_memory, event_, {}, {}, false);
    }
}
inline void Settlement::end_abandoned(Seat& seat) noexcept {
    if (Receipt* const receipt = EventAccess::receipt(event_)) { // it stays there: others may look whether there is one
        const OwnScope own;
        report_failures();
        receipt->settled(Ending::abandoned, nullptr);
    }
    engine_->count_as_abandoned(seat, kind_);
    close(seat, false);
}
inline void Settlement::end(Seat& seat) noexcept {
    if (left_to_others_.load(std::memory_order_relaxed)) { // relaxed: set before an open end was closed
        report_failures();
        engine_->abandon_own(seat, event_, kind_);
        return;
    }
    if (failed_without_memory_ && failures_.empty()) {
        std::vector<Failure> lost;
        if (guard([&] { lost.push_back(Failure{errors::out_of_memory}); })) {
            engine_->end(seat, event_, kind_, lost, first_failed_ns_);
        } else {
            engine_->end_without_memory(seat, event_, kind_, errors::out_of_memory);
        }
        return;
    }
    if (kind_ == Kind::sync && !failures_.empty()) {
        const Failure& first = failures_.front(); // its caller has gone, or has been told already
        engine_->report(first.error, event_, first.subscription, first.name, false);
    }
    engine_->end(seat, event_, kind_, failures_, first_failed_ns_);
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
