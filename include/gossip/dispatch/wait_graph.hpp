#pragma once

#include <gossip/core/awaited.hpp>
#include <gossip/core/shared_count.hpp>
#include <gossip/dispatch/handed_run.hpp>
#include <gossip/dispatch/seat.hpp>
#include <gossip/dispatch/subscriber.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// Which threads wait for runs of which processors, in all buses of the process: whoever is about to wait for a thread
/// that (transitively) waits for it learns that, and doesn't.
///
/// Threads: every member from any thread; one mutex, and no user code under it. Asked only by those who would block.
class WaitGraph {
public:
    /// Ending a subscription waits for all runs of its processor; a turn is free when one of them ends; what was handed
    /// to a helper waits for that, or for any before one has it; something else that is awaited is free when one of
    /// those who have it is done with it.
    enum class Until : unsigned char { all_return, one_returns, helper_returns, one_releases };

    /// A thread that waits; lives on its stack. Its destructor takes it off the list.
    class Waiter {
    public:
        /// `on_their_way`: turns that have been passed on and that no thread shows yet; null: there are none.
        Waiter(const SeatTable& seats, const Subscriber& target, Until until,
               const SharedCount<std::size_t>* on_their_way = nullptr) noexcept
            : runs_(Runs{seats, target}), until_(until), on_their_way_(on_their_way) {}
        /// For a run that was handed to a helper thread of that processor.
        Waiter(const SeatTable& seats, const Subscriber& target, const HandedRun& handed) noexcept
            : runs_(Runs{seats, target}), until_(Until::helper_returns), handed_(&handed) {}
        /// For what is none of the bus's. `has_end`: time will end it.
        Waiter(Awaited& awaited, bool has_end) noexcept
            : until_(Until::one_releases), awaited_(&awaited), ends_(has_end) {}
        Waiter(const Waiter&) = delete;
        Waiter& operator=(const Waiter&) = delete;
        inline ~Waiter();

    private:
        friend class WaitGraph;
        struct Runs {
            const SeatTable& seats;
            const Subscriber& target;
        };
        const std::optional<Runs> runs_{}; // without a value, those who have what is awaited
        const Until until_;
        const SharedCount<std::size_t>* const on_their_way_ = nullptr;
        const HandedRun* const handed_ = nullptr;
        Awaited* const awaited_ = nullptr;
        const bool ends_ = false;
        std::uint64_t asked_ = 0; // how often, to look again
        std::uint64_t answered_ = 0;
        const void* const thread_ = this_thread();
        Waiter* next_ = nullptr;
        bool listed_ = false;
        bool mark_ = false; // of the search that is under way
    };

    enum class Outlook : unsigned char { nobody_runs, worth_it, hopeless };

    /// Lists a waiter that waits in any case.
    void list(Waiter& waiter) noexcept {
        const std::lock_guard lock(mutex_);
        put_on(waiter);
    }
    /// Lists the waiter and looks whether somebody runs what it waits for, and whether waiting for that can end. One
    /// that is told it is hopeless is off the list again: whoever waits for it may go on waiting. Whoever waits for a
    /// turn looks again and again, as those who have one come and go.
    [[nodiscard]] Outlook look(Waiter& waiter, std::uint64_t answered = 0) noexcept {
        const std::lock_guard lock(mutex_);
        put_on(waiter);
        waiter.answered_ = answered;
        if (waiter.ends_) {
            return Outlook::worth_it;
        }
        if (waiter.until_ == Until::one_returns && turns_on_their_way(waiter)) {
            return Outlook::worth_it;
        }
        find_who_can_go_on(waiter);
        bool somebody = false;
        bool some_end = false;
        for_each_runner(waiter, [&](const void* thread) {
            somebody = true;
            some_end = some_end || can_go_on(thread);
        });
        if (!somebody || some_end) {
            return somebody ? Outlook::worth_it : Outlook::nobody_runs;
        }
        for (Waiter* other = first_; other != nullptr; other = other->next_) {
            other->mark_ = false;
        }
        bool leads_back = false;
        for_each_runner(waiter,
                        [&](const void* thread) { leads_back = leads_back || leads_to(thread, waiter.thread_); });
        if (!leads_back) { // the others wait for each other, and one of them will see that
            return Outlook::worth_it;
        }
        take_off(waiter);
        return Outlook::hopeless;
    }

