#include <gossip/provider/redis/schema.hpp>
#include <gossip/provider/redis/wire.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "support/catch.hpp"
#include "support/seed.hpp"

namespace wire_test {

using Catch::Matchers::ContainsSubstring;
using gossip::Envelope;
using gossip::Event;
using gossip::Metadata;
using gossip::Priority;
using gossip::Result;
using gossip::SchemaTable;
using gossip::WireFormat;
using gossip::WireOptions;
using gossip::detail::Wire;

inline namespace parts {

constexpr gossip::Topic<> topic{"order.created"};
constexpr std::size_t megabyte = std::size_t{1} << 20U;

std::string written(const Wire& wire, const Event& event, std::string_view data) {
    std::string out;
    wire.write(out, event, data, true);
    return out;
}

/// What a reader of untrusted bytes may do: say what is wrong, or give an event that can be written again.
std::string outcome(const Wire& wire, std::string_view bytes) {
    Envelope envelope;
    const Result read = wire.scan(bytes, envelope);
    if (!read) {
        const gossip::Error error = read.error();
        REQUIRE(gossip::is_validation(error));
        REQUIRE(error.what()[0] != '\0');
        return "refused";
    }
    REQUIRE_FALSE(envelope.type.empty());
    const std::string data{envelope.data};
    Event event{topic};
    gossip::apply_envelope(event, envelope);
    std::string again;
    wire.write(again, event, data, true);
    return "read";
}

std::string text_of(gossip_test::Random& random) {
    constexpr std::string_view parts[] = {
        "plain", " ", "\"", "\\", "\n",      "\x01",      "\x7f", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
        "/",     "{", "]",  ",",  "\\u0041", "</script>", "0"};
    std::string text;
    for (auto count = random.below(6); count != 0; --count) {
        text.append(parts[random.below(std::size(parts))]);
    }
    return text;
}

std::string json_of(gossip_test::Random& random, int depth) {
    switch (random.below(depth > 0 ? 8 : 5)) {
    case 0:
        return "null";
    case 1:
        return random.one_in(2) ? "true" : "false";
    case 2:
        return std::to_string(static_cast<std::int64_t>(random() - (1U << 30U))) + (random.one_in(2) ? ".5e-3" : "");
    case 3:
    case 4: {
        std::string out;
        REQUIRE(gossip::detail::append_json_string(out, text_of(random)));
        return out;
    }
    default:
        break;
    }
    const bool object = random.one_in(2);
    std::string out(1, object ? '{' : '[');
    for (auto count = random.below(4); count != 0; --count) {
        if (object) {
            REQUIRE(gossip::detail::append_json_string(out, text_of(random)));
            out.append(":");
        }
        out.append(json_of(random, depth - 1)).append(count > 1 ? "," : "");
    }
    return out + (object ? '}' : ']');
}

gossip::MetadataValue value_of(gossip_test::Random& random) {
    switch (random.below(4)) {
    case 0:
        return text_of(random);
    case 1:
        return static_cast<std::int64_t>(random() << random.below(40)) * (random.one_in(2) ? -1 : 1);
    case 2:
        return static_cast<double>(random()) / static_cast<double>(1 + random.below(1'000'000)) *
               (random.one_in(2) ? -1 : 1);
    default:
        return random.one_in(2);
    }
}

Event event_of(gossip_test::Random& random) {
    Event event{topic};
    gossip::EventAccess::set_time_ns(event, static_cast<std::int64_t>(random() << random.below(24)));
    event.with_priority(static_cast<Priority>(random.below(4)));
    if (random.one_in(2)) {
        event.with_key(text_of(random));
    }
    if (random.one_in(2)) {
        event.with_id(text_of(random));
    }
    for (auto count = random.below(5); count != 0; --count) {
        event.with_metadata(random.one_in(2) ? text_of(random) : "k" + std::to_string(random.below(5)),
                            value_of(random));
    }
    return event;
}

const char* const samples[] = {
    R"({"Type":"order.created","Timestamp":"2024-01-02T03:04:05.123456789+02:00","Data":{"a":[1,-2.5e3,"x\n\u00fc"],)"
    R"("b":null},"Metadata":{"s":"v\"","i":-7,"d":0.5,"b":true,"l":[1]},"Id":"0123456789abcdef0123456789abcdef",)"
    R"("Key":"k","Priority":"high","Attempt":2,"Version":3})",
    R"({"specversion":"1.0","id":"i","source":"s","type":"order.created","time":"2024-01-02T03:04:05Z",)"
    R"("datacontenttype":"application/json","data":[{}],"partitionkey":"k","gossippriority":"low",)"
    R"("gossipmetadata":"{\"a\":1}","ext":"v"})",
};

} // namespace parts

