// What workers do, and whoever polls in their place: events, tasks, timers.
#pragma once

#include <gossip/core/guard.hpp>
#include <gossip/core/outgoing.hpp>
#include <gossip/dispatch/engine.hpp>

#include <algorithm>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: those of gossip/dispatch/engine.hpp

/// Fires a context's stop token at its deadline.
class StopTask final : public Task {
public:
    explicit StopTask(std::stop_source source) noexcept : source_(std::move(source)) {}
    void run(Engine&, Seat&) noexcept override { source_.request_stop(); }
    void give_up(Engine&, Seat&) noexcept override {}
    [[nodiscard]] Waiting waits() const noexcept override { return Waiting::nothing; }

private:
    std::stop_source source_;
};

inline Engine::Engine(EngineSettings settings)
    : settings_(std::move(settings)),
      pumped_(settings_.workers == 0 || (settings_.clock != nullptr && settings_.clock->manual())),
      inbox_(settings_.buffer_size, settings_.workers),
      workers_(new WorkerState[settings_.workers + 1]),
      pool_(*this, settings_.workers, settings_.idle) {
    for (unsigned i = 0; i < settings_.workers; ++i) {
        workers_[i].seat = &seats_.sit_down();
    }
    registry_.expect(dead_letter.type());
    pool_.start();
    if (settings_.clock != nullptr) {
        settings_.clock->attach(*this); // last: what throws in here leaves nobody behind who would be told
    }
}

inline Engine::~Engine() {
    if (settings_.clock != nullptr && !complete()) { // shutdown has done it: by now the clock may be gone
        settings_.clock->detach(*this);
    }
}

inline bool Engine::work(unsigned worker) {
    constexpr std::uint64_t help_after_us = 100;
    WorkerState& me = workers_[worker];
    Seat& seat = *me.seat;
    seat.thread.store(this_thread(), std::memory_order_relaxed); // relaxed: a run shows it with `current`
    FrameScope scope(this, seat);
    // Before anything is taken: what is in nobody's inbox any more, and has not begun, is in the hands of who is shown.
    const auto show = [&seat] {
        seat.current.show(&seat); // [running] drain and shutdown see that
    };
    show();
    if (timers_.next_due() != TimerList::never) [[unlikely]] {
        serve_timers();
    }
    if (inbox_.raised() != 0) [[unlikely]] {
        const bool worked = work_attentively(worker, scope.frame());
        seat.current.show(nullptr); // [running] all have returned
        return worked;
    }
    const bool ahead = pool_.attend(worker, me.brief);
    const std::uint64_t begin = platform::ticks();
    const std::uint32_t most = ahead ? Inbox::longest_run : 1;
    std::uint32_t done = 0;
    while (done < most && (done == 0 || inbox_.raised() == 0)) {
        TakenEvent event;
        bool kept = false;
        show();
        if (!(done == 0 && inbox_.take_overdue(worker, seat, event)) &&
            !inbox_.take_plain(worker, most - done, event, kept)) {
            if (done != 0 || !inbox_.steal(worker, event)) {
                break;
            }
            kept = true;
        }
        ++done;
        pool_.progressed(worker);
        if (!ahead) {
            pool_.leaving(worker);
        } else if (kept) {
            pool_.notify(); // the rest of the run could be seen by nobody until now
        }
        run_event(seat, scope.frame(), *event, Kind::event);
    }
    seat.current.show(nullptr); // [running] all have returned
    if (done == 0) {
        rest();
        return false;
    }
    const std::uint64_t end = platform::ticks();
    measure(me, end - begin, done);
    if (ahead) {
        calm_down(me, done);
    }
    if (ahead && done == Inbox::longest_run) {
        const std::uint64_t patience = help_after_us * platform::ticks_per_microsecond();
        if ((end - begin) * inbox_.unclaimed() > patience * Inbox::longest_run && end - me.help_called > patience) {
            me.help_called = end;
            pool_.call_for_help();
        }
    }
    return true;
}

/// Small runs close together mean that this worker follows right behind a publisher, and that each of them waits for
/// the other's cache lines with every event: it falls back a little, by 0.4 µs at most.
inline void Engine::calm_down(WorkerState& state, std::uint32_t items) noexcept {
    constexpr unsigned longest = 16;
    if (items >= Inbox::longest_run / 2) {
        state.pauses /= 2;
    } else if (state.pauses < longest) {
        state.pauses = state.pauses * 2 + 1;
    }
    for (unsigned i = 0; i < state.pauses; ++i) {
        platform::cpu_pause();
    }
}

/// Keeps an idea of whether items take less time than waking somebody does; one long item is enough to say no.
inline void Engine::measure(WorkerState& state, std::uint64_t ticks, std::uint32_t items) noexcept {
    constexpr std::uint64_t brief_us = 2;
    constexpr unsigned convincing = 4;
    if (!platform::has_ticks() || ticks > brief_us * platform::ticks_per_microsecond() * items) {
        state.streak = 0;
        state.brief = false;
    } else if (!state.brief && ++state.streak >= convincing) {
        state.brief = true;
    }
}