    [[nodiscard]] std::uint64_t asked(const Waiter& waiter) noexcept {
        const std::lock_guard lock(mutex_);
        return waiter.asked_;
    }
    /// Whoever waits for what is none of the bus's looks again, as a subscription has ended: it may be its own.
    void ask_all() noexcept {
        const std::lock_guard lock(mutex_);
        for (Waiter* waiter = first_; waiter != nullptr; waiter = waiter->next_) {
            if (waiter->awaited_ != nullptr) {
                ++waiter->asked_;
                waiter->awaited_->look_again();
            }
        }
    }

private:
    void put_on(Waiter& waiter) noexcept {
        if (!waiter.listed_) {
            waiter.next_ = first_;
            first_ = &waiter;
            waiter.listed_ = true;
        }
    }
    /// Other threads that run the waiter's target; for a turn, those that have one; for a helper, the helpers; for what
    /// is none of the bus's, those that have it, this one included.
    template <class F>
    void for_each_runner(const Waiter& waiter, F&& visit) const {
        if (!waiter.runs_) {
            for (std::size_t place = 0; const void* const holder = waiter.awaited_->holder(place); ++place) {
                visit(holder);
            }
            return;
        }
        if (waiter.until_ == Until::helper_returns) {
            if (const void* const helper = waiter.handed_->thread()) {
                visit(helper);
                return;
            }
        }
        const Subscriber& target = waiter.runs_->target;
        waiter.runs_->seats.for_each([&](const Seat& seat) {
            if (seat.current.seen() == &target) { // [running] if not, it has returned
                const void* const thread =
                    seat.thread.load(std::memory_order_relaxed);               // relaxed: stored before `current`
                const bool helps = seat.helps.load(std::memory_order_relaxed); // relaxed: stored before `current`
                const bool counts =
                    waiter.until_ == Until::all_return ||
                    (waiter.until_ == Until::helper_returns ? helps : !helps && !waits_for_turn(thread, target));
                if (thread != waiter.thread_ && counts) {
                    visit(thread);
                }
            }
        });
        // Whoever ends it may be about to run what its batches have collected.
        const void* const ender = target.tenure.ended_by(); // [ended] if it is over, all of it
        if (ender != nullptr && ender != waiter.thread_ && waiter.until_ == Until::all_return) {
            visit(ender);
        }
    }
    [[nodiscard]] bool waits_for_turn(const void* thread, const Subscriber& target) const noexcept {
        for (const Waiter* waiter = first_; waiter != nullptr; waiter = waiter->next_) {
            if (waiter->thread_ == thread && waiter->until_ == Until::one_returns &&
                &waiter->runs_->target == &target) {
                return true;
            }
        }
        return false;
    }
    [[nodiscard]] static bool turns_on_their_way(const Waiter& waiter) noexcept {
        return waiter.on_their_way_->get() != 0; // looked at again and again
    }

    /// Time will end it, or perhaps what it has been asked to look at.
    [[nodiscard]] static bool ends_anyway(const Waiter& waiter) noexcept {
        return waiter.ends_ || waiter.asked_ != waiter.answered_;
    }
    /// Marks those whose wait can end although `me` goes on waiting: again and again, until no other can be found.
    void find_who_can_go_on(const Waiter& me) noexcept {
        for (Waiter* waiter = first_; waiter != nullptr; waiter = waiter->next_) {
            waiter->mark_ = false;
        }
        for (bool found = true; found;) {
            found = false;
            for (Waiter* waiter = first_; waiter != nullptr; waiter = waiter->next_) {
                if (waiter != &me && !waiter->mark_ && can_end(*waiter)) {
                    waiter->mark_ = true;
                    found = true;
                }
            }
        }
    }
    [[nodiscard]] bool can_end(const Waiter& waiter) const noexcept {
        if (ends_anyway(waiter)) {
            return true;
        }
        if (waiter.until_ == Until::one_returns && turns_on_their_way(waiter)) {
            return true;
        }
        bool somebody = false;
        bool all_end = true;
        bool some_end = false;
        for_each_runner(waiter, [&](const void* runner) {
            const bool ends = can_go_on(runner);
            somebody = true;
            all_end = all_end && ends;
            some_end = some_end || ends;
        });
        return waiter.until_ == Until::all_return ? all_end : some_end || !somebody;
    }
    /// Whether it waits for nothing but what can end.
    [[nodiscard]] bool can_go_on(const void* thread) const noexcept {
        for (const Waiter* waiter = first_; waiter != nullptr; waiter = waiter->next_) {
            if (waiter->thread_ == thread && !waiter->mark_) {
                return false;
            }
        }
        return true;
    }
    /// Whether `thread` waits, over however many others, for `me`. Marks whom it has asked.
    [[nodiscard]] bool leads_to(const void* thread, const void* me) noexcept {
        bool found = thread == me;
        for (Waiter* waiter = first_; waiter != nullptr && !found; waiter = waiter->next_) {
            if (waiter->thread_ == thread && !waiter->mark_ && !ends_anyway(*waiter)) {
                waiter->mark_ = true;
                for_each_runner(*waiter, [&](const void* runner) { found = found || leads_to(runner, me); });
            }
        }
        return found;
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
[[gnu::visibility("default")]] inline constinit WaitGraph wait_graph{};

/// The wait of a run for what is none of the bus's.
class ListedRun final : public ListedWait {
public:
    ListedRun(Awaited& awaited, bool has_end) noexcept : waiter_(awaited, has_end) { wait_graph.list(waiter_); }
    [[nodiscard]] std::uint64_t asked() noexcept override { return wait_graph.asked(waiter_); }
    [[nodiscard]] bool is_hopeless(std::uint64_t answered) noexcept override {
        return wait_graph.look(waiter_, answered) == WaitGraph::Outlook::hopeless;
    }

private:
    WaitGraph::Waiter waiter_;
};

inline WaitGraph::Waiter::~Waiter() {
    if (listed_) {
        const std::lock_guard lock(wait_graph.mutex_);
        wait_graph.take_off(*this);
    }
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
