#include <gossip/provider/redis/reading_turn.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace reading_turn_test {

namespace {

/// Passes the time of who stands by: the script says what happens while it sleeps, and whether it was unparked.
struct ScriptedParker {
    static inline std::int64_t time = 0;
    static inline int unparks = 0;
    static inline std::vector<std::int64_t> timeouts;
    static inline std::function<bool(std::int64_t)> script;
    static std::int64_t now_ns() { return time; }
    static bool park(std::int64_t timeout) {
        timeouts.push_back(timeout);
        return script(timeout);
    }
    static void unpark() { ++unparks; }

    static void reset() {
        time = 1'000'000;
        unparks = 0;
        timeouts.clear();
        script = nullptr;
    }
};
using Turn = gossip::redis::detail::ReadingTurn<ScriptedParker, std::mutex>;

/// Steps out and in again, and is away for so long.
bool is_back_after(Turn& turn, std::int64_t away) {
    turn.step_out();
    ScriptedParker::time += away;
    return turn.step_in();
}

} // namespace

TEST_CASE("the first to come reads, and nobody stands by", "[reading_turn]") {
    ScriptedParker::reset();
    Turn turn;
    CHECK(turn.await(1));
    CHECK_FALSE(turn.may_step_out());
    CHECK(is_back_after(turn, 0));
    CHECK(ScriptedParker::unparks == 0);
    CHECK(ScriptedParker::timeouts.empty());
}

TEST_CASE("until what runs outside has been brief often enough, the other one is called at once", "[reading_turn]") {
    ScriptedParker::reset();
    Turn turn;
    REQUIRE(turn.await(0));
    unsigned outs = 0;
    ScriptedParker::script = [&](std::int64_t timeout) {
        CHECK(timeout < 0);
        CHECK(turn.may_step_out());
        for (; outs < Turn::convincing; ++outs) {
            const int called = ScriptedParker::unparks;
            CHECK(is_back_after(turn, Turn::brief_ns));
            CHECK(ScriptedParker::unparks == called + 1);
        }
        const int called = ScriptedParker::unparks;
        CHECK(is_back_after(turn, Turn::brief_ns + 1)); // looks up already: it need not be called
        CHECK(ScriptedParker::unparks == called);
        turn.step_out(); // and now it is not trusted any more
        CHECK(ScriptedParker::unparks == called + 1);
        return true;
    };
    CHECK(turn.await(1));
    CHECK_FALSE(turn.step_in());
}

TEST_CASE("who stands by takes over what is long by surprise when its patience is over", "[reading_turn]") {
    ScriptedParker::reset();
    Turn turn;
    REQUIRE(turn.await(0));
    ScriptedParker::script = [&](std::int64_t timeout) {
        if (ScriptedParker::timeouts.size() == 1) {
            for (unsigned i = 0; i < Turn::convincing; ++i) {
                CHECK(is_back_after(turn, 0));
            }
            return true; // the first of these has called it
        }
        if (ScriptedParker::timeouts.size() == 2) {
            CHECK(timeout == Turn::period_ns);
            ScriptedParker::time += timeout - 1'000;
            turn.step_out();
            ScriptedParker::time += 1'000;
            return false;
        }
        CHECK(timeout == Turn::patience_ns - 1'000);
        ScriptedParker::time += timeout;
        return false;
    };
    CHECK(turn.await(1));
    CHECK(ScriptedParker::timeouts.size() == 3);
    CHECK_FALSE(turn.step_in());
}

TEST_CASE("who stands by looks up for as many periods as there were events, up to some, and then sleeps",
          "[reading_turn]") {
    const unsigned events = GENERATE(1U, 3U, 100U);
    ScriptedParker::reset();
    Turn turn;
    REQUIRE(turn.await(0));
    ScriptedParker::script = [&](std::int64_t timeout) {
        if (ScriptedParker::timeouts.size() == 1) {
            for (unsigned i = 0; i < events; ++i) {
                CHECK(is_back_after(turn, 0));
            }
        } else if (timeout >= 0) {
            ScriptedParker::time += timeout;
            return false;
        } else {
            turn.end();
        }
        return true;
    };
    CHECK_FALSE(turn.await(1));
    std::vector<std::int64_t> expected(2 + std::min(events, Turn::quiet_periods), Turn::period_ns);
    expected.front() = expected.back() = -1;
    CHECK(ScriptedParker::timeouts == expected);
}

TEST_CASE("when it is over nobody gets the turn any more", "[reading_turn]") {
    ScriptedParker::reset();
    Turn turn;
    REQUIRE(turn.await(0));
    turn.step_out();
    turn.end();
    CHECK_FALSE(turn.step_in());
    CHECK_FALSE(turn.await(0));
    CHECK_FALSE(turn.await(1));
    CHECK_FALSE(turn.may_step_out());
    CHECK(ScriptedParker::unparks == 2);
}

} // namespace reading_turn_test
