#include <gossip/dispatch/scheduled.hpp>

#include <gossip/gossip.hpp>
#include <gossip/testing.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <utility>
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

TEST_CASE("a publish whose time comes when there is no memory for it is refused, counted and told of", "[scheduled]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    const bool again = GENERATE(false, true);
    gossip::testing::ManualClock clock;
    int reports = 0;
    gossip::EventBus bus{gossip::Config{
        .workers = 0, .buffer_size = 2, .clock = &clock, .on_error = [&](const gossip::ErrorReport&) { ++reports; }}};
    auto s = bus.subscribe(number, [](int) {});
    bus.publish(number, 1);
    bus.publish(number, 2);
    const gossip::ScheduledId id =
        again ? bus.publish_every(1s, number, 3) : bus.publish_after(1s, number, 3, {.key = "a key"});
    clock.advance(1s);
    support::fail_allocation_after(0, 1000);
    bus.poll(0);
    support::fail_allocation_after(-1);

    CHECK(bus.drain(20s));
    CHECK(bus.stats().rejected == 1);
    CHECK(bus.stats().accepted == 2);
    CHECK(bus.stats().cancelled == (again ? 1 : 0)); // no other one can come
    CHECK(bus.stats().timers == 0);
    CHECK(reports == (again ? 2 : 1));
    CHECK_FALSE(bus.cancel(id));
}

TEST_CASE("of what is published again and again nothing comes after it was cancelled but what had begun",
          "[scheduled]") {
    const gossip_test::Bounded bounded("cancelling what fires");
    int wrong = 0;
    for (int round = 0; round < 200; ++round) {
        gossip::EventBus bus{gossip::Config{.workers = 2}};
        auto s = bus.subscribe(number, [](int) {});
        const gossip::ScheduledId id = bus.publish_every(1us, number, 1);
        static_cast<void>(gossip_test::eventually([&] { return bus.stats().accepted > 2; }));
        const bool cancelled = bus.cancel(id);
        const std::uint64_t then = bus.stats().accepted;
        const bool twice = bus.cancel(id);
        static_cast<void>(
            gossip_test::eventually([&] { return bus.stats().cancelled == 1 && bus.stats().timers == 0; }));
        const auto report = bus.shutdown();
        wrong +=
            cancelled && !twice && report.accepted - then <= 1 && report.cancelled == 1 && report.adds_up() ? 0 : 1;
    }

    CHECK(wrong == 0);
}

TEST_CASE("a publish to come is cancelled and counted, even where it races with the shutdown", "[scheduled]") {
    const gossip_test::Bounded bounded("publishing later while the bus shuts down");
    const bool taken_back = GENERATE(false, true);
    CAPTURE(taken_back);
    int lost = 0;
    int left = 0;
    for ([[maybe_unused]] const int round : gossip_test::Rounds(300)) {
        gossip::EventBus bus{gossip::Config{.workers = 0}};
        std::atomic<bool> begun{false};
        std::uint64_t scheduled = 0;
        std::thread publisher([&] {
            for (int i = 0; i < 200; ++i) {
                const gossip::ScheduledId id = bus.publish_after(1h, number, i);
                if (id.scheduled() == nullptr) {
                    break;
                }
                ++scheduled;
                begun = true;
                if (taken_back) {
                    bus.cancel(id);
                }
            }
        });
        static_cast<void>(gossip_test::eventually([&] { return begun.load(); }));
        const gossip::ShutdownReport report = bus.shutdown();
        publisher.join();
        lost += report.cancelled == scheduled ? 0 : 1;
        left += bus.stats().cancelled == scheduled && bus.stats().timers == 0 ? 0 : 1;
    }
    CHECK(lost == 0);
    CHECK(left == 0);
}

TEST_CASE("a publish to come that the shutdown overtakes is refused: no report lacks it", "[scheduled]") {
    struct Ending final : gossip::Clock {
        std::chrono::nanoseconds steady() const noexcept override {
            if (bus != nullptr) { // asked when the event would be due
                report = std::exchange(bus, nullptr)->shutdown();
            }
            return 0ns;
        }
        std::chrono::system_clock::time_point wall() const noexcept override { return {}; }
        bool manual() const noexcept override { return true; }
        mutable gossip::EventBus<>* bus = nullptr;
        mutable gossip::ShutdownReport report;
    } clock;
    gossip::EventBus bus{gossip::Config{.workers = 0, .clock = &clock}};
    clock.bus = &bus;
    const gossip::ScheduledId id = bus.publish_after(1s, number, 1);

    CHECK(clock.report.complete);
    CHECK(id.scheduled() == nullptr);
    CHECK_FALSE(bus.cancel(id));
    CHECK(clock.report.cancelled == 0);
    CHECK(bus.stats().cancelled == 0);
    CHECK(bus.stats().timers == 0);
}

TEST_CASE("no lock is held while a periodic publish asks the clock", "[scheduled]") {
    const gossip_test::Bounded bounded("a clock that cancels the publish that asks it");
    struct Cancelling final : gossip::Clock {
        std::chrono::nanoseconds steady() const noexcept override {
            if (armed) {
                armed = false;
                bus->cancel(*timer);
            }
            return time;
        }
        std::chrono::system_clock::time_point wall() const noexcept override {
            armed = timer != nullptr; // asked for the stamp, just before the next time is worked out
            return {};
        }
        bool manual() const noexcept override { return true; }
        mutable bool armed = false;
        gossip::EventBus<>* bus = nullptr;
        const gossip::ScheduledId* timer = nullptr;
        std::chrono::nanoseconds time{0};
    } clock;
    gossip::EventBus bus{gossip::Config{.workers = 0, .clock = &clock}};
    const gossip::ScheduledId timer = bus.publish_every(1s, number, 1);
    clock.bus = &bus;
    clock.timer = &timer;
    clock.time = 1s;
    CHECK(bus.poll() == 1);
    clock.time = 2s;
    CHECK(bus.poll() == 0);
    clock.timer = nullptr;
    CHECK(bus.stats().cancelled == 1);
    CHECK(bus.stats().timers == 0);
}

} // namespace scheduled_test
