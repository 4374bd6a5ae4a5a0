#pragma once

// Small programs over the shipped parking lot and timer queue, for the explorer: a wake-up that is lost leaves all
// threads waiting.

#include <gossip/concurrency/parking_lot.hpp>
#include <gossip/concurrency/timer_queue.hpp>

#include "support/explored_atomic.hpp"
#include "support/explored_parker.hpp"
#include "support/explorer.hpp"

#include <cstdint>

namespace gossip_test::parking_programs {

using Lot = gossip::ParkingLot<ExploredAtomic, ExploredParker, ExploredMutex>;
using Timers = gossip::TimerQueue<int, ExploredAtomic, ExploredMutex>;

/// Tickets, as in the inbox: published with one seq_cst operation, then the look whether somebody sleeps.
class Tickets {
public:
    void publish() { tail_.fetch_add(1, std::memory_order_seq_cst); }
    [[nodiscard]] bool any() const {
        return head_.load(std::memory_order_relaxed) < tail_.load(std::memory_order_seq_cst);
    }
    bool take() {
        std::uint64_t at = head_.load(std::memory_order_relaxed);
        while (at < tail_.load(std::memory_order_seq_cst)) {
            if (head_.compare_exchange_strong(at, at + 1, std::memory_order_relaxed, std::memory_order_relaxed)) {
                return true;
            }
        }
        return false;
    }

private:
    ExploredAtomic<std::uint64_t> tail_{0};
    ExploredAtomic<std::uint64_t> head_{0};
};

/// Workers as those of the worker pool, whose search is one look, and the source of work that the lot asks.
template <unsigned workers>
class Workers {
public:
    explicit Workers(unsigned items) : items_(items) {}

    void publish() {
        tickets_.publish();
        notify();
    }
    void notify() {
        if (lot_.unattended()) {
            lot_.wake_one();
        }
    }

    /// `brief`: the worker claims while on duty, and stays on duty; otherwise it leaves before it begins.
    template <class Handle>
    void work(unsigned me, bool brief, Handle handle) {
        bool searched = false;
        while (!stopping_.load(std::memory_order_relaxed)) {
            if (work_once(me, brief, handle)) {
                searched = false;
                continue;
            }
            if (lot_.take_duty(me) && !searched) {
                searched = true;
                continue;
            }
            lot_.sleep(me, *this);
            searched = false;
        }
        lot_.resign(me);
    }

    void stop() {
        stopping_.store(true, std::memory_order_relaxed);
        lot_.wake_all();
    }
    [[nodiscard]] Lot& lot() { return lot_; }
    [[nodiscard]] unsigned left() const { return items_; }

    [[nodiscard]] bool has_work() const { return tickets_.any(); }
    [[nodiscard]] bool stopping() const { return stopping_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t progress(unsigned worker) const {
        return progress_[worker].load(std::memory_order_relaxed);
    }
    [[nodiscard]] std::int64_t until_due() const { return Lot::never; }

private:
    template <class Handle>
    bool work_once(unsigned me, bool brief, Handle handle) {
        const bool ahead = attend(me, brief);
        if (!tickets_.take()) {
            return false;
        }
        progress_[me].fetch_add(1, std::memory_order_relaxed);
        if (ahead) {
            notify();
        } else {
            leave(me);
        }
        handle();
        if (--items_ == 0) {
            stop();
        }
        return true;
    }
    bool attend(unsigned me, bool brief) {
        return workers == 1 || (brief && lot_.watched() && (lot_.has_owner() || lot_.take_watched_duty(me)));
    }
    void leave(unsigned me) {
        if (lot_.on_duty(me)) {
            lot_.resign(me);
        }
        if (lot_.unattended() && tickets_.any()) {
            lot_.wake_one();
        }
    }

    Lot lot_{workers};
    Tickets tickets_;
    ExploredAtomic<bool> stopping_{false};
    ExploredAtomic<std::uint64_t> progress_[workers];
    unsigned items_; // left to handle
};

/// Publishers, and workers that leave before each item or claim while on duty: all is handled without the lookout.
template <unsigned workers, unsigned publishers, unsigned items_each, bool brief>
struct AllIsHandled {
    static constexpr unsigned threads = workers + publishers;
    Workers<workers> pool{publishers * items_each};

