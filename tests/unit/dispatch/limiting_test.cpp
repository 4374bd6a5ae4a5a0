#include <gossip/gossip.hpp>
#include <gossip/testing.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace limiting_test {

using namespace std::chrono_literals;

namespace limiting_test {

using gossip_test::Bounded;
using gossip_test::eventually;
using gossip_test::Gate;

inline constexpr gossip::Topic<int> number{"test.number"};
inline constexpr gossip::Topic<> tick{"test.tick"};

/// How many are inside at once, at most.
class Crowd {
public:
    void enter() {
        const int now = ++inside_;
        int most = most_;
        while (now > most && !most_.compare_exchange_weak(most, now)) {}
    }
    void leave() { --inside_; }
    [[nodiscard]] int most() const { return most_; }

private:
    std::atomic<int> inside_{0};
    std::atomic<int> most_{0};
};

} // namespace limiting_test

using namespace limiting_test;

TEST_CASE("an event that the filter refuses is handled, and the processor is not called", "[limiting]") {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    std::vector<int> seen;
    auto s = bus.subscribe(number, [&](int n) { seen.push_back(n); },
                           {.filter = [](const gossip::Event& e) { return e.data<int>() % 2 == 0; }});
    for (int i = 0; i < 4; ++i) {
        bus.publish(number, i);
    }
    CHECK(bus.drain(10s));

    CHECK(seen == std::vector<int>{0, 2});
    CHECK(bus.stats().handled == 4);
    CHECK(bus.stats().unrouted == 0);
}

TEST_CASE("a filter that throws fails the event", "[limiting]") {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    int runs = 0;
    auto s = bus.subscribe(tick, [&] { ++runs; },
                           {.filter = [](const gossip::Event&) -> bool { throw gossip::ProcessingError{"no idea"}; }});
    CHECK_FALSE(bus.publish_sync(tick).ok());
    bus.publish(tick);
    CHECK(bus.drain(10s));
    CHECK(runs == 0);
    CHECK(bus.stats().failed == 2);
}

TEST_CASE("after a filter that threw another attempt asks it again, and no other attempt does", "[limiting]") {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    const std::size_t limit = GENERATE(0U, 1U);
    int runs = 0;
    int asked = 0;
    int throws = 0;
    bool wanted = true;
    bool fails = false;
    auto s = bus.subscribe(tick,
                           [&]() -> gossip::Result {
                               ++runs;
                               return fails ? gossip::Result{gossip::errors::retryable} : gossip::Result{};
                           },
                           {.max_concurrency = limit,
                            .redelivery = {.attempts = 4, .first_delay = 0ns},
                            .filter = [&](const gossip::Event&) {
                                if (++asked <= throws) {
                                    throw gossip::ProcessingError{"no idea"};
                                }
                                return wanted;
                            }});

    SECTION("it goes on throwing") {
        throws = 100;
        bus.publish(tick);
        CHECK(bus.drain(10s));
        CHECK(asked == 4);
        CHECK(runs == 0);
        CHECK(bus.stats().failed == 1);
    }
    SECTION("it refuses the event") {
        throws = 2;
        wanted = false;
        bus.publish(tick);
        CHECK(bus.drain(10s));
        CHECK(asked == 3);
        CHECK(runs == 0);
        CHECK(bus.stats().handled == 1);
    }
    SECTION("it lets the event pass, which then fails") {
        throws = 1;
        fails = true;
        bus.publish(tick);
        CHECK(bus.drain(10s));
        CHECK(asked == 2);
        CHECK(runs == 3);
        CHECK(bus.stats().failed == 1);
    }
    SECTION("it has never thrown") {
        fails = true;
        bus.publish(tick);
        CHECK(bus.drain(10s));
        CHECK(asked == 1);
        CHECK(runs == 4);
    }
}

TEST_CASE("a filter that ends its own subscription is its end: the processor is not called", "[limiting]") {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    int runs = 0;
    gossip::Subscription s;
    s = bus.subscribe(tick, [&] { ++runs; }, {.filter = [&](const gossip::Event&) {
                          s.unsubscribe();
                          return true;
                      }});
    CHECK(bus.publish_sync(tick).ok());
    CHECK(runs == 0);
    CHECK(bus.stats().handled == 1);
}

