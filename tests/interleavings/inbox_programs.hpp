#pragma once

// Small programs over the parts of the shipped inbox, for the explorer.

#include <gossip/concurrency/parking_lot.hpp>
#include <gossip/dispatch/attention.hpp>
#include <gossip/dispatch/backlog_hints.hpp>
#include <gossip/dispatch/claimed_runs.hpp>
#include <gossip/dispatch/lanes.hpp>
#include <gossip/dispatch/ledger.hpp>

#include "interleavings/queue_programs.hpp"

#include "support/explored_atomic.hpp"
#include "support/explored_parker.hpp"
#include "support/explorer.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace gossip_test::inbox_programs {

using Runs = gossip::detail::BasicClaimedRuns<ExploredAtomic>;

/// Events in their slots, by ticket: each is built once, and taken once by somebody who sees it built.
template <std::size_t size>
class Slots {
public:
    void build(Runs::Ticket ticket) { values_[ticket] = ExploredValue(ticket + 100); }
    void take(Runs::Ticket ticket) {
        require(ticket < size && !taken_[ticket], "a ticket was taken twice");
        taken_[ticket] = true;
        ++count_;
        require(values_[ticket].get() == ticket + 100, "an event was another");
        values_[ticket] = ExploredValue(0); // moved out
    }
    [[nodiscard]] std::size_t taken() const { return count_; }

private:
    struct Value : ExploredValue {
        Value() noexcept : ExploredValue(0) {}
        using ExploredValue::operator=;
    };
    std::array<Value, size> values_;
    std::array<bool, size> taken_{};
    std::size_t count_ = 0;
};

/// A worker keeps a run and takes from it, another worker and one that is none take from its rear and its front, and
/// the thief's rest can be taken in turn.
struct TakesAndSteals {
    static constexpr unsigned threads = 3;
    static constexpr std::uint32_t kept = 3;
    Runs runs{2};
    Slots<kept> slots;

    void run(unsigned me) {
        Runs::Ticket ticket = 0;
        if (me == 0) {
            for (Runs::Ticket i = 0; i < kept; ++i) {
                slots.build(i);
            }
            runs.keep(0, 0, kept);
        } else if (runs.steal(me == 1 ? 1 : Runs::no_worker, ticket)) {
            slots.take(ticket);
        }
        while (me != 2 && runs.take(me, ticket)) {
            slots.take(ticket);
        }
    }
    void end() {
        require(slots.taken() == kept, "an event was lost");
        require(!runs.any() && runs.size() == 0, "a run that is empty was seen as one that is not");
    }
};

/// Two who drop the oldest, beside the worker in whose run it is.
struct TakesTheOldest {
    static constexpr unsigned threads = 3;
    static constexpr std::uint32_t kept = 2;
    Runs runs{1};
    Slots<kept> slots;

    void run(unsigned me) {
        Runs::Ticket ticket = 0;
        if (me == 0) {
            slots.build(0);
            slots.build(1);
            runs.keep(0, 0, kept);
            while (runs.take(0, ticket)) {
                slots.take(ticket);
            }
            return;
        }
        Runs::Ticket oldest = ~Runs::Ticket{0};
        const unsigned holder = runs.holder_of_oldest(oldest);
        if (holder != Runs::no_worker && runs.take(holder, ticket)) {
            require(ticket >= oldest, "a run went backwards");
            slots.take(ticket);
        }
    }
    void end() { require(slots.taken() == kept, "an event was lost"); }
};

/// Two threads that each change something and then look for what the other changed: one of them sees it.
template <class Change, class Look>
struct RunsSeeEachOther {
    static constexpr unsigned threads = 2;
    Runs runs{2};
    ExploredAtomic<bool> announced{false};
    bool change_saw = false;
    bool look_saw = false;

    RunsSeeEachOther() { Change::prepare(runs); }
    void run(unsigned me) {
        if (me == 0) {
            Change::make(runs);
            change_saw = announced.load(std::memory_order_seq_cst);
        } else {
            announced.store(true, std::memory_order_seq_cst);
            look_saw = Look::sees(runs);
        }
    }
    void end() { require(change_saw || look_saw, "a change and an announcement missed each other"); }
};

struct KeepsARun {
    static void prepare(Runs&) {}
    static void make(Runs& runs) { runs.keep(0, 7, 1); }
};
/// The rest of what is stolen may be waiting in neither run when the sleeper looks.
struct StealsARun {
    static void prepare(Runs& runs) { runs.keep(1, 6, 3); }
    static void make(Runs& runs) {
        Runs::Ticket ticket = 0;
        require(runs.steal(0, ticket) && runs.take(1, ticket), "a run was hidden");
    }
};
struct TakesFromARun {
    static void prepare(Runs& runs) { runs.keep(0, 7, 1); }
    static void make(Runs& runs) {
        Runs::Ticket ticket = 0;
        require(runs.take(0, ticket) && ticket == 7, "a ticket was hidden");
    }
};
struct StealsATicket {
    static void prepare(Runs& runs) { runs.keep(0, 7, 1); }
    static void make(Runs& runs) {
        Runs::Ticket ticket = 0;
        require(runs.steal(1, ticket) && ticket == 7, "a ticket was hidden");
    }
};

