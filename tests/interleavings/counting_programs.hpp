#pragma once

// Small programs over numbers that threads share, for the explorer: counts, what becomes of events that are sent, the
// patience of shutdowns, tokens.

#include <gossip/core/shared_count.hpp>
#include <gossip/dispatch/giving_up.hpp>
#include <gossip/middleware/rate_limit.hpp>
#include <gossip/provider/outgoing_counts.hpp>

#include "support/explored_atomic.hpp"
#include "support/explored_parker.hpp"
#include "support/explorer.hpp"

#include <chrono>
#include <cstdint>
#include <mutex>

namespace gossip_test::counting_programs {

using Counts = gossip::detail::BasicOutgoingCounts<ExploredAtomic>;

/// Events are sent on by a thread that has them under a lock from those who have counted them: whoever reads the counts
/// finds no end without its beginning.
template <void (Counts::*end_of_one)() noexcept>
struct CountsWhatIsSent {
    static constexpr unsigned threads = 3;
    Counts counts;
    ExploredMutex lock;
    unsigned waiting = 0;

    void run(unsigned me) {
        for (int i = 0; i < 2; ++i) {
            if (me == 0) {
                counts.accepted();
                const std::lock_guard held(lock);
                ++waiting;
            } else if (me == 1) {
                const std::lock_guard held(lock);
                for (; waiting != 0; --waiting) {
                    (counts.*end_of_one)();
                }
            } else {
                const gossip::Outgoing out = counts.read();
                require(out.sent + out.dropped + out.abandoned <= out.accepted, "an end was seen before its beginning");
            }
        }
    }
    void end() {}
};

/// All that there is to count, at once.
struct CountsAll {
    static constexpr unsigned threads = 2;
    Counts counts;

    void run(unsigned) {
        counts.accepted();
        counts.not_accepted();
        counts.accepted();
        counts.rejected();
        counts.sent();
        counts.dropped();
        counts.abandoned();
    }
    void end() {
        const gossip::Outgoing out = counts.read();
        require(out.accepted == 2 && out.rejected == 2, "a beginning was lost");
        require(out.sent == 2 && out.dropped == 2 && out.abandoned == 2, "an end was lost");
    }
};

/// A count goes up and down at once, and no two are told the same number while it only goes up.
struct CountsUpAndDown {
    static constexpr unsigned threads = 2;
    gossip::detail::BasicSharedCount<unsigned, ExploredAtomic> count;
    gossip::detail::BasicSharedCount<unsigned, ExploredAtomic> numbers;
    unsigned number[threads] = {0, 0};

    void run(unsigned me) {
        number[me] = numbers.add();
        count.add(2);
        count.take();
    }
    void end() {
        require(number[0] != number[1] && numbers.get() == 2, "a number was given out twice");
        require(count.get() == 2, "a step was lost");
    }
};

/// Two have less patience than there is: the least of it counts.
struct HasTheLeastPatience {
    static constexpr unsigned threads = 2;
    gossip::detail::BasicLeastPatience<ExploredAtomic> patience;

    void run(unsigned me) { patience.shorten(me == 0 ? 10 : 20); }
    void end() { require(patience.until() == 10, "more patience than the least was had"); }
};

/// Each of two takes a token, of which there is one: the other waits for the next.
struct TakesATokenEach {
    static constexpr unsigned threads = 2;
    static constexpr std::int64_t step = 100;
    gossip::middleware::BasicTokenBucket<ExploredAtomic> bucket{{.events = 1, .per = std::chrono::nanoseconds(step)}};
    std::int64_t waits[threads] = {0, 0};

    void run(unsigned me) { waits[me] = bucket.take(1'000, 1'000)->count(); }
    void end() { require(waits[0] + waits[1] == step, "a token was taken twice"); }
};

} // namespace gossip_test::counting_programs
