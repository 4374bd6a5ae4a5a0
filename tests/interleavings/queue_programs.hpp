#pragma once

// Small programs over the shipped ring and queue, for the explorer. Each says what must hold in every execution.

#include <gossip/concurrency/mpmc_queue.hpp>
#include <gossip/concurrency/ticket_ring.hpp>

#include "support/explored_atomic.hpp"
#include "support/explorer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <vector>

namespace gossip_test::queue_programs {

using Ring = gossip::TicketRing<ExploredValue, ExploredAtomic>;
using Queue = gossip::MpmcQueue<ExploredValue, ExploredAtomic>;
using Flag = ExploredAtomic<bool>;

/// What came out of a queue, on whichever thread; the explorer runs one thread at a time.
class Popped {
public:
    /// `number` 1, 2, ... of each producer.
    static std::uint64_t value_of(unsigned producer, unsigned number) { return producer * 100 + number; }

    void add(std::uint64_t value) {
        require(std::find(all_.begin(), all_.end(), value) == all_.end(), "a value came out twice");
        all_.push_back(value);
    }
    void add_in_order(std::uint64_t value) {
        for (const std::uint64_t earlier : all_) {
            require(earlier / 100 != value / 100 || earlier < value, "values of one producer came out of order");
        }
        add(value);
    }
    [[nodiscard]] std::size_t count() const { return all_.size(); }

private:
    std::vector<std::uint64_t> all_;
};

template <class Sink>
bool pop_into(Queue& queue, Sink sink) {
    std::optional<ExploredValue> value = queue.try_pop();
    if (value) {
        sink(value->get());
    }
    return value.has_value();
}

inline void put(Ring& ring, Ring::Ticket ticket, std::uint64_t value) {
    ::new (ring.storage(ticket)) ExploredValue(value);
}

inline std::uint64_t take(Ring& ring, Ring::Ticket ticket) {
    ExploredValue* const at = ring.address(ticket);
    const std::uint64_t value = at->get();
    std::destroy_at(at);
    return value;
}

/// One ticket, drawn by somebody who is alone.
inline Ring::Ticket draw(Ring& ring) {
    Ring::Ticket ticket = 0;
    require(ring.reserve(ticket) == Ring::Refusal::none, "a ring with room refused");
    return ticket;
}

/// So many values go in, and no more.
inline void require_room_for(Ring& ring, std::size_t values) {
    std::size_t drawn = 0;
    Ring::Ticket ticket = 0;
    while (ring.reserve(ticket) == Ring::Refusal::none) {
        ring.commit(ticket);
        ++drawn;
    }
    require(drawn == values, "a slot was lost, or won");
}

/// Two producers and a consumer: nothing is lost, doubled or out of a producer's order.
struct PushesAndPops {
    static constexpr unsigned threads = 3;
    Queue queue{2};
    Popped popped;
    std::size_t pushed = 0;

    void run(unsigned me) {
        if (me == 2) {
            for (int i = 0; i < 3; ++i) {
                pop_into(queue, [&](std::uint64_t value) { popped.add_in_order(value); });
            }
            return;
        }
        for (unsigned number = 1; number <= 2 - me; ++number) {
            pushed += queue.try_push(ExploredValue(Popped::value_of(me, number))) ? 1U : 0U;
        }
    }
    void end() {
        require(pushed >= 2, "a push was refused while there was room");
        while (pop_into(queue, [&](std::uint64_t value) { popped.add_in_order(value); })) {}
        require(popped.count() == pushed, "a value was lost");
    }
};

/// One producer and one consumer over two laps of the ring: a slot is written again only when it was emptied.
struct TwoLaps {
    static constexpr unsigned threads = 2;
    Queue queue{2};
    Popped popped;

    void run(unsigned me) {
        for (unsigned number = 1; number <= 4; ++number) {
            if (me == 0) {
                while (!queue.try_push(ExploredValue(number))) {
                    Execution::now().yield();
                }
            } else {
                while (!pop_into(queue, [&](std::uint64_t value) { popped.add_in_order(value); })) {
                    Execution::now().yield();
                }
            }
        }
    }
    void end() { require(popped.count() == 4, "a value was lost"); }
};

/// Two consumers take runs: each value goes to one of them.
struct RunsOfTwo {
    static constexpr unsigned threads = 3;
    Queue queue{4};
    Popped popped;

