#include <gossip/bus/event_bus.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace keys_test {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::Context;
using gossip::EventBus;
using gossip::Priority;
using gossip::PublishStatus;
using gossip::Result;

inline constexpr gossip::Topic<int> number{"keys.number"};
inline constexpr gossip::Topic<int> other{"keys.other"};

using Seen = std::vector<int>;

TEST_CASE("keys are bus-wide: events of one key on two topics wait for each other", "[bus][keys]") {
    Seen seen;
    std::vector<gossip::Deferral> open;
    EventBus bus{Config{.workers = 0}};
    auto s1 = bus.subscribe(number, [&](Context& context, const int& value) {
        seen.push_back(value);
        open.push_back(context.defer());
    });
    auto s2 = bus.subscribe(other, [&](const int& value) { seen.push_back(value); });

    bus.publish(number, 1, {.key = "k"});
    bus.publish(other, 2, {.key = "k"});
    bus.publish(other, 3, {.key = "l"});
    bus.poll();
    CHECK(seen == Seen{1, 3});
    open[0].succeed();
    bus.poll();
    CHECK(seen == Seen{1, 3, 2});
}

TEST_CASE("a key is held while a deferral of its event is open, the last of several", "[bus][keys]") {
    Seen seen;
    std::vector<gossip::Deferral> open;
    EventBus bus{Config{.workers = 0}};
    auto s = bus.subscribe(number, [&](Context& context, const int& value) {
        seen.push_back(value);
        if (value == 1) {
            open.push_back(context.defer());
            open.push_back(context.defer());
        }
    });
    auto t = bus.subscribe(number, [&](Context& context, const int& value) {
        if (value == 1) {
            open.push_back(context.defer());
        }
    });

    bus.publish(number, 1, {.key = "k"});
    bus.publish(number, 2, {.key = "k"});
    for (std::size_t i = 0; i < 3; ++i) {
        bus.poll();
        CHECK(seen == Seen{1});
        i == 1 ? open[i].fail(gossip::errors::fatal) : open[i].succeed();
    }
    CHECK(bus.poll() == 1);
    CHECK(seen == Seen{1, 2});
    CHECK(bus.stats().failed == 1);
    CHECK(bus.stats().handled == 1);
}

TEST_CASE("a key is held while a redelivery of its event waits", "[bus][keys]") {
    gossip::testing::ManualClock clock;
    Seen seen;
    EventBus bus{Config{.workers = 0, .clock = &clock}};
    auto s =
        bus.subscribe(number,
                      [&](Context& context, const int& value) -> Result {
                          seen.push_back(value * 10 + context.attempt());
                          return value == 1 && context.attempt() < 3 ? Result{gossip::errors::retryable} : Result{};
                      },
                      {.redelivery = {.attempts = 3, .first_delay = 1s, .growth = 1, .jitter = 0}});

    bus.publish(number, 1, {.key = "k"});
    bus.publish(number, 2, {.key = "k"});
    bus.publish(number, 3, {.key = "free"});
    CHECK(bus.poll() == 2);
    CHECK(seen == Seen{11, 31});
    clock.advance(1s);
    bus.poll();
    CHECK(seen == Seen{11, 31, 12});
    clock.advance(1s);
    bus.poll();
    bus.poll();
    CHECK(seen == Seen{11, 31, 12, 13, 21});
    CHECK(bus.stats().adds_up());
}

TEST_CASE("a key is let go by every end of its event", "[bus][keys]") {
    gossip::testing::ManualClock clock;
    int seen = 0;
    const auto overflow = GENERATE(gossip::Overflow::block, gossip::Overflow::drop_oldest);
    EventBus bus{Config{.workers = 0, .buffer_size = 2, .overflow = overflow, .clock = &clock}};

    SECTION("unrouted") {
        bus.publish(number, 1, {.key = "k"});
        bus.publish(other, 2, {.key = "k"});
        CHECK(bus.poll() == 2);
        CHECK(bus.stats().unrouted == 2);
    }
    SECTION("all filters say no") {
        auto s = bus.subscribe(number, [&] { ++seen; }, {.filter = [](const gossip::Event&) { return false; }});
        bus.publish(number, 1, {.key = "k"});
        bus.publish(number, 2, {.key = "k"});
        CHECK(bus.poll() == 2);
        CHECK(bus.stats().handled == 2);
        CHECK(seen == 0);
    }
    SECTION("failed") {
        auto s = bus.subscribe(number, [&] { throw 1; });
        bus.publish(number, 1, {.key = "k"});
        bus.publish(number, 2, {.key = "k"});
        CHECK(bus.poll() == 2);
        CHECK(bus.stats().failed == 2);
    }
    SECTION("a deferral dropped") {
        auto s = bus.subscribe(number, [&](Context& context) { static_cast<void>(context.defer().pending()); });
        bus.publish(number, 1, {.key = "k"});
        bus.publish(number, 2, {.key = "k"});
        CHECK(bus.poll() == 2);
        CHECK(bus.stats().failed == 2);
    }
    SECTION("dropped by one of another key") {
        if (overflow == gossip::Overflow::drop_oldest) {
            auto s = bus.subscribe(number, [&] { ++seen; });
            bus.publish(number, 1, {.key = "k"});
            bus.publish(number, 2, {.key = "k"});
            bus.publish(number, 3, {.key = "l"});
            CHECK(bus.poll() == 2);
            CHECK(seen == 2);
        }
    }
    SECTION("its subscription has ended while a redelivery waited") {
        auto s = bus.subscribe(number, [&] { throw 1; }, {.redelivery = {.attempts = 5, .first_delay = 1h}});
        bus.publish(number, 1, {.key = "k"});
        bus.publish(number, 2, {.key = "k"});
        CHECK(bus.poll() == 1);
        s.unsubscribe();
        CHECK(bus.poll() == 1);
        CHECK(bus.stats().failed == 1);
        CHECK(bus.stats().unrouted == 1);
    }
    CHECK(bus.publish(number, 1, {.key = "k"}) == PublishStatus::accepted);
    CHECK(bus.drain(20s));
    CHECK(bus.stats().adds_up());
}

