#include <gossip/filter/logic.hpp>

#include "support/catch.hpp"

#include <string>

namespace logic_test {

namespace filter = gossip::filter;
using gossip::Event;

inline namespace parts {

/// Notes that it was asked, and answers.
auto answer(std::string& asked, char name, bool says) {
    return filter::when([&asked, name, says](const Event&) -> bool {
        asked += name;
        return says;
    });
}

const Event tick{gossip::EventType::literal("test.tick")};

} // namespace parts

TEST_CASE("and, or and not follow the truth table", "[logic]") {
    for (const bool a : {false, true}) {
        for (const bool b : {false, true}) {
            std::string asked;
            const auto left = answer(asked, 'a', a);
            const auto right = answer(asked, 'b', b);

            CHECK((left && right)(tick) == (a && b));
            CHECK((left || right)(tick) == (a || b));
            CHECK((!left)(tick) == !a);
            CHECK((!(left && right))(tick) == (!left || !right)(tick));
            CHECK(filter::all_of(left, right)(tick) == (a && b));
            CHECK(filter::any_of(left, right)(tick) == (a || b));
            CHECK(filter::none_of(left, right)(tick) == (!a && !b));
        }
    }
}

TEST_CASE("filters are asked in order and no further than needed", "[logic]") {
    std::string asked;
    const auto yes = answer(asked, 'y', true);
    const auto no = answer(asked, 'n', false);

    CHECK_FALSE((yes && no && yes)(tick));
    CHECK(asked == "yn");
    asked.clear();
    CHECK((no || yes || no)(tick));
    CHECK(asked == "ny");
}

TEST_CASE("all of none is yes, any of none is no", "[logic]") {
    CHECK(filter::all_of()(tick));
    CHECK_FALSE(filter::any_of()(tick));
    CHECK(filter::none_of()(tick));
}

TEST_CASE("one side of an operator may be a plain lambda", "[logic]") {
    const auto lambda = [](const Event& e) { return !e.has_data(); };

    CHECK((filter::has_key() || lambda)(tick));
    CHECK((lambda && !filter::has_key())(tick));
}

} // namespace logic_test
