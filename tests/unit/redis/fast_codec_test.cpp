#include <gossip/provider/codec.hpp>
#include <gossip/provider/redis/fast_codec.hpp>
#include <gossip/provider/redis/json_scanner.hpp>

#include <nlohmann/json.hpp>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/seed.hpp"

namespace fast_codec_test {

using Catch::Matchers::ContainsSubstring;
using gossip::FastCodec;

inline namespace parts {

struct Item {
    std::string sku;
    std::int32_t count = 1;

    friend bool operator==(const Item&, const Item&) = default;
};

struct Base {
    std::uint64_t serial = 0;
};

struct Order : Base {
    std::string order_id;
    double amount = 0;
    bool paid = false;
    std::int8_t tiny = 0;
    std::int64_t low = 0;
    float ratio = 0;
    std::optional<Item> gift;
    std::vector<Item> items;
    std::vector<bool> flags;
    std::map<std::string, std::vector<std::optional<double>>> prices;
};

/// A type may contain itself.
struct Node {
    std::vector<Node> children;
};

struct Strict {
    int a = 1;
    int b = 2;
};

struct Empty {};

struct Undeclared {};

template <class T>
std::string encoded(const T& data) {
    std::string out = "before:";
    FastCodec::encode(data, out);
    REQUIRE(out.starts_with("before:"));
    return out.substr(7);
}

template <class T>
std::string decode_error(std::string_view text) {
    try {
        static_cast<void>(FastCodec::decode<T>(text));
    } catch (const gossip::ValidationError& error) {
        CHECK(error.field() == "Data");
        return error.what();
    }
    return "none";
}

template <class T>
std::string encode_error(const T& data) {
    std::string out = "kept";
    try {
        FastCodec::encode(data, out);
    } catch (const gossip::ValidationError& error) {
        CHECK(out == "kept");
        return error.what();
    }
    return "none";
}

Node nested(std::size_t levels) {
    Node node;
    for (std::size_t i = 1; i < levels; ++i) {
        Node outer;
        outer.children.push_back(std::move(node));
        node = std::move(outer);
    }
    return node;
}

} // namespace parts
} // namespace fast_codec_test

template <>
inline constexpr auto gossip::members<fast_codec_test::Item> = gossip::member_list("sku", &fast_codec_test::Item::sku,
                                                                                   "count",
                                                                                   &fast_codec_test::Item::count);
template <>
inline constexpr auto gossip::members<fast_codec_test::Order> = gossip::member_list(
    "serial", &fast_codec_test::Order::serial, "order_id", &fast_codec_test::Order::order_id, "amount",
    &fast_codec_test::Order::amount, "paid", &fast_codec_test::Order::paid, "tiny", &fast_codec_test::Order::tiny,
    "low", &fast_codec_test::Order::low, "ratio", &fast_codec_test::Order::ratio, "gift", &fast_codec_test::Order::gift,
    "items", &fast_codec_test::Order::items, "flags", &fast_codec_test::Order::flags, "prices",
    &fast_codec_test::Order::prices);
template <>
inline constexpr auto gossip::members<fast_codec_test::Node> = gossip::member_list("children",
                                                                                   &fast_codec_test::Node::children);
template <>
inline constexpr auto
    gossip::members<fast_codec_test::Strict> = gossip::member_list(gossip::required("a"), &fast_codec_test::Strict::a,
                                                                   gossip::required("b"), &fast_codec_test::Strict::b);
template <>
inline constexpr auto gossip::members<fast_codec_test::Empty> = gossip::member_list();