TEST_CASE("no more workers are in a processor than its limit says, and every event is handled", "[limiting]") {
    const std::size_t limit = GENERATE(1U, 2U, 3U);
    gossip::EventBus bus{gossip::Config{.workers = 4, .buffer_size = 8}};
    const Bounded bounded("a limit under load");
    Crowd crowd;
    std::atomic<int> seen{0};
    auto s = bus.subscribe(number,
                           [&](int) {
                               crowd.enter();
                               std::this_thread::yield();
                               ++seen;
                               crowd.leave();
                           },
                           {.max_concurrency = limit});
    std::thread synchronous([&] {
        for (int i = 0; i < 500; ++i) {
            static_cast<void>(bus.publish_sync(number, i));
        }
    });
    for (int i = 0; i < 2000; ++i) {
        if (i % 3 == 0) {
            bus.publish(number, i, {.key = std::to_string(i % 5)});
        } else {
            bus.publish(number, i);
        }
    }
    synchronous.join();
    CHECK(bus.drain(60s));

    CHECK(seen == 2500);
    CHECK(crowd.most() <= static_cast<int>(limit));
    CHECK(bus.stats().handled == 2500);
}

TEST_CASE("a limit delays no event of other subscriptions", "[limiting]") {
    gossip::EventBus bus{gossip::Config{.workers = 2, .buffer_size = 64}};
    Gate go_on;
    std::atomic<bool> inside{false};
    std::atomic<int> others{0};
    auto slow = bus.subscribe(tick,
                              [&] {
                                  inside = true;
                                  go_on.pass();
                              },
                              {.max_concurrency = 1});
    auto other = bus.subscribe(number, [&](int) { ++others; });
    bus.publish(tick);
    REQUIRE(eventually([&] { return inside.load(); }));
    for (int i = 0; i < 10; ++i) {
        bus.publish(tick);
        bus.publish(number, i);
    }
    CHECK(eventually([&] { return others == 10; }));
    go_on.open();
    CHECK(bus.drain(20s));
    CHECK(bus.stats().handled == 21);
}

TEST_CASE("order per key holds for a limited processor", "[limiting]") {
    gossip::EventBus bus{gossip::Config{.workers = 4, .buffer_size = 64}};
    std::atomic<int> inversions{0};
    std::vector<int> next(4);
    auto s = bus.subscribe(number, [&](int n) { inversions += next[static_cast<std::size_t>(n % 4)]++ != n / 4; },
                           {.max_concurrency = 2});
    for (int i = 0; i < 2000; ++i) {
        bus.publish(number, i, {.key = std::to_string(i % 4)});
    }
    CHECK(bus.drain(60s));
    CHECK(inversions == 0);
}

TEST_CASE("a limited processor that publishes synchronously to itself does not wait for itself", "[limiting]") {
    gossip::EventBus bus{gossip::Config{.workers = 1}};
    const Bounded bounded("a limited processor inside of itself");
    std::atomic<int> deepest{0};
    auto s = bus.subscribe(number,
                           [&](int depth) {
                               deepest = std::max(deepest.load(), depth);
                               if (depth < 3) {
                                   static_cast<void>(bus.publish_sync(number, depth + 1));
                               }
                           },
                           {.max_concurrency = 1});
    bus.publish(number, 0);
    CHECK(bus.drain(20s));
    CHECK(deepest == 3);
}

TEST_CASE("what waits for its turn when the subscription ends is handled without it", "[limiting]") {
    gossip::EventBus bus{gossip::Config{.workers = 2, .buffer_size = 64}};
    const Bounded bounded("unsubscribing with events in line");
    Gate go_on;
    std::atomic<int> runs{0};
    auto s = bus.subscribe(tick,
                           [&] {
                               ++runs;
                               go_on.pass();
                           },
                           {.max_concurrency = 1});
    for (int i = 0; i < 10; ++i) {
        bus.publish(tick);
    }
    REQUIRE(eventually([&] { return runs == 1 && bus.stats().waiting == 0; }));
    std::thread ender([&] { s.unsubscribe(); });
    REQUIRE(eventually([&] { return bus.stats().subscriptions == 0; }));
    go_on.open();
    ender.join();

    CHECK(bus.drain(20s));
    CHECK(runs == 1);
    CHECK(bus.stats().handled == 10);
}

