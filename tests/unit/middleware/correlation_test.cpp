#include <gossip/batch/batch.hpp>
#include <gossip/bus/event_bus.hpp>
#include <gossip/middleware/correlation.hpp>

#include "support/catch.hpp"
#include "support/processing.hpp"

#include <gossip/core/outgoing.hpp>

#include <chrono>
#include <span>
#include <string>
#include <vector>

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

inline constexpr gossip::Topic<int> other{"test.other"};
inline constexpr gossip::Topic<int> told{"test.told"};

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

TEST_CASE("what other events publish that are run inside of a processor inherits nothing", "[correlation]") {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    const bool ends = GENERATE(false, true); // a batch's subscription; or polls
    std::vector<std::string> requests;
    auto listener = bus.subscribe(told, [&](const Event& event) {
        requests.push_back(event.metadata().get<std::string>("request").value_or("none"));
    });
    gossip::Subscription another;
    if (ends) {
        another = bus.subscribe(
            other, gossip::batch<int>({.size = 10, .period = 1h}, [&](std::span<const int>) { bus.publish(told, 1); }));
        bus.publish(other, 1);
        bus.poll();
    } else {
        another = bus.subscribe(other, [&](const int&) { bus.publish(told, 1); });
    }
    auto correlated = bus.subscribe(number, middleware::correlation("request")([&](const int&) {
                                        if (ends) {
                                            another.unsubscribe();
                                        } else {
                                            bus.poll();
                                        }
                                        bus.publish(told, 2);
                                    }));
    bus.publish(Event{number, 1}.with_metadata("request", "r-1"));
    if (!ends) {
        bus.publish(other, 1);
    }

    CHECK(bus.drain(20s));

    CHECK(requests == std::vector<std::string>{"none", "r-1"});
}

TEST_CASE("a batch that a nested run fills up inherits nothing", "[correlation]") {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    std::vector<std::string> requests;
    auto listener = bus.subscribe(told, [&](const Event& event) {
        requests.push_back(event.metadata().get<std::string>("request").value_or("none"));
    });
    auto collects = bus.subscribe(
        other, gossip::batch<int>({.size = 2, .period = 1h}, [&](std::span<const int>) { bus.publish(told, 1); }));
    auto correlated = bus.subscribe(
        number, middleware::correlation("request")([&](const int&) { CHECK(bus.publish_sync(other, 2).ok()); }));
    bus.publish(other, 1);
    bus.publish(Event{number, 1}.with_metadata("request", "r-1"));

    CHECK(bus.drain(20s));

    CHECK(requests == std::vector<std::string>{"none"});
}

} // namespace correlation_test
