#pragma once

// Small programs over what shipped threads wait with, for the explorer: a line of waiters, the brief lock, the tasks, a
// parker's permit, the anchor of a clock.

#include <gossip/concurrency/brief_lock.hpp>
#include <gossip/concurrency/wait_queue.hpp>
#include <gossip/core/tick_anchor.hpp>
#include <gossip/dispatch/task.hpp>
#include <gossip/platform.hpp>

#include "support/explored_atomic.hpp"
#include "support/explored_parker.hpp"
#include "support/explorer.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

namespace gossip_test::waiting_programs {

using Line = gossip::BasicWaitQueue<ExploredAtomic, ExploredParker, ExploredMutex>;
using Tasks = gossip::detail::BasicTaskQueue<ExploredAtomic, ExploredMutex>;

struct GivesWay {
    void operator()(unsigned) const { Execution::now().yield(); }
};
using Lock = gossip::detail::BasicBriefLock<ExploredAtomic, GivesWay>;

/// The parker of platform.hpp on a system call that waits while a word is 0.
class WordParker {
public:
    void park() {
        permit_.use([](ExploredAtomic<std::uint32_t>& word) {
            if (word.fetch_add(0, std::memory_order_relaxed) == 0) { // as the kernel looks: it goes to sleep with that
                Execution::now().wait(&word, -1);
            }
            return true;
        });
    }
    void unpark() {
        permit_.give([](ExploredAtomic<std::uint32_t>& word) {
            Execution::now().step();
            Execution::now().wake(&word);
        });
    }

private:
    gossip::platform::detail::BasicPermit<ExploredAtomic> permit_;
};

/// A thread parks until another has left it something.
struct ParksForSomething {
    static constexpr unsigned threads = 2;
    WordParker parker;
    ExploredValue something{0};

    void run(unsigned me) {
        if (me != 0) {
            something = ExploredValue(1);
            parker.unpark();
            return;
        }
        parker.park();
        require(something.get() == 1, "it was unparked by nobody");
    }
    void end() {}
};

/// A thread parks again and again until two others have done something and told it so.
struct ParksForTwo {
    static constexpr unsigned threads = 3;
    WordParker parker;
    ExploredAtomic<unsigned> done{0};

    void run(unsigned me) {
        if (me != 0) {
            done.fetch_add(1, std::memory_order_relaxed);
            parker.unpark();
            return;
        }
        while (done.load(std::memory_order_relaxed) != 2) {
            parker.park();
        }
    }
    void end() {}
};

/// As many threads as there are waiters wait until something can be had, each for one piece, of which one thread makes
/// as many, one after another.
template <unsigned waiters>
struct WaitsForAPiece {
    static constexpr unsigned threads = waiters + 1;
    Line line;
    ExploredParker parkers[waiters];
    ExploredAtomic<std::uint32_t> pieces{0};
    unsigned had = 0;

    void run(unsigned me) {
        if (me == waiters) {
            for (unsigned i = 0; i < waiters; ++i) {
                pieces.fetch_add(1, std::memory_order_seq_cst);
                if (line.any()) {
                    line.wake_one();
                }
            }
            return;
        }
        Line::Waiter waiter(parkers[me]);
        for (;;) {
            line.join(waiter);
            if (take()) {
                break;
            }
            line.park(waiter, -1);
        }
        if (!line.leave(waiter) && pieces.load(std::memory_order_seq_cst) != 0) {
            line.wake_one(); // the wake-up that came was for the next one
        }
        ++had;
    }
    void end() {
        require(had == waiters && !line.any(), "somebody still waits");
        require(pieces.load() == 0, "a piece was had twice");
    }
    bool take() {
        std::uint32_t left = pieces.load(std::memory_order_seq_cst);
        while (left != 0) {
            if (pieces.compare_exchange_strong(left, left - 1, std::memory_order_seq_cst, std::memory_order_seq_cst)) {
                return true;
            }
        }
        return false;
    }
};

/// All are woken at once; one of them has stopped waiting by then, and takes its parker along.
struct WakesAll {
    static constexpr unsigned threads = 3;
    Line line;
    std::unique_ptr<ExploredParker> parkers[2] = {std::make_unique<ExploredParker>(),
                                                  std::make_unique<ExploredParker>()};
    ExploredAtomic<bool> over{false};

