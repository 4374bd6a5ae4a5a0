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

/// Publishers and workers that leave before each item: all are handled, and nobody has to look up for that.
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

/// The first item blocks its worker, by surprise, until the second is handled: the lookout sees that.
template <unsigned workers>
struct BlocksBySurprise {
    static constexpr unsigned threads = workers + 1;
    Workers<workers> pool{2};
    ExploredParker blocked;
    unsigned begun = 0;

    void run(unsigned me) {
        if (me == workers) {
            pool.publish();
            pool.publish();
            return;
        }
        pool.work(me, true, [&] {
            if (begun++ == 0) {
                blocked.park(-1);
            } else {
                blocked.unpark();
            }
        });
    }
    void end() { require(pool.left() == 0, "an item was not handled"); }
};

/// What a publisher left to the worker on duty is seen by the helper that somebody else has called.
struct CallsForHelp {
    static constexpr unsigned threads = 3;
    Workers<2> pool{2};

    void run(unsigned me) {
        if (me < 2) {
            pool.work(me, false, [] {});
            return;
        }
        pool.publish();
        if (pool.lot().has_sleepers()) {
            pool.lot().wake_helper();
        }
        pool.publish();
    }
    void end() { require(pool.left() == 0, "an item was not handled"); }
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
            lot.timer_moved();
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