TEST_CASE("two keys never hold each other back", "[bus][keys]") {
    Seen seen;
    std::vector<gossip::Deferral> open;
    EventBus bus{Config{.workers = 0, .buffer_size = 64}};
    auto s = bus.subscribe(number, [&](Context& context, const int& value) {
        seen.push_back(value);
        if (value == 0) {
            open.push_back(context.defer());
        }
    });

    for (int n = 0; n < 8; ++n) {
        bus.publish(number, 0, {.key = "held"});
        bus.publish(number, n + 1, {.key = std::to_string(n)});
        bus.publish(number, n + 11, {.key = std::to_string(n), .priority = Priority::high});
    }
    bus.poll();

    CHECK(std::count(seen.begin(), seen.end(), 0) == 1);
    CHECK(seen.size() == 17);
    while (!open.empty()) {
        open.pop_back();
        bus.poll();
    }
    CHECK(bus.drain(20s));
    CHECK(seen.size() == 24);
}

TEST_CASE("a deferral that another thread ends lets waiting workers go on with the key", "[bus][keys]") {
    std::atomic<int> seen{0};
    EventBus bus{Config{.workers = 2, .buffer_size = 64}};
    auto s = bus.subscribe(number, [&](Context& context) {
        std::thread([deferral = context.defer(), &seen]() mutable {
            ++seen;
            deferral.succeed();
        }).detach();
    });

    for (int i = 0; i < 60; ++i) {
        bus.publish(number, i, {.key = "k"});
    }
    CHECK(bus.drain(20s));
    CHECK(seen == 60);
}

TEST_CASE("a key may be of any length and of any bytes, and an empty one is none", "[bus][keys]") {
    Seen seen;
    std::vector<gossip::Deferral> open;
    EventBus bus{Config{.workers = 0}};
    auto s = bus.subscribe(number, [&](Context& context, const int& value) {
        seen.push_back(value);
        open.push_back(context.defer());
    });
    const std::string longest(10'000, 'x');
    const std::string zeros("a\0b", 3);

    bus.publish(number, 1, {.key = longest});
    bus.publish(number, 2, {.key = longest + "y"});
    bus.publish(number, 3, {.key = zeros});
    bus.publish(number, 4, {.key = "a"});
    bus.publish(number, 5, {.key = ""});
    bus.publish(number, 6, {.key = ""});
    bus.publish(number, 7, {.key = longest});
    bus.publish(number, 8, {.key = zeros});
    bus.poll();

    CHECK(seen == Seen{1, 2, 3, 4, 5, 6});
    open.clear();
    bus.poll();
    CHECK(seen == Seen{1, 2, 3, 4, 5, 6, 7, 8});
    open.clear();
}

TEST_CASE("an event that waited for its key in a full buffer is polled when it has got it", "[bus][keys]") {
    Seen seen;
    std::vector<gossip::Deferral> open;
    EventBus bus{Config{.workers = 0, .buffer_size = 4}};
    auto s = bus.subscribe(number, [&](Context& context, const int& value) {
        seen.push_back(value);
        if (value == 1) {
            open.push_back(context.defer());
        }
    });

    bus.publish(number, 1, {.key = "k"});
    bus.publish(number, 2, {.key = "k"});
    bus.publish(number, 3);
    CHECK(bus.poll() == 2);
    CHECK(bus.stats().waiting == 1);
    for (int n = 4; n < 20; ++n) { // laps around the event that is parked
        CHECK(bus.publish(number, n) == PublishStatus::accepted);
        CHECK(bus.poll() == 1);
    }
    CHECK(bus.stats().waiting == 1);
    CHECK_FALSE(bus.drain(20s));
    open[0].succeed();
    CHECK(bus.poll(1) == 1);
    CHECK(seen.back() == 2);
    CHECK(bus.stats().waiting == 0);
    CHECK(bus.drain(20s));
}

TEST_CASE("a publish to one's own key from inside the processor comes after all that wait for it", "[bus][keys]") {
    Seen seen;
    EventBus bus{Config{.workers = 0, .buffer_size = 2}};
    auto s = bus.subscribe(number, [&](const int& value) {
        seen.push_back(value);
        if (value < 10) {
            CHECK(bus.publish(number, value + 10, {.key = "k"}) == PublishStatus::accepted);
            CHECK(bus.publish(number, value + 20, {.key = "k", .priority = Priority::critical}) ==
                  PublishStatus::accepted);
        }
    });

    bus.publish(number, 1, {.key = "k"});
    bus.publish(number, 2, {.key = "k"});
    CHECK(bus.drain(20s));

    CHECK(seen == Seen{1, 2, 11, 21, 12, 22});
}

} // namespace keys_test
