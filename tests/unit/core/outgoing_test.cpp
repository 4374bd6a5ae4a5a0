#include <gossip/core/outgoing.hpp>

#include "support/catch.hpp"

#include <string>
#include <thread>
#include <vector>

namespace outgoing_test {

using namespace gossip::detail;
using gossip::Event;
using gossip::Metadata;

inline namespace parts {

Metadata inherited(Event event) {
    add_outgoing(event);
    return event.metadata();
}
Metadata inherited() { return inherited(Event{gossip::EventType::literal("test.outgoing")}); }

} // namespace parts

TEST_CASE("nothing is inherited outside of every scope", "[outgoing]") { CHECK(inherited().empty()); }

TEST_CASE("a scope gives the entries that it names, or all", "[outgoing]") {
    const Metadata source{{"a", 1}, {"b", 2}};
    const std::vector<std::string> names{"b", "c"};
    {
        const OutgoingScope scope(source, names, false);
        CHECK(inherited() == Metadata{{"b", 2}});
        const NoOutgoingScope other_event;
        CHECK(inherited().empty());
    }
    const OutgoingScope scope(source, {}, false);
    CHECK(inherited() == source);
}

TEST_CASE("inner scopes win over outer ones, whichever of them replaces", "[outgoing]") {
    const Metadata outer{{"a", "outer"}, {"b", "outer"}};
    const Metadata inner{{"a", "inner"}};
    for (const bool outer_replaces : {false, true}) {
        for (const bool inner_replaces : {false, true}) {
            const OutgoingScope first(outer, {}, outer_replaces);
            const OutgoingScope second(inner, {}, inner_replaces);

            CHECK(inherited() == Metadata{{"a", "inner"}, {"b", "outer"}});
        }
    }
}

TEST_CASE("only a scope that replaces changes what the event says itself", "[outgoing]") {
    const Metadata source{{"a", 1}};
    const Event event = Event{gossip::EventType::literal("test.outgoing")}.with_metadata("a", 7);
    {
        const OutgoingScope scope(source, {}, false);
        CHECK(inherited(event) == Metadata{{"a", 7}});
    }
    const OutgoingScope scope(source, {}, true);
    CHECK(inherited(event) == Metadata{{"a", 1}});
}

TEST_CASE("a copy of the scopes can be taken to another thread", "[outgoing]") {
    const Metadata outer{{"a", "outer"}, {"b", "outer"}, {"c", "outer"}};
    const Metadata inner{{"a", "inner"}};
    const std::vector<std::string> names{"a", "b"};
    const OutgoingScope first(outer, names, false);
    const OutgoingScope second(inner, {}, true);
    const OutgoingCopy copy;

    Metadata there;
    Metadata afterwards;
    std::thread([&] {
        copy.apply([&] { there = inherited(); });
        afterwards = inherited();
    }).join();

    CHECK(there == inherited());
    CHECK(afterwards.empty());
}

} // namespace outgoing_test
