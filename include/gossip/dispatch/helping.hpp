// Processors that run on threads of their own: there the bus knows them as it does on a worker.
#pragma once

#include <gossip/core/context.hpp>
#include <gossip/core/helper_threads.hpp>
#include <gossip/dispatch/handed_run.hpp>
#include <gossip/dispatch/seat.hpp>
#include <gossip/dispatch/subscriber.hpp>
#include <gossip/dispatch/wait_graph.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

class Engine;

// Edges: those of gossip/dispatch/engine.hpp

/// A run on a helper thread: that is in the processor meanwhile, and the caller waits for it. What the caller has begun
/// is the helper's as well, as long as the caller waits.
///
/// Threads: made and left by the caller, begun and ended by the helper.
/// Owns:    a share in the subscription, so that its processor is there for a late run.
class Helping final : public HelperRun, public std::enable_shared_from_this<Helping> {
public:
    // Below, where the engine is known.
    inline Helping(Engine& engine, Subscriber& subscriber);
    inline void leave() noexcept override;
    inline void begin() noexcept override;
    inline void end() noexcept override;
    [[nodiscard]] inline std::shared_ptr<void> stop_at(std::int64_t due_ns, std::stop_source source) override;
    [[nodiscard]] inline Ended ended() const noexcept override;
    [[nodiscard]] std::unique_ptr<ListedWait> list_wait(Awaited& awaited, bool has_end) override {
        return std::make_unique<ListedRun>(awaited, has_end);
    }

    /// Calls `visit` for each run, in whatever thread, that waits for the one on this thread; innermost first.
    template <class F>
    static void for_each_here(F&& visit) {
        for (const Helping* run = here; run != nullptr && run->run_.awaited(); run = run->outer_.get()) {
            visit(*run);
        }
    }
    [[nodiscard]] const Engine* engine() const noexcept { return engine_.get(); }
    [[nodiscard]] const void* caller() const noexcept { return caller_; }
    [[nodiscard]] std::uint64_t events() const noexcept { return events_; }
    [[nodiscard]] std::uint64_t letters() const noexcept { return letters_; }

private:
    // The innermost of those that this thread is in.
    [[gnu::visibility("default")]] inline static constinit thread_local Helping* here = nullptr;

    const std::shared_ptr<Engine> engine_;
    const Ref<Subscriber> subscriber_;
    const std::shared_ptr<Helping> outer_; // that the caller is in
    const void* const caller_ = this_thread();
    std::uint64_t events_ = 0; // that the caller has begun and not ended
    std::uint64_t letters_ = 0;
    HandedRun run_;
    std::optional<WaitGraph::Waiter> waiter_; // the caller's
    Frame frame_{};                           // these two the helper's
    Helping* outer_here_ = nullptr;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail

#include <gossip/dispatch/engine.hpp> // it looks through runs by the class above
#include <gossip/dispatch/run.hpp>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

inline Helping::Helping(Engine& engine, Subscriber& subscriber)
    : engine_(engine.shared_from_this()),
      subscriber_(Ref<Subscriber>::share(&subscriber)),
      outer_(here == nullptr ? nullptr : here->shared_from_this()) {
    for (const Frame* frame = innermost; frame != nullptr; frame = frame->outer) {
        if (frame->engine == &engine) {
            events_ += frame->events;
            letters_ += frame->letters;
        }
    }
    waiter_.emplace(engine.seats(), subscriber, run_);
    wait_graph.list(*waiter_);
    engine.tell_enders(); // one of them may be who is to help us
}

inline void Helping::leave() noexcept {
    waiter_.reset();
    run_.leave();
}

inline void Helping::begin() noexcept {
    Seat& seat = engine_->seats().sit_down();
    frame_.engine = engine_.get();
    frame_.seat = &seat;
    frame_.outer = std::exchange(innermost, &frame_);
    outer_here_ = std::exchange(here, this);
    seat.helps.store(true, std::memory_order_relaxed); // relaxed: a run shows it with `current`
    run_.begin(this_thread());
    seat.current.show(subscriber_.get()); // [running] shown before the caller leaves
}
inline void Helping::end() noexcept {
    Seat& seat = *frame_.seat;
    run_.end();
    seat.current.show(nullptr);                         // [running] it has returned
    seat.helps.store(false, std::memory_order_relaxed); // relaxed: of this thread, until it stands up
    here = outer_here_;
    innermost = frame_.outer;
    engine_->tell_enders();
    SeatTable::stand_up(seat);
}

inline std::shared_ptr<void> Helping::stop_at(std::int64_t due_ns, std::stop_source source) {
    return engine_->stop_at(due_ns, std::move(source));
}
inline Ended Helping::ended() const noexcept {
    if (!subscriber_->tenure.goes_on()) { // [running] somebody ends it
        return Ended::itself;
    }
    return Engine::ended_around_here() ? Ended::around_it : Ended::no;
}

inline std::unique_ptr<ListedWait> Run::list_wait(Awaited& awaited, bool has_end) {
    return std::make_unique<ListedRun>(awaited, has_end);
}
inline std::shared_ptr<HelperRun> Run::helper_run() {
    return subscriber_ == nullptr ? nullptr : std::make_shared<Helping>(engine_, *subscriber_);
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
