#include <gossip/middleware/correlation.hpp>

#include "support/catch.hpp"
#include "support/processing.hpp"

#include <gossip/core/outgoing.hpp>

#include <string>

namespace correlation_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;
using support::bind;
using support::number;
using support::Rig;
using support::Script;

inline namespace parts {

Event published(const Event& event = Event{number, 0}) {
    Event copy = event;
    gossip::detail::add_outgoing(copy);
    return copy;
}

} // namespace parts

TEST_CASE("correlation gives the named metadata to what the processor publishes", "[correlation]") {
    Rig rig;
    Event out{number, 0};
    auto bound = bind(middleware::correlation("request", "tenant")([&](const int&) { out = published(); }));

    CHECK(rig.run(bound, Event{number, 1}.with_metadata("request", "r-1").with_metadata("other", 1)));

    CHECK(out.metadata() == gossip::Metadata{{"request", "r-1"}});
    CHECK(published().metadata().empty());
}

TEST_CASE("what the published event says itself is left as it is", "[correlation]") {
    Rig rig;
    Event out{number, 0};
    auto bound = bind(middleware::correlation("request")([&](const int&) {
        out = published(Event{number, 2}.with_metadata("request", "mine"));
    }));

    CHECK(rig.run(bound, Event{number, 1}.with_metadata("request", "r-1")));

    CHECK(out.metadata().get<std::string>("request") == "mine");
}

TEST_CASE("of two correlations the inner one wins, also in a nested run", "[correlation]") {
    Rig rig;
    Event out{number, 0};
    const auto correlated = middleware::correlation("request", "tenant");
    auto inner = bind(correlated([&](const int&) { out = published(); }));
    auto outer = bind(correlated([&](const int&) {
        CHECK(rig.run(inner, Event{number, 2}.with_metadata("request", "inner")));
    }));

    CHECK(rig.run(outer, Event{number, 1}.with_metadata("request", "outer").with_metadata("tenant", "t")));

    CHECK(out.metadata().get<std::string>("request") == "inner");
    CHECK(out.metadata().get<std::string>("tenant") == "t");
}

TEST_CASE("nothing is inherited after a processor that has thrown", "[correlation]") {
    Rig rig;
    auto bound = bind(middleware::correlation("request")([](const int&) { throw 1; }));

    CHECK_FALSE(rig.run(bound, Event{number, 1}.with_metadata("request", "r-1")));

    CHECK(gossip::detail::outgoing_metadata == nullptr);
}

} // namespace correlation_test