    void run(unsigned me) {
        if (me == 2) {
            over.store(true, std::memory_order_seq_cst);
            if (line.any()) {
                line.wake_all();
            }
            return;
        }
        {
            Line::Waiter waiter(*parkers[me]);
            for (line.join(waiter); !over.load(std::memory_order_seq_cst); line.join(waiter)) {
                line.park(waiter, me == 0 ? -1 : 1);
                if (me == 1) {
                    break;
                }
            }
        }
        parkers[me].reset();
    }
    void end() { require(!line.any(), "somebody still waits"); }
};

/// Threads that change what only one may change at a time.
template <unsigned changers>
struct ChangesUnderTheLock {
    static constexpr unsigned threads = changers;
    Lock lock;
    ExploredValue value{0};

    void run(unsigned) {
        for (int i = 0; i < 2; ++i) {
            const std::lock_guard held(lock);
            value = ExploredValue(value.get() + 1);
        }
    }
    void end() { require(value.get() == 2 * changers, "a change was lost"); }
};

struct Errand final : gossip::detail::Task {
    void run(gossip::detail::Engine&, gossip::detail::Seat&) noexcept override {}
    void give_up(gossip::detail::Engine&, gossip::detail::Seat&) noexcept override {}
};

/// Whoever adds a task looks who sleeps, whoever lies down looks whether there are tasks: one sees the other. The task
/// before it is taken meanwhile.
struct AddsATask {
    static constexpr unsigned threads = 3;
    Tasks tasks;
    ExploredAtomic<bool> asleep{false};
    bool adder_saw = false;
    bool sleeper_saw = false;
    unsigned taken = 0;

    AddsATask() { tasks.push(std::make_unique<Errand>()); }
    void run(unsigned me) {
        if (me == 0) {
            tasks.push(std::make_unique<Errand>());
            adder_saw = asleep.load(std::memory_order_seq_cst);
        } else if (me == 1) {
            asleep.store(true, std::memory_order_seq_cst);
            sleeper_saw = tasks.size() != 0;
        } else {
            taken += tasks.pop() != nullptr ? 1U : 0U;
        }
    }
    void end() {
        require(adder_saw || sleeper_saw, "a task and a sleeper missed each other");
        require(taken == 1 && tasks.size() == 1 && tasks.pop() != nullptr, "a task was lost");
        require(tasks.size() == 0 && tasks.pop() == nullptr, "a task came twice");
    }
};

using Anchor = gossip::detail::BasicTickAnchor<ExploredAtomic>;

/// Whoever reads a clock while its anchor is renewed, or dropped, gets the time by one anchor or the other, each within
/// its life, or none.
template <bool drops>
struct RenewsAnAnchor {
    static constexpr unsigned threads = 2;
    static constexpr std::uint64_t one = std::uint64_t{1} << Anchor::scale_bits; // nanosecond a tick
    Anchor anchor;

    RenewsAnAnchor() { anchor.write(1'000, 5'000, one, 100); }
    void run(unsigned me) {
        if (me == 0) {
            if (drops) {
                anchor.drop();
            } else {
                anchor.write(1'040, 7'000, 2 * one, 1'000);
            }
            return;
        }
        check(1'050, 5'050, drops ? 5'050 : 7'020);
        check(1'200, drops ? -1 : 7'320, drops ? -1 : 7'320); // the former is too old for that
    }
    void end() const { check(1'050, drops ? -1 : 7'020, drops ? -1 : 7'020); }
    void check(std::uint64_t at, std::int64_t this_time, std::int64_t or_this) const {
        std::int64_t time = -1;
        const bool good = anchor.read(at, time);
        require(!good || time == this_time || time == or_this, "it was no time by any anchor");
    }
};

} // namespace gossip_test::waiting_programs
