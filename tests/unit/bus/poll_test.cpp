#include <gossip/bus/event_bus.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace poll_test {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::EventBus;
using gossip::Priority;
using gossip::Result;

inline constexpr gossip::Topic<int> number{"poll.number"};

TEST_CASE("poll runs at most as many events as it is told, and says how many", "[bus][poll]") {
    int seen = 0;
    EventBus bus{Config{.workers = 0}};
    auto s = bus.subscribe(number, [&] { ++seen; });
    for (int i = 0; i < 10; ++i) {
        bus.publish(number, i, {.key = i % 2 == 0 ? "k" : ""});
    }
    CHECK(seen == 0);
    CHECK(bus.poll(0) == 0);
    CHECK(bus.poll(1) == 1);
    CHECK(bus.poll(4) == 4);
    CHECK(seen == 5);
    CHECK(bus.poll() == 5);
    CHECK(bus.poll() == 0);
    CHECK(seen == 10);
}

TEST_CASE("poll runs only events that were there at its start", "[bus][poll]") {
    const auto key = GENERATE("", "k");
    const auto priority = GENERATE(Priority::low, Priority::normal, Priority::critical);
    const auto size = GENERATE(std::size_t{4}, std::size_t{64});
    int seen = 0;
    EventBus bus{Config{.workers = 0, .buffer_size = size}};
    std::vector<gossip::Deferral> open;
    auto s = bus.subscribe(number, [&](gossip::Context& context, const int& value) {
        ++seen;
        if (value == 100) {
            open.push_back(context.defer());
        } else if (seen < 50) {
            bus.publish(number, value, {.key = key, .priority = priority});
        }
    });
    bus.publish(number, 100, {.key = "held"});
    bus.publish(number, 101, {.key = "held"}); // there, and can't run: no other may take its turn
    CHECK(bus.poll() == 1);
    bus.publish(number, 1, {.key = key, .priority = priority});
    bus.publish(number, 2, {.key = key});

    for (int round = 0; round < 3; ++round) {
        CHECK(bus.poll() == 2);
    }
    CHECK(seen == 7);
    open.clear();
    seen = 50;
    CHECK(bus.drain(20s));
}

TEST_CASE("poll runs what is due before the events", "[bus][poll]") {
    gossip::testing::ManualClock clock;
    std::vector<int> seen;
    EventBus bus{Config{.workers = 0, .clock = &clock}};
    auto s = bus.subscribe(number,
                           [&](gossip::Context& context, const int& value) -> Result {
                               if (value == 1 && context.attempt() == 1) {
                                   return gossip::errors::retryable;
                               }
                               seen.push_back(value);
                               return {};
                           },
                           {.redelivery = {.attempts = 2, .first_delay = 1s, .jitter = 0}});
    bus.publish(number, 1);
    CHECK(bus.poll() == 1);
    bus.publish_after(1s, number, 2);
    bus.publish(number, 3);
    clock.advance(1s);

    CHECK(bus.poll() == 2); // the published one has come due, and is an event; a redelivery is none
    CHECK(seen == std::vector<int>{1, 3, 2});
}

TEST_CASE("poll may be called from several threads, with workers and without", "[bus][poll]") {
    const auto workers = GENERATE(0U, 2U);
    std::atomic<int> seen{0};
    std::atomic<std::size_t> polled{0};
    std::atomic<bool> over{false};
    EventBus bus{Config{.workers = workers, .buffer_size = 64}};
    auto s = bus.subscribe(number, [&] { ++seen; });

    std::vector<std::thread> pollers;
    for (int t = 0; t < 3; ++t) {
        pollers.emplace_back([&] {
            while (!over) {
                polled += bus.poll(5);
                std::this_thread::yield();
            }
        });
    }
    for (int i = 0; i < 5'000; ++i) {
        while (bus.publish(number, i, {.key = i % 4 == 0 ? "k" : "", .priority = static_cast<Priority>(i % 3)}) !=
               gossip::PublishStatus::accepted) {
            std::this_thread::yield();
        }
    }
    const bool all = gossip_test::eventually([&] { return seen == 5'000; });
    over = true;
    for (std::thread& poller : pollers) {
        poller.join();
    }
    CHECK(all);
    CHECK(bus.drain(20s));
    CHECK(bus.stats().handled == 5'000);
    CHECK(polled <= 5'000);
    CHECK((workers != 0 || polled == 5'000));
}

TEST_CASE("poll from inside a processor runs other events, and after shutdown none", "[bus][poll]") {
    std::vector<int> seen;
    EventBus bus{Config{.workers = 0}};
    auto s = bus.subscribe(number, [&](const int& value) {
        seen.push_back(value);
        if (value == 0) {
            CHECK(bus.poll() == 2);
        }
    });
    for (int i = 0; i < 3; ++i) {
        bus.publish(number, i);
    }
    CHECK(bus.poll() == 1);
    CHECK(seen == std::vector<int>{0, 1, 2});
    bus.shutdown();
    CHECK(bus.poll() == 0);
}

} // namespace poll_test
