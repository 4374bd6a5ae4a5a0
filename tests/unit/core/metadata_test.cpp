#include <gossip/core/metadata.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

namespace metadata_test {

using gossip::Metadata;
using gossip::MetadataValue;
using Kind = gossip::MetadataValue::Kind;

static_assert(!std::is_constructible_v<MetadataValue, const void*>, "a pointer is no bool");
static_assert(!std::is_constructible_v<MetadataValue, char>, "a character is no number");
static_assert(!std::is_constructible_v<MetadataValue, std::nullptr_t>);

TEST_CASE("what was set is read back in its own kind", "[metadata]") {
    const Metadata metadata{{"id", "req-9"}, {"n", 2}, {"ratio", 0.5}, {"on", true}, {"text", std::string{"x"}}};

    CHECK(metadata.get<std::string>("id") == "req-9");
    CHECK(metadata.get<std::string_view>("id") == "req-9");
    CHECK(metadata.get<int>("n") == 2);
    CHECK(metadata.get<std::int64_t>("n") == 2);
    CHECK(metadata.get<double>("ratio") == 0.5);
    CHECK(metadata.get<bool>("on") == true);
    CHECK(metadata.get<std::string>("text") == "x");
    CHECK(metadata.size() == 5);
}

TEST_CASE("a char pointer becomes a string, never a bool", "[metadata]") {
    const char* const text = "yes";
    const Metadata metadata{{"a", text}, {"b", "no"}};

    CHECK(metadata.find("a")->kind() == Kind::string);
    CHECK(metadata.find("b")->kind() == Kind::string);
    CHECK_FALSE(metadata.get<bool>("a").has_value());
}

TEST_CASE("nothing is read from an absent key or another kind", "[metadata]") {
    const Metadata metadata{{"id", "7"}, {"on", true}, {"n", 1}};

    CHECK_FALSE(metadata.get<std::string>("absent").has_value());
    CHECK_FALSE(metadata.get<int>("id").has_value());
    CHECK_FALSE(metadata.get<int>("on").has_value());
    CHECK_FALSE(metadata.get<bool>("n").has_value());
    CHECK_FALSE(metadata.get<std::string>("n").has_value());
    CHECK(metadata.find("absent") == nullptr);
    CHECK_FALSE(metadata.contains("absent"));
}

TEST_CASE("a number is read only as a type that can hold it", "[metadata]") {
    constexpr auto most = std::numeric_limits<std::int64_t>::max();
    constexpr auto least = std::numeric_limits<std::int64_t>::min();

    CHECK_FALSE(MetadataValue{300}.get<std::uint8_t>().has_value());
    CHECK(MetadataValue{255}.get<std::uint8_t>() == std::uint8_t{255});
    CHECK_FALSE(MetadataValue{-1}.get<std::uint64_t>().has_value());
    CHECK(MetadataValue{most}.get<std::uint64_t>() == static_cast<std::uint64_t>(most));
    CHECK(MetadataValue{7}.get<double>() == 7.0);
    CHECK_FALSE(MetadataValue{most}.get<double>().has_value());
    CHECK(MetadataValue{least}.get<double>() == -9223372036854775808.0);
    CHECK_FALSE(MetadataValue{16'777'217}.get<float>().has_value());
    CHECK(MetadataValue{2.0}.get<int>() == 2);
    CHECK_FALSE(MetadataValue{2.5}.get<int>().has_value());
    CHECK_FALSE(MetadataValue{1e300}.get<std::int64_t>().has_value());
    CHECK_FALSE(MetadataValue{9223372036854775808.0}.get<std::int64_t>().has_value());
    CHECK_FALSE(MetadataValue{std::numeric_limits<double>::quiet_NaN()}.get<int>().has_value());
    CHECK_FALSE(MetadataValue{std::numeric_limits<double>::infinity()}.get<int>().has_value());
    CHECK_FALSE(MetadataValue{1e300}.get<float>().has_value());
    CHECK(MetadataValue{std::numeric_limits<double>::infinity()}.get<float>() ==
          std::numeric_limits<float>::infinity());
    CHECK(MetadataValue{0.5F}.get<float>() == 0.5F);
}

TEST_CASE("an integer that does not fit and a null string are refused", "[metadata]") {
    CHECK_THROWS_AS(MetadataValue{std::numeric_limits<std::uint64_t>::max()}, gossip::ValidationError);
    CHECK_THROWS_AS(MetadataValue{static_cast<const char*>(nullptr)}, gossip::ValidationError);
}

TEST_CASE("entries keep the order of their first setting", "[metadata]") {
    Metadata metadata{{"b", 1}, {"a", 2}, {"c", 3}};
    metadata.set("a", "two");
    metadata.set("d", false);

    std::string order;
    for (const auto& [key, value] : metadata) {
        order += key;
    }
    CHECK(order == "bacd");
    CHECK(metadata.get<std::string>("a") == "two");
}

TEST_CASE("of two entries with one key the last value wins in the first place", "[metadata]") {
    const Metadata metadata{{"a", 1}, {"b", 2}, {"a", 3}};

    CHECK(metadata.size() == 2);
    CHECK(metadata.begin()->key == "a");
    CHECK(metadata.get<int>("a") == 3);
}

TEST_CASE("erase says whether there was such a key", "[metadata]") {
    Metadata metadata{{"a", 1}, {"b", 2}};

    CHECK(metadata.erase("a"));
    CHECK_FALSE(metadata.erase("a"));
    CHECK(metadata == Metadata{{"b", 2}});
    metadata.clear();
    CHECK(metadata.empty());
}

TEST_CASE("metadata is equal when keys, kinds, values and order are", "[metadata]") {
    CHECK(Metadata{{"a", 1}, {"b", 2}} == Metadata{{"a", 1}, {"b", 2}});
    CHECK(Metadata{{"a", 1}, {"b", 2}} != Metadata{{"b", 2}, {"a", 1}});
    CHECK(Metadata{{"a", 2}} != Metadata{{"a", 2.0}});
    CHECK(Metadata{} == Metadata{});
}

TEST_CASE("a key and a value may come from the list itself", "[metadata]") {
    Metadata metadata{{"a key that is longer than a small string", "a value that is longer than a small string"}};
    for (int i = 0; i < 20; ++i) {
        metadata.set(std::to_string(i), metadata.begin()->value);
        metadata.set(metadata.begin()->key, metadata.begin()->value);
    }

    CHECK(metadata.size() == 21);
    CHECK(metadata.get<std::string_view>("19") == "a value that is longer than a small string");
}

TEST_CASE("empty metadata allocates nothing", "[metadata]") {
    const support::AllocationCounter allocations;
    const Metadata metadata;
    const Metadata copy = metadata; // NOLINT: the copy is what is measured

    CHECK(allocations.count() == 0);
    CHECK(copy.empty());
}

} // namespace metadata_test
