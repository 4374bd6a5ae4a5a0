#include <gossip/core/context.hpp>
#include <gossip/gossip.hpp>
#include <gossip/middleware/timeout.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <atomic>
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace context_test {

using namespace std::chrono_literals;

namespace context_test {

using gossip_test::Bounded;
using gossip_test::eventually;
using gossip_test::Gate;

inline constexpr gossip::Topic<int> number{"test.number"};
inline constexpr gossip::Topic<> tick{"test.tick"};

} // namespace context_test

using namespace context_test;

TEST_CASE("a context outside of a bus never stops, has no end and defers nothing", "[context]") {
    gossip::Context context;
    CHECK(context.attempt() == 1);
    CHECK(context.deadline() == gossip::Context::no_deadline);
    CHECK(context.remaining() == gossip::Context::no_deadline);
    CHECK_FALSE(context.expired());
    CHECK_FALSE(context.stop_requested());
    CHECK_FALSE(context.stop_token().stop_possible());
    CHECK(context.sleep_for(0ns));
    CHECK(context.sleep_for(-1h));
    CHECK(context.sleep_for(1ns));
    CHECK_THROWS_AS(context.defer(), gossip::ProcessingError);
}

TEST_CASE("in a bus there is no deadline unless somebody sets one, and no stop before the end", "[context]") {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    int good = 0;
    auto s = bus.subscribe(tick, [&](gossip::Context& context) {
        good += context.deadline() == gossip::Context::no_deadline &&
                        context.remaining() == gossip::Context::no_deadline && !context.stop_requested() &&
                        context.stop_token().stop_possible() && !context.stop_token().stop_requested() &&
                        context.attempt() == 1
                    ? 1
                    : 0;
    });
    bus.publish(tick);
    CHECK(bus.drain(20s));
    static_cast<void>(bus.publish_sync(tick));
    CHECK(good == 2);
}

TEST_CASE("remaining counts down on the bus's clock to zero, and the deadline is a stop", "[context]") {
    gossip::testing::ManualClock clock;
    gossip::EventBus bus{gossip::Config{.workers = 0, .clock = &clock}};
    std::vector<std::chrono::nanoseconds> left;
    std::vector<bool> stopped;
    auto s = bus.subscribe(tick, gossip::middleware::timeout(10s)([&](gossip::Context& context) {
                               for (const auto step : {0s, 4s, 6s, 1s}) {
                                   clock.advance(step);
                                   left.push_back(context.remaining());
                                   stopped.push_back(context.stop_requested());
                               }
                               stopped.push_back(!context.sleep_for(1h));
                           }));
    const auto result = bus.publish_sync(tick);

    CHECK(left == std::vector<std::chrono::nanoseconds>{10s, 6s, 0s, 0s});
    CHECK(stopped == std::vector<bool>{false, false, true, true, true});
    REQUIRE(result.errors().size() == 1);
    CHECK(gossip::is_timeout(result.errors()[0]));
}

TEST_CASE("attempt counts redeliveries", "[context]") {
    gossip::testing::ManualClock clock;
    gossip::EventBus bus{gossip::Config{.workers = 0, .clock = &clock}};
    std::vector<int> attempts;
    auto s = bus.subscribe(tick,
                           [&](gossip::Context& context) -> gossip::Result {
                               attempts.push_back(context.attempt());
                               return gossip::RetryableError{"again"};
                           },
                           {.redelivery = {.attempts = 3, .first_delay = 1s, .growth = 1, .jitter = 0}});
    bus.publish(tick);
    for (int i = 0; i < 5; ++i) {
        static_cast<void>(bus.drain(20s));
        clock.advance(1s);
    }
    CHECK(bus.drain(20s));
    CHECK(attempts == std::vector<int>{1, 2, 3});
    static_cast<void>(bus.publish_sync(tick));
    CHECK(attempts.back() == 1);
}

TEST_CASE("sleep_for sleeps on the bus's clock", "[context]") {
    gossip::testing::ManualClock clock;
    gossip::EventBus bus{gossip::Config{.workers = 1, .clock = &clock}};
    const Bounded bounded("sleeping on a manual clock");
    std::atomic<int> outcome{-1};
    Gate begun;
    auto s = bus.subscribe(tick, [&](gossip::Context& context) {
        begun.open();
        outcome = context.sleep_for(1h) ? 1 : 0;
    });
    bus.publish(tick);
    REQUIRE(begun.pass());
    clock.advance(59min);
    gossip_test::a_moment(100);
    CHECK(outcome == -1);
    // However late it began to sleep, it is over an hour after that.
    CHECK(eventually([&] {
        clock.advance(1min);
        return outcome == 1;
    }));
}

TEST_CASE("a stop ends sleep_for at once, on every clock", "[context]") {
    const bool manual = GENERATE(false, true);
    gossip::testing::ManualClock clock;
    gossip::EventBus bus{gossip::Config{.workers = 2, .clock = manual ? &clock : nullptr}};
    const Bounded bounded("a sleep that a stop ends");
    std::atomic<int> sleeping{0};
    std::atomic<int> ended{0};
    auto s = bus.subscribe(tick, [&](gossip::Context& context) {
        ++sleeping;
        ended += context.sleep_for(1h) ? 0 : 1;
    });
    bus.publish(tick);
    bus.publish(tick);
    REQUIRE(eventually([&] { return sleeping == 2; }));

    const auto report = bus.shutdown(1ms);

    CHECK(ended == 2);
    CHECK(report.handled == 2);
}

TEST_CASE("the deadline ends sleep_for, and the token is fired by whoever serves the timers", "[context]") {
    gossip::EventBus bus{gossip::Config{.workers = 2}};
    const Bounded bounded("a deadline");
    std::atomic<int> slept_out{-1};
    std::atomic<bool> fired{false};
    auto sleeper = bus.subscribe(tick, gossip::middleware::timeout(5ms)([&](gossip::Context& context) {
                                     slept_out = context.sleep_for(1h) ? 1 : 0;
                                 }));
    auto waiter = bus.subscribe(number, gossip::middleware::timeout(5ms)([&](gossip::Context& context) {
                                    const std::stop_token token = context.stop_token();
                                    fired = eventually([&] { return token.stop_requested(); });
                                }));
    bus.publish(tick);
    bus.publish(number, 1);
    CHECK(bus.drain(20s));
    CHECK(slept_out == 0);
    CHECK(fired);
    CHECK(bus.stats().failed == 2);
}

TEST_CASE("a deferral keeps the event's data and its end, on any thread", "[context]") {
    gossip::EventBus bus{gossip::Config{.workers = 2}};
    std::atomic<bool> deferred{false};
    std::optional<gossip::Deferral> open;
    auto s = bus.subscribe(number, [&](gossip::Context& context) {
        open = context.defer();
        deferred = true;
    });
    bus.publish(number, 42);
    REQUIRE(eventually([&] { return deferred.load(); }));
    CHECK_FALSE(bus.drain(1ms));
    std::thread resolver([moved = std::move(*open)]() mutable {
        if (moved.event().data<int>() == 42) {
            moved.succeed();
            moved.succeed();
        }
    });
    resolver.join();
    CHECK(bus.drain(20s));
    CHECK(bus.stats().handled == 1);
}

TEST_CASE("a deferral that is dropped fails the event", "[context]") {
    std::string message;
    gossip::EventBus bus{gossip::Config{.workers = 0, .on_error = [&](const gossip::ErrorReport& report) {
                                            message = gossip::is(report.error, gossip::errors::deferral_dropped)
                                                          ? "dropped"
                                                          : "?";
                                        }}};
    auto s = bus.subscribe(tick, [&](gossip::Context& context) { static_cast<void>(context.defer()); });
    bus.publish(tick);
    CHECK(bus.drain(20s));
    CHECK(bus.stats().failed == 1);
    CHECK(message == "dropped");
}

TEST_CASE("several deferrals of one event settle it when the last is resolved, failed if one failed", "[context]") {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    std::vector<gossip::Deferral> open;
    int letters = 0;
    auto hears = bus.subscribe(gossip::dead_letter, [&](const gossip::DeadLetter& letter) {
        ++letters;
        CHECK(letter.failures.size() == 2);
    });
    auto s = bus.subscribe(tick, [&](gossip::Context& context) {
        open.push_back(context.defer());
        open.push_back(context.defer());
        open.push_back(context.defer());
    });
    bus.publish(tick);
    CHECK(bus.poll() == 1);
    open[1].fail(gossip::ProcessingError{"first"});
    open[0].succeed();
    CHECK(bus.stats().failed == 0);
    open[2].fail(gossip::ProcessingError{"second"});
    CHECK(bus.stats().failed == 1);
    CHECK(bus.drain(20s));
    CHECK(letters == 1);
}

} // namespace context_test
