#pragma once

// Small programs over what frees things that others may still use, for the explorer: hazards, reference counts, seats,
// and the end of a subscription, which waits for its runs.

#include <gossip/concurrency/reclaim.hpp>
#include <gossip/concurrency/wait_queue.hpp>
#include <gossip/core/ref_count.hpp>
#include <gossip/dispatch/attention.hpp>
#include <gossip/dispatch/awaiting.hpp>
#include <gossip/dispatch/ledger.hpp>
#include <gossip/dispatch/presence.hpp>
#include <gossip/dispatch/seat.hpp>
#include <gossip/dispatch/tenure.hpp>

#include "support/explored_atomic.hpp"
#include "support/explored_fence.hpp"
#include "support/explored_parker.hpp"
#include "support/explorer.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace gossip_test::reclaim_programs {

struct Freeable {
    ExploredValue value{0};
    bool freed = false;

    void fill(std::uint64_t number) { value = ExploredValue(number); }
    [[nodiscard]] std::uint64_t read() const {
        require(!freed, "what was freed was read");
        return value.get();
    }
    void free() {
        require(!freed, "it was freed twice");
        value = ExploredValue(0);
        freed = true;
    }
};

using Snapshot = gossip::detail::BasicSnapshot<const Freeable, ExploredAtomic>;
using Hazard = gossip::detail::BasicHazard<ExploredAtomic>;

/// Readers of a snapshot that is replaced, each time by a new one, which frees what nobody shows any more.
template <class Fence, unsigned readers, unsigned replacements, unsigned reads>
struct ReadsWhatIsReplaced {
    static constexpr unsigned threads = readers + 1;
    Fence fence;
    Freeable all[replacements + 1];
    Snapshot snapshot;
    Hazard hazards[readers];
    unsigned newest = 0;

    ReadsWhatIsReplaced() {
        all[0].fill(100);
        snapshot.replace(&all[0]);
    }
    void run(unsigned me) {
        if (me != 0) {
            for (unsigned i = 0; i < reads; ++i) {
                read(hazards[me - 1]);
            }
            return;
        }
        for (unsigned i = 0; i < replacements; ++i) {
            all[i + 1].fill(101 + i);
            const Freeable* const before = snapshot.replace(&all[i + 1]);
            require(before == &all[i], "another one was replaced");
            ++newest;
            std::array<bool, replacements + 1> shown{};
            gossip::detail::look_at_seats(*this, fence, [&](const Hazard& hazard) {
                const void* const list = hazard.shown();
                for (unsigned old = 0; old <= i; ++old) {
                    shown[old] = shown[old] || list == &all[old];
                }
            });
            for (unsigned old = 0; old <= i; ++old) {
                if (!all[old].freed && !shown[old]) {
                    all[old].free();
                }
            }
        }
    }
    void end() { require(!snapshot.empty() && snapshot.alone() == &all[newest], "the newest one is not there"); }

    void read(Hazard& hazard) {
        const Freeable* const list = hazard.protect(snapshot, fence);
        require(list != nullptr && list >= &all[0], "nothing was there to read");
        require(list->read() == 100 + static_cast<std::uint64_t>(list - all), "what was read was not built");
        hazard.clear();
    }
    template <class F>
    void for_each(F&& visit) const {
        for (const Hazard& hazard : hazards) {
            visit(hazard);
        }
    }
};

/// One that is made for a single reader, under the lock of whoever frees it.
struct KeepsAStray {
    static constexpr unsigned threads = 2;
    ExploredKernelFence fence;
    ExploredMutex mutex;
    Freeable before;
    Freeable stray;
    Hazard hazard;
    const Freeable* retired[2] = {nullptr, nullptr};

    void run(unsigned me) {
        if (me == 0) {
            keep(before, 0);
            require(before.read() == 1, "it was not built");
            keep(stray, 1); // the one before has been read
            require(stray.read() == 1, "it was not built");
            hazard.clear();
            return;
        }
        for (int i = 0; i < 2; ++i) {
            mutex.lock();
            fence.heavy();
            for (const Freeable*& old : retired) {
                if (old != nullptr && hazard.shown() != old) {
                    const_cast<Freeable*>(old)->free();
                    old = nullptr;
                }
            }
            mutex.unlock();
        }
    }
    void end() {}
    void keep(Freeable& one, std::size_t at) {
        mutex.lock();
        one.fill(1);
        retired[at] = &one;
        hazard.keep(&one);
        mutex.unlock();
    }
};