namespace fast_codec_test {

static_assert(gossip::codec_for<FastCodec, Order>);
static_assert(gossip::detail::is_fast<Node>() && gossip::detail::is_fast<std::map<std::string, std::vector<Item>>>());
static_assert(!gossip::detail::is_fast<Undeclared>() && !gossip::detail::is_fast<std::vector<Undeclared>>());
static_assert(!gossip::detail::is_fast<char>() && !gossip::detail::is_fast<const char*>());
static_assert(!gossip::detail::is_fast<std::map<int, int>>());

TEST_CASE("data is written in the order of the declaration", "[fast_codec]") {
    Order order;
    order.serial = std::numeric_limits<std::uint64_t>::max();
    order.order_id = "o-\"1\"\n\x01 \xe2\x82\xac";
    order.amount = 12.5;
    order.paid = true;
    order.tiny = -128;
    order.low = std::numeric_limits<std::int64_t>::min();
    order.ratio = 0.25F;
    order.items = {{"a", 1}, {"b", -2}};
    order.flags = {true, false};
    order.prices = {{"eur", {1.0, std::nullopt}}, {"k\"", {}}};

    CHECK(encoded(order) ==
          R"({"serial":18446744073709551615,"order_id":"o-\"1\"\n\u0001 )"
          "\xe2\x82\xac"
          R"(","amount":12.5,"paid":true,"tiny":-128,"low":-9223372036854775808,"ratio":0.25,"gift":null,)"
          R"("items":[{"sku":"a","count":1},{"sku":"b","count":-2}],"flags":[true,false],)"
          R"("prices":{"eur":[1.0,null],"k\"":[]}})");
    CHECK(encoded(Empty{}) == "{}");
    CHECK(encoded(std::vector<int>{1, 2}) == "[1,2]");
    CHECK(encoded(-7) == "-7");

    const auto back = FastCodec::decode<Order>(encoded(order));
    CHECK(back.serial == order.serial);
    CHECK(back.order_id == order.order_id);
    CHECK(back.amount == order.amount);
    CHECK(back.paid);
    CHECK(back.tiny == -128);
    CHECK(back.low == order.low);
    CHECK(back.ratio == 0.25F);
    CHECK_FALSE(back.gift);
    CHECK(back.items == order.items);
    CHECK(back.flags == order.flags);
    CHECK(back.prices == order.prices);
}

TEST_CASE("what is written is JSON as nlohmann-json reads it", "[fast_codec]") {
    Order order;
    order.order_id = "\b\f\r\t/\\\x7f\x1f";
    order.gift = Item{"g", 3};
    const auto json = nlohmann::json::parse(encoded(order));

    CHECK(json["order_id"] == order.order_id);
    CHECK(json["gift"]["count"] == 3);
    CHECK(json.size() == 11);
}

TEST_CASE("members may come in any order, unknown ones are skipped, missing ones keep their default", "[fast_codec]") {
    const auto order = FastCodec::decode<Order>(
        R"( { "later" : { "x" : [ 1, { "items" : 2 } ], "y" : {} } , "items":[ {"count": 2, "new": [[]]}, {} ],
            "paid":true, "order_id":"\u00fc\ud83d\ude00", "other":null, "amount": 3, "also":[] } )");

    CHECK(order.order_id == "\xc3\xbc\xf0\x9f\x98\x80");
    CHECK(order.amount == 3);
    CHECK(order.paid);
    CHECK(order.items == std::vector<Item>{{"", 2}, {"", 1}});
    CHECK(order.serial == 0);
    CHECK(FastCodec::decode<Order>("{}").order_id.empty());
}

TEST_CASE("of a member that comes twice the last one counts, whole", "[fast_codec]") {
    const auto order = FastCodec::decode<Order>(
        R"({"gift":{"sku":"a","count":7},"items":[{},{}],"prices":{"a":[1],"a":[2]},"gift":{"sku":"b"},"items":[{}]})");

    CHECK(order.gift == Item{"b", 1});
    CHECK(order.items.size() == 1);
    CHECK(order.prices == std::map<std::string, std::vector<std::optional<double>>>{{"a", {2.0}}});
}

TEST_CASE("null is an optional, vector or map with nothing in it, as Go writes them", "[fast_codec]") {
    const auto order = FastCodec::decode<Order>(R"({"gift":null,"items":null,"prices":null,"flags":null})");
    CHECK_FALSE(order.gift);
    CHECK(order.items.empty());

    CHECK_THAT(decode_error<Order>(R"({"order_id":null})"), ContainsSubstring("order_id is not a string"));
    CHECK_THAT(decode_error<Order>(R"({"amount":null})"), ContainsSubstring("amount is not a number"));
    CHECK_THAT(decode_error<Order>("null"), ContainsSubstring("Order: is not an object"));
}

TEST_CASE("required members must be there", "[fast_codec]") {
    CHECK(FastCodec::decode<Strict>(R"({"b":4,"a":3})").b == 4);
    CHECK_THAT(decode_error<Strict>(R"({"a":3})"), ContainsSubstring("Strict: b is missing at byte"));
    CHECK_THAT(decode_error<std::vector<Strict>>(R"([{"a":1,"b":2},{"b":3}])"), ContainsSubstring("[1].a is missing"));
}

