#include <gossip/filter/metadata.hpp>

#include "support/catch.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace metadata_test {

namespace filter = gossip::filter;
using gossip::Event;

inline namespace parts {

Event described_event() {
    return Event{gossip::EventType::literal("test.tick")}
        .with_metadata("source", "api")
        .with_metadata("n", 2)
        .with_metadata("share", 0.5)
        .with_metadata("test", true);
}

} // namespace parts

TEST_CASE("metadata is compared in kind and value", "[metadata]") {
    const Event e = described_event();

    CHECK(filter::metadata("source", "api")(e));
    CHECK(filter::metadata("source", std::string{"api"})(e));
    CHECK(filter::metadata("source", std::string_view{"api"})(e));
    CHECK_FALSE(filter::metadata("source", "ap")(e));
    CHECK_FALSE(filter::metadata("sourc", "api")(e));
    CHECK(filter::metadata("n", 2)(e));
    CHECK_FALSE(filter::metadata("n", 3)(e));
    CHECK_FALSE(filter::metadata("n", 2.0)(e));
    CHECK_FALSE(filter::metadata("n", "2")(e));
    CHECK(filter::metadata("share", 0.5)(e));
    CHECK(filter::metadata("test", true)(e));
    CHECK_FALSE(filter::metadata("test", 1)(e));
}

TEST_CASE("an event without metadata has none of it", "[metadata]") {
    const Event e{gossip::EventType::literal("test.tick")};

    CHECK_FALSE(filter::metadata("source", "api")(e));
    CHECK_FALSE(filter::metadata("source", "")(e));
    CHECK_FALSE(filter::has_metadata("source")(e));
}

TEST_CASE("presence asks for the key alone", "[metadata]") {
    CHECK(filter::has_metadata("test")(described_event()));
    CHECK_FALSE(filter::has_metadata("tests")(described_event()));
}

TEST_CASE("predicates see the value, typed if wished", "[metadata]") {
    const Event e = described_event();
    const auto is_number = [](const gossip::MetadataValue& v) {
        return v.kind() != gossip::MetadataValue::Kind::string;
    };
    const auto large = [](int n) { return n >= 2; };

    CHECK(filter::metadata("n", is_number)(e));
    CHECK_FALSE(filter::metadata("source", is_number)(e));
    CHECK_FALSE(filter::metadata("absent", is_number)(e));
    CHECK(filter::metadata<int>("n", large)(e));
    CHECK_FALSE(filter::metadata<int>("share", large)(e));
    CHECK_FALSE(filter::metadata<int>("source", large)(e));
    CHECK(filter::metadata<std::string_view>("source", [](std::string_view s) { return s.starts_with("a"); })(e));
}

TEST_CASE("values that metadata cannot hold are refused when the filter is made", "[metadata]") {
    CHECK_THROWS_AS(filter::metadata("n", std::numeric_limits<std::uint64_t>::max()), gossip::ValidationError);
    CHECK_THROWS_AS(filter::metadata("n", static_cast<const char*>(nullptr)), gossip::ValidationError);
}

} // namespace metadata_test