    RunsOfTwo() {
        require(queue.try_push(ExploredValue(1)) && queue.try_push(ExploredValue(2)), "a queue with room refused");
    }
    void run(unsigned me) {
        if (me == 2) {
            require(queue.try_push(ExploredValue(3)), "a queue with room refused");
            return;
        }
        take_two();
    }
    void end() {
        while (take_two() != 0) {}
        require(popped.count() == 3, "a value was lost");
    }
    std::size_t take_two() {
        return queue.try_pop_run(2, [&](ExploredValue&& value) noexcept { popped.add(value.get()); });
    }
};

/// A parked slot in the way: two producers and a consumer step over it, and its slot comes back when it is vacated.
struct StepsOverParked {
    static constexpr unsigned threads = 3;
    Ring ring{2};
    Ring::Ticket parked = draw(ring);
    Popped popped;
    std::size_t drawn = 1;

    StepsOverParked() {
        put(ring, parked, 500);
        ring.commit_parked(parked);
    }
    void run(unsigned me) {
        if (me == 2) {
            popped.add(take(ring, parked));
            ring.vacate_parked(parked);
            claim();
            return;
        }
        for (unsigned number = 1; number <= 2 - me; ++number) {
            Ring::Ticket ticket = 0;
            if (ring.reserve(ticket) == Ring::Refusal::none) {
                put(ring, ticket, Popped::value_of(me, number));
                ring.commit(ticket);
                ++drawn;
            }
        }
    }
    void end() {
        while (claim()) {}
        require(popped.count() == drawn, "a value was lost");
        require(ring.tail() - ring.stepped_over() == drawn, "the tickets without a value were counted wrongly");
        require(!ring.pending(), "work was seen where there was none");
        require_room_for(ring, 2);
    }
    bool claim() {
        const auto run = ring.claim(2);
        for (std::uint32_t i = 0; i < run.count; ++i) {
            popped.add(take(ring, run.first + i));
            ring.vacate(run.first + i);
        }
        return run.count != 0;
    }
};

/// A ring of `capacity`, half of it parked, whose other half has been used once: the next tickets are over the parked.
template <std::size_t capacity>
struct HalfParked {
    Ring ring{capacity};

    HalfParked() {
        for (std::size_t i = 0; i < capacity / 2; ++i) {
            ring.commit_parked(draw(ring));
        }
        for (std::size_t i = capacity / 2; i < capacity; ++i) {
            ring.commit(draw(ring));
            const auto run = ring.claim(1);
            require(run.count == 1, "a value was hidden");
            ring.vacate(run.first);
        }
    }
    /// How many of so many tickets were drawn, and committed.
    std::size_t draw_some(std::size_t most) {
        std::size_t drawn = 0;
        for (Ring::Ticket ticket = 0; drawn < most && ring.reserve(ticket) == Ring::Refusal::none; ++drawn) {
            ring.commit(ticket);
        }
        return drawn;
    }
    std::size_t claim_some(std::size_t most) {
        std::size_t claimed = 0;
        for (; claimed < most; ++claimed) {
            const auto run = ring.claim(1);
            if (run.count == 0) {
                break;
            }
            ring.vacate(run.first);
        }
        return claimed;
    }
};

/// A slot is vacated while a producer steps over it: it is not lost.
struct VacatesWhatIsSteppedOver : HalfParked<2> {
    static constexpr unsigned threads = 2;
    std::size_t drawn = 0;

    void run(unsigned me) {
        if (me == 0) {
            drawn = draw_some(2);
        } else {
            ring.vacate_parked(0);
        }
    }
    void end() {
        require(claim_some(2) == drawn, "a value was lost");
        require_room_for(ring, 2);
    }
};

/// Two producers step over two parked slots: no ticket is drawn twice, and the steps are counted.
struct TwoStepOver : HalfParked<4> {
    static constexpr unsigned threads = 2;
    std::size_t drawn = 4;

    void run(unsigned) { drawn += draw_some(1); }
    void end() {
        require(drawn == 6, "a push was refused while there was room");
        require(ring.tail() - ring.stepped_over() == drawn, "the tickets without a value were counted wrongly");
        require(claim_some(3) == 2, "a value was lost, or came twice");
    }
};

/// Two consumers step over two parked slots.
struct TwoPassOver : HalfParked<4> {
    static constexpr unsigned threads = 2;
    std::size_t claimed = 4 / 2;

