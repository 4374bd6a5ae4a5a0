#include <gossip/filter/sampling.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <string>
#include <thread>
#include <vector>

namespace sampling_test {

namespace filter = gossip::filter;
using gossip::Event;

inline namespace parts {

const Event any_event{gossip::EventType::literal("test.tick")};

std::string answers(const auto& filter, int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
        text += filter(any_event) ? 'y' : '.';
    }
    return text;
}

} // namespace parts

TEST_CASE("every_nth lets the n-th through", "[sampling]") {
    CHECK(answers(filter::every_nth(3), 7) == "..y..y.");
    CHECK(answers(filter::every_nth(1), 3) == "yyy");
    CHECK(answers(filter::every_nth(std::numeric_limits<std::int64_t>::max()), 3) == "...");
    CHECK_THROWS_AS(filter::every_nth(0), gossip::ValidationError);
    CHECK_THROWS_AS(filter::every_nth(-1), gossip::ValidationError);
}

TEST_CASE("a copy of a sample counts for itself", "[sampling]") {
    const auto first = filter::every_nth(2);
    CHECK(answers(first, 1) == ".");

    const auto second = first; // NOLINT(performance-unnecessary-copy-initialization)

    CHECK(answers(second, 2) == ".y");
    CHECK(answers(first, 1) == "y");
}

TEST_CASE("every_nth is exact when many threads ask", "[sampling]") {
    const auto tenth = filter::every_nth(10);
    std::atomic<int> passed{0};
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&] {
                for (int i = 0; i < 1000; ++i) {
                    passed += tenth(any_event) ? 1 : 0;
                }
            });
        }
    }

    CHECK(passed == 400);
}

TEST_CASE("a fraction is about that part, and the same for the same seed", "[sampling]") {
    const std::string drawn = answers(filter::fraction(0.25, 42), 10'000);
    const auto part = std::count(drawn.begin(), drawn.end(), 'y');

    CHECK(part > 2'300);
    CHECK(part < 2'700);
    CHECK(answers(filter::fraction(0.25, 42), 10'000) == drawn);
    CHECK(answers(filter::fraction(0.25, 43), 10'000) != drawn);
}

TEST_CASE("the ends of a fraction are none and all", "[sampling]") {
    CHECK(answers(filter::fraction(0.0), 100) == std::string(100, '.'));
    CHECK(answers(filter::fraction(1.0), 100) == std::string(100, 'y'));
    for (const double p : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
        CHECK_THROWS_AS(filter::fraction(p), gossip::ValidationError);
    }
}

} // namespace sampling_test