TEST_CASE("any event comes back as it went, in both formats, compressed or not", "[wire]") {
    GOSSIP_INFO_SEED();
    gossip_test::Random random(8);
    const std::size_t compress = gossip::has_zstd ? 64 : 0;
    const Wire wires[] = {Wire{WireOptions{}, megabyte},
                          Wire{WireOptions{.format = WireFormat::cloud_events}, megabyte},
                          Wire{WireOptions{.compress_above = compress}, megabyte},
                          Wire{WireOptions{.format = WireFormat::cloud_events, .compress_above = compress}, megabyte}};
    Envelope envelope;
    for (int i = 0; i < 4'000; ++i) {
        const Wire& wire = wires[random.below(std::size(wires))];
        const Event event = event_of(random);
        const std::string data = json_of(random, 5);
        const std::string bytes = written(wire, event, data);
        INFO(bytes);
        REQUIRE(wire.scan(bytes, envelope));
        REQUIRE(envelope.type == "order.created");
        REQUIRE(envelope.data == data);
        Event back{topic};
        gossip::apply_envelope(back, envelope);
        REQUIRE(gossip::EventAccess::time_ns(back) == gossip::EventAccess::time_ns(event));
        REQUIRE(back.priority() == event.priority());
        REQUIRE(back.key() == event.key());
        REQUIRE(back.id_text() == event.id_text());
        REQUIRE(back.metadata().size() == event.metadata().size());
        for (const auto& [key, value] : event.metadata()) {
            const auto* const found = back.metadata().find(key);
            REQUIRE((found != nullptr && *found == value));
        }
    }
}

TEST_CASE("a message of the other format is read as well", "[wire]") {
    const Wire ours{WireOptions{}, megabyte};
    const Wire cloud{WireOptions{.format = WireFormat::cloud_events}, megabyte};
    Envelope envelope;
    for (const char* const sample : samples) {
        REQUIRE(ours.scan(sample, envelope));
        CHECK(envelope.type == "order.created");
        CHECK(envelope.key == "k");
        REQUIRE(cloud.scan(sample, envelope));
        CHECK(envelope.type == "order.created");
        CHECK(envelope.key == "k");
    }
    CHECK_THAT(ours.scan("{}", envelope).error().what(), ContainsSubstring("'Type': is missing"));
    CHECK_THAT(cloud.scan("{}", envelope).error().what(), ContainsSubstring("'specversion': is missing"));
    CHECK_THAT(ours.scan("[]", envelope).error().what(), ContainsSubstring("expected an object"));
}

TEST_CASE("a message that is cut off anywhere is refused", "[wire]") {
    const Wire wire{WireOptions{}, megabyte};
    for (const std::string_view sample : samples) {
        REQUIRE(outcome(wire, sample) == "read");
        for (std::size_t size = 0; size < sample.size(); ++size) {
            const std::string cut{sample.substr(0, size)}; // so that a read behind its end is seen
            REQUIRE(outcome(wire, cut) == "refused");
        }
    }
}

TEST_CASE("a message with any one byte changed is refused or an event", "[wire]") {
    const Wire wire{WireOptions{}, megabyte};
    for (const std::string_view sample : samples) {
        std::size_t refused = 0;
        for (std::size_t at = 0; at < sample.size(); ++at) {
            for (int byte = 0; byte < 256; ++byte) {
                std::string changed{sample};
                changed[at] = static_cast<char>(byte);
                refused += outcome(wire, changed) == "refused" ? 1 : 0;
            }
        }
        CHECK(refused > 100 * sample.size());
        CHECK(refused < 256 * sample.size());
    }
}

