// Processors with a filter, and processors that may run on a few workers only.
#pragma once

#include <gossip/dispatch/engine.hpp>
#include <gossip/dispatch/run.hpp>
#include <gossip/dispatch/wait_graph.hpp>

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: those of gossip/dispatch/engine.hpp

/// A turn that has passed to an event which waited for it.
class TurnTask final : public Task {
public:
    explicit TurnTask(Settlement::Part& part) noexcept : part_(part) {}
    void run(Engine& engine, Seat& seat) noexcept override {
        if (has_turn() || gets_another()) {
            engine.run_part(seat, part_, true);
        }
    }
    void give_up(Engine& engine, Seat& seat) noexcept override {
        const OwnScope own(part_.home->kind() == Kind::letter);
        const bool turn = has_turn();
        const Ref<Subscriber> subscriber = part_.subscriber;
        part_.begin();
        part_.home->settle(seat, part_, errors::abandoned);
        if (turn) {
            engine.hand_on(*subscriber);
        }
    }

private:
    /// The turn is no longer under way; false if somebody could not wait for its arrival, and has taken it.
    [[nodiscard]] bool has_turn() noexcept {
        ConcurrencyLimit& limit = *part_.subscriber->limit;
        const std::lock_guard lock(limit.mutex);
        if (limit.taken_over != 0) {
            --limit.taken_over;
            return false;
        }
        limit.under_way.take();
        return true;
    }
    /// Or gets in line again, before all others.
    [[nodiscard]] bool gets_another() noexcept {
        Subscriber& subscriber = *part_.subscriber;
        ConcurrencyLimit& limit = *subscriber.limit;
        const std::lock_guard lock(limit.mutex);
        if (limit.running >= subscriber.options.max_concurrency &&
            succeeds([&] { limit.waiting.push_front(&part_); })) {
            return false; // whoever hands on the turn runs it; it may have ended by now
        }
        ++limit.running;
        return true;
    }

    Settlement::Part& part_;
};

/// Whether this thread is in that processor already, in a run around this one.
inline bool Engine::runs_on_this_thread(const Engine& engine, const Subscriber& subscriber, const Seat* but) noexcept {
    for (const Frame* frame = innermost; frame != nullptr; frame = frame->outer) {
        if (frame->engine == &engine && frame->seat != but && frame->seat->current.own() == &subscriber) {
            return true;
        }
    }
    return false;
}

inline bool Engine::ended_around_here() noexcept {
    for (const Frame* frame = innermost; frame != nullptr; frame = frame->outer) {
        const void* const current = frame->seat->current.own();
        if (current != nullptr && current != frame->seat &&
            !static_cast<const Subscriber*>(current)->tenure.goes_on()) { // [running] it is over
            return true;
        }
    }
    return false;
}

/// Gets a turn, or puts the event in line for one (a success without a turn, as where the subscription has ended). Who
/// publishes synchronously waits, unless those who have the turns wait for this very thread; a turn that no worker
/// takes up for a while goes to those who wait.
inline Result Engine::take_turn(Run& run, Subscriber& subscriber, bool& has_turn) noexcept {
    ConcurrencyLimit& limit = *subscriber.limit;
    WaitGraph::Waiter waiter(seats_, subscriber, WaitGraph::Until::one_returns, &limit.under_way);
    std::unique_lock lock(limit.mutex);
    while (limit.running >= subscriber.options.max_concurrency) {
        // Beyond the bound while a turn waits for a worker to take it up: were all of them here, nobody would.
        if (run.kind_ != Kind::sync && (limit.waiting.size() < inbox_.capacity() || limit.under_way.get() != 0)) {
            Settlement::Part* part = nullptr;
            lock.unlock(); // the settlement copies the event, and that is user code
            Result opened = guard([&] { part = &run.settle_later().open(subscriber, run.attempt_, true); });
            if (!opened) {
                return opened;
            }
            lock.lock();
            Result queued;
            if (limit.running >= subscriber.options.max_concurrency) {
                queued = guard([&] { limit.waiting.push_back(part); });
                if (queued) {
                    return {};
                }
            }
            lock.unlock();
            run.settlement_->close(run.seat_, true);
            if (!queued) {
                return queued;
            }
            lock.lock();
            continue;
        }
        const bool patient = limit.changed.wait_for(lock, std::chrono::milliseconds(10)) ==
                             std::cv_status::no_timeout; // awake now and then to see what follows
        if (!subscriber.tenure.goes_on()) {              // [running] ended meanwhile: it is not called
            return {};
        }
        if (giving_up()) {
            return errors::abandoned;
        }
        if (limit.running >= subscriber.options.max_concurrency) {
            if (!patient && limit.under_way.get() != 0) { // the worker that is to take it up may wait for us
                limit.under_way.take();
                ++limit.taken_over;
                has_turn = true;
                return {};
            }
            if (wait_graph.look(waiter) == WaitGraph::Outlook::hopeless) {
                return errors::deadlock;
            }
        }
    }
    ++limit.running;
    has_turn = true;
    return {};
}

inline void Engine::hand_on(Subscriber& subscriber) noexcept {
    ConcurrencyLimit& limit = *subscriber.limit;
    for (;;) {
        Settlement::Part* next = nullptr;
        {
            const std::lock_guard lock(limit.mutex);
            if (limit.taken_over != 0) { // back to the event that it was on its way to
                --limit.taken_over;
                limit.under_way.add();
                limit.changed.notify_all();
                return;
            }
            if (limit.waiting.empty()) {
                --limit.running;
                limit.changed.notify_one();
                return;
            }
            next = static_cast<Settlement::Part*>(limit.waiting.front());
            limit.waiting.pop_front();
            limit.under_way.add();
            limit.changed.notify_all();
        }
        if (auto task = std::unique_ptr<Task>(new (std::nothrow) TurnTask(*next))) {
            enqueue(std::move(task));
            return;
        }
        {
            const std::lock_guard lock(limit.mutex);
            limit.under_way.take();
        }
        const OwnScope own(next->home->kind() == Kind::letter);
        Seat& seat = seats_.sit_down();
        next->begin();
        next->home->settle(seat, *next, errors::out_of_memory);
        SeatTable::stand_up(seat);
    }
}

/// Whether the processor is to be called. `asked`: what asking has ended with.
inline bool Engine::passes_filter(const Event& event, const Subscriber& subscriber, Result& asked) noexcept {
    bool wanted = false;
    asked = guard([&] { wanted = subscriber.options.filter(event); });
    return asked && wanted && subscriber.tenure.goes_on(); // [running] ended by its filter
}

inline Result Engine::run_special(Run& run, Context& context, Subscriber& subscriber) noexcept {
    if (subscriber.options.filter) {
        Result asked;
        if (!passes_filter(run.event_, subscriber, asked)) {
            if (!asked) {
                run.add_failure(subscriber, asked.error(), true);
            }
            return {};
        }
    }
    bool has_turn = false;
    if (subscriber.limit != nullptr && !runs_on_this_thread(*this, subscriber, &run.seat_)) {
        Result taken = take_turn(run, subscriber, has_turn);
        if (!has_turn) {
            return taken;
        }
    }
    Result result = subscriber.processor.invoke()(subscriber.processor.state(), context, run.event_);
    if (has_turn) {
        hand_on(subscriber);
    }
    return result;
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
