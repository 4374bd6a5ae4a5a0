#include <gossip/provider/redis/delayed.hpp>

#include "support/catch.hpp"

#include <cstdint>
#include <limits>
#include <string>

namespace delayed_test {

using gossip::redis::detail::delayed_member;
using gossip::redis::detail::delayed_score;

TEST_CASE("an event to come is written with its stream, behind what orders it", "[delayed]") {
    CHECK(delayed_member(0x1A, 2, 0xF0000000000000FF, "p:shop.ordered", "{\"a\":1}") ==
          "000000000000001a0000000000000002f0000000000000ff:14:p:shop.ordered{\"a\":1}");
    CHECK(delayed_member(0, 0, 0, "", "") == std::string(48, '0') + ":0:");
}

TEST_CASE("members of one due time are in the order of their sending, others in that of their times", "[delayed]") {
    constexpr std::int64_t due = 1'700'000'000'123'456'789;
    CHECK(delayed_member(due, 9, 7, "b", "x") < delayed_member(due, 10, 1, "a", "x"));
    CHECK(delayed_member(due, 10, 1, "b", "x") < delayed_member(due + 1, 2, 0, "a", "x"));
    CHECK(delayed_member(due, 0, 0, "b", "x") <
          delayed_member(std::numeric_limits<std::int64_t>::max(), 0, 0, "a", ""));
}

TEST_CASE("an event is never due before its time", "[delayed]") {
    CHECK(delayed_score(0) == 0);
    CHECK(delayed_score(1) == 1);
    CHECK(delayed_score(1'000'000) == 1);
    CHECK(delayed_score(1'000'001) == 2);
    CHECK(delayed_score(std::numeric_limits<std::int64_t>::max()) == 9'223'372'036'855);
}

} // namespace delayed_test
