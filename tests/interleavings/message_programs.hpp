#pragma once

// Small programs over what tells another thread how things are, for the explorer: a value that is published, places
// that are filled, a run that was handed to a helper, a shutdown that gives up.

#include <gossip/concurrency/published.hpp>
#include <gossip/dispatch/attention.hpp>
#include <gossip/dispatch/giving_up.hpp>
#include <gossip/dispatch/handed_run.hpp>
#include <gossip/dispatch/ledger.hpp>

#include "support/explored_atomic.hpp"
#include "support/explored_parker.hpp"
#include "support/explorer.hpp"

#include <cstdint>
#include <mutex>

namespace gossip_test::message_programs {

template <class T>
using Published = gossip::detail::BasicPublished<T, ExploredAtomic>;

/// Whoever finds that something is there reads it; there is another one later, as with tables that grow.
struct FindsWhatIsPublished {
    static constexpr unsigned threads = 2;
    ExploredValue things[2] = {ExploredValue(0), ExploredValue(0)};
    Published<const ExploredValue*> published;

    void run(unsigned me) {
        if (me == 0) {
            for (ExploredValue& thing : things) {
                thing = ExploredValue(7);
                published.set(&thing);
            }
        } else if (const ExploredValue* const thing = published.get()) {
            require(thing->get() == 7, "something was found that is not there yet");
        }
    }
    void end() { require(published.get() == &things[1], "what is published was lost"); }
};

/// Places of a chunk, each claimed under the lock and filled without it, while another has the chunk, as it is by then,
/// and awaits them; the chunk is used twice.
struct FillsPlaces {
    static constexpr unsigned threads = 3;
    static constexpr unsigned most = 4;
    struct Place {
        ExploredValue event{0};
        Published<bool> filled;
    };
    ExploredMutex lock;
    Place places[most];
    unsigned claimed = 0;
    unsigned taken = 0;

    void run(unsigned me) {
        if (me != 0) {
            fill();
            return;
        }
        for (int uses = 0; uses < 2; ++uses) {
            unsigned count = 0;
            {
                const std::lock_guard held(lock);
                count = claimed;
                claimed = most; // nobody claims one of those that are awaited
            }
            for (unsigned i = 0; i < count; ++i) {
                while (!places[i].filled.get()) {
                    Execution::now().yield();
                }
                require(places[i].event.get() == 1, "a place was awaited in vain");
                places[i].event = ExploredValue(0);
            }
            taken += count;
            const std::lock_guard held(lock);
            claimed = 0;
        }
    }
    void end() { require(taken <= 2, "a place was filled twice"); }
    void fill() {
        unsigned mine = most;
        {
            const std::lock_guard held(lock);
            if (claimed < most) {
                mine = claimed++;
                places[mine].filled.set(false);
            }
        }
        if (mine != most) {
            places[mine].event = ExploredValue(1);
            places[mine].filled.set(true);
        }
    }
};

using HandedRun = gossip::detail::BasicHandedRun<ExploredAtomic>;

/// A helper waits for something in its run, and after it for something else, each time on the list that has a lock; who
/// looks at the list tells the one from the other.
struct AsksWhoIsInARun {
    static constexpr unsigned threads = 2;
    enum class Waits : std::uint8_t { no, in_the_run, elsewhere };
    HandedRun run_of;
    ExploredMutex list;
    Waits helper = Waits::no;

    void run(unsigned me) {
        if (me == 0) {
            run_of.begin(&list);
            wait(Waits::in_the_run);
            wait(Waits::no);
            run_of.end();
            wait(Waits::elsewhere);
            return;
        }
        for (int looks = 0; looks < 2; ++looks) {
            const std::lock_guard held(list);
            const bool is_in_it = run_of.thread() == &list;
            require(helper != Waits::in_the_run || is_in_it, "whoever waits in the run was not found there");
            require(helper != Waits::elsewhere || !is_in_it,
                    "the run was said to wait for what its helper does after it");
        }
    }
    void end() { require(run_of.thread() == &run_of, "the run has not ended"); }
    void wait(Waits where) {
        const std::lock_guard held(list);
        helper = where;
    }
};

/// The caller leaves a run, and its event ends, while the helper asks whether all but that event has ended: another one
/// has not.
struct LeavesAHandedRun {
    static constexpr unsigned threads = 2;
    static constexpr std::uint64_t accepted = 2;
    HandedRun run_of;
    gossip::BasicLedgerShard<ExploredAtomic> shard;

    void run(unsigned me) {
        if (me == 0) {
            run_of.leave();
            shard.add(gossip::Tally::handled);
            return;
        }
        const std::uint64_t own = owned();
        const std::uint64_t ended = shard.ended();
        require(accepted - ended != own || own != owned(), "an event was taken for the helper's own");
    }
    void end() { require(!run_of.awaited(), "it is said to be awaited"); }
    [[nodiscard]] std::uint64_t owned() const { return run_of.awaited() ? 1 : 0; }
};

/// A shutdown gives up and raises the bit that calls the workers, one of which has found nothing to do, lowers the bit
/// and looks again.
template <bool up_before>
struct CallsOffTheWorkers {
    static constexpr unsigned threads = 2;
    static constexpr std::uint32_t bit = 4;
    gossip::detail::BasicAttention<ExploredAtomic> attention;
    gossip::detail::BasicGivingUp<ExploredAtomic> giving_up;

    CallsOffTheWorkers() {
        if (up_before) {
            attention.raise(bit);
        }
    }
    void run(unsigned me) {
        if (me == 0) {
            giving_up.begin();
            attention.raise(bit);
        } else {
            attention.lower(bit);
            if (giving_up.begun()) {
                attention.raise(bit);
            }
        }
    }
    void end() { require(attention.raised() == bit, "the workers are not told to look"); }
};

} // namespace gossip_test::message_programs
