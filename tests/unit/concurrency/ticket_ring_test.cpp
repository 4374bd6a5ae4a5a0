#include <gossip/concurrency/ticket_ring.hpp>

#include "support/catch.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace ticket_ring_test {

inline namespace parts {

/// What happens in another thread just before the next compare_exchange_strong of this one.
std::function<void()> meanwhile;

/// std::atomic, interrupted by `meanwhile`.
template <class T>
class InterruptedAtomic : public std::atomic<T> {
public:
    using std::atomic<T>::atomic;

    bool compare_exchange_strong(T& expected, T wanted, std::memory_order success, std::memory_order failure) {
        if (const auto interruption = std::exchange(meanwhile, nullptr)) {
            interruption();
        }
        return std::atomic<T>::compare_exchange_strong(expected, wanted, success, failure);
    }
};

using Ring = gossip::TicketRing<int>;
using InterruptedRing = gossip::TicketRing<int, InterruptedAtomic>;
using Refusal = Ring::Refusal;

template <class AnyRing>
Refusal refusal_of(AnyRing& ring, bool pass_gate = false) {
    std::uint64_t ticket = 0;
    const auto refusal = ring.reserve(ticket, pass_gate);
    REQUIRE(refusal != AnyRing::Refusal::none);
    return static_cast<Refusal>(refusal);
}

template <class AnyRing>
std::uint64_t reserve(AnyRing& ring, bool pass_gate = false) {
    std::uint64_t ticket = 0;
    REQUIRE(ring.reserve(ticket, pass_gate) == AnyRing::Refusal::none);
    return ticket;
}

template <class AnyRing>
std::uint64_t push(AnyRing& ring, int value) {
    const auto ticket = reserve(ring);
    ::new (ring.storage(ticket)) int(value);
    ring.commit(ticket);
    return ticket;
}

template <class AnyRing>
std::uint64_t park(AnyRing& ring, int value) {
    const auto ticket = reserve(ring);
    ::new (ring.storage(ticket)) int(value);
    ring.commit_parked(ticket);
    return ticket;
}

/// Claims one run, vacates it and says what was in it.
template <class AnyRing>
std::vector<int> pop(AnyRing& ring, std::uint32_t most) {
    const auto run = ring.claim(most);
    std::vector<int> values;
    for (std::uint64_t ticket = run.first; ticket != run.first + run.count; ++ticket) {
        values.push_back(*ring.address(ticket));
        ring.vacate(ticket);
    }
    return values;
}

} // namespace parts

TEST_CASE("the capacity is a power of two and at least two", "[ticket_ring]") {
    CHECK(Ring(0).capacity() == 2);
    CHECK(Ring(1).capacity() == 2);
    CHECK(Ring(3).capacity() == 4);
    CHECK(Ring(1024).capacity() == 1024);
}

TEST_CASE("tickets are claimed in the order in which they were drawn", "[ticket_ring]") {
    Ring ring(4);
    const auto first = reserve(ring);
    push(ring, 2);

    CHECK(pop(ring, 4).empty());

    ::new (ring.storage(first)) int(1);
    ring.commit(first);
    CHECK(pop(ring, 4) == std::vector{1, 2});
}

TEST_CASE("a run is at most as long as asked for, and ends below its limit", "[ticket_ring]") {
    Ring ring(8);
    for (int i = 0; i < 8; ++i) {
        push(ring, i);
    }

    CHECK(ring.claim(0).count == 0);
    CHECK(pop(ring, 3) == std::vector{0, 1, 2});
    const auto run = ring.claim(8, 5);
    CHECK(run.first == 3);
    CHECK(run.count == 2);
    CHECK(ring.claim(8, 5).count == 0);
    CHECK(pop(ring, 8) == std::vector{5, 6, 7});
}