TEST_CASE("a redelivery that waits for its turn when the subscription ends is dead-lettered", "[limiting]") {
    gossip::testing::ManualClock clock;
    gossip::EventBus bus{gossip::Config{.workers = 2, .buffer_size = 64, .clock = &clock}};
    const Bounded bounded("unsubscribing with a redelivery in line");
    Gate go_on;
    std::atomic<bool> inside{false};
    std::atomic<int> attempts{0};
    auto letters =
        bus.subscribe(gossip::dead_letter, [&](const gossip::DeadLetter& letter) { attempts += letter.attempts; });
    auto s = bus.subscribe(number,
                           [&](int n) -> gossip::Result {
                               if (n == 0) {
                                   return gossip::RetryableError{"again"};
                               }
                               inside = true;
                               go_on.pass();
                               return {};
                           },
                           {.max_concurrency = 1, .redelivery = {.attempts = 3, .first_delay = 1s, .jitter = 0}});
    bus.publish(number, 0);
    REQUIRE(eventually([&] { return bus.stats().redelivered == 1; }));
    bus.publish(number, 1);
    REQUIRE(eventually([&] { return inside.load(); }));
    clock.advance(1s);
    REQUIRE(eventually([&] { return bus.stats().timers == 0; }));
    for (int i = 0; i < 1000; ++i) {
        std::this_thread::yield(); // a worker takes the redelivery, and puts it in line
    }
    std::thread ender([&] { s.unsubscribe(); });
    REQUIRE(eventually([&] { return bus.stats().subscriptions == 1; }));
    go_on.open();
    ender.join();

    CHECK(bus.drain(20s));
    CHECK(bus.stats().handled == 1);
    CHECK(bus.stats().failed == 1);
    CHECK(attempts == 1);
}

TEST_CASE("who publishes synchronously on the only worker does not wait for a turn that only this worker could take up",
          "[limiting]") {
    gossip::EventBus bus{gossip::Config{.workers = 1, .buffer_size = 64}};
    const Bounded bounded("a turn on its way to a worker that waits for it", 20s);
    Gate go_on;
    std::atomic<bool> inside{false};
    std::atomic<bool> inside_other{false};
    std::atomic<bool> ok{false};
    std::mutex mutex;
    std::vector<int> order;
    auto limited = bus.subscribe(number,
                                 [&](int n) {
                                     {
                                         const std::lock_guard lock(mutex);
                                         order.push_back(n);
                                     }
                                     if (n == 0) {
                                         inside = true;
                                         go_on.pass();
                                     }
                                 },
                                 {.max_concurrency = 1});
    auto other = bus.subscribe(tick, [&] {
        inside_other = true;
        ok = bus.publish_sync(number, 1).ok();
    });
    std::thread outsider([&] { static_cast<void>(bus.publish_sync(number, 0)); });
    REQUIRE(eventually([&] { return inside.load(); }));
    for (int n = 2; n < 5; ++n) {
        bus.publish(number, n); // in line for a turn
    }
    bus.publish(tick);
    REQUIRE(eventually([&] { return inside_other.load(); }));
    go_on.open();
    outsider.join();

    CHECK(bus.drain(20s));
    CHECK(ok);
    CHECK(order == std::vector<int>{0, 1, 2, 3, 4}); // those in line have kept their order
    CHECK(bus.stats().handled == 6);
}

TEST_CASE("a hook that drains does not wait for the event that there was no memory to hand a turn on to",
          "[limiting]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    std::optional<gossip::EventBus<>> bus;
    std::vector<bool> drained;
    gossip::Config config{.workers = 0};
    config.on_error = [&](const gossip::ErrorReport&) { drained.push_back(bus->drain(0ns)); };
    bus.emplace(std::move(config));
    auto s = bus->subscribe(number,
                            [&](const int&) {
                                CHECK(bus->publish(number, 2) == gossip::PublishStatus::accepted);
                                std::thread([&] { CHECK(bus->poll() == 1); }).join(); // gets in line
                                support::fail_allocation_after(0);
                            },
                            {.max_concurrency = 1});
    CHECK(bus->publish(number, 1) == gossip::PublishStatus::accepted);

    bus->poll();

    support::fail_allocation_after(-1);
    CHECK(drained == std::vector<bool>{true});
    CHECK(bus->shutdown().failed == 1);
    s.detach();
}

TEST_CASE("an event that can't even get in line for its turn is handled when the subscription ends", "[limiting]") {
    gossip::EventBus bus{gossip::Config{.workers = 2, .buffer_size = 2}};
    const Bounded bounded("unsubscribing with a worker that waits for a turn");
    Gate go_on;
    std::atomic<int> runs{0};
    auto s = bus.subscribe(number,
                           [&](int) {
                               ++runs;
                               go_on.pass();
                           },
                           {.max_concurrency = 1});
    for (int i = 0; i < 4; ++i) { // one runs, two are in line, one has a worker wait for it
        bus.publish(number, i);
    }
    REQUIRE(eventually([&] { return runs == 1 && bus.stats().waiting == 0; }));
    std::thread ender([&] { s.unsubscribe(); });
    REQUIRE(eventually([&] { return bus.stats().handled == 1; })); // without the processor, which still runs
    go_on.open();
    ender.join();

    CHECK(bus.drain(20s));
    CHECK(runs == 1);
    CHECK(bus.stats().handled == 4);
}

} // namespace limiting_test
