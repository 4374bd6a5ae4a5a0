#include <gossip/provider/redis/stream_state.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

namespace stream_state_test {

inline namespace parts {

using gossip::redis::EntryId;
using gossip::redis::detail::Deadline;
using gossip::redis::detail::Settling;
using gossip::redis::detail::StreamState;

constexpr int plenty = 1'000'000;
constexpr std::size_t count = 1'000;

void settle(StreamState& state, Settling::What what, std::size_t entries) {
    for (std::size_t n = 0; n < entries; ++n) {
        state.settle({what, EntryId{n, 0, 0}});
    }
}

} // namespace parts

TEST_CASE("what is held has its place: its end is told without memory", "[stream_state]") {
    StreamState state;
    std::vector<Settling> settled;
    for (int round = 0; round < 3; ++round) {
        state.reserve(count);
        settle(state, Settling::What::tried, 10); // these take none of the places
        support::fail_allocation_after(0, plenty);
        settle(state, round % 2 == 0 ? Settling::What::ack : Settling::What::leave, count);
        support::fail_allocation_after(-1);

        settled.clear();
        static_cast<void>(state.take(settled, count, Deadline::max()));
        CHECK(settled.size() == count + 10);
    }
    CHECK(state.stats().left == count);
}

TEST_CASE("without memory for the next places what was settled stays where it is", "[stream_state]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    StreamState state;
    state.reserve(count);
    settle(state, Settling::What::ack, count);
    std::vector<Settling> settled;

    bool failed = false;
    support::fail_allocation_after(0, plenty);
    try {
        static_cast<void>(state.take(settled, count, Deadline::max()));
    } catch (const std::bad_alloc&) {
        failed = true;
    }
    support::fail_allocation_after(-1);
    CHECK(failed);
    CHECK(settled.empty());
    static_cast<void>(state.take(settled, count, Deadline::max()));
    CHECK(settled.size() == count);
}

TEST_CASE("who has nothing left to say waits for no connection to say it on", "[stream_state]") {
    const auto until = [] { return gossip::redis::detail::SteadyClock::now() + std::chrono::seconds(20); };
    StreamState state;
    const Deadline first = until();
    state.farewell(first); // there has been no connection
    CHECK(gossip::redis::detail::SteadyClock::now() < first);

    state.came_up();
    state.came_down(gossip::errors::closed);
    const Deadline second = until();
    state.farewell(second);
    CHECK(gossip::redis::detail::SteadyClock::now() < second);
    CHECK(state.gives_up());
}

} // namespace stream_state_test
