#include <gossip/core/random.hpp>

#include "support/catch.hpp"

#include <cstdint>
#include <set>
#include <thread>

namespace random_test {

using namespace gossip::detail;

TEST_CASE("random bits do not repeat, on one thread or on two", "[random]") {
    std::set<std::uint64_t> seen;
    const auto draw = [&seen] {
        for (int i = 0; i < 1000; ++i) {
            seen.insert(random_bits());
        }
    };

    draw();
    std::thread(draw).join();

    CHECK(seen.size() == 2000);
}

TEST_CASE("a fraction is at least 0 and less than 1", "[random]") {
    double sum = 0;
    for (int i = 0; i < 10'000; ++i) {
        const double drawn = random_fraction();
        REQUIRE(drawn >= 0);
        REQUIRE(drawn < 1);
        sum += drawn;
    }

    CHECK(sum > 4'800);
    CHECK(sum < 5'200);
    CHECK(to_fraction(0) <= 0);
    CHECK(to_fraction(~std::uint64_t{0}) < 1);
}

} // namespace random_test
