#include <gossip/provider/redis/cloud_events.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "support/catch.hpp"

namespace cloud_events_test {

using Catch::Matchers::ContainsSubstring;
using gossip::Envelope;
using gossip::EnvelopeOptions;
using gossip::Event;
using gossip::Metadata;
using gossip::Priority;
using gossip::Result;

inline namespace parts {

constexpr gossip::Topic<> topic{"order.created"};
constexpr std::int64_t moment = 1'704'164'645'123'456'789;

Event event_of() {
    Event event{topic};
    gossip::EventAccess::set_time_ns(event, moment);
    return event;
}

std::string written(const Event& event, std::string_view data = {}, const EnvelopeOptions& options = {}) {
    std::string out;
    gossip::write_cloud_event(out, event, data, options);
    return out;
}

std::string error_of(std::string_view bytes) {
    Envelope envelope;
    const Result result = gossip::scan_cloud_event(bytes, envelope);
    return result ? "none" : result.error().what();
}

/// A CloudEvent with what must be there, and more.
std::string with(std::string_view more) {
    return R"({"specversion":"1.0","id":"i","source":"s","type":"a.b")" + std::string{more} + "}";
}

} // namespace parts

TEST_CASE("an event is written as a CloudEvent", "[cloud_events]") {
    const Event event = event_of().with_id("evt-1").with_key("customer-7").with_priority(Priority::low);

    CHECK(written(event, R"({"n":1})", {.version = 3, .attempt = 2, .source = "/shop"}) ==
          R"({"specversion":"1.0","id":"evt-1","source":"/shop","type":"order.created",)"
          R"("time":"2024-01-02T03:04:05.123456789Z","datacontenttype":"application/json","data":{"n":1},)"
          R"("partitionkey":"customer-7","gossippriority":"low","gossipattempt":2,"gossipversion":3})");
    CHECK(written(event_of().with_id("e")) == R"({"specversion":"1.0","id":"e","source":"gossip",)"
                                              R"("type":"order.created","time":"2024-01-02T03:04:05.123456789Z"})");
}

TEST_CASE("metadata stands in attributes where these may have it, the rest as text", "[cloud_events]") {
    const Event event = event_of()
                            .with_metadata("traceparent", "00-ab")
                            .with_metadata("request_id", "r-9")
                            .with_metadata("tries", 3)
                            .with_metadata("large", std::int64_t{1} << 40U)
                            .with_metadata("ratio", 0.5)
                            .with_metadata("source", "mine")
                            .with_metadata("lines", "a\nb")
                            .with_metadata("gossipversion", 7)
                            .with_metadata("ok", true);
    const std::string bytes = written(event, "1");
    const auto json = nlohmann::json::parse(bytes);

    CHECK(json["traceparent"] == "00-ab");
    CHECK(json["tries"] == 3);
    CHECK(json["ok"] == true);
    CHECK(json["source"] == "gossip");
    CHECK(json["gossipmetadata"] ==
          R"({"request_id":"r-9","large":1099511627776,"ratio":0.5,"source":"mine","lines":"a\nb","gossipversion":7})");
    CHECK(json.size() == 11);

    Envelope envelope;
    REQUIRE(gossip::scan_cloud_event(bytes, envelope));
    CHECK(envelope.version == 1);
    CHECK(envelope.source == "gossip");
    CHECK(envelope.metadata.size() == event.metadata().size());
    for (const auto& [key, value] : event.metadata()) {
        const auto* const found = envelope.metadata.find(key);
        CHECK((found != nullptr && *found == value));
    }
}

TEST_CASE("a CloudEvent reads back as it was written", "[cloud_events]") {
    const Event event = event_of().with_id("i\"1").with_key("k\\").with_priority(Priority::critical);
    const std::string bytes = written(event, "[1]", {.version = 2, .attempt = 5, .encoding = "x"});

    Envelope envelope;
    REQUIRE(gossip::scan_cloud_event(bytes, envelope));
    CHECK(envelope.type == "order.created");
    CHECK(envelope.id == "i\"1");
    CHECK(envelope.key == "k\\");
    CHECK(envelope.priority == Priority::critical);
    CHECK(envelope.version == 2);
    CHECK(envelope.attempt == 5);
    CHECK(envelope.encoding == "x");
    CHECK(envelope.data == "[1]");
    CHECK((envelope.has_time && envelope.time_ns == moment));
    CHECK(envelope.metadata.empty());
}

TEST_CASE("a CloudEvent of others is read, its extensions as metadata", "[cloud_events]") {
    Envelope envelope;
    const std::string bytes =
        with(R"(,"subject":"123","dataschema":"/s/1","time":"2018-04-05T17:31:00Z","comexampleext":5,
        "later":null,"flag":false,"datacontenttype":"application/cloudevents+JSON ; charset=utf-8","data":{"a":null})");
    REQUIRE(gossip::scan_cloud_event(bytes, envelope));

    CHECK(envelope.metadata ==
          Metadata{{"subject", "123"}, {"dataschema", "/s/1"}, {"comexampleext", 5}, {"flag", false}});
    CHECK(envelope.data == R"({"a":null})");
    CHECK(envelope.priority == Priority::normal);

    const std::string bare = with("");
    REQUIRE(gossip::scan_cloud_event(bare, envelope));
    CHECK_FALSE(envelope.has_data());
    CHECK_FALSE(envelope.has_time);
    CHECK(envelope.metadata.empty());
}

TEST_CASE("what is no CloudEvent is told", "[cloud_events]") {
    CHECK(error_of(with("")) == "none");
    CHECK_THAT(error_of("{}"), ContainsSubstring("field 'specversion': is missing"));
    CHECK_THAT(error_of(R"({"specversion":"1.0","source":"s","type":"t"})"), ContainsSubstring("'id': is missing"));
    CHECK_THAT(error_of(R"({"specversion":"1.0","id":"i","type":"t"})"), ContainsSubstring("'source': is missing"));
    CHECK_THAT(error_of(R"({"specversion":"1.0","id":"i","source":"s"})"), ContainsSubstring("'type': is missing"));
    CHECK_THAT(error_of(R"({"specversion":"0.3"})"), ContainsSubstring("'specversion': is not 1.0"));
    CHECK_THAT(error_of(R"({"specversion":1.0})"), ContainsSubstring("expected a string"));
    CHECK_THAT(error_of(with(R"(,"data_base64":"AA==")")), ContainsSubstring("holds bytes"));
    for (const char* const type : {"text/plain", "application/jsonx", "json", "", "application/xml;json"}) {
        CAPTURE(type);
        CHECK_THAT(error_of(with(R"(,"datacontenttype":")" + std::string{type} + "\"")),
                   ContainsSubstring("is not JSON"));
    }
    CHECK_THAT(error_of(with(R"(,"gossipmetadata":"[]")")), ContainsSubstring("is not a JSON object as text"));
    CHECK_THAT(error_of(with(R"(,"gossipmetadata":"{} {}")")), ContainsSubstring("is not a JSON object as text"));
    CHECK_THAT(error_of(with(R"(,"gossippriority":"5")")), ContainsSubstring("is not low, normal, high or critical"));
    CHECK_THAT(error_of(with(R"(,"time":"now")")), ContainsSubstring("is not a time"));
    CHECK_THAT(error_of(with("") + "x"), ContainsSubstring("more text behind the value"));
    CHECK_THROWS_AS(written(event_of(), {}, {.source = ""}), gossip::ValidationError);
    CHECK_THROWS_AS(written(event_of().with_metadata("ratio", std::numeric_limits<double>::infinity())),
                    gossip::ValidationError);
}

TEST_CASE("metadata of a CloudEvent is limited, however it comes", "[cloud_events]") {
    std::string many;
    std::string packed;
    for (int i = 0; i < 200; ++i) {
        many += ",\"a" + std::to_string(i) + "\":1";
        packed += (i == 0 ? R"(\"b)" : R"(,\"b)") + std::to_string(i) + R"(\":1)";
    }
    CHECK(error_of(with(many)) == "none");
    CHECK(error_of(with(R"(,"gossipmetadata":"{)" + packed + R"(}")")) == "none");
    CHECK(error_of(with(many + R"(,"gossipmetadata":"{)" + packed + R"(}")")) != "none");
    CHECK_THROWS_AS(written(event_of().with_metadata("a", 1), {}, {.limits = {.metadata = 0}}),
                    gossip::ValidationError);
}

} // namespace cloud_events_test