    TwoPassOver() { require(draw_some(2) == 2, "a ring with room refused"); }
    void run(unsigned) { claimed += claim_some(1); }
    void end() {
        claimed += claim_some(2);
        require(claimed == 4, "a value was lost, or came twice");
        require(ring.head() - ring.passed_over() == claimed, "the steps over parked slots were counted wrongly");
    }
};

/// Who sees in the ring that a value is parked sees the value.
struct SeesTheParkedValue {
    static constexpr unsigned threads = 2;
    Ring ring{2};
    Ring::Ticket first = draw(ring);

    SeesTheParkedValue() { ring.commit_parked(draw(ring)); }
    void run(unsigned me) {
        if (me == 0) {
            put(ring, first, 1);
            ring.commit_parked(first);
            return;
        }
        Ring::Ticket ticket = 0;
        while (ring.in_the_way(ticket)) { // the first slot waits for its commit
            Execution::now().yield();
        }
        require(take(ring, first) == 1, "a value was another");
        ring.vacate_parked(first);
    }
    void end() { require_room_for(ring, 1); }
};

/// Two threads that each change something and then look for what the other changed: one of them sees it.
template <class Change, class Look>
struct OneSeesTheOther {
    static constexpr unsigned threads = 2;
    Ring ring{2};
    Flag announced;
    bool change_saw = false;
    bool look_saw = false;
    Ring::Ticket ticket = 0;

    OneSeesTheOther() { ticket = Change::prepare(ring); }
    void run(unsigned me) {
        if (me == 0) {
            Change::make(ring, ticket);
            change_saw = announced.load(std::memory_order_seq_cst);
        } else {
            announced.store(true, std::memory_order_seq_cst);
            look_saw = Look::sees(ring, ticket);
        }
    }
    void end() { require(change_saw || look_saw, "a change and an announcement missed each other"); }
};

struct Draws {
    static Ring::Ticket prepare(Ring&) { return 0; }
    static void make(Ring& ring, Ring::Ticket) { draw(ring); }
};
struct DrawsOverParked {
    static Ring::Ticket prepare(Ring& ring) {
        const Ring::Ticket parked = draw(ring);
        ring.commit_parked(parked);
        const Ring::Ticket other = draw(ring);
        ring.commit(other);
        static_cast<void>(ring.claim(1));
        ring.vacate(other);
        return parked;
    }
    static void make(Ring& ring, Ring::Ticket) { draw(ring); }
};
struct Claims {
    static Ring::Ticket prepare(Ring& ring) {
        const Ring::Ticket ticket = draw(ring);
        ring.commit(ticket);
        return ticket;
    }
    static void make(Ring& ring, Ring::Ticket) { require(ring.claim(1).count == 1, "a value was hidden"); }
};
/// The last one in line is parked: consumers step over it.
struct ClaimsOverParked {
    static Ring::Ticket prepare(Ring& ring) {
        ring.commit_parked(draw(ring));
        return 0;
    }
    static void make(Ring& ring, Ring::Ticket) { require(ring.claim(1).count == 0, "a parked value was claimed"); }
};
/// A ring full of parked values, one of which goes.
struct VacatesParked {
    static Ring::Ticket prepare(Ring& ring) {
        const Ring::Ticket first = draw(ring);
        ring.commit_parked(first);
        ring.commit_parked(draw(ring));
        return first;
    }
    static void make(Ring& ring, Ring::Ticket ticket) { ring.vacate_parked(ticket); }
};
/// The same beside a value in line.
struct VacatesParkedInFront {
    static Ring::Ticket prepare(Ring& ring) {
        const Ring::Ticket first = draw(ring);
        ring.commit_parked(first);
        ring.commit(draw(ring));
        return first;
    }
    static void make(Ring& ring, Ring::Ticket ticket) { ring.vacate_parked(ticket); }
};

struct SeesPending {
    static bool sees(Ring& ring, Ring::Ticket) { return ring.pending(); }
};
struct SeesNothingPending {
    static bool sees(Ring& ring, Ring::Ticket) { return !ring.pending(); }
};
struct SeesItClaimed {
    static bool sees(Ring& ring, Ring::Ticket ticket) { return ring.claimed(ticket); }
};
struct SeesRoom {
    static bool sees(Ring& ring, Ring::Ticket) { return ring.has_room(); }
};
struct SeesNothingInTheWay {
    static bool sees(Ring& ring, Ring::Ticket) {
        Ring::Ticket ticket = 0;
        return !ring.in_the_way(ticket);
    }
};

/// Who sees a number of the ring's has seen what came before it: sums of them never leave their bounds.
struct ReadsTheCounts {
    static constexpr unsigned threads = 3;
    Ring ring{2};
    Ring::Ticket parked = draw(ring);

