#include <gossip/bus/event_bus.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace bus_ledger_test {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::EventBus;
using gossip::Result;
using gossip_test::eventually;

inline constexpr gossip::Topic<int> number{"ledger.number"};

TEST_CASE("the unit is the event: it ends handled or failed once, however many processors ran or failed",
          "[bus][ledger]") {
    EventBus bus{Config{.workers = 0}};
    std::vector<gossip::Subscription> subscriptions;
    for (int i = 0; i < 3; ++i) {
        subscriptions.push_back(bus.subscribe(number, [](const int& value) -> Result {
            return value == 0 ? Result{gossip::errors::timeout} : Result{};
        }));
    }
    bus.publish(number, 0);
    bus.publish(number, 1);
    bus.poll();

    CHECK(bus.stats().failed == 1);
    CHECK(bus.stats().handled == 1);
}

TEST_CASE("all filters saying no is handled, a filter that throws is failed, and no subscription is unrouted",
          "[bus][ledger]") {
    EventBus bus{Config{.workers = 0}};
    bus.publish(number, 1);
    bus.poll();
    CHECK(bus.stats().unrouted == 1);
    auto s = bus.subscribe(number, [] {}, {.filter = [](const gossip::Event& event) {
                               if (event.data<int>() == 2) {
                                   throw 1;
                               }
                               return false;
                           }});
    bus.publish(number, 1);
    bus.publish(number, 2);
    bus.poll();
    CHECK(bus.stats().handled == 1);
    CHECK(bus.stats().failed == 1);
}

TEST_CASE("in memory, sent and received are what was accepted less what was dropped or abandoned before",
          "[bus][ledger]") {
    EventBus bus{Config{.workers = 0, .buffer_size = 4, .overflow = gossip::Overflow::drop_oldest}};
    for (int i = 0; i < 6; ++i) {
        bus.publish(number, i);
    }
    bus.poll(1);
    const auto report = bus.shutdown(0ns);

    CHECK(report.accepted == 6);
    CHECK(report.dropped == 2);
    CHECK(report.abandoned == 3);
    CHECK(report.unrouted == 1);
    CHECK(report.sent == 1);
    CHECK(report.received == 1);
}

TEST_CASE(
    "publish_after enters the ledger when it is due; what was cancelled or still waits at shutdown is counted apart",
    "[bus][ledger]") {
    gossip::testing::ManualClock clock;
    int seen = 0;
    EventBus bus{Config{.workers = 0, .clock = &clock}};
    auto s = bus.subscribe(number, [&] { ++seen; });

    const auto first = bus.publish_after(1s, number, 1);
    const auto second = bus.publish_after(1s, number, 2);
    bus.publish_after(5s, number, 3);
    CHECK(bus.stats().accepted == 0);
    CHECK(bus.stats().timers == 3);
    CHECK(bus.drain(20s)); // it ignores timers that are not due
    CHECK(bus.cancel(second));
    CHECK_FALSE(bus.cancel(second));
    CHECK(bus.stats().cancelled == 1);
    clock.advance(1s);
    CHECK(bus.drain(20s));
    CHECK_FALSE(bus.cancel(first));
    CHECK(seen == 1);
    CHECK(bus.stats().accepted == 1);

    const auto report = bus.shutdown();
    CHECK(report.accepted == 1);
    CHECK(report.cancelled == 2);
    CHECK(bus.stats().timers == 0);
}

TEST_CASE("a publish whose time has come is counted as cancelled when it is cancelled or shut out before it happens",
          "[bus][ledger]") {
    gossip::testing::ManualClock clock;
    gossip::ScheduledId scheduled;
    int seen = 0;
    const bool cancels = GENERATE(true, false);
    EventBus bus{Config{.workers = 0, .clock = &clock}};
    auto s = bus.subscribe(number,
                           [&](gossip::Context& context, const int& value) -> Result {
                               if (value == 1) {
                                   return gossip::errors::retryable;
                               }
                               seen += value == 2 ? 1 : 0;
                               if (context.attempt() == 2) {
                                   if (cancels) {
                                       CHECK(bus.cancel(scheduled));
                                   } else {
                                       CHECK_FALSE(bus.shutdown().complete);
                                   }
                                   return {};
                               }
                               return gossip::errors::retryable;
                           },
                           {.redelivery = {.attempts = 2, .first_delay = 1s, .jitter = 0}});
    bus.publish(number, 0);
    bus.poll();
    scheduled = bus.publish_after(1s, number, 2);
    clock.advance(1s);
    bus.poll();
    const auto report = bus.shutdown();

    CHECK(seen == 0);
    CHECK(report.accepted == 1);
    CHECK(report.cancelled == 1);
}

TEST_CASE("whatever publish called accepted is in the report of the shutdown that raced with it; a second one returns "
          "the same",
          "[bus][ledger]") {
    for (const int round : gossip_test::Rounds(60)) {
        std::atomic<std::uint64_t> accepted{0};
        std::atomic<std::uint64_t> seen{0};
        std::atomic<int> ready{0};
        EventBus bus{Config{.workers = 2, .buffer_size = 4}};
        auto s = bus.subscribe(number, [&](const int& value) {
            ++seen;
            if (value % 5 == 0 && bus.publish(number, 1, {.key = "k"}) == gossip::PublishStatus::accepted) {
                ++accepted;
            }
        });
        std::vector<std::thread> publishers;
        for (int t = 0; t < 3; ++t) {
            publishers.emplace_back([&] {
                ++ready;
                for (int i = 1;; ++i) {
                    const auto said = i % 3 == 0
                                          ? bus.publish(number, i, {.key = "k", .priority = gossip::Priority::high})
                                          : bus.publish(number, i);
                    if (said != gossip::PublishStatus::accepted) {
                        return;
                    }
                    ++accepted;
                }
            });
        }
        static_cast<void>(eventually([&] { return ready == 3 && seen > static_cast<std::uint64_t>(round * 10); }));
        const auto report = bus.shutdown();
        for (std::thread& publisher : publishers) {
            publisher.join();
        }
        CHECK(report.accepted == accepted);
        CHECK(report.handled == accepted);
        CHECK(seen == accepted);
        const auto again = bus.shutdown();
        CHECK(again.accepted == report.accepted);
        CHECK(again.handled == report.handled);
    }
}

TEST_CASE("only events that never began are abandoned, and at a deadline those whose end is open", "[bus][ledger]") {
    std::vector<gossip::Deferral> open;
    int hooks = 0;
    EventBus bus{Config{.workers = 0, .on_drop = [&](const gossip::Event& event, gossip::DropReason reason) {
                            ++hooks;
                            CHECK(reason == gossip::DropReason::abandoned);
                            CHECK(event.data<int>() >= 2);
                        }}};
    auto s = bus.subscribe(number,
                           [&](gossip::Context& context, const int& value) -> Result {
                               if (value == 0) {
                                   open.push_back(context.defer());
                               }
                               return value == 1 ? Result{gossip::errors::retryable} : Result{};
                           },
                           {.redelivery = {.attempts = 2, .first_delay = 1h}});
    bus.publish(number, 0, {.key = "k"});
    bus.publish(number, 1);
    bus.poll();
    bus.publish(number, 2);
    bus.publish(number, 3, {.key = "k"});
    bus.publish(number, 4, {.priority = gossip::Priority::low});
    const auto report = bus.shutdown(0ns);

    CHECK(report.abandoned == 5);
    CHECK(hooks == 3);
    CHECK(report.adds_up());
}

} // namespace bus_ledger_test
