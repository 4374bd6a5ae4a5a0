#include <gossip/batch/batch.hpp>
#include <gossip/bus/event_bus.hpp>
#include <gossip/middleware/chain.hpp>
#include <gossip/middleware/circuit_breaker.hpp>
#include <gossip/middleware/deduplicate.hpp>
#include <gossip/middleware/fail_every.hpp>
#include <gossip/middleware/logging.hpp>
#include <gossip/middleware/make.hpp>
#include <gossip/middleware/retry.hpp>
#include <gossip/middleware/timeout_detached.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace bus_middleware_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::BusMiddleware;
using gossip::Config;
using gossip::Context;
using gossip::Event;
using gossip::EventBus;
using gossip::Result;

inline namespace parts {

constexpr gossip::Topic<int> number{"wrapped.number"};
constexpr gossip::Topic<> bell{"wrapped.bell"};

/// Writes down what it stands around, before and after.
auto noting(std::vector<std::string>& notes, std::string name) {
    return middleware::make([&notes, name](auto& next, Context& context, const Event& event) {
        notes.push_back(name + "(");
        Result result = next(context, event);
        notes.push_back(name + ")");
        return result;
    });
}

} // namespace parts

TEST_CASE("what the Config names stands around every processor, data-only, untyped and many-named alike",
          "[bus_middleware]") {
    std::vector<std::string> names;
    EventBus bus{
        Config{.workers = 0, .middleware = middleware::make([&](auto& next, Context& context, const Event& event) {
                                 names.emplace_back(event.type().name());
                                 return next(context, event);
                             })}};
    int runs = 0;
    auto s1 = bus.subscribe(number, [&](const int& n) { runs += n; });
    auto s2 = bus.subscribe(number, [&] { ++runs; });
    auto s3 = bus.subscribe(gossip::Pattern{"wrapped.*"}, [&](const Event&) { ++runs; });
    auto s4 = bus.subscribe_many({number.type(), bell.type()}, [&](Context&) { ++runs; });

    bus.publish(number, 10);
    bus.publish(bell);
    REQUIRE(bus.poll() == 2);

    CHECK(runs == 15);
    CHECK(names == std::vector<std::string>{"wrapped.number", "wrapped.number", "wrapped.number", "wrapped.number",
                                            "wrapped.bell", "wrapped.bell"});
}

TEST_CASE("the middleware of the bus stands outside of the subscription's own, and inside of its filter",
          "[bus_middleware]") {
    std::vector<std::string> notes;
    EventBus bus{Config{.workers = 0, .middleware = noting(notes, "bus")}};
    auto s = bus.subscribe(number, noting(notes, "own")([&](const int&) { notes.emplace_back("run"); }),
                           {.filter = [](const Event& event) { return event.data<int>() > 0; }});

    bus.publish(number, 1);
    bus.publish(number, -1);
    bus.poll();

    CHECK(notes == std::vector<std::string>{"bus(", "own(", "run", "own)", "bus)"});
    CHECK(bus.stats().handled == 2);
}

TEST_CASE("a chain around the bus is in the order of its naming, and passes publish_sync's errors on",
          "[bus_middleware]") {
    std::vector<std::string> notes;
    EventBus bus{Config{
        .workers = 0,
        .middleware = middleware::chain(noting(notes, "a"), middleware::retry(2, 0ms), noting(notes, "b")),
    }};
    int calls = 0;
    auto s = bus.subscribe(number, [&](const int&) -> Result {
        ++calls;
        return gossip::ProcessingError{"no"};
    });

    const auto result = bus.publish_sync(number, 1);

    CHECK(calls == 3);
    REQUIRE(result.errors().size() == 1);
    CHECK(result.errors()[0].message() == "no");
    CHECK(notes == std::vector<std::string>{"a(", "b(", "b)", "b(", "b)", "b(", "b)", "a)"});
}

TEST_CASE("an exception from a processor reaches the bus's middleware as a failed Result", "[bus_middleware]") {
    std::vector<std::string> seen;
    EventBus bus{
        Config{.workers = 0, .middleware = middleware::logging("bus", [&](const middleware::LogRecord& record) {
                                 seen.emplace_back(record.result ? "ok" : record.result.error().what());
                             })}};
    auto s = bus.subscribe(number, [](const int& n) {
        if (n < 0) {
            throw std::runtime_error{"below zero"};
        }
    });

    bus.publish(number, 1);
    bus.publish(number, -1);
    bus.poll();

    CHECK(seen == std::vector<std::string>{"ok", "processing error: below zero"});
    CHECK(bus.stats().failed == 1);
}

TEST_CASE("each attempt of a redelivery passes through the bus's middleware", "[bus_middleware]") {
    gossip::testing::ManualClock clock;
    std::vector<int> attempts;
    EventBus bus{Config{.workers = 0,
                        .clock = &clock,
                        .middleware = middleware::make([&](auto& next, Context& context, const Event& event) {
                            attempts.push_back(context.attempt());
                            return next(context, event);
                        })}};
    auto s = bus.subscribe(number, [](const int&) -> Result { return gossip::errors::retryable; },
                           {.redelivery = {.attempts = 3, .first_delay = 1s, .growth = 1, .jitter = 0}});

    bus.publish(number, 1);
    bus.poll();
    for (int i = 0; i < 3; ++i) {
        clock.advance(1s);
        bus.poll();
    }

    CHECK(attempts == std::vector<int>{1, 2, 3});
    CHECK(bus.stats().failed == 1);
}