TEST_CASE("a claimed slot counts until it is vacated", "[ticket_ring]") {
    Ring ring(2);
    push(ring, 1);
    push(ring, 2);

    const auto run = ring.claim(2);
    CHECK(run.count == 2);
    CHECK_FALSE(ring.pending());
    CHECK_FALSE(ring.has_room());
    CHECK(refusal_of(ring) == Refusal::full);

    ring.vacate(run.first);
    CHECK(ring.has_room());
    CHECK(push(ring, 3) == 2);
    CHECK(refusal_of(ring) == Refusal::full);
}

TEST_CASE("a ticket is pending from its draw to its claim", "[ticket_ring]") {
    Ring ring(2);
    CHECK_FALSE(ring.pending());

    const auto ticket = reserve(ring);
    CHECK(ring.pending());
    ring.commit(ticket);
    CHECK(ring.pending());
    CHECK_FALSE(ring.claimed(ticket));

    REQUIRE(ring.claim(1).count == 1);
    CHECK_FALSE(ring.pending());
    CHECK(ring.claimed(ticket));
}

TEST_CASE("values cross many laps of a small ring", "[ticket_ring]") {
    Ring ring(2);

    for (int i = 0; i < 1000; ++i) {
        CHECK(push(ring, i) == static_cast<std::uint64_t>(i));
        CHECK(pop(ring, 2) == std::vector{i});
    }
    CHECK(ring.head() == 1000);
    CHECK(ring.tail() == 1000);
    CHECK(ring.stepped_over() == 0);
}

TEST_CASE("slots are aligned as their values want", "[ticket_ring]") {
    struct alignas(256) Wide {
        char data[256];
    };
    gossip::TicketRing<Wide> ring(4);

    for (std::uint64_t ticket = 0; ticket < 4; ++ticket) {
        CHECK(reinterpret_cast<std::uintptr_t>(ring.storage(ticket)) % alignof(Wide) == 0);
    }
}

TEST_CASE("consumers and producers step over a parked slot, which counts until it is vacated", "[ticket_ring]") {
    Ring ring(4);
    push(ring, 0);
    const auto parked = park(ring, 1);
    push(ring, 2);
    push(ring, 3);

    CHECK(pop(ring, 4) == std::vector{0});
    CHECK(pop(ring, 4) == std::vector{2, 3});
    CHECK(push(ring, 4) == 4);
    CHECK(push(ring, 6) == 6);
    CHECK(push(ring, 7) == 7);
    CHECK(refusal_of(ring) == Refusal::full);
    CHECK(ring.stepped_over() == 1);
    CHECK(*ring.address(parked) == 1);

    ring.vacate_parked(parked);
    CHECK(pop(ring, 4) == std::vector{4});
    CHECK(pop(ring, 4) == std::vector{6, 7});
    CHECK(push(ring, 8) == 8);
    CHECK(push(ring, 9) == 9);
    CHECK(ring.tail() - ring.stepped_over() == 9);
    CHECK(pop(ring, 4) == std::vector{8, 9});
    CHECK_FALSE(ring.pending());
}

TEST_CASE("a slot vacated before anybody stepped over it is used one lap later", "[ticket_ring]") {
    Ring ring(2);
    const auto parked = park(ring, 0);
    ring.vacate_parked(parked);

    CHECK(push(ring, 1) == 1);
    CHECK(push(ring, 2) == 2);
    CHECK(refusal_of(ring) == Refusal::full);
    CHECK(pop(ring, 2) == std::vector{1, 2});
}

TEST_CASE("a parked value outlives many laps", "[ticket_ring]") {
    Ring ring(4);
    const auto parked = park(ring, -1);

    for (int i = 0; i < 100; ++i) {
        push(ring, i);
        CHECK(pop(ring, 1) == std::vector{i});
    }

    CHECK(*ring.address(parked) == -1);
    ring.vacate_parked(parked);
    std::vector<std::uint64_t> tickets;
    for (int i = 0; i < 4; ++i) {
        tickets.push_back(push(ring, i));
    }
    CHECK(tickets.back() - tickets.front() <= 4);
    CHECK(refusal_of(ring) == Refusal::full);
}