    void run(unsigned me) {
        if (me < workers) {
            pool.work(me, brief, [] {});
            return;
        }
        for (unsigned i = 0; i < items_each; ++i) {
            pool.publish();
        }
    }
    void end() { require(pool.left() == 0, "an item was not handled"); }
};

/// Two items, the first of which lasts until the second is handled.
template <unsigned workers>
class LongItem {
public:
    Workers<workers> pool{2};

    void work(unsigned me, bool brief) {
        pool.work(me, brief, [&] {
            if (begun_++ == 0) {
                blocked_.park(-1);
            } else {
                blocked_.unpark();
            }
        });
    }
    void end() const { require(pool.left() == 0, "an item was not handled"); }

private:
    ExploredParker blocked_;
    unsigned begun_ = 0;
};

/// Whoever begins what may take long leaves first: what comes then finds another worker, without the lookout.
template <unsigned workers>
struct LeavesForLong : LongItem<workers> {
    static constexpr unsigned threads = workers + 1;

    void run(unsigned me) {
        if (me < workers) {
            this->work(me, false);
            return;
        }
        this->pool.publish();
        this->pool.publish();
    }
};

/// The same with a helper that is called in between, whoever is on duty.
struct CallsForHelp : LongItem<2> {
    static constexpr unsigned threads = 3;

    void run(unsigned me) {
        if (me < 2) {
            work(me, false);
            return;
        }
        pool.publish();
        if (pool.lot().has_sleepers()) {
            pool.lot().wake_helper();
        }
        pool.publish();
    }
};

/// A worker that thinks its items brief blocks, by surprise: the lookout sees that it makes no progress.
template <unsigned workers>
struct BlocksBySurprise : LongItem<workers> {
    static constexpr unsigned threads = workers + 1;
    ExploredParker pause;

    void run(unsigned me) {
        if (me < workers) {
            this->work(me, true);
            return;
        }
        this->pool.publish();
        pause.park(Lot::lookout_period_ns * 3 / 2); // the lookout has seen the worker once
        this->pool.publish();
    }
};

/// The lookout gets up for a timer that takes long, while the worker on duty is blocked: the next sleeper looks out.
struct LookoutServesATimer {
    static constexpr unsigned threads = 3;
    static constexpr std::int64_t due = 100;
    Lot lot{3};
    Tickets tickets;
    ExploredParker blocked[threads];
    bool served = false;
    bool handled = false;

    void run(unsigned me) {
        if (me == 0) {
            tickets.publish();
            if (lot.take_watched_duty(0)) {
                blocked[0].park(-1);
                lot.resign(0);
            } else if (tickets.take()) {
                handle();
            }
            return;
        }
        while (!handled) {
            if (tickets.take()) {
                handle();
            } else if (!served && Execution::now().time() >= due) {
                served = true;
                lot.resign(me);
                blocked[me].park(-1);
            } else {
                lot.sleep(me, *this);
            }
        }
        lot.resign(me);
    }
    void end() const { require(handled, "an item was not handled"); }
    void handle() {
        handled = true;
        for (ExploredParker& parker : blocked) {
            parker.unpark();
        }
        lot.wake_all();
    }

