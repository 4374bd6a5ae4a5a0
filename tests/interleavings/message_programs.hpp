#pragma once

// Small programs over what tells another thread how things are, for the explorer: a value that is published, places
// that are filled, a run that was handed to a helper, a shutdown that gives up, lists that grow, a clock that is moved.

#include <gossip/concurrency/published.hpp>
#include <gossip/core/growing_list.hpp>
#include <gossip/core/once.hpp>
#include <gossip/core/tick_anchor.hpp>
#include <gossip/dispatch/attention.hpp>
#include <gossip/dispatch/giving_up.hpp>
#include <gossip/dispatch/handed_run.hpp>
#include <gossip/dispatch/ledger.hpp>
#include <gossip/testing.hpp>

#include "interleavings/parking_programs.hpp"

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

/// The same with dead letters, of which the caller's is one; another one has not been read.
struct LeavesAHandedRunOfALetter {
    static constexpr unsigned threads = 2;
    HandedRun run_of;
    gossip::detail::BasicOpenLetters<ExploredAtomic> letters;

    LeavesAHandedRunOfALetter() {
        letters.open();
        letters.open();
    }
    void run(unsigned me) {
        if (me == 0) {
            run_of.leave();
            letters.close();
            return;
        }
        const std::uint64_t own = owned();
        require(letters.count() != own || own != owned(), "a dead letter was taken for the helper's own");
    }
    void end() { require(letters.count() == 1, "a dead letter was closed twice"); }
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

struct Node {
    ExploredValue value{0};
    const Node* next = nullptr;
};
using List = gossip::detail::BasicGrowingList<Node, ExploredAtomic>;

/// Nodes are put on a list while others read it: what is found is whole, and nothing gets lost.
struct GrowsAList {
    static constexpr unsigned threads = 3;
    static constexpr unsigned count = 3;
    Node nodes[count];
    List list;

    void run(unsigned me) {
        if (me == 2) {
            static_cast<void>(found());
            return;
        }
        for (unsigned i = me; i < count; i += 2) {
            nodes[i].value = ExploredValue(1);
            list.push(nodes[i]);
        }
    }
    void end() { require(found() == count, "a node was lost"); }
    [[nodiscard]] unsigned found() const {
        unsigned some = 0;
        for (const Node* node = list.first(); node != nullptr; node = node->next) {
            require(node->value.get() == 1, "a node was found that is not whole");
            ++some;
        }
        return some;
    }
};

struct LooksAgain {
    void operator()() const { Execution::now().yield(); }
};

/// Two see to it that something is listed, which one of them does; one of them then tells a third, who finds it.
struct ListsOnce {
    static constexpr unsigned threads = 3;
    gossip::detail::BasicOnce<ExploredAtomic, LooksAgain> once;
    Node node;
    List list;
    unsigned times = 0;
    Published<bool> told;

    void run(unsigned me) {
        if (me != 2) {
            once.call([&] {
                ++times;
                node.value = ExploredValue(1);
                list.push(node);
            });
            if (me == 0) {
                told.set(true);
            }
        } else if (told.get()) {
            const Node* const found = list.first();
            require(found != nullptr && found->value.get() == 1, "what was listed is not found");
        }
    }
    void end() { require(times == 1, "it was listed twice, or never"); }
};

/// Those who find that a clock is to be renewed do that one at a time, or leave it to another.
struct RenewsOneAtATime {
    static constexpr unsigned threads = 2;
    gossip::detail::BasicRenewal<ExploredAtomic> renewal;
    ExploredValue renewed{0};

    void run(unsigned) {
        for (int i = 0; i < 2; ++i) {
            if (renewal.begin()) {
                renewed = ExploredValue(renewed.get() + 1);
                renewal.end();
            }
        }
    }
    void end() { require(renewed.get() >= 2 && renewal.begin(), "nobody may renew it any more"); }
};

using Elapsed = gossip::testing::detail::BasicElapsed<ExploredAtomic>;

/// Two move a clock: whoever reads the time has seen what they did before.
struct MovesAClock {
    static constexpr unsigned threads = 3;
    Elapsed elapsed;
    ExploredValue before[2] = {ExploredValue(0), ExploredValue(0)};

    void run(unsigned me) {
        if (me != 2) {
            before[me] = ExploredValue(1);
            elapsed.advance(me + 1);
            return;
        }
        const std::int64_t time = elapsed.get();
        for (unsigned i = 0; i < 2; ++i) {
            require((time & (i + 1)) == 0 || before[i].get() == 1, "the time was read before it was moved there");
        }
    }
    void end() { require(elapsed.get() == 3, "the clock was not moved"); }
};

/// A timer is added while the clock is moved to its time, and a worker goes to sleep: it is served.
struct ServesATimerOfAMovedClock {
    static constexpr unsigned threads = 3;
    parking_programs::Lot lot{1};
    parking_programs::Timers timers;
    Elapsed elapsed;
    bool served = false;

    void run(unsigned me) {
        if (me == 1) {
            elapsed.advance(10);
            lot.timer_moved();
        } else if (me == 2) {
            bool earliest = false;
            timers.add(10, 1, &earliest);
            if (earliest) {
                lot.timer_moved(until_due());
            }
        } else {
            while (!timers.pop_due(elapsed.get())) {
                lot.sleep(0, *this);
            }
            served = true;
        }
    }
    void end() const { require(served, "a timer was lost"); }

    [[nodiscard]] bool has_work() const { return false; }
    [[nodiscard]] bool stopping() const { return false; }
    [[nodiscard]] std::uint64_t progress(unsigned) const { return 0; }
    [[nodiscard]] std::int64_t until_due() const {
        return timers.next_due() <= elapsed.get() ? 0 : parking_programs::Lot::never;
    }
};

} // namespace gossip_test::message_programs
