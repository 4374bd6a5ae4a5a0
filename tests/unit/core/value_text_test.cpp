#include <gossip/core/value_text.hpp>

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "support/catch.hpp"

namespace value_text_test {

using namespace std::chrono_literals;

inline namespace parts {

template <class T>
std::string text(T value) {
    return std::string{std::string_view{gossip::detail::ValueText{value}}};
}

} // namespace parts

TEST_CASE("a duration reads in the largest unit that has a whole part", "[value_text]") {
    CHECK(text(0ms) == "0s");
    CHECK(text(1ns) == "1ns");
    CHECK(text(1'500ns) == "1.5us");
    CHECK(text(250ms) == "250ms");
    CHECK(text(1'005ms) == "1.005s");
    CHECK(text(1'234'567'891ns) == "1.234567891s");
    CHECK(text(90s) == "90s");
    CHECK(text(5min) == "5min");
    CHECK(text(90min) == "90min");
    CHECK(text(2h) == "2h");
    CHECK(text(-5ms) == "-5ms");
    CHECK(text(std::chrono::duration<double>{0.25}) == "250ms");
}

TEST_CASE("a duration that is too long for nanoseconds reads as the longest there is", "[value_text]") {
    CHECK(text(std::chrono::nanoseconds::max()) == "9223372036.854775807s");
    CHECK(text(std::chrono::nanoseconds::min()) == "-9223372036.854775808s");
    CHECK(text(std::chrono::hours::max()) == "9223372036.854775807s");
    CHECK(text(std::chrono::hours::min()) == "-9223372036.854775808s");
    CHECK(text(std::chrono::duration<double>{std::numeric_limits<double>::infinity()}) == "9223372036.854775807s");
    CHECK(text(std::chrono::duration<double>{std::numeric_limits<double>::quiet_NaN()}) == "0s");
}

TEST_CASE("numbers and truth values read as they are written", "[value_text]") {
    CHECK(text(0) == "0");
    CHECK(text(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
    CHECK(text(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
    CHECK(text(std::uint8_t{7}) == "7");
    CHECK(text(0.1) == "0.1");
    CHECK(text(false) == "false");
}

} // namespace value_text_test