/// The way of a worker while something wants attention: priorities, keys, spilled events, tasks.
inline bool Engine::work_attentively(unsigned worker, Frame& frame) {
    constexpr std::uint8_t tasks_in_a_row = 16;
    WorkerState& me = workers_[worker];
    Seat& seat = *me.seat;
    if (giving_up()) {
        return false;
    }
    const bool ahead = pool_.attend(worker, me.brief);
    const auto begin = [&] {
        pool_.progressed(worker);
        if (!ahead) {
            pool_.leaving(worker);
        }
    };
    if ((inbox_.raised() & Inbox::tasks_bit) != 0 && seat.tasks_in_a_row < tasks_in_a_row && tasks_.size() != 0) {
        begin();
        if (run_task(seat)) {
            ++seat.tasks_in_a_row;
            return true;
        }
    }
    seat.tasks_in_a_row = 0;
    TakenEvent event;
    if (inbox_.take_by_priority(worker, seat, event)) {
        begin();
        if (ahead && inbox_.has_run(worker)) {
            pool_.notify(); // it may come from another's run, and be seen by nobody until now
        }
        const std::uint64_t start = platform::ticks();
        run_event(seat, frame, *event, Kind::event);
        measure(me, platform::ticks() - start, 1);
        return true;
    }
    begin();
    if (run_task(seat)) {
        return true;
    }
    seat.current.show(nullptr); // [running] all have returned, for those whom rest() wakes
    rest();
    return false;
}

inline bool Engine::run_task(Seat& seat) noexcept {
    std::unique_ptr<Task> task = tasks_.pop();
    if (task == nullptr) {
        inbox_.lower(Inbox::tasks_bit);
        if (tasks_.size() != 0 || giving_up()) {
            inbox_.raise(Inbox::tasks_bit);
        }
        return false;
    }
    task->run(*this, seat);
    return true;
}

/// Nothing to do: those who wait for that look again, and lists that nobody uses any more are freed.
inline void Engine::rest() noexcept {
    tell_drainers();
    if (registry_.has_retired()) {
        // Without memory for it the lists wait for the next time.
        succeeds([&] { registry_.collect(seats_); });
    }
}

inline bool Engine::serve_timers() noexcept {
    const std::int64_t time = now();
    bool any = false;
    while (std::optional<std::unique_ptr<Task>> task = timers_.pop_due(time)) {
        enqueue(std::move(*task));
        any = true;
    }
    return any;
}

inline std::int64_t Engine::until_due() const noexcept {
    const std::int64_t due = timers_.next_due();
    if (due == TimerList::never) {
        return ParkingLot<>::never;
    }
    const std::int64_t time = now();
    if (due <= time) {
        return 0;
    }
    return settings_.clock != nullptr && settings_.clock->manual() ? ParkingLot<>::never : due - time;
}

inline TimerId Engine::schedule(std::int64_t due_ns, std::unique_ptr<Task> task) {
    bool earliest = false;
    const TimerId id = timers_.add(due_ns, std::move(task), &earliest);
    if (earliest) {
        pool_.notify_timer(until_due());
    }
    return id;
}
inline std::unique_ptr<Task> Engine::withdraw(TimerId id) noexcept {
    std::optional<std::unique_ptr<Task>> task = timers_.cancel(id);
    return task ? std::move(*task) : nullptr;
}
inline bool Engine::cancel(TimerId id) noexcept {
    const std::unique_ptr<Task> task = withdraw(id);
    if (task == nullptr) {
        return false;
    }
    count(Tally::cancelled);
    return true;
}
inline void Engine::enqueue(std::unique_ptr<Task> task) noexcept {
    tasks_.push(std::move(task));
    inbox_.raise(Inbox::tasks_bit);
    pool_.notify();
}

inline std::shared_ptr<void> Engine::stop_at(std::int64_t due_ns, std::stop_source source) {
    struct Guard {
        std::shared_ptr<Engine> engine;
        TimerId id{};
        ~Guard() { static_cast<void>(engine->withdraw(id)); }
    };
    auto guard_of_it = std::make_shared<Guard>(Guard{shared_from_this(), {}});
    guard_of_it->id = schedule(due_ns, std::make_unique<StopTask>(std::move(source)));
    return guard_of_it;
}

inline std::size_t Engine::poll(std::size_t most) {
    if (complete()) {
        return 0;
    }
    Seat& seat = seats_.sit_down();
    std::size_t done = 0;
    {
        FrameScope scope(this, seat);
        const NoOutgoingScope other_events;
        const auto may_go_on = [&] {
            seat.current.show(&seat, registry_.fence()); // [running] shutdown waits for what is taken from here on
            return !giving_up() && patience_ns() != 0;
        };
        const auto run_tasks = [&] {
            for (std::size_t left = tasks_.size(); left > 0 && may_go_on() && run_task(seat); --left) {}
        };
        if (may_go_on()) {
            serve_timers();
        }
        run_tasks();
        const std::array<Inbox::Ticket, priority_count> limits = inbox_.tails();
        const std::uint64_t waiting = inbox_.waiting();
        // One try even if nothing waits: it steps over what is no longer there, which looks like work until then.
        const std::size_t limit = most == 0 ? 0 : static_cast<std::size_t>(std::clamp<std::uint64_t>(waiting, 1, most));
        while (done < limit && may_go_on()) {
            TakenEvent event;
            if (!inbox_.take_by_priority(Inbox::no_worker, seat, event, &limits)) {
                break;
            }
            run_event(seat, scope.frame(), *event, Kind::event);
            ++done;
        }
        run_tasks();
        seat.current.show(nullptr); // [running] all have returned
    }
    SeatTable::stand_up(seat);
    rest();
    return done;
}

inline Totals Engine::totals() const noexcept {
    Totals totals;
    seats_.for_each([&totals](const Seat& seat) {
        for (std::size_t i = 0; i < totals.of.size(); ++i) {
            totals.of[i] += seat.ledger.of(static_cast<Tally>(i));
        }
    });
    // The beginnings after the ends: no end is ever counted without its beginning.
    std::uint64_t accepted = inbox_.accepted();
    seats_.for_each([&accepted](const Seat& seat) { accepted += seat.ledger.of(Tally::accepted); });
    totals.of[static_cast<std::size_t>(Tally::accepted)] = accepted;
    totals.spilled = inbox_.spilled_ever();
    return totals;
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
