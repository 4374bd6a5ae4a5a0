#include <gossip/provider/redis/rfc3339.hpp>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "support/catch.hpp"
#include "support/seed.hpp"

namespace rfc3339_test {

inline namespace parts {

std::string text(std::int64_t ns) {
    std::string out;
    gossip::detail::append_rfc3339(out, ns);
    return out;
}

std::optional<std::int64_t> parsed(std::string_view text) {
    std::int64_t ns = 0;
    return gossip::detail::parse_rfc3339(text, ns) ? std::optional{ns} : std::nullopt;
}

constexpr std::int64_t first = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t last = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t second = 1'000'000'000;

} // namespace parts

TEST_CASE("a moment is written in UTC with nine digits of fraction", "[rfc3339]") {
    CHECK(text(0) == "1970-01-01T00:00:00.000000000Z");
    CHECK(text(1'704'164'645'123'456'789) == "2024-01-02T03:04:05.123456789Z");
    CHECK(text(1'709'251'199 * second + 999'999'999) == "2024-02-29T23:59:59.999999999Z");
    CHECK(text(-1) == "1969-12-31T23:59:59.999999999Z");
    CHECK(text(-second) == "1969-12-31T23:59:59.000000000Z");
    CHECK(text(first) == "1677-09-21T00:12:43.145224192Z");
    CHECK(text(last) == "2262-04-11T23:47:16.854775807Z");
}

TEST_CASE("a moment is read with any offset and any number of digits", "[rfc3339]") {
    constexpr std::int64_t moment = 1'704'164'645 * second;

    CHECK(parsed("2024-01-02T03:04:05Z") == moment);
    CHECK(parsed("2024-01-02t03:04:05z") == moment);
    CHECK(parsed("2024-01-02 03:04:05Z") == moment);
    CHECK(parsed("2024-01-02T05:04:05+02:00") == moment);
    CHECK(parsed("2024-01-01T21:34:05-05:30") == moment);
    CHECK(parsed("2024-01-02T03:04:05-00:00") == moment);
    CHECK(parsed("2024-01-02T03:04:05.5Z") == moment + 500'000'000);
    CHECK(parsed("2024-01-02T03:04:05.000000001Z") == moment + 1);
    CHECK(parsed("2024-01-02T03:04:05.1234567899999Z") == moment + 123'456'789);
    CHECK(parsed("2024-01-02T03:04:05." + std::string(1'000, '9') + "+00:00") == moment + 999'999'999);
    CHECK(parsed("2016-12-31T23:59:60Z") == parsed("2017-01-01T00:00:00Z"));
    CHECK(parsed("1969-12-31T23:59:59.999999999Z") == -1);
}

TEST_CASE("a moment that 64 bits cannot hold becomes the nearest that they can", "[rfc3339]") {
    CHECK(parsed("0001-01-01T00:00:00Z") == first); // Go's zero time
    CHECK(parsed("0000-01-01T00:00:00+23:59") == first);
    CHECK(parsed("1677-09-21T00:12:43.145224191Z") == first);
    CHECK(parsed("1677-09-21T00:12:43.145224192Z") == first);
    CHECK(parsed("1677-09-21T00:12:43.145224193Z") == first + 1);
    CHECK(parsed("2262-04-11T23:47:16.854775806Z") == last - 1);
    CHECK(parsed("2262-04-11T23:47:16.854775807Z") == last);
    CHECK(parsed("2262-04-11T23:47:16.854775808Z") == last);
    CHECK(parsed("9999-12-31T23:59:60.999999999-23:59") == last);
}

TEST_CASE("what is no moment is refused", "[rfc3339]") {
    for (const char* const text : {"",
                                   "2024",
                                   "2024-01-02",
                                   "2024-01-02T03:04:05",
                                   "2024-01-02T03:04Z",
                                   "2024-13-02T03:04:05Z",
                                   "2024-00-02T03:04:05Z",
                                   "2024-02-30T03:04:05Z",
                                   "2023-02-29T03:04:05Z",
                                   "2024-01-32T03:04:05Z",
                                   "2024-01-02T24:04:05Z",
                                   "2024-01-02T03:60:05Z",
                                   "2024-01-02T03:04:61Z",
                                   "2024-01-02T03:04:05.Z",
                                   "2024-01-02T03:04:05,5Z",
                                   "2024-01-02T03:04:05ZZ",
                                   "2024-01-02T03:04:05+2:00",
                                   "2024-01-02T03:04:05+0200",
                                   "2024-01-02T03:04:05+24:00",
                                   "2024-01-02T03:04:05+02:60",
                                   " 2024-01-02T03:04:05Z",
                                   "+024-01-02T03:04:05Z",
                                   "12024-01-02T03:04:05Z",
                                   "2024-1-02T03:04:05Z",
                                   "1704164645"}) {
        CAPTURE(text);
        CHECK_FALSE(parsed(text));
    }
}

TEST_CASE("every moment reads back as it was written", "[rfc3339]") {
    GOSSIP_INFO_SEED();
    gossip_test::Random random(1);
    for (int i = 0; i < 20'000; ++i) {
        const auto high = random() << 32U;
        const auto ns = static_cast<std::int64_t>((high ^ random()) >> random.below(64));
        REQUIRE(parsed(text(ns)) == ns);
        REQUIRE(parsed(text(~ns)) == ~ns);
    }
}

} // namespace rfc3339_test
