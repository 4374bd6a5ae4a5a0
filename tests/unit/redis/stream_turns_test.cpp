#include <gossip/provider/redis/stream_turns.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <cstdint>

namespace stream_turns_test {

inline namespace parts {

using namespace std::chrono_literals;
using gossip::redis::EntryId;
using gossip::redis::StreamStats;
using gossip::redis::detail::Deadline;
using gossip::redis::detail::SteadyClock;
using gossip::redis::detail::StreamTurns;

constexpr Deadline far_away = Deadline::max();

EntryId id(std::uint64_t n, std::uint32_t stream = 0) { return {n, 0, stream}; }

} // namespace parts

TEST_CASE("what was read in a turn may begin while it goes on, and not in another", "[stream_turns]") {
    StreamTurns turns;
    CHECK_FALSE(turns.may_begin(id(1), 0));
    CHECK(turns.number(2) == 0);

    const std::uint64_t first = turns.begin(2, far_away);
    CHECK(turns.number(2) == first);
    CHECK(turns.may_begin(id(1, 2), first));
    CHECK_FALSE(turns.may_begin(id(1, 2), 0));
    CHECK_FALSE(turns.may_begin(id(1, 1), first));

    turns.end(2, true);
    CHECK_FALSE(turns.may_begin(id(1, 2), first));
    const std::uint64_t second = turns.begin(2, far_away);
    CHECK_FALSE(turns.may_begin(id(1, 2), first));
    CHECK(turns.may_begin(id(1, 2), second));
}

TEST_CASE("a turn that has run out is not extended: somebody may have seen that", "[stream_turns]") {
    StreamTurns turns;
    const std::uint64_t number = turns.begin(0, SteadyClock::now() + 1h);
    CHECK(turns.extend(0, SteadyClock::now() - 1h)); // no test waits for the clock
    CHECK_FALSE(turns.may_begin(id(1), number));
    CHECK_FALSE(turns.extend(0, far_away));
    CHECK_FALSE(turns.may_begin(id(1), number));
}

TEST_CASE("nothing that stands behind an entry which was left begins in its turn", "[stream_turns]") {
    StreamTurns turns;
    const std::uint64_t number = turns.begin(0, far_away);
    turns.leaving(id(7), number + 1); // of another turn
    CHECK(turns.may_begin(id(8), number));
    turns.leaving(id(7), number);
    turns.leaving(id(9), number);
    CHECK(turns.may_begin(id(6), number));
    CHECK(turns.may_begin(id(7), number)); // it has begun, if it has
    CHECK_FALSE(turns.may_begin(id(8), number));
    turns.leaving(id(3), number);
    CHECK_FALSE(turns.may_begin(id(6), number));

    const std::uint64_t next = turns.begin(0, far_away);
    CHECK(turns.may_begin(id(8), next));
}

TEST_CASE("turns are counted, and those that were lost", "[stream_turns]") {
    StreamTurns turns;
    StreamStats stats;
    turns.begin(0, far_away);
    turns.begin(1, far_away);
    turns.begin(2, far_away);
    turns.end(0, true);
    turns.end(1, false);
    turns.end(1, true); // it is over already
    turns.end(7, true);
    turns.read(stats);
    CHECK(stats.takeovers == 3);
    CHECK(stats.losses == 1);
    CHECK(stats.active == 1);
}

} // namespace stream_turns_test
