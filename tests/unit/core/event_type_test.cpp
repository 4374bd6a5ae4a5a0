#include <gossip/core/event_type.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"

#include <bit>
#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace event_type_test {

using gossip::EventType;
using gossip::Pattern;

inline namespace parts {

std::string rule_broken_by(const std::string& name) {
    try {
        (void)EventType{name};
    } catch (const gossip::ValidationError& error) {
        CHECK(error.field() == "event type");
        return std::string{error.rule()};
    }
    return "";
}

bool matches(const char* pattern, const char* name) {
    const bool matched = Pattern{pattern}.matches(EventType{name});
    CHECK(Pattern{pattern}.matches(std::string_view{name}) == matched);
    return matched;
}

} // namespace parts

TEST_CASE("an event type is the name it was made from", "[event_type]") {
    const EventType type{"order.created"};

    CHECK(type.name() == "order.created");
    CHECK(type == EventType{"order.created"});
    CHECK(type != EventType{"order.updated"});
}

TEST_CASE("a literal and a run-time name are equal and hash equally", "[event_type]") {
    static constexpr EventType literal = EventType::literal("order.created");
    const EventType made{std::string{"order."} + "created"};

    CHECK(literal == made);
    CHECK(literal.hash() == made.hash());
    CHECK(std::is_eq(literal <=> made));
    CHECK(std::hash<EventType>{}(literal) == std::hash<EventType>{}(made));
}

TEST_CASE("a run-time name does not depend on the string it was made from", "[event_type]") {
    std::string text = "order.created";
    const EventType type{text};
    text = "something.else.entirely";

    CHECK(type.name() == "order.created");
}

TEST_CASE("copies of a run-time name share it and outlive the first", "[event_type]") {
    auto first = std::make_unique<EventType>("order.created");
    const support::AllocationCounter allocations;
    const EventType second = *first;
    EventType third{second};
    third = second;
    const EventType fourth = std::move(third);
    first.reset();

    CHECK(allocations.count() == 0);
    CHECK(second.name() == "order.created");
    CHECK(fourth.name().data() == second.name().data());
}

TEST_CASE("a moved-from event type is empty and can be assigned to", "[event_type]") {
    EventType from{"a.b"};
    const EventType to = std::move(from);
    CHECK(from.name().empty()); // NOLINT: the state after a move is promised
    from = to;

    CHECK(from.name() == "a.b");
    EventType& self = from;
    from = self;
    CHECK(from.name() == "a.b");
}

TEST_CASE("every name that breaks a rule is refused with that rule", "[event_type]") {
    CHECK(rule_broken_by("") == "must not be empty");
    CHECK(rule_broken_by(std::string(256, 'a')) == "must not be longer than 255 bytes");
    CHECK(rule_broken_by(".") == "must not have an empty segment");
    CHECK(rule_broken_by("a..b") == "must not have an empty segment");
    CHECK(rule_broken_by(".a") == "must not have an empty segment");
    CHECK(rule_broken_by("a.") == "must not have an empty segment");
    CHECK(rule_broken_by("a.*") == "must not have a '*', which only a pattern may have");
    CHECK(rule_broken_by("a b") == "must not have a space or control character");
    CHECK(rule_broken_by("a\tb") == "must not have a space or control character");
    CHECK(rule_broken_by(std::string("a\0b", 3)) == "must not have a space or control character");
    CHECK(rule_broken_by("a\x7F") == "must not have a space or control character");
}

TEST_CASE("the longest name, a single byte and UTF-8 are names", "[event_type]") {
    CHECK(EventType{std::string(255, 'a')}.name().size() == 255);
    CHECK(EventType{"a"}.name() == "a");
    CHECK(EventType{"bestellung.\xC3\xBC"
                    "bergeben"}
              .name()
              .size() == 21);
    CHECK(EventType{"gossip.dead_letter"}.name() == "gossip.dead_letter");
}

TEST_CASE("one changed bit changes about half of the hash", "[event_type]") {
    const std::string name = "account.step.number";
    double flipped = 0;
    int samples = 0;
    for (std::size_t byte = 0; byte < name.size(); ++byte) {
        for (int bit = 0; bit < 8; ++bit, ++samples) {
            std::string other = name;
            other[byte] = static_cast<char>(other[byte] ^ (1 << bit));
            flipped += std::popcount(gossip::detail::hash_bytes(name) ^ gossip::detail::hash_bytes(other));
        }
    }

    CHECK(flipped / samples > 30);
    CHECK(flipped / samples < 34);
}

