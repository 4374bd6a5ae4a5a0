#include <gossip/provider/redis/json_scanner.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>

#include "support/catch.hpp"
#include "support/seed.hpp"

namespace json_scanner_test {

using gossip::detail::JsonScanner;

inline namespace parts {

bool accepted(std::string_view text, std::size_t depth = 64) {
    JsonScanner in{text, depth};
    std::string_view value;
    return in.value(value) && in.at_end();
}

std::string fault_of(std::string_view text, std::size_t depth = 64) {
    JsonScanner in{text, depth};
    std::string_view value;
    if (in.value(value) && in.at_end()) {
        return "none";
    }
    return std::string{in.fault()} + " at " + std::to_string(in.position());
}

/// Text that is nearly JSON.
std::string random_text(gossip_test::Random& random) {
    constexpr std::string_view pieces[] = {
        "{",    "}",     "[", "]",  ",",       ":",      "\"a\"", "\"\\u00e9\"", "1", "-0.5e-3", "true",
        "null", "false", " ", "\n", "{\"k\":", "\"x\":", "01",    "\"\\q\"",     "-", "\t[]",    "{}"};
    std::string text;
    for (auto count = random.below(14); count != 0; --count) {
        text.append(pieces[random.below(std::size(pieces))]);
    }
    return text;
}

} // namespace parts

TEST_CASE("every kind of value is passed over", "[json_scanner]") {
    for (const char* const text : {"null",
                                   "true",
                                   "false",
                                   "0",
                                   "-0",
                                   "12",
                                   "-1.5",
                                   "1e9",
                                   "1E+9",
                                   "0.1e-2",
                                   "\"\"",
                                   "\"a\\\"b\"",
                                   "[]",
                                   "{}",
                                   " [ ] ",
                                   "[1,2,3]",
                                   "{\"a\":1}",
                                   "{ \"a\" : [ { } , [ ] , \"x\" ] , \"b\" : null }",
                                   "\"\\u12aB\"",
                                   "[[[[]]],{\"a\":{\"b\":[]}}]",
                                   "123456789012345678901234567890123456789012345678901234567890",
                                   "1e999999"}) {
        CAPTURE(text);
        CHECK(fault_of(text) == "none");
        CHECK(nlohmann::json::accept(text) == (std::string_view{text} != "1e999999"));
    }
}

TEST_CASE("what is no value is told by what and where", "[json_scanner]") {
    CHECK(fault_of("") == "the text ends too early at 0");
    CHECK(fault_of("  ") == "the text ends too early at 2");
    CHECK(fault_of("nul") == "expected a value at 0");
    CHECK(fault_of("[1,]") == "expected a value at 3");
    CHECK(fault_of("[1 2]") == "expected ',' or ']' at 3");
    CHECK(fault_of("{\"a\":1 \"b\"}") == "expected ',' or '}' at 7");
    CHECK(fault_of("{\"a\" 1}") == "expected a ':' at 5");
    CHECK(fault_of("{1:2}") == "expected a string at 1");
    CHECK(fault_of("{\"a\":1,}") == "expected a string at 7");
    CHECK(fault_of("[}") == "expected a value at 1");
    CHECK(fault_of("[1}") == "expected ',' or ']' at 2");
    CHECK(fault_of("01") == "more text behind the value at 1");
    CHECK(fault_of("1.") == "the text ends too early at 2");
    CHECK(fault_of("1.e") == "expected a digit at 2");
    CHECK(fault_of("1e+x") == "expected a digit at 3");
    CHECK(fault_of("-") == "the text ends too early at 1");
    CHECK(fault_of("+1") == "expected a value at 0");
    CHECK(fault_of("NaN") == "expected a value at 0");
    CHECK(fault_of("Infinity") == "expected a value at 0");
    CHECK(fault_of("\"abc") == "the text ends within a string at 4");
    CHECK(fault_of("\"abc\\") == "the text ends within a string at 4");
    CHECK(fault_of("\"a\\x\"") == "an escape that JSON does not know at 2");
    CHECK(fault_of("\"a\\u12g4\"") == "an escape that JSON does not know at 2");
    CHECK(fault_of("\"a\nb\"") == "a control character within a string at 2");
    CHECK(fault_of("\"a\xff\"") == "invalid UTF-8 at 2");
    CHECK(fault_of(std::string_view{"1\0", 2}) == "more text behind the value at 1");
    CHECK(fault_of("[\xef\xbb\xbf]") == "expected a value at 1");
}

TEST_CASE("nesting is limited, whatever the size", "[json_scanner]") {
    const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
    const auto objects = [](std::size_t depth) {
        std::string text;
        for (std::size_t i = 0; i < depth; ++i) {
            text += R"({"a":)";
        }
        return text + "1" + std::string(depth, '}');
    };

    CHECK(accepted(nested(64)));
    CHECK(fault_of(nested(65)) == "nested too deeply at 64");
    CHECK(accepted(objects(64)));
    CHECK_FALSE(accepted(objects(65)));
    CHECK(accepted(nested(512), 512));
    CHECK_FALSE(accepted(nested(513), 512));
    CHECK_FALSE(accepted(nested(513), 100'000)); // there is a bit for each of 512
    CHECK_FALSE(accepted(nested(1'000'000)));
    CHECK_FALSE(accepted(std::string(1'000'000, '[')));
    CHECK(accepted("3", 0));
    CHECK_FALSE(accepted("[]", 0));
}

TEST_CASE("the kinds of what is open are not mixed up at any depth", "[json_scanner]") {
    GOSSIP_INFO_SEED();
    gossip_test::Random random(3);
    for (int round = 0; round < 200; ++round) {
        std::string open;
        std::string close;
        const auto depth = 1 + random.below(512);
        for (std::uint64_t i = 0; i < depth; ++i) {
            const bool object = random.one_in(2);
            open += object ? "{\"a\":" : "[";
            close.insert(close.begin(), object ? '}' : ']');
        }
        REQUIRE(accepted(open + "1" + close, 512));
        std::string wrong = close;
        char& swapped = wrong[random.below(depth)];
        swapped = swapped == '}' ? ']' : '}';
        REQUIRE_FALSE(accepted(open + "1" + wrong, 512));
    }
}

TEST_CASE("what is JSON and what is not is as nlohmann-json sees it", "[json_scanner]") {
    GOSSIP_INFO_SEED();
    gossip_test::Random random(4);
    int good = 0;
    for (int i = 0; i < 50'000; ++i) {
        const std::string text = random_text(random);
        const bool wanted = nlohmann::json::accept(text);
        good += wanted ? 1 : 0;
        CAPTURE(text);
        REQUIRE(accepted(text) == wanted);
    }
    CHECK(good > 100);
}

TEST_CASE("the value's text has no space around it", "[json_scanner]") {
    JsonScanner in{" \n { \"a\" : [ 1 ] } \t, 2 "};
    std::string_view value;

    REQUIRE(in.value(value));

    CHECK(value == "{ \"a\" : [ 1 ] }");
    CHECK(in.take(','));
    REQUIRE(in.value(value));
    CHECK(value == "2");
    CHECK(in.at_end());
}

} // namespace json_scanner_test
