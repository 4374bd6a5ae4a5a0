#include <gossip/dispatch/scheduled.hpp>

#include <gossip/gossip.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"

#include <vector>

namespace scheduled_test {

using namespace std::chrono_literals;

inline namespace parts {

inline constexpr gossip::Topic<int> number{"test.number"};

} // namespace parts

TEST_CASE("a periodic publish that finds the buffer full is left out, counted and reported", "[scheduled]") {
    gossip::testing::ManualClock clock;
    int told = 0;
    gossip::EventBus bus{gossip::Config{
        .workers = 0, .buffer_size = 2, .clock = &clock, .on_error = [&](const gossip::ErrorReport& report) {
            told += gossip::is(report.error, gossip::errors::full);
        }}};
    std::vector<int> seen;
    auto s = bus.subscribe(number, [&](int n) { seen.push_back(n); });
    bus.publish(number, 1);
    bus.publish(number, 2);
    const auto timer = bus.publish_every(1s, number, 3);
    for (int i = 0; i < 10; ++i) {
        clock.advance(1s);
        CHECK(bus.poll(0) == 0);
    }

    CHECK(bus.stats().spilled == 0);
    CHECK(bus.stats().waiting == 2);
    CHECK(bus.stats().rejected == 10);
    CHECK(told == 10);

    CHECK(bus.drain(20s));
    clock.advance(1s);
    CHECK(bus.drain(20s));
    CHECK(seen == std::vector<int>{1, 2, 3});
    CHECK(bus.cancel(timer));
    CHECK(bus.stats().adds_up());
}

TEST_CASE("a publish whose time comes while the buffer is full goes beyond it, and is not lost", "[scheduled]") {
    gossip::testing::ManualClock clock;
    gossip::EventBus bus{gossip::Config{.workers = 0, .buffer_size = 2, .clock = &clock}};
    std::vector<int> seen;
    auto s = bus.subscribe(number, [&](int n) { seen.push_back(n); });
    bus.publish(number, 1);
    bus.publish(number, 2);
    bus.publish_after(1s, number, 3);
    clock.advance(1s);
    CHECK(bus.poll(0) == 0);

    CHECK(bus.stats().spilled == 1);
    CHECK(bus.drain(20s));
    CHECK(seen == std::vector<int>{1, 2, 3});
    CHECK(bus.stats().adds_up());
}

} // namespace scheduled_test
