#include <gossip/bus/event_bus.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <limits>
#include <string>

namespace config_test {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::EventBus;
using gossip::ValidationError;

inline constexpr gossip::Topic<int> number{"config.number"};

/// The refusal of what `f` does: field, value and rule.
template <class F>
std::string refusal(F&& f) {
    try {
        f();
    } catch (const ValidationError& error) {
        CHECK_FALSE(error.rule().empty());
        return std::string(error.field()) + "=" + std::string(error.value());
    }
    return "none";
}
std::string refusal_of(const Config& config) {
    return refusal([&] { EventBus<> bus{config}; });
}

TEST_CASE("a configuration out of bounds is refused with field, value and rule", "[bus][config]") {
    CHECK(refusal_of({.workers = 0, .buffer_size = 0}) == "buffer_size=0");
    CHECK(refusal_of({.workers = 0, .buffer_size = std::numeric_limits<std::size_t>::max()}) ==
          "buffer_size=18446744073709551615");
    CHECK(refusal_of({.workers = 1'025}) == "workers=1025");
    CHECK(refusal_of({.workers = static_cast<unsigned>(-1)}) == "workers=4294967295");
    CHECK(refusal_of({.workers = 0, .overflow = static_cast<gossip::Overflow>(3)}) == "overflow=3");
    CHECK(refusal_of({.workers = 0, .idle = static_cast<gossip::Idle>(7)}) == "idle=7");
    CHECK(refusal_of({.workers = 0, .buffer_size = 1}) == "none");
}

TEST_CASE("the message of a refusal reads as a sentence with all three", "[bus][config]") {
    try {
        EventBus<> bus{Config{.buffer_size = 0}};
        FAIL("accepted");
    } catch (const ValidationError& error) {
        CHECK(std::string(error.what()) ==
              "validation error on field 'buffer_size': must be between 1 and 1073741824, got 0");
    }
}

TEST_CASE("negative and absurd durations are refused with field, value and rule", "[bus][config]") {
    EventBus bus{Config{.workers = 0}};
    const auto absurd = std::chrono::hours{24 * 365 * 101};

    CHECK(refusal([&] { bus.drain(-1ns); }) == "timeout=-1ns");
    CHECK(refusal([&] { bus.drain(absurd); }).find("timeout=") == 0);
    CHECK(refusal([&] { bus.shutdown(-1s); }).find("timeout=-1") == 0);
    CHECK(refusal([&] { bus.publish_after(-1ms, number, 1); }).find("delay=-1") == 0);
    CHECK(refusal([&] { bus.publish_after(absurd, number, 1); }).find("delay=") == 0);
    CHECK(refusal([&] { bus.publish_every(0ns, number, 1); }).find("period=0") == 0);
    CHECK(refusal([&] { bus.publish_every(-1ns, number, 1); }) == "period=-1ns");
    CHECK(bus.publish(number, 1) == gossip::PublishStatus::accepted); // a refused shutdown has closed nothing
    CHECK(bus.stats().timers == 0);
}

TEST_CASE("options of a subscription out of bounds are refused with field, value and rule", "[bus][config]") {
    EventBus bus{Config{.workers = 0}};
    const auto refused = [&](gossip::Redelivery redelivery) {
        return refusal([&] { static_cast<void>(bus.subscribe(number, [] {}, {.redelivery = redelivery})); });
    };
    CHECK(refused({.attempts = 0}) == "redelivery.attempts=0");
    CHECK(refused({.attempts = -4}) == "redelivery.attempts=-4");
    CHECK(refused({.first_delay = -1ns}) == "redelivery.first_delay=-1ns");
    CHECK(refused({.max_delay = -1ns}) == "redelivery.max_delay=-1ns");
    CHECK(refused({.growth = 0.5}).find("redelivery.growth=0.5") == 0);
    CHECK(refused({.growth = std::numeric_limits<double>::quiet_NaN()}).find("redelivery.growth=") == 0);
    CHECK(refused({.growth = std::numeric_limits<double>::infinity()}).find("redelivery.growth=") == 0);
    CHECK(refused({.max_waiting = 0}) == "redelivery.max_waiting=0");
    CHECK(refused({.jitter = 1.5}).find("redelivery.jitter=1.5") == 0);
    CHECK(refused({.jitter = -0.1}).find("redelivery.jitter=-0.1") == 0);
    CHECK(refused({.jitter = std::numeric_limits<double>::quiet_NaN()}).find("redelivery.jitter=") == 0);
    CHECK(bus.stats().subscriptions == 0);
}

TEST_CASE("names that are empty, malformed or wild are refused where they are published", "[bus][config]") {
    EventBus bus{Config{.workers = 0}};
    for (const std::string name : {"", "a..b", ".a", "a.", "a b", "order.*", "**", "a\n"}) {
        INFO("'" << name << "'");
        CHECK(refusal([&] { bus.publish(gossip::Event{gossip::EventType{name}, 1}); }) == "event type=" + name);
    }
    CHECK(refusal([&] { bus.publish(gossip::Event{gossip::EventType{std::string(256, 'a')}}); }).find("event type=a") ==
          0);
    for (const std::string pattern : {"", "a..b", "**.a", "a*", "a.*b"}) {
        INFO("'" << pattern << "'");
        CHECK(refusal([&] { static_cast<void>(bus.subscribe(gossip::Pattern{pattern}, [] {})); }).find("pattern=") ==
              0);
    }
    CHECK(bus.stats().accepted == 0);
}

TEST_CASE("what was moved from has no name, and is refused where it is published or subscribed to", "[bus][config]") {
    EventBus bus{Config{.workers = 0}};
    gossip::EventType type{"config.run-time"};
    gossip::Pattern pattern{"config.a-long-name-beyond-what-fits-in-place.*"};
    gossip::Event event{type, std::string(100, 'x')};
    CHECK(bus.publish(gossip::Event{std::move(event)}) == gossip::PublishStatus::accepted);
    CHECK(gossip::EventType{std::move(type)}.name() == "config.run-time");
    CHECK(gossip::Pattern{std::move(pattern)}.has_wildcard());

    // NOLINTBEGIN(bugprone-use-after-move): that is what is tested
    CHECK(refusal([&] { bus.publish(event); }) == "event type=");
    CHECK(refusal([&] { static_cast<void>(bus.try_publish(event)); }) == "event type=");
    CHECK(refusal([&] { static_cast<void>(bus.publish_sync(event)); }) == "event type=");
    CHECK(refusal([&] { bus.publish_after(1s, event); }) == "event type=");
    CHECK(refusal([&] { bus.publish_every(1s, event); }) == "event type=");
    CHECK(refusal([&] { bus.publish(gossip::Event{type, 1}); }) == "event type=");
    CHECK(refusal([&] { static_cast<void>(bus.subscribe(type, [] {})); }) == "event type=");
    CHECK(refusal([&] { static_cast<void>(bus.subscribe(pattern, [] {})); }) == "pattern=");
    CHECK_FALSE(pattern.matches(gossip::EventType{"a"}));
    // NOLINTEND(bugprone-use-after-move)
    CHECK(refusal([&] { static_cast<void>(bus.subscribe_many({}, [] {})); }) == "types=");
    CHECK(bus.stats().accepted == 1);
    CHECK(bus.stats().subscriptions == 0);
    CHECK(bus.stats().timers == 0);
}

TEST_CASE("a priority that is none is refused where it is published", "[bus][config]") {
    EventBus bus{Config{.workers = 0}};
    const auto priority = static_cast<gossip::Priority>(4);

    CHECK(refusal([&] { bus.publish(number, 1, {.priority = priority}); }) == "priority=4");
    CHECK(refusal([&] { static_cast<void>(bus.try_publish(number, 1, {.priority = priority})); }) == "priority=4");
    CHECK(refusal([&] { static_cast<void>(bus.publish_sync(number, 1, {.priority = priority})); }) == "priority=4");
    CHECK(bus.stats().accepted == 0);
}

} // namespace config_test