    [[nodiscard]] bool has_work() const { return tickets.any(); }
    [[nodiscard]] bool stopping() const { return handled; }
    [[nodiscard]] std::uint64_t progress(unsigned) const { return 0; }
    [[nodiscard]] std::int64_t until_due() const { return served ? Lot::never : due - Execution::now().time(); }
};

/// The lookout gets up for a timer while the worker on duty resigns: what is published then is handled at once.
struct ResignsWhileTheLookoutLeaves {
    static constexpr unsigned threads = 3;
    static constexpr std::int64_t due = 100;
    Lot lot{3};
    Tickets tickets;
    ExploredParker pause;
    ExploredParker blocked[threads];
    bool served = false;
    bool handled = false;

    void run(unsigned me) {
        if (me == 0) {
            const bool on_duty = lot.take_watched_duty(0);
            if (on_duty) {
                pause.park(due / 2);
                lot.resign(0);
            }
            tickets.publish();
            if (lot.unattended()) {
                lot.wake_one();
            }
            if (on_duty) {
                blocked[0].park(-1);
            }
            return;
        }
        while (!handled) {
            if (tickets.take()) {
                handle();
            } else if (!served && Execution::now().time() >= due) {
                served = true;
                lot.resign(me);
                blocked[me].park(-1);
            } else {
                lot.sleep(me, *this);
            }
        }
        lot.resign(me);
    }
    void end() const { require(handled, "an item was not handled"); }
    void handle() {
        require(Execution::now().time() < Lot::lookout_period_ns, "an item waited for the lookout");
        handled = true;
        for (ExploredParker& parker : blocked) {
            parker.unpark();
        }
        lot.wake_all();
    }

    [[nodiscard]] bool has_work() const { return tickets.any(); }
    [[nodiscard]] bool stopping() const { return handled; }
    [[nodiscard]] std::uint64_t progress(unsigned) const { return 0; }
    [[nodiscard]] std::int64_t until_due() const { return served ? Lot::never : due - Execution::now().time(); }
};

/// Sleepers and timers: one that was added while everybody lay down is served in time.
struct ServesTimers {
    static constexpr unsigned threads = 3;
    static constexpr std::int64_t soon = 10;
    static constexpr std::int64_t later = 100;
    Lot lot{2};
    Timers timers;
    ExploredAtomic<bool> ended{false};
    unsigned served = 0;

    void run(unsigned me) {
        if (me == 2) {
            add(later);
            add(soon);
            return;
        }
        while (!ended.load(std::memory_order_relaxed)) {
            if (const auto timer = timers.pop_due(Execution::now().time())) {
                require(Execution::now().time() == *timer, "a timer was served late");
                if (++served == 2) {
                    ended.store(true, std::memory_order_relaxed);
                    lot.wake_all();
                }
                continue;
            }
            lot.sleep(me, *this);
        }
    }
    void end() { require(served == 2, "a timer was lost"); }
    void add(std::int64_t due) {
        bool earliest = false;
        timers.add(due, static_cast<int>(due), &earliest);
        if (earliest) {
            lot.timer_moved(until_due());
        }
    }

    [[nodiscard]] bool has_work() const { return false; }
    [[nodiscard]] bool stopping() const { return ended.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t progress(unsigned) const { return 0; }
    [[nodiscard]] std::int64_t until_due() const {
        const std::int64_t due = timers.next_due();
        return due == Timers::never ? Lot::never : due - Execution::now().time();
    }
};

/// An adder asks who sleeps after its timer can be seen; a worker says that it sleeps, then looks at the timers.
struct ArmsATimer {
    static constexpr unsigned threads = 2;
    Timers timers;
    ExploredAtomic<bool> asleep{false};
    bool adder_saw = false;
    bool sleeper_saw = false;

    void run(unsigned me) {
        if (me == 0) {
            timers.add(1, 1);
            adder_saw = asleep.load(std::memory_order_seq_cst);
        } else {
            asleep.store(true, std::memory_order_seq_cst);
            sleeper_saw = timers.next_due() == 1;
        }
    }
    void end() { require(adder_saw || sleeper_saw, "a timer and a sleeper missed each other"); }
};

} // namespace gossip_test::parking_programs
