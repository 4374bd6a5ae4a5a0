#include <gossip/core/type_name.hpp>
#include <gossip/fwd.hpp>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"

namespace shop {
struct Order {};
template <class T>
struct Box {};
} // namespace shop

namespace {
struct Hidden {};
} // namespace

using gossip::detail::type_name;

TEST_CASE("a type is named as people write it", "[type_name]") {
    STATIC_REQUIRE(type_name<int>() == "int");
    CHECK(type_name<void>() == "void");
    CHECK(type_name<shop::Order>() == "shop::Order");
    CHECK(type_name<std::string>() == "std::string");
    CHECK(type_name<std::string_view>() == "std::string_view");
    CHECK(type_name<std::vector<std::string>>() == "std::vector<std::string>");
    CHECK(type_name<std::map<int, std::vector<double>>>() == "std::map<int, std::vector<double>>");
    CHECK(type_name<shop::Box<shop::Box<int>>>() == "shop::Box<shop::Box<int>>");
    CHECK(type_name<gossip::Event>() == "gossip::Event");
    CHECK(type_name<shop::Box<gossip::testing::ManualClock>>() == "shop::Box<gossip::testing::ManualClock>");
    CHECK(type_name<Hidden>() == "(anonymous)::Hidden");
}

TEST_CASE("both compilers spell the built-in types alike", "[type_name]") {
    CHECK(type_name<long>() == "long");
    CHECK(type_name<unsigned long>() == "unsigned long");
    CHECK(type_name<unsigned long long>() == "unsigned long long");
    CHECK(type_name<short>() == "short");
    CHECK(type_name<const char*>() == "const char*");
    CHECK(type_name<const int&>() == "const int&");
}
