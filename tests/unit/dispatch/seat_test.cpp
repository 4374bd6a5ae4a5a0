#include <gossip/dispatch/seat.hpp>

#include "support/catch.hpp"

#include <atomic>
#include <set>
#include <thread>
#include <vector>

namespace seat_test {

namespace seat_test {

using gossip::Tally;
using gossip::detail::FrameScope;
using gossip::detail::inside;
using gossip::detail::OwnScope;
using gossip::detail::Seat;
using gossip::detail::SeatTable;

} // namespace seat_test

using namespace seat_test;

TEST_CASE("a seat belongs to one at a time, and is used again", "[seat]") {
    SeatTable table;
    Seat& first = table.sit_down();
    Seat& second = table.sit_down();
    CHECK(&first != &second);
    SeatTable::stand_up(first);
    CHECK(&table.sit_down() == &first);
}

TEST_CASE("there are as many seats as are needed, and all are visited with their counters", "[seat]") {
    SeatTable table;
    std::set<Seat*> seats;
    for (int i = 0; i < 100; ++i) {
        Seat& seat = table.sit_down();
        seat.ledger.add(Tally::handled);
        seats.insert(&seat);
    }
    CHECK(seats.size() == 100);
    std::uint64_t handled = 0;
    table.for_each([&](const Seat& seat) { handled += seat.ledger.ended(); });
    CHECK(handled == 100);
}

TEST_CASE("threads never share a seat, and no count is lost", "[seat]") {
    SeatTable table;
    std::vector<std::thread> threads;
    constexpr int rounds = 5000;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&table] {
            for (int i = 0; i < rounds; ++i) {
                Seat& seat = table.sit_down();
                seat.ledger.add(Tally::handled); // no atomic addition: only the holder writes
                SeatTable::stand_up(seat);
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    std::uint64_t handled = 0;
    table.for_each([&](const Seat& seat) { handled += seat.ledger.of(Tally::handled); });
    CHECK(handled == 4 * rounds);
}

TEST_CASE("a thread knows whose user code it is in, however deep", "[seat]") {
    SeatTable table;
    Seat& seat = table.sit_down();
    const int one = 0;
    const int other = 0;
    CHECK_FALSE(inside(&one));
    {
        FrameScope outer(&one, seat);
        CHECK(inside(&one));
        {
            const FrameScope inner(&other, seat);
            const OwnScope own;
            CHECK(inside(&one));
            CHECK(inside(&other));
            CHECK(gossip::detail::innermost->events == 1);
        }
        CHECK_FALSE(inside(&other));
        std::thread elsewhere([&] { CHECK_FALSE(inside(&one)); });
        elsewhere.join();
        CHECK(outer.frame().events == 0);
    }
    CHECK_FALSE(inside(&one));
}

} // namespace seat_test
