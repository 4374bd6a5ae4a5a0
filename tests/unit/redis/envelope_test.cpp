#include <gossip/provider/redis/envelope.hpp>

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"

namespace envelope_test {

using Catch::Matchers::ContainsSubstring;
using gossip::Envelope;
using gossip::EnvelopeLimits;
using gossip::EnvelopeOptions;
using gossip::Event;
using gossip::Metadata;
using gossip::Priority;
using gossip::Result;

inline namespace parts {

constexpr gossip::Topic<> topic{"order.created"};
constexpr std::int64_t moment = 1'704'164'645'123'456'789; // 2024-01-02T03:04:05.123456789Z

Event event_of(std::int64_t time_ns = moment) {
    Event event{topic};
    gossip::EventAccess::set_time_ns(event, time_ns);
    return event;
}

std::string written(const Event& event, std::string_view data = {}, const EnvelopeOptions& options = {}) {
    std::string out;
    gossip::write_envelope(out, event, data, options);
    return out;
}

std::string error_of(std::string_view bytes, const EnvelopeLimits& limits = {}) {
    Envelope envelope;
    const Result result = gossip::scan_envelope(bytes, envelope, limits);
    if (result) {
        return "none";
    }
    REQUIRE(gossip::is_validation(result.error()));
    return result.error().what();
}

std::string write_error_of(const Event& event, std::string_view data = {}, const EnvelopeOptions& options = {}) {
    std::string out = "kept";
    try {
        gossip::write_envelope(out, event, data, options);
    } catch (const gossip::ValidationError& error) {
        CHECK(out == "kept");
        return error.what();
    }
    return "none";
}

void read(Envelope& envelope, std::string_view bytes) {
    const Result result = gossip::scan_envelope(bytes, envelope);
    INFO((result ? "" : result.error().what()));
    REQUIRE(result);
}

} // namespace parts

TEST_CASE("an event is written as the original's services read it", "[envelope]") {
    const Event event = event_of().with_metadata("request_id", "req-9").with_metadata("n", 2);

    CHECK(written(event, R"({"order_id":"o-1"})", {.with_id = false}) ==
          R"({"Type":"order.created","Timestamp":"2024-01-02T03:04:05.123456789Z","Data":{"order_id":"o-1"},)"
          R"("Metadata":{"request_id":"req-9","n":2}})");
    CHECK(written(event_of(), {}, {.with_id = false}) ==
          R"({"Type":"order.created","Timestamp":"2024-01-02T03:04:05.123456789Z","Data":null,"Metadata":{}})");
}

TEST_CASE("what is ours stands beside it, as far as it says something", "[envelope]") {
    const Event event = event_of().with_key("customer-7").with_priority(Priority::high).with_id("evt-1");
    const auto json = nlohmann::json::parse(written(event, "1", {.version = 3, .attempt = 2, .encoding = "x"}));

    CHECK(json["Id"] == "evt-1");
    CHECK(json["Key"] == "customer-7");
    CHECK(json["Priority"] == "high");
    CHECK(json["Attempt"] == 2);
    CHECK(json["Version"] == 3);
    CHECK(json["Encoding"] == "x");
    CHECK(json.size() == 10);

    const Event plain = event_of();
    const auto few = nlohmann::json::parse(written(plain));
    CHECK(few["Id"] == plain.id().text());
    CHECK(few.size() == 5);
}

TEST_CASE("what the original's services write is read", "[envelope]") {
    Envelope envelope;
    read(envelope,
         R"({"Type":"user.created","Timestamp":"2024-01-02T05:04:05.123456789+02:00",)"
         R"("Data":{"UserID":"u-1","Tags":["a","b"]},"Metadata":{"source":"api","n":3,"ratio":0.5,"ok":true}})");

    CHECK(envelope.type == "user.created");
    CHECK(envelope.has_time);
    CHECK(envelope.time_ns == moment);
    CHECK(envelope.data == R"({"UserID":"u-1","Tags":["a","b"]})");
    CHECK(envelope.metadata == Metadata{{"source", "api"}, {"n", 3}, {"ratio", 0.5}, {"ok", true}});
    CHECK(envelope.id.empty());
    CHECK(envelope.key.empty());
    CHECK(envelope.priority == Priority::normal);
    CHECK(envelope.attempt == 1);
    CHECK(envelope.version == 1);

    read(envelope, R"({"Type":"a","Timestamp":"0001-01-01T00:00:00Z","Data":null,"Metadata":null})");
    CHECK(envelope.type == "a");
    CHECK(envelope.time_ns == std::numeric_limits<std::int64_t>::min());
    CHECK_FALSE(envelope.has_data());
    CHECK(envelope.metadata.empty());
}

TEST_CASE("an event reads back as it was written", "[envelope]") {
    const Event event = event_of()
                            .with_key("k \"7\"")
                            .with_priority(Priority::critical)
                            .with_id("id\\1")
                            .with_metadata("text", "a\nb \xe2\x82\xac")
                            .with_metadata("whole", std::numeric_limits<std::int64_t>::min())
                            .with_metadata("two", 2.0)
                            .with_metadata("tiny", 5e-324)
                            .with_metadata("huge", -1.7976931348623157e308)
                            .with_metadata("no", false);
    const std::string bytes = written(event, R"(["data"])", {.version = 7, .attempt = 4});

    Envelope envelope;
    read(envelope, bytes);
    CHECK(envelope.version == 7);
    CHECK(envelope.attempt == 4);
    CHECK(envelope.data == R"(["data"])");
    CHECK(envelope.type == "order.created");
    Event back{topic};
    gossip::apply_envelope(back, envelope);

    CHECK(back.timestamp() == event.timestamp());
    CHECK(back.key() == event.key());
    CHECK(back.priority() == event.priority());
    CHECK(back.id_text() == event.id_text());
    CHECK(back.metadata() == event.metadata());

    const Event plain = event_of();
    const std::string plain_bytes = written(plain);
    read(envelope, plain_bytes);
    Event again{topic};
    gossip::apply_envelope(again, envelope);
    CHECK(again.id() == plain.id());
    CHECK(again.metadata().empty());
    CHECK_FALSE(again.has_key());
}

TEST_CASE("the order of the fields, spaces, unknown fields and repeated ones do no harm", "[envelope]") {
    Envelope envelope;
    read(envelope, " {\n \"Later\" : { \"x\" : [ 1 , { } ] } ,\t\"Metadata\" : { \"a\" : 1 } , \"Version\" : 2,"
                   "\"Data\" : [ 1, 2 ] , \"Type\" : \"first\", \"Type\":\"second\", \"Metadata\":{\"b\":2},"
                   "\"Timestamp\" : \"2024-01-02T03:04:05.123456789Z\" } \r\n");

    CHECK(envelope.type == "second");
    CHECK(envelope.data == "[ 1, 2 ]");
    CHECK(envelope.version == 2);
    CHECK(envelope.metadata == Metadata{{"b", 2}});
    CHECK(envelope.time_ns == moment);

    read(envelope, R"({"Type":"a"})");
    CHECK_FALSE(envelope.has_time);
    CHECK_FALSE(envelope.has_data());
    CHECK(envelope.metadata.empty());
}

TEST_CASE("escapes are read in names and in values", "[envelope]") {
    Envelope envelope;
    read(envelope, R"({"\u0054ype":"a\u002eb","Key":"\ud83d\ude00","Id":"\"","Priority":"low",)"
                   R"("Timestamp":"2024\u002d01-02T03:04:05.123456789Z","Metadata":{"k\n":"\u0000v"}})");