TEST_CASE("a value of the wrong kind is told by its place", "[fast_codec]") {
    CHECK_THAT(decode_error<Order>(R"({"items":[{},{"count":"x"}]})"),
               ContainsSubstring("Order: items[1].count is not a whole number at byte"));
    CHECK_THAT(decode_error<Order>(R"({"prices":{"eur":[1,"x"]}})"),
               ContainsSubstring("prices.eur[1] is not a number"));
    CHECK_THAT(decode_error<Order>(R"({"gift":[]})"), ContainsSubstring("gift is not an object"));
    CHECK_THAT(decode_error<Order>(R"({"items":{}})"), ContainsSubstring("items is not an array"));
    CHECK_THAT(decode_error<Order>(R"({"paid":1})"), ContainsSubstring("paid is not true or false"));
    CHECK_THAT(decode_error<Order>(R"({"flags":[true,0]})"), ContainsSubstring("flags[1] is not true or false"));
    CHECK_THAT(decode_error<Order>(R"({"order_id":[]})"), ContainsSubstring("order_id is not a string"));
    CHECK_THAT(decode_error<Order>("[]"), ContainsSubstring("Order: is not an object"));
}

TEST_CASE("a number that does not fit is refused, never cut", "[fast_codec]") {
    CHECK(FastCodec::decode<Order>(R"({"tiny":127,"serial":18446744073709551615})").tiny == 127);
    for (const char* const field :
         {R"("tiny":128)", R"("tiny":-129)", R"("serial":-1)", R"("serial":18446744073709551616)",
          R"("low":9223372036854775808)", R"("low":1.5)", R"("low":5.0)", R"("low":1e3)", R"("ratio":1e39)"}) {
        CAPTURE(field);
        CHECK_THAT(decode_error<Order>("{" + std::string{field} + "}"), ContainsSubstring("does not fit into "));
    }
    CHECK_THAT(decode_error<Order>(R"({"amount":1e999})"), ContainsSubstring("Order: Number too big"));
    CHECK_THAT(decode_error<Order>(R"({"unknown":1e999})"), ContainsSubstring("Order: Number too big"));
    CHECK_THAT(decode_error<Order>(R"({"amount":NaN})"), ContainsSubstring("Order: Invalid value"));
    CHECK_THAT(decode_error<Order>(R"({"amount":Infinity})"), ContainsSubstring("Order: Invalid value"));
    CHECK(FastCodec::decode<double>("18446744073709551616") == 18446744073709551616.0);
    CHECK(FastCodec::decode<double>("1" + std::string(300, '0')) == 1e300);
    CHECK_THAT(decode_error<double>("0." + std::string(2'000, '0') + "1"), ContainsSubstring("fit into double"));
    CHECK_THAT(decode_error<double>("9e308"), ContainsSubstring("double: does not fit into double"));
    CHECK(decode_error<Order>(R"({"unknown":9e308,"also":[1e-999]})") == "none");
    CHECK(FastCodec::decode<double>("5e-324") == 5e-324);
    CHECK(std::signbit(FastCodec::decode<double>("-0.0")));
    CHECK(FastCodec::decode<int>("-0") == 0);
}

TEST_CASE("what JSON cannot say is refused with the place where it stands", "[fast_codec]") {
    Order order;
    order.items = {{"a", 1}, {"\xf0", 2}};
    CHECK_THAT(encode_error(order), ContainsSubstring("Order: items[1].sku is not UTF-8"));
    order.items.clear();
    order.prices = {{"usd", {std::nullopt, std::numeric_limits<double>::quiet_NaN()}}};
    CHECK_THAT(encode_error(order), ContainsSubstring("Order: prices.usd[1] is not finite"));
    order.prices = {{"\xff", {}}};
    CHECK_THAT(encode_error(order), ContainsSubstring("is not UTF-8"));
    order.prices.clear();
    order.ratio = -std::numeric_limits<float>::infinity();
    CHECK_THAT(encode_error(order), ContainsSubstring("ratio is not finite"));
}

TEST_CASE("text that is not JSON in UTF-8 is refused", "[fast_codec]") {
    for (const std::string& text : {std::string{},
                                    std::string{" "},
                                    std::string{"{"},
                                    std::string{R"({"order_id":"a)"},
                                    std::string{"{} {}"},
                                    std::string{"{}\0", 3},
                                    std::string{"{}\0{}", 5},
                                    std::string{"{\"order_id\":\"a\0b\"}", 18},
                                    std::string{"{\"order_id\":\"\xff\"}"},
                                    std::string{"{\"order_id\":\"\xc3\"}"},
                                    std::string{"{\"order_id\":\"\xed\xa0\x80\"}"},
                                    std::string{"{\"x\":\"\xc0\x80\"}"},
                                    std::string{R"({"order_id":"\ud83d"})"},
                                    std::string{R"({"order_id":"\x"})"},
                                    std::string{"{\"order_id\":\"a\nb\"}"},
                                    std::string{R"({"amount":01})"},
                                    std::string{R"({"amount":1,})"},
                                    std::string{R"({'amount':1})"},
                                    std::string{R"({"amount":1}/**/)"},
                                    std::string{R"({"amount":+1})"}}) {
        CAPTURE(text);
        CHECK_THAT(decode_error<Order>(text), ContainsSubstring("Order: "));
    }
}

TEST_CASE("nesting is limited in what is known, in what is skipped and in what is written", "[fast_codec]") {
    const std::string deepest = encoded(nested(32)); // an object and an array for each
    CHECK(FastCodec::decode<Node>(deepest).children.size() == 1);
    CHECK_THAT(encode_error(nested(33)), ContainsSubstring("is nested too deeply"));
    CHECK_THAT(decode_error<Node>(R"({"children":[)" + deepest + "]}"), ContainsSubstring("is nested too deeply"));

    const auto skipped = [](std::size_t levels) {
        return R"({"x":)" + std::string(levels, '[') + std::string(levels, ']') + "}";
    };
    CHECK(decode_error<Order>(skipped(63)) == "none");
    CHECK_THAT(decode_error<Order>(skipped(64)), ContainsSubstring("is nested too deeply"));
    CHECK_THAT(decode_error<Order>(R"({"x":)" + std::string(1'000'000, '[')),
               ContainsSubstring("is nested too deeply"));
}

TEST_CASE("doubles come back bit for bit, and are read as strtod reads them", "[fast_codec]") {
    GOSSIP_INFO_SEED();
    gossip_test::Random random(5);
    for (int i = 0; i < 20'000; ++i) {
        const double number = std::bit_cast<double>((random() << 32U) ^ random());
        if (number - number != 0) {
            continue;
        }
        const std::string text = encoded(number);
        REQUIRE(std::bit_cast<std::uint64_t>(FastCodec::decode<double>(text)) == std::bit_cast<std::uint64_t>(number));
        std::string digits = std::to_string(random()) + "." + std::to_string(random()) + std::to_string(random()) +
                             "e" + std::to_string(static_cast<int>(random.below(620)) - 330);
        const double wanted = std::strtod(digits.c_str(), nullptr);
        if (std::isnormal(wanted)) {
            REQUIRE(FastCodec::decode<double>(digits) == wanted);
        }
    }
}

TEST_CASE("text cut off or changed anywhere is an error or data, never anything else", "[fast_codec]") {
    Order order;
    order.order_id = "o-1 \xe2\x82\xac";
    order.items = {{"a", 1}};
    order.prices = {{"eur", {1.5, std::nullopt}}};
    const std::string good = encoded(order);
    for (std::size_t size = 0; size < good.size(); ++size) {
        REQUIRE(decode_error<Order>(std::string{good, 0, size}) != "none");
    }
    std::size_t refused = 0;
    for (std::size_t at = 0; at < good.size(); ++at) {
        for (int byte = 0; byte < 256; ++byte) {
            std::string text = good;
            text[at] = static_cast<char>(byte);
            refused += decode_error<Order>(text) != "none" ? 1 : 0;
        }
    }
    CHECK(refused > 128 * good.size());
}

TEST_CASE("encoding into a buffer with room allocates nothing, decoding only what the data owns", "[fast_codec]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    Order order;
    order.order_id = "an order id too long to stand in place";
    std::string out;
    out.reserve(1'024);
    std::size_t encoding = 0;
    std::size_t decoding = 0;
    {
        const support::AllocationCounter counter;
        FastCodec::encode(order, out);
        encoding = counter.count();
    }
    {
        const support::AllocationCounter counter;
        order = FastCodec::decode<Order>(out);
        decoding = counter.count();
    }
    CHECK(encoding == 0);
    CHECK(decoding == 1);
}

} // namespace fast_codec_test