TEST_CASE("a ring full of parked values is full, and says so without moving its tail", "[ticket_ring]") {
    Ring ring(4);
    for (int i = 0; i < 4; ++i) {
        park(ring, i);
    }
    const auto tail = ring.tail();

    for (int i = 0; i < 100; ++i) {
        CHECK(refusal_of(ring) == Refusal::full);
        CHECK_FALSE(ring.has_room());
    }

    CHECK(ring.tail() == tail);
    ring.vacate_parked(2);
    CHECK(ring.has_room());
    push(ring, 4);
    CHECK(pop(ring, 1) == std::vector{4});
}

TEST_CASE("room behind a parked slot is room, a full slot behind it is none", "[ticket_ring]") {
    Ring ring(2);
    park(ring, 0);
    push(ring, 1);

    CHECK_FALSE(ring.has_room());
    CHECK(refusal_of(ring) == Refusal::full);

    CHECK(pop(ring, 1) == std::vector{1});
    CHECK(ring.has_room());
    CHECK(push(ring, 2) == 3);
}

TEST_CASE("a parked slot vacated while a producer steps over it is not lost", "[ticket_ring]") {
    InterruptedRing ring(2);
    const auto parked = park(ring, 0);
    push(ring, 1);
    CHECK(pop(ring, 2) == std::vector{1});

    meanwhile = [&] { ring.vacate_parked(parked); };
    push(ring, 2);
    REQUIRE(meanwhile == nullptr);

    CHECK(pop(ring, 2) == std::vector{2});
    push(ring, 3);
    push(ring, 4);
    CHECK(refusal_of(ring) == Refusal::full);
    CHECK(pop(ring, 2) == std::vector{3, 4});
}

TEST_CASE("nothing is pending when a consumer stepped over a parked slot before the producers did", "[ticket_ring]") {
    InterruptedRing ring(2);
    park(ring, 0);
    push(ring, 1);
    CHECK(pop(ring, 2) == std::vector{1});

    bool pending = true;
    std::uint64_t head = 0;
    meanwhile = [&] {     // the slot's turn is about to be moved on
        meanwhile = [&] { // it has been; the tail is about to follow
            CHECK(pop(ring, 2).empty());
            pending = ring.pending();
            head = ring.head();
            CHECK(ring.tail() == 2);
        };
    };
    push(ring, 2);

    CHECK(head == 3);
    CHECK_FALSE(pending);
    CHECK(pop(ring, 2) == std::vector{2});
}

TEST_CASE("a closed ring draws no tickets, and those drawn stay good", "[ticket_ring]") {
    Ring ring(4);
    push(ring, 1);
    const auto drawn = reserve(ring);
    CHECK_FALSE(ring.closed());
    ring.close();

    CHECK(ring.closed());
    CHECK(refusal_of(ring) == Refusal::closed);
    CHECK(refusal_of(ring, true) == Refusal::closed);
    ::new (ring.storage(drawn)) int(2);
    ring.commit(drawn);
    CHECK(ring.tail() == 2);
    CHECK(pop(ring, 4) == std::vector{1, 2});
    CHECK_FALSE(ring.pending());
}

TEST_CASE("a lowered gate lets through only those who may pass it", "[ticket_ring]") {
    Ring ring(4);
    ring.lower_gate();

    CHECK(refusal_of(ring) == Refusal::gated);
    CHECK(reserve(ring, true) == 0);
    ring.raise_gate();
    CHECK(reserve(ring) == 1);
    ring.lower_gate();
    ring.close();
    CHECK(refusal_of(ring) == Refusal::closed);
}

TEST_CASE("those who may pass the gate step over parked slots as well", "[ticket_ring]") {
    Ring ring(2);
    park(ring, 0);
    push(ring, 1);
    CHECK(pop(ring, 1) == std::vector{1});
    ring.lower_gate();

    CHECK(reserve(ring, true) == 3);
    CHECK(refusal_of(ring, true) == Refusal::full);
    CHECK(refusal_of(ring) == Refusal::gated);
}

} // namespace ticket_ring_test