    CHECK(envelope.type == "a.b");
    CHECK(envelope.key == "\xf0\x9f\x98\x80");
    CHECK(envelope.id == "\"");
    CHECK(envelope.time_ns == moment);
    CHECK(envelope.metadata == Metadata{{"k\n", std::string{"\0v", 2}}});
}

TEST_CASE("metadata of other kinds is kept as the text that it is", "[envelope]") {
    Envelope envelope;
    read(envelope, R"({"Type":"a","Metadata":{"null":null,"list":[1, "x"],"map":{"a":{"b":1}},)"
                   R"("huge":1e999,"tiny":1e-999,"long":9223372036854775808,"exact":9007199254740993,"zero":-0,)"
                   R"("half":-0.5}})");

    CHECK(envelope.metadata == Metadata{{"null", "null"},
                                        {"list", R"([1, "x"])"},
                                        {"map", R"({"a":{"b":1}})"},
                                        {"huge", "1e999"},
                                        {"tiny", "1e-999"},
                                        {"long", 9223372036854775808.0},
                                        {"exact", std::int64_t{9007199254740993}},
                                        {"zero", 0},
                                        {"half", -0.5}});
}

TEST_CASE("bytes that are no event are told by field, fault and place", "[envelope]") {
    CHECK_THAT(error_of(""), ContainsSubstring("field 'message': the text ends too early at byte 0"));
    CHECK_THAT(error_of("hello"), ContainsSubstring("expected an object at byte 0"));
    CHECK_THAT(error_of("[]"), ContainsSubstring("expected an object"));
    CHECK_THAT(error_of("{}"), ContainsSubstring("field 'Type': is missing"));
    CHECK_THAT(error_of(R"({"Type":null})"), ContainsSubstring("field 'Type': is missing"));
    CHECK_THAT(error_of(R"({"Type":7})"), ContainsSubstring("field 'Type': expected a string at byte 8"));
    CHECK_THAT(error_of(R"({"Type":"a","Timestamp":"yesterday"})"),
               ContainsSubstring("field 'Timestamp': is not a time as RFC 3339 writes it"));
    CHECK_THAT(error_of(R"({"Type":"a","Timestamp":12})"), ContainsSubstring("'Timestamp': expected a string"));
    CHECK_THAT(error_of(R"({"Type":"a","Data":NaN})"), ContainsSubstring("field 'Data': expected a value at byte 19"));
    CHECK_THAT(error_of(R"({"Type":"a","Data":{"x":1)"), ContainsSubstring("field 'Data': the text ends too early"));
    CHECK_THAT(error_of("{\"Type\":\"a\",\"Data\":\"\xff\"}"), ContainsSubstring("field 'Data': invalid UTF-8"));
    CHECK_THAT(error_of(R"({"Type":"a","Metadata":[]})"), ContainsSubstring("'Metadata': expected an object or null"));
    CHECK_THAT(error_of(R"({"Type":"a","Priority":"urgent"})"), ContainsSubstring("'Priority': is not low, normal"));
    for (const char* const count : {"0", "-1", "1.5", "4294967296", "\"2\"", "null", "[]"}) {
        CAPTURE(count);
        const std::string field = std::string{":"} + count + "}";
        CHECK_THAT(error_of(R"({"Type":"a","Attempt")" + field), ContainsSubstring("'Attempt': is not a count"));
        CHECK_THAT(error_of(R"({"Type":"a","Version")" + field), ContainsSubstring("'Version': is not a count"));
    }
    CHECK_THAT(error_of(R"({"Type":"a"} x)"), ContainsSubstring("more text behind the value"));
    CHECK_THAT(error_of(R"({"Type":"a","Data":{}}})"), ContainsSubstring("more text behind the value"));
}

