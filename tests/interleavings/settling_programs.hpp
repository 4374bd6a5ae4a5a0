#pragma once

// Small programs over the counts that end an event, for the explorer, used as the shipped Settlement uses them.

#include <gossip/dispatch/open_ends.hpp>

#include "support/explored_atomic.hpp"
#include "support/explored_parker.hpp"
#include "support/explorer.hpp"

#include <mutex>
#include <utility>

namespace gossip_test::settling_programs {

using OpenEnds = gossip::detail::BasicOpenEnds<ExploredAtomic>;
using Shares = gossip::detail::BasicShares<ExploredAtomic>;

/// An event with its failures, on the list where a shutdown finds it.
class OpenEvent {
public:
    OpenEnds ends;

    void fail() {
        const std::lock_guard lock(mutex_);
        failures_ = ExploredValue(failures_.get() + 1);
    }
    /// What somebody who holds it does with what belongs to the key.
    void use_key() { use(used_); }
    void close(bool holds_key, std::uint64_t failures) {
        if (holds_key && ends.let_go_of_key()) {
            require(++keys_let_go_ == 1, "the key was let go twice");
            for (ExploredValue& of_one : used_) {
                of_one = ExploredValue(9); // by the next event of that key
            }
        }
        if (ends.close()) {
            {
                const std::lock_guard lock(list_);
                listed_ = false;
            }
            if (ends.end()) {
                require(failures_.get() == failures, "a failure was lost");
                ++ended_;
            }
            require(!freed_, "it was freed twice");
            failures_ = ExploredValue(0);
            event_ = ExploredValue(0);
            freed_ = true;
        }
    }
    void abandon() {
        {
            const std::lock_guard lock(list_);
            if (!std::exchange(listed_, false) || !ends.join() || !ends.end()) {
                return;
            }
        }
        require(ends.has_ended() && event_.get() == 1, "it was abandoned after its end");
        take_failures();
        ++ended_;
        close(false, 0);
    }
    void end() const {
        require(ended_ == 1 && freed_, "an event did not end once");
        require(keys_let_go_ == 1, "the key was not let go");
    }

private:
    static void use(ExploredValue (&of_all)[most_explored_threads]) {
        ExploredValue& mine = of_all[Execution::now().me()];
        mine = ExploredValue(mine.get() + 1);
    }

    /// What is told of it, by whoever holds an open end.
    void take_failures() {
        const std::lock_guard lock(mutex_);
        failures_ = ExploredValue(failures_.get() * 0);
    }

    ExploredMutex mutex_;
    ExploredMutex list_;
    bool listed_ = true;
    bool freed_ = false;
    unsigned ended_ = 0;
    unsigned keys_let_go_ = 0;
    ExploredValue failures_{0};
    ExploredValue event_{1};
    ExploredValue used_[most_explored_threads] = {ExploredValue(0), ExploredValue(0), ExploredValue(0),
                                                  ExploredValue(0)};
};

/// A run opens two ends more, and closes its own; both are closed elsewhere, one with a failure, while a shutdown
/// abandons what is open.
template <bool abandons>
struct EndsOnce {
    static constexpr unsigned threads = abandons ? 4 : 3;
    OpenEvent event;
    ExploredAtomic<bool> deferred[2];

    void run(unsigned me) {
        if (me == 3) {
            event.abandon();
        } else if (me == 0) {
            event.use_key();
            event.ends.open(true);
            deferred[0].store(true, std::memory_order_release);
            event.ends.open(true);
            deferred[1].store(true, std::memory_order_release);
            event.close(true, 1);
        } else {
            while (!deferred[me - 1].load(std::memory_order_acquire)) {
                Execution::now().yield();
            }
            event.use_key();
            if (me == 1) {
                event.fail();
            }
            event.close(true, 1);
        }
    }
    void end() { event.end(); }
};

/// A run and what has a share in it, deferrals or batches: the last one sees what the others have left, and begins the
/// next attempt.
struct ClosesTheLastShare {
    static constexpr unsigned threads = 3;
    Shares shares;
    ExploredValue left[threads] = {ExploredValue(0), ExploredValue(0), ExploredValue(0)};
    unsigned last = 0;

    ClosesTheLastShare() {
        shares.add();
        shares.add();
    }
    void run(unsigned me) {
        if (me == 0) {
            shares.add();
            close(0);
        }
        close(me);
    }
    void close(unsigned me) {
        left[me] = ExploredValue(1);
        if (shares.close()) {
            ++last;
            for (ExploredValue& of_one : left) {
                of_one = ExploredValue(0);
            }
            shares.begin();
            require(shares.only_mine(), "the next attempt began with more shares than one");
        }
    }
    void end() { require(last == 1, "a part was closed twice, or never"); }
};

} // namespace gossip_test::settling_programs
