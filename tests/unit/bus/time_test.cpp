#include <gossip/bus/event_bus.hpp>
#include <gossip/middleware/deduplicate.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace time_test {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::Event;
using gossip::EventBus;
using gossip::testing::ManualClock;

inline namespace parts {

constexpr gossip::Topic<int> number{"time.number"};
constexpr gossip::Topic<> tick{"time.tick"};

/// A bus on a clock that is moved by hand, and the seconds at which it heard something.
struct Timed {
    ManualClock clock;
    EventBus<> bus{Config{.workers = 0, .clock = &clock}};
    std::chrono::nanoseconds begin = clock.steady();
    std::vector<std::int64_t> heard{};

    void hear() { heard.push_back((clock.steady() - begin) / 1s); }
    void advance(int seconds) {
        for (int i = 0; i < seconds; ++i) {
            clock.advance(1s);
            bus.poll();
        }
    }
};

} // namespace parts

TEST_CASE("publish_every publishes again and again until it is cancelled", "[time]") {
    Timed timed;
    auto s = timed.bus.subscribe(tick, [&] { timed.hear(); });
    const auto id = timed.bus.publish_every(3s, tick);

    timed.advance(10);
    CHECK(timed.heard == std::vector<std::int64_t>{3, 6, 9});
    CHECK(timed.bus.cancel(id));
    CHECK_FALSE(timed.bus.cancel(id));
    timed.advance(10);

    CHECK(timed.heard.size() == 3);
    CHECK(timed.bus.stats().timers == 0);
    CHECK(timed.bus.stats().handled == 3);
}

TEST_CASE("periods that were missed are not made up for, and the beat is kept", "[time]") {
    Timed timed;
    auto s = timed.bus.subscribe(tick, [&] { timed.hear(); });
    const auto id = timed.bus.publish_every(3s, tick);

    timed.clock.advance(10s);
    timed.bus.poll();
    timed.advance(5);

    CHECK(timed.heard == std::vector<std::int64_t>{10, 12, 15});
    CHECK(timed.bus.cancel(id));
}

TEST_CASE("each of a periodic publish's events has its own time and its own id", "[time]") {
    Timed timed;
    std::vector<Event> events;
    int runs = 0;
    auto s1 = timed.bus.subscribe(number, [&](const Event& event) { events.push_back(event); });
    auto s2 = timed.bus.subscribe(number, gossip::middleware::deduplicate()([&](const int&) { ++runs; }));
    const auto id = timed.bus.publish_every(1s, Event{number, 7}.with_key("k").with_metadata("source", "timer"));

    timed.advance(3);

    REQUIRE(events.size() == 3);
    CHECK(events[0].id() != events[1].id());
    CHECK(events[1].id() != events[2].id());
    CHECK(events[2].timestamp() - events[0].timestamp() == 2s);
    CHECK(events[2].key() == "k");
    CHECK(events[2].metadata().get<std::string>("source") == "timer");
    CHECK(runs == 3);
    CHECK(timed.bus.cancel(id));
}

TEST_CASE("a periodic publish may be cancelled by what it publishes", "[time]") {
    Timed timed;
    gossip::ScheduledId id;
    int runs = 0;
    auto s = timed.bus.subscribe(number, [&](const int&) {
        ++runs;
        if (runs == 2) {
            CHECK(timed.bus.cancel(id));
        }
    });
    id = timed.bus.publish_every(1s, number, 1);

    timed.advance(5);

    CHECK(runs == 2);
    CHECK(timed.bus.stats().timers == 0);
}

TEST_CASE("publish_at publishes when the wall clock is there, and what has passed is due at once", "[time]") {
    Timed timed;
    auto s1 = timed.bus.subscribe(tick, [&] { timed.hear(); });
    auto s2 = timed.bus.subscribe(number, [&] { timed.hear(); });
    const auto now = timed.clock.wall();

    timed.bus.publish_at(now + 4s, tick);
    timed.bus.publish_at(now + 2s, number, 1);
    timed.bus.publish_at(now - 1h, number, 2);
    timed.bus.publish_at(now + 3s, Event{number, 3});
    const auto never = timed.bus.publish_at(now + 3s, tick);
    CHECK(timed.bus.cancel(never));
    timed.bus.poll();
    timed.advance(5);

    CHECK(timed.heard == std::vector<std::int64_t>{0, 2, 3, 4});
}