TEST_CASE("what JSON cannot say is refused when it is written, and nothing is left behind", "[envelope]") {
    CHECK_THAT(write_error_of(event_of().with_key("\xff")), ContainsSubstring("'key': must be UTF-8"));
    CHECK_THAT(write_error_of(event_of().with_id("\xc3")), ContainsSubstring("'id': must be UTF-8"));
    CHECK_THAT(write_error_of(event_of().with_metadata("k", "\xed\xa0\x80")), ContainsSubstring("must be UTF-8"));
    CHECK_THAT(write_error_of(event_of().with_metadata("\x80", 1)), ContainsSubstring("'metadata key': must be UTF-8"));
    CHECK_THAT(write_error_of(Event{gossip::EventType{"a.\xff"}}), ContainsSubstring("'event type': must be UTF-8"));
    for (const double number : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                                -std::numeric_limits<double>::infinity()}) {
        CHECK_THAT(write_error_of(event_of().with_metadata("rate", number)),
                   ContainsSubstring("'metadata value of 'rate'': must be finite to be written as JSON"));
    }
}

TEST_CASE("limits hold when a message is written and when it is read", "[envelope]") {
    const std::string bytes = written(event_of(), "[[1]]", {.with_id = false});
    const auto size = bytes.size();

    CHECK(write_error_of(event_of(), "[[1]]", {.with_id = false, .limits = {.size = size}}) == "none");
    CHECK_THAT(write_error_of(event_of(), "[[1]]", {.with_id = false, .limits = {.size = size - 1}}),
               ContainsSubstring("'event size': must not be more bytes than the limit"));
    CHECK(error_of(bytes, {.size = size}) == "none");
    CHECK_THAT(error_of(bytes, {.size = size - 1}), ContainsSubstring("must not be more bytes than the limit"));

    CHECK(error_of(bytes, {.depth = 2}) == "none");
    CHECK_THAT(error_of(bytes, {.depth = 1}), ContainsSubstring("field 'Data': nested too deeply"));
    CHECK_THAT(write_error_of(event_of(), "[[1]]", {.check_data = true, .limits = {.depth = 1}}),
               ContainsSubstring("field 'Data': nested too deeply"));

    const Event two = event_of().with_metadata("a", 1).with_metadata("b", 2);
    CHECK(write_error_of(two, {}, {.limits = {.metadata = 2}}) == "none");
    CHECK_THAT(write_error_of(two, {}, {.limits = {.metadata = 1}}),
               ContainsSubstring("'metadata': must not have more"));
    CHECK(error_of(written(two), {.metadata = 2}) == "none");
    CHECK_THAT(error_of(written(two), {.metadata = 1}), ContainsSubstring("'Metadata': has more entries"));
}

TEST_CASE("data of a foreign codec can be checked", "[envelope]") {
    CHECK(write_error_of(event_of(), "oops") == "none");
    CHECK_THAT(write_error_of(event_of(), "oops", {.check_data = true}),
               ContainsSubstring("field 'Data': expected a value at byte 0"));
    CHECK_THAT(write_error_of(event_of(), "1,\"Type\":\"forged\"", {.check_data = true}),
               ContainsSubstring("more text behind the value at byte 1"));
    CHECK(write_error_of(event_of(), " {} ", {.check_data = true}) == "none");
}

TEST_CASE("writing into a buffer with room and reading allocate nothing", "[envelope]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    const Event event = event_of().with_key("customer-7");
    std::string out;
    out.reserve(1'024);
    Envelope envelope;
    bool read_it = false;
    const support::AllocationCounter counter;

    gossip::write_envelope(out, event, R"({"order_id":"o-1","amount":12.5})");
    read_it = gossip::scan_envelope(out, envelope).ok();

    CHECK(counter.count() == 0);
    CHECK(read_it);
    CHECK(envelope.key == "customer-7");
}

} // namespace envelope_test