TEST_CASE("a message with bytes changed, cut out and put in at random is refused or an event", "[wire]") {
    GOSSIP_INFO_SEED();
    gossip_test::Random random(9);
    const Wire wire{WireOptions{.compress_above = gossip::has_zstd ? std::size_t{16} : 0}, megabyte};
    constexpr std::string_view tokens[] = {
        "{", "}",    "[",     "]",       "\"",   "\\",        ",",
        ":", "null", "1e999", "\\ud800", "\xff", "\"Data\":", "\"Encoding\":\"zstd+base64\",",
        "-", "0",    "\0",    " "};
    int read = 0;
    for (int i = 0; i < 20'000; ++i) {
        std::string bytes = random.one_in(3) ? written(wire, event_of(random), json_of(random, 4))
                                             : std::string{samples[random.below(std::size(samples))]};
        for (auto changes = random.below(4); changes != 0; --changes) {
            const auto at = random.below(bytes.size() + 1);
            switch (random.below(3)) {
            case 0:
                bytes.insert(at, tokens[random.below(std::size(tokens))]);
                break;
            case 1:
                bytes.erase(at, random.below(8));
                break;
            default:
                bytes.replace(at, 1, 1, static_cast<char>(random.below(256)));
            }
            if (bytes.empty()) {
                break;
            }
        }
        read += outcome(wire, bytes) == "read" ? 1 : 0;
    }
    CHECK(read > 1'000);
}

TEST_CASE("what hostile senders send costs what its bytes cost", "[wire]") {
    const Wire wire{WireOptions{}, 4 * megabyte};
    const auto repeated = [](std::string_view what, std::size_t times) {
        std::string text;
        for (std::size_t i = 0; i < times; ++i) {
            text.append(what);
        }
        return text;
    };
    CHECK(outcome(wire, repeated(R"({"Data":)", 100'000)) == "refused");
    CHECK(outcome(wire, R"({"Type":"a","Data":)" + repeated("[", 1'000'000)) == "refused");
    CHECK(outcome(wire, R"({"Type":"a","Data":[)" + repeated("{},", 300'000) + "1]}") == "read");
    CHECK(outcome(wire, R"({"Type":"a",)" + repeated(R"("Metadata":{"a":1},)", 100'000) + R"("x":1})") == "read");
    CHECK(outcome(wire, R"({"Type":")" + repeated("\\u0041", 300'000) + R"("})") == "read");
    CHECK(outcome(wire, R"({"Type":"a","Data":)" + repeated("9", 2'000'000) + "}") == "read");
    CHECK(outcome(wire, R"({"Type":"a","Metadata":{"n":)" + repeated("9", 2'000'000) + "}}") == "read");
    std::string many = R"({"Type":"a","Metadata":{)";
    for (int i = 0; i < 100'000; ++i) {
        many.append("\"" + std::to_string(i) + "\":1,");
    }
    CHECK(outcome(wire, many + R"("x":1}})") == "refused");
    CHECK(outcome(wire, repeated(" ", 5'000'000)) == "refused");
}

TEST_CASE("messages say the version of their topic's data, and older data has a way to the newest", "[wire]") {
    const SchemaTable schemas = SchemaTable{}
                                    .set("order.created", 3,
                                         [](std::uint32_t version, std::string_view data) {
                                             return "[" + std::to_string(version) + "," + std::string{data} + "]";
                                         })
                                    .set("user.created", 2);
    const Wire wire{WireOptions{.schemas = schemas}, megabyte};
    Envelope envelope;
    const std::string bytes = written(wire, Event{topic}, "1");
    REQUIRE(wire.scan(bytes, envelope));
    CHECK(envelope.version == 3);

    REQUIRE(schemas.upcast_from("order.created", 1) != nullptr);
    CHECK((*schemas.upcast_from("order.created", 2))(2, "{}") == "[2,{}]");
    CHECK(schemas.upcast_from("order.created", 3) == nullptr);
    CHECK(schemas.upcast_from("order.created", 4) == nullptr);
    CHECK(schemas.upcast_from("user.created", 1) == nullptr);
    CHECK(schemas.upcast_from("other", 1) == nullptr);
    CHECK(schemas.version_of("user.created") == 2);
    CHECK(schemas.version_of("other") == 1);

    std::string forwarded; // as it came
    wire.write(forwarded, Event{topic}, "1", false, 1, 2);
    REQUIRE(wire.scan(forwarded, envelope));
    CHECK(envelope.version == 2);

    CHECK_THROWS_AS(SchemaTable{}.set("a", 0), gossip::ValidationError);
    CHECK_THROWS_AS(SchemaTable{}.set("a b", 1), gossip::ValidationError);
}

TEST_CASE("options out of bounds are refused by name", "[wire]") {
    const auto error_of = [](WireOptions options) -> std::string {
        try {
            const Wire wire{std::move(options), megabyte};
        } catch (const gossip::ValidationError& error) {
            return std::string{error.field()};
        }
        return "none";
    };
    CHECK(error_of({}) == "none");
    CHECK(error_of({.source = ""}) == "source");
    CHECK(error_of({.source = "\xff"}) == "source");
    CHECK(error_of({.max_depth = 0}) == "max_depth");
    CHECK(error_of({.max_depth = 513}) == "max_depth");
    CHECK(error_of({.max_depth = 512}) == "none");
    CHECK(error_of({.format = static_cast<WireFormat>(2)}) == "format");
    CHECK(error_of({.compress_above = 1}) == (gossip::has_zstd ? "none" : "compress_above"));
}

TEST_CASE("what is too large is refused before it is compressed, and data is checked then too", "[wire]") {
    if (!gossip::has_zstd) {
        return;
    }
    const Wire wire{WireOptions{.compress_above = 100}, 2'000};
    std::string out = "kept";
    CHECK_THROWS_AS(wire.write(out, Event{topic}, "\"" + std::string(3'000, 'a') + "\"", false),
                    gossip::ValidationError);
    CHECK_THROWS_AS(wire.write(out, Event{topic}, std::string(1'000, '['), true), gossip::ValidationError);
    CHECK(out == "kept");
    const std::string large = written(wire, Event{topic}, "\"" + std::string(1'900, 'a') + "\"");
    CHECK_THAT(large, ContainsSubstring(R"("Encoding":"zstd+base64")"));
    CHECK(large.size() < 300);
    CHECK(outcome(wire, large) == "read");
}

} // namespace wire_test