using Count = gossip::detail::BasicRefCount<ExploredAtomic>;

/// Owners that read what they own and give it up: whoever is the last frees it, after all reads.
template <unsigned owners>
struct GivesUpItsShare {
    static constexpr unsigned threads = owners;
    Count count;
    Freeable block;
    unsigned frees = 0;

    GivesUpItsShare() {
        block.fill(1);
        for (unsigned i = 1; i < owners; ++i) {
            count.add();
        }
    }
    void run(unsigned me) {
        if (me == 0) {
            count.add();
            give_up();
        }
        give_up();
    }
    void end() { require(frees == 1, "a block was not freed"); }
    void give_up() {
        require(block.read() == 1, "a block was changed that has another owner");
        if (count.drop()) {
            ++frees;
            block.free();
        }
    }
};

/// An owner that finds itself alone changes what it owns.
struct ChangesItsOwn {
    static constexpr unsigned threads = 2;
    Count count;
    Freeable block;

    ChangesItsOwn() {
        block.fill(1);
        count.add();
    }
    void run(unsigned me) {
        if (me == 0 && count.unique()) {
            block.fill(2);
        }
        require(me == 0 || block.read() == 1, "a block was changed that has another owner");
        if (count.drop()) {
            block.free();
        }
    }
    void end() { require(block.freed, "a block was not freed"); }
};

/// The first member of what is made on the heap while threads run.
struct FreshMemory {
    FreshMemory(const void* begin, std::size_t size) { Execution::now().forget(begin, size); }
};

struct NumberedSeat {
    FreshMemory fresh{this, sizeof(NumberedSeat)};
    ExploredAtomic<bool> taken{false};
    ExploredAtomic<const void*> thread{nullptr};
    ExploredValue built{7}; // as what stands in a seat from the start
    ExploredValue left{0};  // as what one leaves to the next
};
using Seats = gossip::detail::BasicSeatTable<NumberedSeat, ExploredAtomic, 1>;

/// Threads that sit down, leave something to whoever sits there next, and look at all seats.
template <unsigned sitters, unsigned times>
struct SitsDown {
    static constexpr unsigned threads = sitters;
    Seats seats;

    void run(unsigned) {
        for (unsigned i = 0; i < times; ++i) {
            NumberedSeat& seat = seats.sit_down();
            require(seat.built.get() == 7, "a seat was not built");
            seat.left = ExploredValue(seat.left.get() + 1);
            Seats::stand_up(seat);
        }
        seats.for_each([](const NumberedSeat& seat) { require(seat.built.get() == 7, "a seat was not built"); });
    }
    void end() {
        std::uint64_t sum = 0;
        seats.for_each([&sum](const NumberedSeat& seat) { sum += seat.left.get(); });
        require(sum == sitters * times, "what was left to the next one was lost");
    }
};

using Presence = gossip::detail::BasicPresence<ExploredAtomic>;
using Attention = gossip::detail::BasicAttention<ExploredAtomic>;
using Enders = gossip::BasicWaitQueue<ExploredAtomic, ExploredParker, ExploredMutex>;

using Tenure = gossip::detail::BasicTenure<ExploredAtomic>;

/// A subscription is ended while others run its processor, again and again, as the engine does it: nobody is in the
/// processor when it is freed, and whoever waits for that does not wait for ever.
template <class Fence, unsigned runners>
struct EndsASubscription {
    static constexpr unsigned threads = runners + 1;
    static constexpr std::uint32_t enders_bit = 1;
    Fence fence;
    Presence presences[runners];
    Attention attention;
    Enders enders;
    ExploredParker parker;
    Tenure tenure;
    Freeable processor;

    EndsASubscription() { processor.fill(1); }
    void run(unsigned me) {
        if (me != runners) {
            for (int i = 0; i < 2; ++i) {
                presences[me].show(&processor, fence); // a light half, for the look at the bit as well
                if ((attention.raised() & enders_bit) != 0) {
                    enders.wake_all();
                }
                if (tenure.goes_on()) {
                    require(processor.read() == 1, "a processor was changed while it ran");
                }
                presences[me].show(nullptr);
                gossip::detail::tell_line(enders, attention, enders_bit, fence);
            }
            return;
        }
        tenure.end(this);
        {
            Enders::Waiter waiter(parker);
            for (;;) {
                gossip::detail::get_in_line(enders, waiter, attention, enders_bit, fence);
                if (!running()) {
                    break;
                }
                enders.park(waiter, -1);
            }
            gossip::detail::get_out_of_line(enders, waiter, attention, enders_bit);
        }
        processor.free();
    }
    void end() { require(processor.freed && !running() && attention.raised() == 0, "a subscription was not ended"); }

