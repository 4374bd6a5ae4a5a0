#pragma once

// Small programs over the shipped parking lot, worker pool and timer queue, for the explorer: a wake-up that is lost
// leaves all threads waiting.

#include <gossip/concurrency/parking_lot.hpp>
#include <gossip/concurrency/timer_queue.hpp>
#include <gossip/concurrency/worker_pool.hpp>

#include "support/explored_atomic.hpp"
#include "support/explored_parker.hpp"
#include "support/explorer.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

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

/// The search of a worker on duty: one look.
class LooksOnce {
public:
    explicit LooksOnce(gossip::Idle) {}
    void found() { looked_ = false; }
    [[nodiscard]] bool go_on() const { return !looked_; }
    void wait() { looked_ = true; }
    void lie_down() const {}
    void get_up() { looked_ = false; }

private:
    bool looked_ = false;
};

/// The shipped worker pool, and a source that works as the engine does, or one that knows nothing of the pool.
template <unsigned workers, bool attends = true>
class Workers {
public:
    using Pool = gossip::WorkerPool<Workers, ExploredAtomic, ExploredParker, ExploredMutex, LooksOnce>;
    static constexpr bool attends_itself = attends;

    explicit Workers(unsigned items) : items_(items) {}

    void publish() {
        tickets_.publish();
        pool_.notify();
    }
    /// `brief`: the worker claims while on duty, and stays on duty; otherwise it leaves before it begins.
    void run(unsigned me, bool brief, std::function<void()> handle) {
        brief_ = brief;
        handles_[me] = std::move(handle);
        pool_.run(me);
    }
    [[nodiscard]] Pool& pool() { return pool_; }
    [[nodiscard]] unsigned left() const { return items_; }

    bool work(unsigned me) {
        const bool ahead = attends && pool_.attend(me, brief_);
        if (!tickets_.take()) {
            return false;
        }
        pool_.progressed(me);
        if (ahead) {
            pool_.notify();
        } else if (attends) {
            pool_.leaving(me);
        }
        handles_[me]();
        if (--items_ == 0) {
            pool_.tell_to_stop();
        }
        return true;
    }
    [[nodiscard]] bool has_work() const { return tickets_.any(); }
    [[nodiscard]] std::int64_t until_due() const { return Lot::never; }

private:
    Pool pool_{*this, workers};
    Tickets tickets_;
    bool brief_ = false;
    std::function<void()> handles_[workers];
    unsigned items_; // left to handle
};

/// Somebody who is no worker publishes an item and handles it in a sleeper's place; others publish as ever. All is
/// handled, and nobody works in one place with another.
template <unsigned workers, unsigned publishers, bool brief>
struct LendsAPlace {
    static constexpr unsigned threads = workers + publishers + 1;
    Workers<workers> pool{publishers + 1};
    bool taken[workers] = {};

    void run(unsigned me) {
        if (me < workers) {
            pool.run(me, brief, [this, me] {
                require(!std::exchange(taken[me], true), "two work in one place");
                Execution::now().step();
                taken[me] = false;
            });
        } else if (me < workers + publishers) {
            pool.publish();
        } else {
            const std::optional<unsigned> place = pool.pool().borrow_place();
            pool.publish();
            if (place) {
                pool.pool().work_in(*place);
            }
        }
    }
    void end() { require(pool.left() == 0, "an item was not handled"); }
};

/// Publishers, and workers that leave before each item or claim while on duty: all is handled without the lookout.
template <unsigned workers, unsigned publishers, unsigned items_each, bool brief>
struct AllIsHandled {
    static constexpr unsigned threads = workers + publishers;
    Workers<workers> pool{publishers * items_each};

    void run(unsigned me) {
        if (me < workers) {
            pool.run(me, brief, [] {});
            return;
        }
        for (unsigned i = 0; i < items_each; ++i) {
            pool.publish();
        }
    }
    void end() { require(pool.left() == 0, "an item was not handled"); }
};

/// Two items, the first of which lasts until the second is handled.
template <unsigned workers, bool attends = true>
class LongItem {
public:
    Workers<workers, attends> pool{2};

    void work(unsigned me, bool brief) {
        pool.run(me, brief, [this] {
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
/// Where the source knows nothing of the pool, that does it.
template <unsigned workers, bool attends = true>
struct LeavesForLong : LongItem<workers, attends> {
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
        pool.pool().call_for_help();
        pool.publish();
    }
};

/// The same where the first may be handled in a sleeper's place: what comes then finds the other worker.
struct LendsForLong : LongItem<2> {
    static constexpr unsigned threads = 4;

    void run(unsigned me) {
        if (me < 2) {
            work(me, false);
            return;
        }
        const std::optional<unsigned> place = me == 2 ? pool.pool().borrow_place() : std::nullopt;
        pool.publish();
        if (place) {
            pool.pool().work_in(*place);
        }
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

/// The same while somebody works in a sleeper's place for a moment: the timers are served by who sleeps, or is back.
struct ServesTimersOfALentPlace : ServesTimers {
    void run(unsigned me) {
        if (me != 0) {
            ServesTimers::run(me);
            return;
        }
        const unsigned place = lot.borrow(*this);
        if (place != Lot::nobody) {
            lot.resign(place);
            lot.give_back(place, *this);
        }
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