TEST_CASE("a hundred thousand similar names have distinct hashes, and the low bits spread", "[event_type]") {
    std::unordered_set<std::uint64_t> hashes;
    std::vector<int> buckets(256);
    for (int i = 0; i < 100'000; ++i) {
        const std::uint64_t hash = gossip::detail::hash_bytes("key-" + std::to_string(i));
        hashes.insert(hash);
        ++buckets[hash % 256];
    }

    CHECK(hashes.size() == 100'000);
    CHECK(*std::max_element(buckets.begin(), buckets.end()) < 500);
    CHECK(*std::min_element(buckets.begin(), buckets.end()) > 290);
}

TEST_CASE("a zero byte at the end and the length count in the hash", "[event_type]") {
    using namespace std::string_view_literals;
    using gossip::detail::hash_bytes;

    CHECK(hash_bytes("a"sv) != hash_bytes("a\0"sv));
    CHECK(hash_bytes(""sv) != hash_bytes("\0"sv));
    CHECK(hash_bytes("12345678"sv) != hash_bytes("12345678\0"sv));
}

TEST_CASE("event types are ordered by hash", "[event_type]") {
    const EventType a{"a"};
    const EventType b{"b"};

    CHECK((a < b) == (a.hash() < b.hash()));
    CHECK(std::set<EventType>{a, b, a}.size() == 2);
}

TEST_CASE("a text that is no name is in no set", "[pattern]") {
    const std::string long_text(70'000, 'x');
    for (const std::string_view text : std::initializer_list<std::string_view>{
             "", ".", "a.", ".a", "a..b", "*", "a.*", "a b", std::string_view{"a\0b", 3}, long_text}) {
        CHECK_FALSE(Pattern{"**"}.matches(text));
        CHECK_FALSE(Pattern{"a.**"}.matches(text));
    }
}

TEST_CASE("a pattern without wildcards matches just that name", "[pattern]") {
    CHECK(matches("order.created", "order.created"));
    CHECK_FALSE(matches("order.created", "order.created.late"));
    CHECK_FALSE(matches("order.created", "order"));
    CHECK_FALSE(matches("order.created", "order.create"));
    CHECK_FALSE(matches("order", "orders"));
    CHECK_FALSE(Pattern{"order.created"}.has_wildcard());
}

TEST_CASE("a star is exactly one segment, anywhere", "[pattern]") {
    CHECK(matches("*", "tick"));
    CHECK_FALSE(matches("*", "clock.tick"));
    CHECK(matches("order.*", "order.created"));
    CHECK_FALSE(matches("order.*", "order"));
    CHECK_FALSE(matches("order.*", "order.created.late"));
    CHECK(matches("*.created", "order.created"));
    CHECK_FALSE(matches("*.created", "created"));
    CHECK(matches("a.*.c.*", "a.b.c.d"));
    CHECK_FALSE(matches("a.*.c.*", "a.b.x.d"));
}

TEST_CASE("two stars are one or more segments, and only the last ones", "[pattern]") {
    CHECK(matches("**", "tick"));
    CHECK(matches("**", "a.b.c.d"));
    CHECK(matches("order.**", "order.created"));
    CHECK(matches("order.**", "order.created.late"));
    CHECK_FALSE(matches("order.**", "order"));
    CHECK_FALSE(matches("order.**", "orders.created"));
    CHECK(matches("*.b.**", "a.b.c"));
    CHECK_FALSE(matches("*.b.**", "a.b"));
}

TEST_CASE("names under gossip. match no pattern that does not spell it", "[pattern]") {
    CHECK_FALSE(matches("**", "gossip.dead_letter"));
    CHECK_FALSE(matches("*.*", "gossip.dead_letter"));
    CHECK_FALSE(matches("*.dead_letter", "gossip.dead_letter"));
    CHECK(matches("gossip.*", "gossip.dead_letter"));
    CHECK(matches("gossip.**", "gossip.dead_letter"));
    CHECK(matches("gossip.dead_letter", "gossip.dead_letter"));
    CHECK(matches("*", "gossip"));
    CHECK(matches("*.x", "gossips.x"));
}

TEST_CASE("a pattern keeps its text and compares by it", "[pattern]") {
    CHECK(Pattern{"order.*"}.text() == "order.*");
    CHECK(Pattern{"order.*"}.has_wildcard());
    CHECK(Pattern{"order.*"} == Pattern{"order.*"});
}

TEST_CASE("a bad pattern is refused", "[pattern]") {
    const auto* const bad = GENERATE("", "a..*", ".*", "*.", "or*er.x", "***", "**.a", "a.**.b", "**.**", "a b.*");

    try {
        (void)Pattern{bad};
        FAIL("accepted");
    } catch (const gossip::ValidationError& error) {
        CHECK(error.field() == "pattern");
        CHECK_FALSE(error.rule().empty());
    }
}

} // namespace event_type_test