    bool running() const {
        bool some = false;
        for (const Presence& presence : presences) {
            some = presence.seen() == &processor || some;
        }
        return some;
    }
};

/// One ends a subscription, and runs what a batch of it has collected; another, who finds that it is being ended, goes
/// on when that is over, and has seen it.
template <class Fence>
struct WaitsForWhoEndsIt {
    static constexpr unsigned threads = 2;
    static constexpr std::uint32_t enders_bit = 1;
    Fence fence;
    Attention attention;
    Enders enders;
    ExploredParker parkers[2];
    ExploredMutex registry;
    bool removed = false;
    Tenure tenure;
    ExploredValue batch{0};

    void run(unsigned me) {
        registry.lock();
        const bool mine = !removed;
        if (mine) {
            removed = true;
            tenure.end(this);
        }
        registry.unlock();
        Enders::Waiter waiter(parkers[me]);
        for (;;) {
            gossip::detail::get_in_line(enders, waiter, attention, enders_bit, fence);
            if (mine || tenure.ended_by() == nullptr) {
                break;
            }
            enders.park(waiter, -1);
        }
        gossip::detail::get_out_of_line(enders, waiter, attention, enders_bit);
        batch = ExploredValue(batch.get() + 1);
        if (mine) {
            tenure.over();
            gossip::detail::tell_line(enders, attention, enders_bit, fence);
        }
    }
    void end() { require(batch.get() == 2 && attention.raised() == 0, "an end was not waited for"); }
};

/// Events end while somebody waits for that: he sees the last one, or is woken by it.
template <class Fence, unsigned workers>
struct WaitsForTheLastEnd {
    static constexpr unsigned threads = workers + 1;
    using Shard = gossip::BasicLedgerShard<ExploredAtomic>;
    Fence fence;
    Enders drainers;
    ExploredParker parker;
    Shard shards[workers];
    ExploredValue effects[2] = {ExploredValue(0), ExploredValue(0)};

    void run(unsigned me) {
        if (me != workers) {
            effects[me] = ExploredValue(1);
            shards[me].add(gossip::Tally::handled);
            gossip::detail::tell_line(drainers, fence);
            return;
        }
        Enders::Waiter waiter(parker);
        for (;;) {
            gossip::detail::get_in_line(drainers, waiter, fence);
            std::uint64_t ended = 0;
            for (const Shard& shard : shards) {
                ended += shard.of(gossip::Tally::handled);
            }
            if (ended == workers) {
                break;
            }
            drainers.park(waiter, -1);
        }
        drainers.leave(waiter);
        for (unsigned i = 0; i < workers; ++i) {
            require(effects[i].get() == 1, "an end was seen before what led to it");
        }
    }
    void end() { require(!drainers.any(), "somebody still waits"); }
};

/// Publishes that are to come, while the bus is closed: one that has found it open is done when the shutdown has found
/// that none is to come, which it waits for and is told of.
template <class Fence, unsigned publishers>
struct ClosesWhilePublishesAreToCome {
    static constexpr unsigned threads = publishers + 1;
    using ToCome = gossip::detail::BasicPublishesToCome<ExploredAtomic>;
    Fence fence;
    ToCome to_come;
    ExploredAtomic<bool> closed{false};
    Enders drainers;
    ExploredParker parker;
    ExploredValue published[2] = {ExploredValue(0), ExploredValue(0)};

    void run(unsigned me) {
        if (me != publishers) {
            to_come.open(fence);
            if (!closed.load(std::memory_order_relaxed)) {
                published[me] = ExploredValue(1);
            }
            to_come.close(fence);
            if (closed.load(std::memory_order_relaxed)) {
                gossip::detail::tell_line(drainers, fence);
            }
            return;
        }
        closed.store(true, std::memory_order_relaxed);
        Enders::Waiter waiter(parker);
        for (;;) {
            gossip::detail::get_in_line(drainers, waiter, fence);
            if (!to_come.any()) {
                break;
            }
            drainers.park(waiter, -1);
        }
        drainers.leave(waiter);
        for (unsigned i = 0; i < publishers; ++i) {
            published[i] = ExploredValue(0); // the report is written
        }
    }
    void end() { require(!to_come.any() && !drainers.any(), "a publish is still to come"); }
};

} // namespace gossip_test::reclaim_programs
