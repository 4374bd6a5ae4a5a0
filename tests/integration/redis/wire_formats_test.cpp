// Whole buses whose messages look otherwise: CloudEvents, compressed, of several versions, by the fast codec.
#include <gossip/bus/event_bus.hpp>
#include <gossip/provider/redis/fast_codec.hpp>
#include <gossip/redis.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/redis_bus.hpp"
#include "support/redis_server.hpp"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace wire_formats_test {

inline namespace parts {

struct Note {
    std::string text;
    std::int64_t number = 0;

    friend bool operator==(const Note&, const Note&) = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Note, text, number)

inline constexpr gossip::Topic<Note> noted{"wire.noted"};

using gossip::RedisOptions;
using gossip::WireOptions;
using gossip_test::eventually;
using gossip_test::patient;
using gossip_test::RedisServer;

template <class Codec>
using Bus = gossip::EventBus<gossip::BasicRedisProvider<Codec>>;

class Notes {
public:
    auto processor() {
        return [this](const gossip::TypedEvent<Note>& event) {
            const std::lock_guard lock(mutex_);
            notes_.push_back(*event);
            source_ = event.metadata().template get<std::string>("source_system").value_or("");
        };
    }
    [[nodiscard]] std::vector<Note> all() const {
        const std::lock_guard lock(mutex_);
        return notes_;
    }
    [[nodiscard]] bool come(std::size_t count) const {
        return eventually([&] { return all().size() >= count; });
    }
    [[nodiscard]] std::string source() const {
        const std::lock_guard lock(mutex_);
        return source_;
    }

private:
    mutable std::mutex mutex_;
    std::vector<Note> notes_;
    std::string source_;
};

} // namespace parts
} // namespace wire_formats_test

template <>
inline constexpr auto gossip::members<wire_formats_test::Note> = gossip::member_list("text",
                                                                                     &wire_formats_test::Note::text,
                                                                                     gossip::required("number"),
                                                                                     &wire_formats_test::Note::number);

namespace wire_formats_test {

TEST_CASE("buses with different codecs and formats understand each other", "[wire_formats]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    const std::size_t compress = gossip::has_zstd ? 1'000 : 0;
    Bus<gossip::FastCodec> fast{
        patient({.url = server.url(), .wire = {.format = gossip::WireFormat::cloud_events, .source = "/fast"}})};
    Bus<gossip::JsonCodec> plain{patient({.url = server.url(), .wire = {.compress_above = compress}})};
    Notes at_fast;
    Notes at_plain;
    auto a = fast.subscribe(noted, at_fast.processor());
    auto b = plain.subscribe(noted, at_plain.processor());
    const Note small{"a \"b\"\n", -3};
    const Note large{std::string(20'000, 'x'), 1};

    REQUIRE(fast.publish(noted, small, {.metadata = {{"source_system", "s-1"}}}) == gossip::PublishStatus::accepted);
    REQUIRE(at_fast.come(1));
    REQUIRE(at_plain.come(1));
    REQUIRE(plain.publish(noted, large) == gossip::PublishStatus::accepted);
    REQUIRE(at_fast.come(2));
    REQUIRE(at_plain.come(2));

    CHECK(at_plain.all() == std::vector<Note>{small, large});
    CHECK(at_fast.all() == std::vector<Note>{small, large});
    CHECK(plain.provider().stats().malformed == 0);
}

TEST_CASE("data of an older version is made new by the worker that reads it", "[wire_formats]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    std::atomic<std::uint32_t> from{0};
    const gossip::SchemaTable schemas =
        gossip::SchemaTable{}.set("wire.noted", 3, [&from](std::uint32_t version, std::string_view) {
            from = version;
            return std::string{R"({"text":"lifted","number":7})"};
        });
    Bus<gossip::JsonCodec> bus{patient({.url = server.url(), .wire = {.schemas = schemas}})};
    Notes notes;
    auto s = bus.subscribe(noted, notes.processor());

    CHECK(server.command(
              {"PUBLISH", "wire.noted",
               R"({"Type":"wire.noted","Timestamp":"2024-01-02T03:04:05Z","Data":"old","Metadata":null})"}) != "");
    REQUIRE(notes.come(1));
    CHECK(from == 1);
    bus.publish(noted, {"new", 8});
    REQUIRE(notes.come(2));
    CHECK(from == 1);
    CHECK(notes.all() == std::vector<Note>{{"lifted", 7}, {"new", 8}});
}

TEST_CASE("options of the wire that are out of bounds are refused by the bus", "[wire_formats]") {
    CHECK_THROWS_AS(Bus<gossip::JsonCodec>(RedisOptions{.wire = {.source = ""}}), gossip::ValidationError);
    CHECK_THROWS_AS(Bus<gossip::JsonCodec>(RedisOptions{.wire = {.max_depth = 0}}), gossip::ValidationError);
}

} // namespace wire_formats_test
