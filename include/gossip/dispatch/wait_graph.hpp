#pragma once

#include <gossip/dispatch/seat.hpp>
#include <gossip/dispatch/subscriber.hpp>

#include <atomic>
#include <cstddef>
#include <mutex>

namespace gossip::detail {

/// Which threads wait for runs of which processors, in all buses of the process: whoever is about to wait for a thread
/// that (transitively) waits for it learns that, and doesn't.
///
/// Threads: every member from any thread; one mutex, and no user code under it. Asked only by those who would block.
class WaitGraph {
public:
    /// Ending a subscription waits for all runs of its processor; a turn is free when one of them ends.
    enum class Until : bool { all_return, one_returns };

    /// A thread that waits; lives on its stack. Its destructor takes it off the list.
    class Waiter {
    public:
        /// `on_their_way`: turns that have been passed on and that no thread shows yet; null: there are none.
        Waiter(const SeatTable& seats, const Subscriber& target, Until until,
               const std::atomic<std::size_t>* on_their_way = nullptr) noexcept
            : seats_(seats), target_(target), until_(until), on_their_way_(on_their_way) {}
        Waiter(const Waiter&) = delete;
        Waiter& operator=(const Waiter&) = delete;
        inline ~Waiter();

    private:
        friend class WaitGraph;
        const SeatTable& seats_;
        const Subscriber& target_;
        const Until until_;
        const std::atomic<std::size_t>* const on_their_way_;
        const void* const thread_ = this_thread();
        Waiter* next_ = nullptr;
        bool listed_ = false;
        bool seen_ = false; // by the search that is under way
    };

    enum class Outlook : unsigned char { nobody_runs, worth_it, hopeless };

    /// Lists the waiter and looks whether somebody runs what it waits for, and whether waiting for that can end. One
    /// that is told it is hopeless is off the list again: whoever waits for it may go on waiting.
    [[nodiscard]] Outlook look(Waiter& waiter) noexcept {
        const std::lock_guard lock(mutex_);
        if (!waiter.listed_) {
            waiter.next_ = first_;
            first_ = &waiter;
            waiter.listed_ = true;
        }
        Outlook outlook = Outlook::nobody_runs;
        if (waiter.until_ == Until::one_returns &&
            waiter.on_their_way_->load(std::memory_order_relaxed) != 0) { // relaxed: looked at again and again
            return Outlook::worth_it;
        }
        for_each_runner(waiter, [&](const void* thread) {
            if (thread == waiter.thread_ || outlook == Outlook::worth_it) {
                return;
            }
            for (Waiter* other = first_; other != nullptr; other = other->next_) {
                other->seen_ = other == &waiter;
            }
            outlook = waits_for(thread, waiter.thread_) ? Outlook::hopeless : Outlook::worth_it;
        });
        if (outlook == Outlook::hopeless) {
            take_off(waiter);
        }
        return outlook;
    }

private:
    /// Threads that run the waiter's target; for a turn, not those that wait for one like it.
    template <class F>
    void for_each_runner(const Waiter& waiter, F&& visit) const {
        waiter.seats_.for_each([&](const Seat& seat) {
            if (seat.current.load(std::memory_order_acquire) == &waiter.target_) { // [running] if not, it has returned
                const void* const thread =
                    seat.thread.load(std::memory_order_relaxed); // relaxed: stored before `current`
                if (waiter.until_ == Until::all_return || !waits_for_turn(thread, waiter.target_)) {
                    visit(thread);
                }
            }
        });
        // Whoever ends it may be about to run what its batches have collected.
        const void* const ender = waiter.target_.ended_by.load(std::memory_order_acquire); // [running] it has ended it
        if (ender != nullptr && waiter.until_ == Until::all_return) {
            visit(ender);
        }
    }
    [[nodiscard]] bool waits_for_turn(const void* thread, const Subscriber& target) const noexcept {
        for (const Waiter* waiter = first_; waiter != nullptr; waiter = waiter->next_) {
            if (waiter->thread_ == thread && &waiter->target_ == &target && waiter->until_ == Until::one_returns) {
                return true;
            }
        }
        return false;
    }
    /// Whether `thread` can't go on before `me` does.
    [[nodiscard]] bool waits_for(const void* thread, const void* me) noexcept {
        for (Waiter* waiter = first_; waiter != nullptr; waiter = waiter->next_) {
            if (waiter->thread_ != thread || waiter->seen_) {
                continue;
            }
            waiter->seen_ = true;
            const bool all = waiter->until_ == Until::all_return;
            bool waits = false;
            bool some_end = !all && waiter->on_their_way_->load(std::memory_order_relaxed) != 0; // relaxed: as above
            for_each_runner(*waiter, [&](const void* runner) {
                const bool held_up = runner == me || waits_for(runner, me);
                waits = waits || held_up;
                some_end = some_end || !held_up;
            });
            if (waits && (all || !some_end)) {
                return true;
            }
        }
        return false;
    }
    void take_off(Waiter& waiter) noexcept {
        Waiter** link = &first_;
        while (*link != &waiter) {
            link = &(*link)->next_;
        }
        *link = waiter.next_;
        waiter.listed_ = false;
    }

    // Edges: those of gossip/dispatch/engine.hpp

    std::mutex mutex_;
    Waiter* first_ = nullptr; // under mutex_
};

/// Of the whole process: constant from before main, and never destroyed before the last bus.
inline constinit WaitGraph wait_graph{};

inline WaitGraph::Waiter::~Waiter() {
    if (listed_) {
        const std::lock_guard lock(wait_graph.mutex_);
        wait_graph.take_off(*this);
    }
}

} // namespace gossip::detail
