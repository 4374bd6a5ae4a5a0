#include <gossip/provider/codec.hpp>
#include <gossip/provider/redis/json_codec.hpp>
#include <gossip/provider/redis/raw_codec.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"

namespace json_codec_test {

using Catch::Matchers::ContainsSubstring;
using gossip::JsonCodec;
using gossip::RawCodec;

inline namespace parts {

struct Order {
    std::string order_id;
    double amount = 0;
    std::vector<std::int64_t> items;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Order, order_id, amount, items)

struct Refusing {};
void to_json(nlohmann::json&, const Refusing&) { throw std::runtime_error{"not today"}; }
void from_json(const nlohmann::json&, Refusing&) { throw std::runtime_error{"not today"}; }

/// Has a codec of its own.
struct Celsius {
    int degrees = 0;
};

struct NoMapping {};

template <class T>
std::string encoded(const T& data) {
    std::string out = "before:";
    JsonCodec::encode(data, out);
    REQUIRE(out.starts_with("before:"));
    return out.substr(7);
}

template <class F>
std::string error_of(F f) {
    try {
        f();
    } catch (const gossip::ValidationError& error) {
        CHECK(error.field() == "Data");
        return error.what();
    }
    return "none";
}

template <class T>
std::string decode_error(std::string_view text) {
    return error_of([&] { static_cast<void>(JsonCodec::decode<T>(text)); });
}

} // namespace parts
} // namespace json_codec_test

template <>
struct gossip::Codec<json_codec_test::Celsius> {
    static void encode(const json_codec_test::Celsius& data, std::string& out) { out += std::to_string(data.degrees); }
    static json_codec_test::Celsius decode(std::string_view text) { return {std::stoi(std::string{text})}; }
};

namespace json_codec_test {

static_assert(gossip::codec_for<JsonCodec, Order>);
static_assert(gossip::codec_for<RawCodec, std::string>);
static_assert(!gossip::codec_for<RawCodec, int>);
static_assert(gossip::codec_for<gossip::Codec<Celsius>, Celsius>);
static_assert(!gossip::codec_for<gossip::Codec<Order>, Order>);
static_assert(gossip::detail::has_json_mapping<Order> && gossip::detail::has_json_mapping<nlohmann::json>);
static_assert(gossip::detail::has_json_mapping<std::map<std::string, std::vector<Order>>>);
static_assert(!gossip::detail::has_json_mapping<NoMapping>);

TEST_CASE("data is written and read by the mapping of its type", "[json_codec]") {
    const Order order{"o-1", 12.5, {1, 2}};

    CHECK(encoded(order) == R"({"amount":12.5,"items":[1,2],"order_id":"o-1"})");

    const auto back = JsonCodec::decode<Order>(encoded(order));
    CHECK(back.order_id == "o-1");
    CHECK(back.amount == 12.5);
    CHECK(back.items == std::vector<std::int64_t>{1, 2});
    CHECK(JsonCodec::decode<int>(encoded(-7)) == -7);
    CHECK(JsonCodec::decode<std::string>(encoded(std::string{"\"\n"})) == "\"\n");
}

TEST_CASE("what JSON cannot write is refused instead of becoming null", "[json_codec]") {
    for (const double number : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
        CHECK_THAT(error_of([&] {
                       encoded(Order{"o-1", number, {}});
                   }),
                   ContainsSubstring("Order has a number that is not finite"));
    }
    CHECK_THAT(error_of([&] { encoded(Order{"\xff", 1, {}}); }), ContainsSubstring("Order: invalid UTF-8 byte"));

    nlohmann::json deep = 1;
    for (int i = 0; i < 64; ++i) {
        deep = nlohmann::json::array({deep});
    }
    CHECK(error_of([&] { encoded(deep); }) == "none");
    deep = nlohmann::json::array({deep});
    CHECK_THAT(error_of([&] { encoded(deep); }), ContainsSubstring("is nested too deeply"));
    for (int i = 0; i < 200'000; ++i) {
        nlohmann::json around = nlohmann::json::array();
        around.push_back(std::move(deep));
        deep = std::move(around);
    }
    CHECK_THAT(error_of([&] { encoded(deep); }), ContainsSubstring("is nested too deeply"));
}

TEST_CASE("data that is not what its type wants is an error with a reason", "[json_codec]") {
    CHECK_THAT(decode_error<Order>("{\"order_id\":"), ContainsSubstring("Order: the text ends too early at byte 12"));
    CHECK_THAT(decode_error<Order>("{} {}"), ContainsSubstring("more text behind the value at byte 3"));
    CHECK_THAT(decode_error<Order>("\"\xff\""), ContainsSubstring("invalid UTF-8 at byte 1"));
    CHECK_THAT(decode_error<Order>("{}"), ContainsSubstring("Order: key 'order_id' not found"));
    CHECK_THAT(decode_error<Order>("null"), ContainsSubstring("Order: "));
    CHECK_THAT(decode_error<Order>(R"({"order_id":7,"amount":1,"items":[]})"), ContainsSubstring("must be string"));
    CHECK_THAT(decode_error<Order>(R"({"order_id":"","amount":1e999,"items":[]})"), ContainsSubstring("Order: "));
    CHECK_THAT(decode_error<Order>(std::string(65, '[') + std::string(65, ']')),
               ContainsSubstring("nested too deeply"));
    CHECK_THAT(decode_error<Order>(std::string(1'000'000, '[')), ContainsSubstring("nested too deeply at byte 64"));
}

TEST_CASE("what a mapping throws itself is passed on", "[json_codec]") {
    CHECK_THROWS_WITH(encoded(Refusing{}), "not today");
    CHECK_THROWS_WITH(JsonCodec::decode<Refusing>("1"), "not today");
}

TEST_CASE("a type's own codec wins over any default", "[json_codec]") {
    std::string out;
    gossip::detail::encode_data<JsonCodec>(Celsius{21}, out);

    CHECK(out == "21");
    CHECK((gossip::detail::decode_data<JsonCodec, Celsius>("22").degrees == 22));
    CHECK((gossip::detail::decode_data<JsonCodec, int>("22") == 22));
    CHECK((gossip::detail::decode_data<RawCodec, std::string>("[1]") == "[1]"));
}

TEST_CASE("text that is JSON already goes through as it is", "[json_codec]") {
    std::string out = "x";
    RawCodec::encode(R"( {"a": 1} )", out);
    CHECK(out == R"(x {"a": 1} )");
    CHECK(RawCodec::decode<std::string>("[1]") == "[1]");

    CHECK_THAT(error_of([&] { RawCodec::encode("[1", out); }), ContainsSubstring("the text ends too early at byte 2"));
    CHECK_THAT(error_of([&] { RawCodec::encode("", out); }), ContainsSubstring("the text ends too early"));
    CHECK(out == R"(x {"a": 1} )");
    gossip::TrustedRawCodec::encode("[1", out);
    CHECK(out == R"(x {"a": 1} [1)");
}

} // namespace json_codec_test