struct SeesARun {
    static bool sees(Runs& runs) { return runs.any(); }
};
struct SeesTheTicketGone {
    static bool sees(Runs& runs) { return !runs.holds(7); }
};

/// A worker has claimed two events while another is on duty; it keeps one and begins the other, which lasts until that
/// one has been handled. Between claim and keep it is to be seen nowhere, and the worker on duty may lie down.
struct KeepsTheRest {
    static constexpr unsigned threads = 2;
    using Lot = gossip::ParkingLot<ExploredAtomic, ExploredParker, ExploredMutex>;
    Lot lot{2};
    Runs runs{2};
    ExploredParker handled;
    bool over = false;

    KeepsTheRest() { static_cast<void>(lot.take_duty(1)); }
    void run(unsigned me) {
        if (me == 0) {
            runs.keep(0, 1, 1);
            if (lot.unattended()) {
                lot.wake_one();
            }
            handled.park(-1);
            return;
        }
        while (!over) {
            Runs::Ticket ticket = 0;
            if (runs.steal(1, ticket)) {
                over = true;
                handled.unpark();
            } else {
                lot.sleep(1, *this);
            }
        }
    }
    void end() { require(over, "an event was not handled"); }

    [[nodiscard]] bool has_work() const { return runs.any(); }
    [[nodiscard]] bool stopping() const { return false; }
    [[nodiscard]] std::uint64_t progress(unsigned) const { return 0; }
    [[nodiscard]] std::int64_t until_due() const { return Lot::never; }
};

using Attention = gossip::detail::BasicAttention<ExploredAtomic>;

/// What needs attention is added and its bit raised, while a worker that has found nothing clears the bit and looks
/// again: what is there has its bit up. Other bits are left as they are.
template <bool up_before, std::memory_order reason, std::memory_order look>
struct RaisesABit {
    static constexpr unsigned threads = 3;
    static constexpr std::uint32_t bit = 4;
    static constexpr std::uint32_t other = 8;
    Attention attention;
    ExploredAtomic<unsigned> there{0};

    RaisesABit() {
        if (up_before) {
            attention.raise(bit);
        }
    }
    void run(unsigned me) {
        if (me == 0) {
            there.store(1, reason);
            attention.raise(bit);
        } else if (me == 1) {
            attention.lower(bit);
            if (there.load(look) != 0) {
                attention.raise(bit);
            }
        } else {
            attention.raise(other);
        }
    }
    void end() { require(attention.raised() == (bit | other), "a bit was lost"); }
};

using Ring = queue_programs::Ring;
using Lanes = gossip::detail::BasicLanes<Ring, ExploredAtomic, ExploredMutex>;

/// The first events of a lane make its ring, while another looks for what is there and a third closes them all.
struct MakesARing {
    static constexpr unsigned threads = 3;
    static constexpr std::size_t lane = 3;
    Lanes lanes{2};
    std::uint64_t drawn = 0;
    std::uint64_t claimed = 0;
    bool closed = false;

    void run(unsigned me) {
        if (me == 0) {
            const bool late = closed;
            Ring& ring = lanes.of(lane);
            Ring::Ticket ticket = 0;
            if (ring.reserve(ticket) == Ring::Refusal::none) {
                require(!late, "a ticket was drawn after the end");
                ++drawn;
                queue_programs::put(ring, ticket, 5);
                ring.commit(ticket);
            }
        } else if (me == 1) {
            for (int i = 0; i < 2; ++i) {
                claim();
            }
        } else {
            lanes.close();
            closed = true;
            const std::uint64_t so_far = lanes.drawn();
            require(so_far <= 1 && lanes.tails()[lane] >= so_far, "events were counted wrongly");
        }
    }
    void end() {
        claim();
        require(claimed == drawn && lanes.drawn() == drawn, "an event was lost");
        require(&lanes.of(lane) == lanes.all()[lane] && lanes.of(lane).closed(), "a ring was left open");
    }
    void claim() {
        Ring* const ring = lanes.known(lane);
        if (ring != nullptr && ring->claim(1).count == 1) {
            ++claimed;
            require(queue_programs::take(*ring, 0) == 5, "an event was another");
            ring->vacate(0);
        }
    }
};

using Hints = gossip::detail::BasicBacklogHints<ExploredAtomic>;