    ReadsTheCounts() { ring.commit_parked(parked); }
    void run(unsigned me) {
        if (me == 0) {
            draw_and_commit();
            draw_and_commit();
        } else if (me == 1) {
            if (const auto run = ring.claim(1); run.count == 1) { // over the parked one
                ring.vacate(run.first);
                draw_and_commit(); // a lap later, over the parked one again
            }
        } else {
            const std::uint64_t over = ring.stepped_over();
            require(ring.tail() >= over + 1, "more was stepped over than drawn");
            const std::uint64_t passed = ring.passed_over();
            require(ring.head() >= passed, "more was passed over than consumers have gone");
        }
    }
    void end() {}
    void draw_and_commit() {
        Ring::Ticket ticket = 0;
        if (ring.reserve(ticket) == Ring::Refusal::none) {
            ring.commit(ticket);
        }
    }
};

/// How many a queue holds is never more than were pushed.
struct AsksForTheSize {
    static constexpr unsigned threads = 3;
    Queue queue{4};

    void run(unsigned me) {
        if (me == 0) {
            require(queue.try_push(ExploredValue(1)), "a queue with room refused");
        } else if (me == 1) {
            pop_into(queue, [](std::uint64_t) {});
        } else {
            require(queue.size_approx() <= 1, "a queue held more than was pushed");
        }
    }
    void end() {}
};

/// After the ring was closed nothing is drawn, and who sees it closed and nothing pending has seen all.
struct ClosesInTheMiddle {
    static constexpr unsigned threads = 3;
    Ring ring{2};
    ExploredValue told{0};
    std::size_t drawn = 0;
    std::size_t claimed = 0;
    bool closed = false;

    void run(unsigned me) {
        if (me == 0) {
            told = ExploredValue(1);
            ring.close();
            closed = true;
        } else if (me == 1) {
            for (int i = 0; i < 2; ++i) {
                const bool late = closed;
                Ring::Ticket ticket = 0;
                if (ring.reserve(ticket) == Ring::Refusal::none) {
                    require(!late, "a ticket was drawn after the end");
                    ++drawn;
                    put(ring, ticket, 1);
                    ring.commit(ticket);
                }
            }
        } else {
            for (int i = 0; i < 3; ++i) {
                const bool over = ring.closed();
                if (over) {
                    require(told.get() == 1, "the end was seen before what came before it");
                }
                const bool last = over && !ring.pending();
                const auto run = ring.claim(1);
                require(!last || run.count == 0, "there was more after the end");
                if (run.count == 1) {
                    ++claimed;
                    take(ring, run.first);
                    ring.vacate(run.first);
                }
            }
        }
    }
    void end() {
        require(ring.tail() == drawn, "tickets were counted wrongly");
        while (ring.claim(1).count == 1) {
            ++claimed;
        }
        require(claimed == drawn, "a value was lost");
    }
};

/// Gate and close are flags beside the tail: nothing that happens at the same moment undoes them.
struct GateWhileDrawing {
    static constexpr unsigned threads = 2;
    Ring ring{4};
    unsigned drawn = 0;

    void run(unsigned me) {
        if (me == 0) {
            ring.lower_gate();
            Ring::Ticket ticket = 0;
            require(ring.reserve(ticket) == Ring::Refusal::gated, "the gate let through who may not pass");
            require(ring.reserve(ticket, true) == Ring::Refusal::none, "the gate stopped who may pass");
            ++drawn;
            ring.raise_gate();
            ring.close();
        } else {
            for (const bool may_pass : {false, true}) {
                Ring::Ticket ticket = 0;
                drawn += ring.reserve(ticket, may_pass) == Ring::Refusal::none ? 1U : 0U;
            }
        }
    }
    void end() {
        Ring::Ticket ticket = 0;
        require(ring.reserve(ticket, true) == Ring::Refusal::closed, "the end was undone");
        require(ring.tail() == drawn, "two drew one ticket");
    }
};

} // namespace gossip_test::queue_programs
