#include <gossip/batch/batch.hpp>
#include <gossip/bus/dead_letters.hpp>
#include <gossip/bus/event_bus.hpp>
#include <gossip/middleware/deduplicate.hpp>

#include "support/catch.hpp"
#include "support/processing.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace deduplicate_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;
using support::bind;
using support::number;
using support::Rig;
using support::Script;

TEST_CASE("an event runs once, however often it comes", "[deduplicate]") {
    Rig rig;
    int calls = 0;
    const auto once = middleware::deduplicate();
    auto bound = bind(once([&](const int&) { ++calls; }));
    const Event event{number, 1};

    CHECK(rig.run(bound, event));
    CHECK(rig.run(bound, event));
    CHECK(rig.run(bound, Event{number, 1}));

    CHECK(calls == 2);
    CHECK(once.duplicates() == 1);
}

TEST_CASE("what a run has put off may fail yet, and is not remembered", "[deduplicate]") {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    std::optional<gossip::Deferral> open;
    int calls = 0;
    auto s = bus.subscribe(number, middleware::deduplicate()([&](Context& context, const int&) {
                               ++calls;
                               open = context.defer();
                           }));
    gossip::DeadLetters letters;
    letters.attach(bus);
    bus.publish(number, 1);
    bus.poll();
    open->fail(gossip::ProcessingError{"down"});
    CHECK(bus.drain(20s));
    REQUIRE(letters.size() == 1);

    CHECK(letters.replay(bus) == 1);

    bus.poll();
    CHECK(calls == 2);
    open->succeed();
    CHECK(bus.drain(20s));
    CHECK(letters.size() == 0);
}

TEST_CASE("an event that a batch has collected is not remembered around all of a bus", "[deduplicate]") {
    gossip::EventBus bus{gossip::Config{.workers = 0, .middleware = middleware::deduplicate()}};
    int calls = 0;
    auto s = bus.subscribe(number, gossip::batch<int>({.size = 1}, [&](std::span<const int>) -> Result {
                               return ++calls == 1 ? Result{gossip::ProcessingError{"down"}} : Result{};
                           }));
    gossip::DeadLetters letters;
    letters.attach(bus);
    bus.publish(number, 1);
    CHECK(bus.drain(20s));

    CHECK(letters.replay(bus) == 1);

    CHECK(bus.drain(20s));
    CHECK(calls == 2);
    CHECK(letters.size() == 0);
}

TEST_CASE("two processors of one event both see it", "[deduplicate]") {
    Rig rig;
    int calls = 0;
    const auto once = middleware::deduplicate();
    auto first = bind(once([&](const int&) { ++calls; }));
    auto second = bind(once([&](const int&) { ++calls; }));
    const Event event{number, 1};

    CHECK(rig.run(first, event));
    CHECK(rig.run(second, event));

    CHECK(calls == 2);
}

TEST_CASE("what failed may come again, and a redelivery is no duplicate", "[deduplicate]") {
    Rig rig;
    Script script({gossip::errors::retryable});
    auto bound = bind(middleware::deduplicate()(script.processor()));
    const Event event{number, 1};

    CHECK_FALSE(rig.run(bound, event));
    CHECK(rig.run(bound, event));
    CHECK(script.calls == 2);
    CHECK(rig.run(bound, event));
    CHECK(script.calls == 2);
    CHECK(rig.run(bound, event, 2));
    CHECK(script.calls == 3);
}

TEST_CASE("what has succeeded in a redelivery is not run again", "[deduplicate]") {
    Rig rig;
    Script script({gossip::errors::retryable, gossip::errors::retryable});
    const auto once = middleware::deduplicate();
    auto bound = bind(once(script.processor()));
    const Event event{number, 1};

    CHECK_FALSE(rig.run(bound, event));
    CHECK_FALSE(rig.run(bound, event, 2));
    CHECK(rig.run(bound, event, 3));
    CHECK(script.calls == 3);
    CHECK(rig.run(bound, event));

    CHECK(script.calls == 3);
    CHECK(once.duplicates() == 1);
}

TEST_CASE("a key function says what is the same", "[deduplicate]") {
    Rig rig;
    int calls = 0;
    const auto by_data = middleware::deduplicate([](const Event& event) { return event.data<int>() % 10; });
    const auto by_text = middleware::deduplicate([](const Event& event) -> std::string_view { return event.key(); });
    auto numbers = bind(by_data([&](const int&) { ++calls; }));
    auto texts = bind(by_text([&](const int&) { ++calls; }));

    CHECK(rig.run(numbers, 11));
    CHECK(rig.run(numbers, 21));
    CHECK(rig.run(numbers, 12));
    CHECK(calls == 2);
    CHECK(rig.run(texts, Event{number, 1}.with_key("a")));
    CHECK(rig.run(texts, Event{number, 2}.with_key("a")));
    CHECK(rig.run(texts, Event{number, 3}.with_key("b")));
    CHECK(calls == 4);
}

TEST_CASE("keys are forgotten by time and by number", "[deduplicate]") {
    Rig rig;
    int calls = 0;
    const auto same = [](const Event& event) { return event.data<int>(); };
    auto timed = bind(middleware::deduplicate({.window = 10s}, same)([&](const int&) { ++calls; }));
    auto counted = bind(middleware::deduplicate({.count = 2}, same)([&](const int&) { ++calls; }));

    CHECK(rig.run(timed, 1));
    rig.clock.advance(9s);
    CHECK(rig.run(timed, 1));
    CHECK(calls == 1);
    rig.clock.advance(1s);
    CHECK(rig.run(timed, 1));
    CHECK(calls == 2);

    for (const int n : {1, 2, 1, 3, 2, 1}) { // the 3 pushes the 1 out
        CHECK(rig.run(counted, n));
    }
    CHECK(calls == 6);
}

TEST_CASE("events that come on many threads at once each run once", "[deduplicate]") {
    constexpr int threads = 4;
    constexpr int count = 500;
    Rig rig;
    std::array<std::atomic<int>, count> calls{};
    const auto once = middleware::deduplicate();
    auto bound = bind(once([&](const int& n) { ++calls[static_cast<std::size_t>(n)]; }));
    std::vector<Event> events;
    for (int i = 0; i < count; ++i) {
        events.emplace_back(number, i);
    }
    {
        std::vector<std::jthread> all;
        for (int t = 0; t < threads; ++t) {
            all.emplace_back([&] {
                for (const Event& event : events) {
                    static_cast<void>(rig.run(bound, event));
                }
            });
        }
    }

    CHECK(std::all_of(calls.begin(), calls.end(), [](const std::atomic<int>& n) { return n == 1; }));
    CHECK(once.duplicates() == (threads - 1) * count);
}

TEST_CASE("bad windows are refused", "[deduplicate]") {
    CHECK_THROWS_AS(middleware::deduplicate({.count = 0}), gossip::ValidationError);
    CHECK_THROWS_AS(middleware::deduplicate({.window = 0s}), gossip::ValidationError);
}

} // namespace deduplicate_test