/// Something in the backlog may run from now on, and whoever lets it run looks who sleeps; a worker announces that it
/// will sleep and looks what may run: one sees the other.
template <bool was_spilled>
struct LetsAnEventRun {
    static constexpr unsigned threads = 2;
    static constexpr std::size_t lane = 2;
    Hints hints;
    ExploredAtomic<bool> asleep{false};
    bool change_saw = false;
    bool sleeper_saw = false;

    void run(unsigned me) {
        if (me == 1) {
            asleep.store(true, std::memory_order_seq_cst);
            sleeper_saw = was_spilled ? hints.spilled(lane) != 0 : hints.first_ready(lane) != Hints::none;
            return;
        }
        if (was_spilled) {
            hints.let_run(lane);
        } else {
            hints.show_first(lane, 7);
        }
        change_saw = asleep.load(std::memory_order_seq_cst);
    }
    void end() {
        require(change_saw || sleeper_saw, "an event and a sleeper missed each other");
        require(hints.spilled(lane + 1) == 0 && hints.first_ready(lane + 1) == Hints::none, "it was another lane");
    }
};

/// Of two spilled events one moves into the ring and the other is taken: whoever looks first for spilled ones and then
/// into the ring sees what has moved.
struct MovesWhatWasSpilled {
    static constexpr unsigned threads = 2;
    Ring ring{2};
    Hints hints;

    MovesWhatWasSpilled() {
        hints.let_run(0);
        hints.let_run(0);
    }
    void run(unsigned me) {
        if (me == 0) {
            hints.took_spilled(0);
            Ring::Ticket ticket = 0;
            require(ring.reserve(ticket) == Ring::Refusal::none, "there was no room");
            queue_programs::put(ring, ticket, 5);
            ring.commit(ticket);
            hints.moved_in(0);
        } else {
            require(hints.spilled(0) != 0 || ring.pending(), "what moved was seen nowhere");
        }
    }
    void end() {
        require(hints.spilled(0) == 0 && ring.claim(1).count == 1, "an event was lost");
        require(queue_programs::take(ring, 0) == 5, "an event was another");
        ring.vacate(0);
    }
};

/// Two events fail, each with a dead letter; those are read, and one publishes. Whoever reads the ends, then the open
/// letters, then the beginnings, and finds as many as each other and no letter, finds all that they have led to.
struct ReadsTheDeadLetters {
    static constexpr unsigned threads = 3;
    using Shard = gossip::BasicLedgerShard<ExploredAtomic>;
    using Letters = gossip::detail::BasicOpenLetters<ExploredAtomic>;
    static constexpr std::uint64_t events = 2;
    Shard shards[2];
    Letters letters;
    ExploredAtomic<std::uint64_t> made{0};
    ExploredValue effect{0};

    ReadsTheDeadLetters() { shards[0].add(gossip::Tally::accepted, events); }
    void run(unsigned me) {
        if (me == 0) {
            for (std::uint64_t i = 1; i <= events; ++i) {
                letters.open();
                shards[0].add(gossip::Tally::failed);
                made.store(i, std::memory_order_release);
            }
        } else if (me == 1) {
            for (std::uint64_t i = 1; i <= events; ++i) {
                while (made.load(std::memory_order_acquire) < i) {
                    Execution::now().yield();
                }
                effect = ExploredValue(i);
                letters.close();
            }
        } else {
            const std::uint64_t ended = shards[0].ended() + shards[1].ended();
            if (letters.count() == 0 && ended == events) {
                require(effect.get() == events, "it was quiet before a dead letter was read");
            }
        }
    }
    void end() { require(letters.count() == 0, "a dead letter was lost"); }
};

/// Whoever reads the ends first and then the beginnings never sees more ends than beginnings.
struct CountsEnds {
    static constexpr unsigned threads = 3;
    using Shard = gossip::BasicLedgerShard<ExploredAtomic>;
    Shard shards[2];
    ExploredAtomic<unsigned> begun{0};
    ExploredValue effect{0};

    void run(unsigned me) {
        if (me == 0) {
            for (unsigned i = 1; i <= 2; ++i) {
                shards[0].add(gossip::Tally::accepted);
                begun.store(i, std::memory_order_release);
            }
        } else if (me == 1) {
            if (begun.load(std::memory_order_acquire) != 0) {
                effect = ExploredValue(1);
                shards[1].add(gossip::Tally::handled);
            }
        } else {
            const std::uint64_t ended = shards[0].ended() + shards[1].ended();
            require(shards[0].of(gossip::Tally::accepted) >= ended, "more events ended than began");
            require(ended == 0 || effect.get() == 1, "an end was seen before what led to it");
        }
    }
    void end() { require(shards[0].of(gossip::Tally::accepted) == 2, "a count was lost"); }
};

} // namespace gossip_test::inbox_programs
