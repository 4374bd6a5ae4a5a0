#pragma once

// Small programs over what tells another thread that something is there, for the explorer: a value that is published,
// places that are filled.

#include <gossip/concurrency/published.hpp>

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

} // namespace gossip_test::message_programs
