// Events to be published when their time has come, once or again and again.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/dispatch/engine.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

namespace detail {

// Edges: those of gossip/dispatch/engine.hpp

/// Where an event goes when its time has come; null: straight to the engine.
struct PublishRoute {
    PublishStatus (*send)(void* to, Event& event, bool may_wait) = nullptr;
    void* to = nullptr;
};

class Scheduled : public std::enable_shared_from_this<Scheduled> {
public:
    Scheduled(Event event, bool restamp, std::int64_t period_ns, PublishRoute route = {}) noexcept
        : event_(std::move(event)), restamp_(restamp), period_ns_(period_ns), route_(route) {}

    /// False if the bus is closed: there will be none, and nothing is counted.
    [[nodiscard]] bool start(Engine& engine, std::int64_t due_ns);
    /// True for the one call that comes before the event was published (or, again and again, at any time). False on
    /// another bus.
    bool cancel(Engine& engine) noexcept;
    /// False if it was cancelled, or the bus closed, before it could be published; or if there can't be another one.
    [[nodiscard]] bool fire(Engine& engine) noexcept;
    [[nodiscard]] Event& event() noexcept { return event_; } // before it starts

private:
    static void take_back_if_closed(Engine& engine, TimerId timer) noexcept;

    Event event_;
    const bool restamp_;
    const std::int64_t period_ns_; // 0: once
    const PublishRoute route_;
    const Engine* home_ = nullptr; // constant from start() on
    std::mutex mutex_;
    bool over_ = false; // these three under mutex_
    std::int64_t due_ns_ = 0;
    TimerId timer_{};
};

/// One publish to come, from before the look whether the bus is closed until what became of it is counted.
class PublishTask final : public Task {
public:
    PublishTask(Engine& engine, std::shared_ptr<Scheduled> scheduled) noexcept
        : engine_(engine), scheduled_(std::move(scheduled)) {
        engine_.publish_to_come();
    }
    PublishTask(const PublishTask&) = delete;
    PublishTask& operator=(const PublishTask&) = delete;
    ~PublishTask() override { engine_.publish_came(); }
    void run(Engine& engine, Seat& seat) noexcept override {
        if (!scheduled_->fire(engine)) {
            seat.ledger.add(Tally::cancelled);
        }
    }
    void give_up(Engine&, Seat& seat) noexcept override { seat.ledger.add(Tally::cancelled); }
    [[nodiscard]] Waiting waits() const noexcept override { return Waiting::publish; }

private:
    Engine& engine_;
    std::shared_ptr<Scheduled> scheduled_;
};

inline bool Scheduled::start(Engine& engine, std::int64_t due_ns) {
    auto task = std::make_unique<PublishTask>(engine, shared_from_this());
    if (engine.closed()) { // [to_come] after it is counted as one to come
        return false;
    }
    TimerId timer;
    home_ = &engine;
    {
        const std::lock_guard lock(mutex_);
        due_ns_ = due_ns;
        timer = timer_ = engine.schedule(due_ns, std::move(task));
    }
    take_back_if_closed(engine, timer);
    return true;
}

/// Whoever closed the bus meanwhile may have looked through the timers before this one was there.
inline void Scheduled::take_back_if_closed(Engine& engine, TimerId timer) noexcept {
    if (engine.closed()) {
        engine.cancel(timer); // counted by whoever gets it
    }
}

inline bool Scheduled::cancel(Engine& engine) noexcept {
    if (&engine != home_) {
        return false; // another bus's timer may have the same number
    }
    TimerId timer;
    {
        const std::lock_guard lock(mutex_);
        if (std::exchange(over_, true)) {
            return false;
        }
        timer = timer_;
    }
    return engine.cancel(timer) || !engine.closed(); // shutdown has taken it back before
}

inline bool Scheduled::fire(Engine& engine) noexcept {
    bool again = false;
    bool done = true;
    {
        const std::lock_guard lock(mutex_);
        if (over_) {
            return false;
        }
        over_ = period_ns_ == 0;
        again = !over_;
    }
    const Result published = guard([&] {
        std::optional<Event> copy;
        if (again) {
            EventAccess::renew_id(copy.emplace(event_));
        }
        Event& event = again ? *copy : event_; // moved from only if it is accepted: the hook is told of all others
        if (restamp_) {
            EventAccess::set_time_ns(event, engine.stamp());
        }
        // Once: into the buffer, or beyond it, where the event takes no more memory than it did as a timer. Again and
        // again: a period that finds the buffer full is left out, or the events of a fast timer would pile up.
        const PublishStatus status =
            route_.send == nullptr ? engine.publish(event, !again) : route_.send(route_.to, event, !again);
        done = status != PublishStatus::closed;
        if (status != PublishStatus::accepted && done) { // there is no caller to be told
            engine.report(refusal_error(status), event, {}, {}, false);
        }
    });
    if (!published) {
        engine.count(Tally::rejected); // there was no memory for it
        engine.report(published.error(), event_, {}, {}, false);
    }
    if (again) {
        Result scheduled;
        TimerId timer{};
        const std::int64_t time = engine.now(); // before the lock: the clock may be the user's
        {
            // What was missed meanwhile is not made up for: the next one is the first that is still to come.
            const std::lock_guard lock(mutex_);
            done = done && !over_; // cancelled meanwhile
            due_ns_ = saturated_add(due_ns_, ((time - due_ns_) / period_ns_ + 1) * period_ns_);
            scheduled = guard([&] {
                if (done) {
                    timer = timer_ =
                        engine.schedule(due_ns_, std::make_unique<PublishTask>(engine, shared_from_this()));
                }
            });
            over_ = over_ || !scheduled;
        }
        if (done && scheduled) {
            take_back_if_closed(engine, timer);
        }
        if (!scheduled) { // after the lock: the hook may cancel this very publish
            engine.report(scheduled.error(), event_, {}, {}, false);
            done = false; // there will be no other
        }
    }
    return done;
}

} // namespace detail

/// Names an event that is to be published later; for `EventBus::cancel`.
///
/// Threads: a value. Owns: a share in the event until it has been published; where the transport keeps it, in its text.
class ScheduledId {
public:
    ScheduledId() noexcept = default;
    /// For the library, as what follows.
    explicit ScheduledId(std::shared_ptr<detail::Scheduled> scheduled) noexcept : scheduled_(std::move(scheduled)) {}
    /// Of an event that the transport keeps; an empty ticket names none.
    explicit ScheduledId(std::string ticket)
        : ticket_(ticket.empty() ? nullptr : std::make_shared<const std::string>(std::move(ticket))) {}
    [[nodiscard]] const std::shared_ptr<detail::Scheduled>& scheduled() const noexcept { return scheduled_; }
    [[nodiscard]] const std::shared_ptr<const std::string>& ticket() const noexcept { return ticket_; }

private:
    std::shared_ptr<detail::Scheduled> scheduled_; // one of the two, or neither
    std::shared_ptr<const std::string> ticket_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
