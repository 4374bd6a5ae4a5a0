#include <gossip/bus/dead_letter_json.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace dead_letter_json_test {

using namespace std::chrono_literals;
using gossip::DeadLetter;
using gossip::Event;
using gossip::detail::JsonLine;

inline namespace parts {

constexpr gossip::Topic<int> number{"json.number"};

std::string text(std::string_view value) {
    std::string out;
    JsonLine(out).put(value);
    return out;
}
template <class T>
std::string value(T v) {
    std::string out;
    JsonLine(out).put(gossip::MetadataValue(v));
    return out;
}
std::string time(std::chrono::nanoseconds since_1970) {
    std::string out;
    JsonLine(out).put(std::chrono::system_clock::time_point(since_1970));
    return out;
}

} // namespace parts

TEST_CASE("a text becomes a JSON string, whatever its bytes", "[dead_letter_json]") {
    CHECK(text("plain") == R"("plain")");
    CHECK(text("") == R"("")");
    CHECK(text("a\"b\\c/d") == R"("a\"b\\c/d")");
    CHECK(text("\b\f\n\r\t") == R"("\b\f\n\r\t")");
    CHECK(text(std::string_view{"\0\x01\x1f\x7f", 4}) == "\"\\u0000\\u0001\\u001f\x7f\"");
    CHECK(text("gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80") ==
          "\"gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80\"");
}

TEST_CASE("bytes that are no UTF-8 become the replacement character, one each", "[dead_letter_json]") {
    const std::string r = "\xEF\xBF\xBD";
    CHECK(text("a\xFFz") == "\"a" + r + "z\"");
    CHECK(text("\x80") == "\"" + r + "\"");
    CHECK(text("\xC3") == "\"" + r + "\"");                                            // cut off
    CHECK(text("\xC3(") == "\"" + r + "(\"");                                          // no continuation
    CHECK(text("\xC0\xAF") == "\"" + r + r + "\"");                                    // overlong
    CHECK(text("\xE0\x80\xAF") == "\"" + r + r + r + "\"");                            // overlong
    CHECK(text("\xED\xA0\x80") == "\"" + r + r + r + "\"");                            // a surrogate
    CHECK(text("\xF4\x90\x80\x80") == "\"" + r + r + r + r + "\"");                    // above U+10FFFF
    CHECK(text("\xF5\x80\x80\x80") == "\"" + r + r + r + r + "\"");                    // no such lead
    CHECK(text("\xE2\x82") == "\"" + r + r + "\"");                                    // cut off
    CHECK(text("\xED\x9F\xBF\xF4\x8F\xBF\xBF") == "\"\xED\x9F\xBF\xF4\x8F\xBF\xBF\""); // the last good ones
}

TEST_CASE("values of metadata keep their kind, and what JSON can't say is null", "[dead_letter_json]") {
    CHECK(value("x") == R"("x")");
    CHECK(value(true) == "true");
    CHECK(value(-7) == "-7");
    CHECK(value(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
    CHECK(value(0.5) == "0.5");
    CHECK(value(1e300) == "1e+300");
    CHECK(value(std::numeric_limits<double>::infinity()) == "null");
    CHECK(value(std::numeric_limits<double>::quiet_NaN()) == "null");
}

TEST_CASE("times are written in UTC with nine digits", "[dead_letter_json]") {
    CHECK(time(0ns) == R"("1970-01-01T00:00:00.000000000Z")");
    CHECK(time(951'782'400s + 1ms) == R"("2000-02-29T00:00:00.001000000Z")");
    CHECK(time(1'767'323'045s + 678'901'234ns) == R"("2026-01-02T03:04:05.678901234Z")");
    CHECK(time(-1ns) == R"("1969-12-31T23:59:59.999999999Z")");
}

TEST_CASE("a letter is one line with its event, its error, the causes and all failures", "[dead_letter_json]") {
    const auto at = std::chrono::system_clock::time_point(1'767'323'045s);
    const gossip::ProcessingError error{"could not \"charge\"", gossip::TimeoutError{250ms, "no answer"}};
    DeadLetter letter{Event{number, 7}
                          .with_id("evt-1")
                          .with_key("k")
                          .with_priority(gossip::Priority::high)
                          .with_timestamp(at)
                          .with_metadata("source", "api")
                          .with_metadata("n", 2),
                      error};
    letter.attempts = 3;
    letter.subscription = "charge";
    letter.failures = {{error, gossip::SubscriptionId{1}, "charge", 3}};
    letter.first_time = at + 1s;
    letter.last_time = at + 2s;

    std::string line;
    gossip::detail::append_json(line, 5, letter, "{\"amount\":7}");

    const std::string as_text = R"({"kind":"processing","text":"processing error: could not \"charge\"",)"
                                R"("causes":["timeout after 250ms: no answer"]})";
    CHECK(line ==
          R"({"number":5,"type":"json.number","id":"evt-1","time":"2026-01-02T03:04:05.000000000Z",)"
          R"("priority":"high","key":"k","metadata":{"source":"api","n":2},"data_type":"int",)"
          R"("data":{"amount":7},"subscription":"charge","attempts":3,"error":)" +
              as_text + R"(,"failures":[{"subscription":"charge","attempts":3,"error":)" + as_text +
              R"(}],"first_time":"2026-01-02T03:04:06.000000000Z","last_time":"2026-01-02T03:04:07.000000000Z"})"
              "\n");
}

TEST_CASE("without metadata, key, data and failures the line has the same names", "[dead_letter_json]") {
    std::string line;
    gossip::detail::append_json(line, 1, DeadLetter{Event{gossip::EventType{"bare"}}, gossip::errors::fatal}, {});

    CHECK(line.find(R"("key":"","metadata":{},"data_type":"","data":null,"subscription":"","attempts":1,)"
                    R"("error":{"kind":"fatal","text":"fatal error","causes":[]},"failures":[],)") !=
          std::string::npos);
}

} // namespace dead_letter_json_test