TEST_CASE("dead letters are not wrapped: what the bus's middleware refuses is still heard of", "[bus_middleware]") {
    int buried = 0;
    int library_names = 0;
    EventBus bus{Config{.workers = 0, .middleware = middleware::fail_every(1)}};
    auto s = bus.subscribe(number, [](const int&) {});
    auto d1 = bus.subscribe(gossip::dead_letter, [&](const gossip::DeadLetter&) { ++buried; });
    auto d2 = bus.subscribe(gossip::Pattern{"gossip.*"}, [&](const Event&) { ++library_names; });

    bus.publish(number, 1);
    REQUIRE(bus.drain(20s));

    CHECK(buried == 1);
    CHECK(library_names == 1);
    CHECK(bus.stats().failed == 1);
    CHECK(bus.stats().dead_letters_failed == 0);
}

TEST_CASE("state that a middleware shares is one for the bus, what it keeps for each processor is not",
          "[bus_middleware]") {
    SECTION("one circuit for all") {
        const auto circuit = middleware::circuit_breaker({.failures = 1, .open_for = 1h});
        EventBus bus{Config{.workers = 0, .middleware = circuit}};
        int calls = 0;
        auto bad = bus.subscribe(number, [](const int&) -> Result { return gossip::errors::processing_failed; });
        auto good = bus.subscribe(bell, [&] { ++calls; });

        CHECK_FALSE(bus.publish_sync(number, 1).ok());
        CHECK_FALSE(bus.publish_sync(bell).ok());
        CHECK(calls == 0);
        CHECK(circuit.state() == middleware::CircuitState::open);
    }
    SECTION("the keys that were seen belong to one subscription each") {
        EventBus bus{Config{.workers = 0, .middleware = middleware::deduplicate()}};
        int first = 0;
        int second = 0;
        auto s1 = bus.subscribe(number, [&](const int&) { ++first; });
        auto s2 = bus.subscribe(number, [&](const int&) { ++second; });

        const Event event{number, 1};
        bus.publish(event);
        bus.publish(event);
        bus.poll();

        CHECK(first == 1);
        CHECK(second == 1);
    }
}

TEST_CASE("around a batch the bus's middleware sees each event being collected", "[bus_middleware]") {
    SECTION("and the batch runs as ever") {
        int collected = 0;
        std::vector<std::size_t> sizes;
        EventBus bus{
            Config{.workers = 0, .middleware = middleware::make([&](auto& next, Context& context, const Event& event) {
                                     ++collected;
                                     return next(context, event);
                                 })}};
        auto s = bus.subscribe(number, gossip::batch<int>({.size = 2, .period = 1h}, [&](std::span<const int> numbers) {
                                   sizes.push_back(numbers.size());
                               }));
        for (int i = 0; i < 5; ++i) {
            bus.publish(number, i);
        }
        const auto report = bus.shutdown();

        CHECK(collected == 5);
        CHECK(sizes == std::vector<std::size_t>{2, 2, 1});
        CHECK(report.handled == 5);
    }
    SECTION("which a middleware that leaves the worker's thread can't do") {
        EventBus bus{Config{.workers = 0, .middleware = middleware::timeout_detached(1h)}};
        auto s = bus.subscribe(number, gossip::batch<int>({.size = 2, .period = 1h}, [](std::span<const int>) {}));
        bus.publish(number, 1);
        bus.poll();

        CHECK(bus.stats().failed == 1);
    }
}

TEST_CASE("a processor that belongs to an object is wrapped as well, and ends with it", "[bus_middleware]") {
    std::vector<std::string> notes;
    EventBus bus{Config{.workers = 0, .middleware = noting(notes, "bus")}};
    auto owner = std::make_shared<int>(0);
    auto s = bus.subscribe(number, std::weak_ptr<int>(owner), [&](const int&) { notes.emplace_back("run"); });

    bus.publish(number, 1);
    bus.poll();
    owner.reset();
    bus.publish(number, 1);
    bus.poll();

    CHECK(notes == std::vector<std::string>{"bus(", "run", "bus)", "bus(", "bus)"});
    CHECK_FALSE(s.active());
}

TEST_CASE("middleware of a function that takes any event processor is good for a bus", "[bus_middleware]") {
    int calls = 0;
    const auto counting = [&calls](gossip::event_processor auto next) {
        return [&calls, next = std::move(next)](Context& context, const Event& event) -> Result {
            ++calls;
            return next(context, event);
        };
    };
    const BusMiddleware none;
    const BusMiddleware some(counting);
    CHECK(none.empty());
    CHECK_FALSE(some.empty());

    const Config config{.workers = 0, .middleware = some};
    EventBus first{config};
    EventBus second{config};
    auto s1 = first.subscribe(number, [](const int&) {});
    auto s2 = second.subscribe(bell, [] {});
    CHECK(first.publish_sync(number, 1).ok());
    CHECK(second.publish_sync(bell).ok());
    CHECK(calls == 2);
}

} // namespace bus_middleware_test