TEST_CASE("a wall clock that is set hurries nothing and holds nothing up: only the stamps follow it", "[time]") {
    const auto by = GENERATE(-1h, 1h);
    Timed timed;
    std::vector<std::chrono::system_clock::time_point> stamps;
    auto s = timed.bus.subscribe(tick, [&](const Event& event) {
        timed.hear();
        stamps.push_back(event.timestamp());
    });
    std::vector<int> once;
    auto d = timed.bus.subscribe(number, gossip::middleware::deduplicate({.window = 10s}, [](const Event& event) {
                                     return event.data<int>();
                                 })([&](const int& n) { once.push_back(n); }));
    const auto begin = timed.clock.wall();
    timed.bus.publish(number, 1);
    timed.bus.publish_at(begin + 4s, tick);
    timed.bus.publish_after(6s, tick);
    timed.bus.publish_every(5s, tick);
    timed.bus.poll();
    timed.advance(2);

    timed.clock.set_wall(begin + by);
    CHECK(timed.clock.wall() == begin + by);
    timed.bus.publish(tick);
    timed.bus.publish_at(begin + by + 7s, tick); // by the new clock
    timed.bus.publish(number, 1);
    timed.bus.poll();
    timed.advance(7);
    timed.bus.publish(number, 1);
    timed.bus.poll();
    CHECK(once == std::vector<int>{1}); // the window is one of steady time: 9 s have passed of it
    timed.advance(1);
    timed.bus.publish(number, 1);
    timed.bus.poll();

    CHECK(timed.heard == std::vector<std::int64_t>{2, 4, 5, 6, 9, 10});
    CHECK(once == std::vector<int>{1, 1});
    REQUIRE(stamps.size() == 6);
    CHECK(stamps[0] == begin + by);
    CHECK(stamps[1] == begin + by + 2s);
    CHECK(stamps[4] == begin + by + 7s);
    CHECK(timed.clock.wall() == begin + by + 8s);
}

TEST_CASE("times at the ends of the clock are due at once, or refused", "[time]") {
    using TimePoint = std::chrono::system_clock::time_point;
    Timed timed;
    auto s = timed.bus.subscribe(tick, [&] { timed.hear(); });

    timed.bus.publish_at(TimePoint::min(), tick);
    timed.bus.poll();

    CHECK(timed.heard == std::vector<std::int64_t>{0});
    CHECK_THROWS_AS(timed.bus.publish_at(TimePoint::max(), tick), gossip::ValidationError);
    CHECK(timed.bus.stats().timers == 0);
}

TEST_CASE("what is published later is stamped when it is due; an event made by hand keeps its time", "[time]") {
    Timed timed;
    std::vector<std::chrono::system_clock::time_point> times;
    auto s = timed.bus.subscribe(number, [&](const Event& event) { times.push_back(event.timestamp()); });
    const auto made = timed.clock.wall() - 1h;

    timed.bus.publish_after(1s, number, 1);
    timed.bus.publish_after(2s, Event{number, 2}.with_timestamp(made));
    timed.advance(2);

    REQUIRE(times.size() == 2);
    CHECK(times[0] == timed.clock.wall() - 1s);
    CHECK(times[1] == made);
}

TEST_CASE("a publish that is still to come is cancelled on its own bus alone", "[time]") {
    Timed mine;
    Timed other;
    const auto id = mine.bus.publish_after(1s, number, 1);
    const auto theirs = other.bus.publish_after(1s, number, 1);

    CHECK_FALSE(other.bus.cancel(id));
    CHECK(other.bus.stats().timers == 1);
    CHECK(mine.bus.cancel(id));
    CHECK(other.bus.cancel(theirs));
}

TEST_CASE("a manual clock goes forwards only, and stops where it can't count further", "[time]") {
    gossip::testing::ManualClock clock;
    EventBus bus{Config{.workers = 0, .clock = &clock}};
    const auto before = clock.steady();
    CHECK_THROWS_AS(clock.advance(-1ns), gossip::ValidationError);
    CHECK(clock.steady() == before);

    clock.advance(std::chrono::nanoseconds::max());
    clock.advance(std::chrono::nanoseconds::max());
    bus.publish_after(1h, number, 1);
    bus.poll();

    CHECK(clock.steady() == std::chrono::nanoseconds::max());
    CHECK(clock.wall() == std::chrono::system_clock::time_point::max());
}

TEST_CASE("workers serve timers on a real clock without anybody's help", "[time]") {
    std::atomic<int> heard{0};
    EventBus bus{Config{.workers = 1}};
    auto s = bus.subscribe(tick, [&] { ++heard; });

    bus.publish_after(1ms, tick);
    const auto id = bus.publish_every(1ms, tick);

    CHECK(gossip_test::eventually([&] { return heard >= 4; }));
    CHECK(bus.cancel(id));
}

TEST_CASE("100,000 pending timers come due in their order, and none is lost", "[time]") {
    constexpr int count = 100'000;
    Timed timed;
    std::int64_t sum = 0;
    int heard = 0;
    int latest = 0;
    bool in_order = true;
    auto s = timed.bus.subscribe(number, [&](const int& n) {
        ++heard;
        sum += n;
        in_order = in_order && n >= latest;
        latest = n;
    });
    for (int i = 0; i < count; ++i) {
        const int due = static_cast<int>((static_cast<std::int64_t>(i) * 7919) % count); // every number, mixed
        timed.bus.publish_after(std::chrono::milliseconds(due), number, due);
    }
    CHECK(timed.bus.stats().timers == count);

    for (int i = 0; i <= 100; ++i) {
        timed.bus.poll();
        timed.clock.advance(1s);
    }

    CHECK(heard == count);
    CHECK(sum == static_cast<std::int64_t>(count) * (count - 1) / 2);
    CHECK(in_order);
    CHECK(timed.bus.stats().timers == 0);
    CHECK(timed.bus.stats().adds_up());
}

} // namespace time_test
