#include <gossip/gossip.hpp>
#include <gossip/testing.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace batch_collector_test {

using namespace std::chrono_literals;

inline namespace parts {

using gossip_test::Bounded;
using gossip_test::eventually;
using gossip_test::Gate;
using Numbers = std::vector<int>;

inline constexpr gossip::Topic<int> number{"collector.number"};
inline constexpr gossip::Topic<int> other{"collector.other"};
inline constexpr gossip::Topic<std::string> text{"collector.text"};

} // namespace parts

// The end of a subscription

TEST_CASE("unsubscribe runs what the batch has collected, on the caller", "[batch_collector]") {
    Numbers seen;
    std::thread::id where;
    gossip::EventBus<> bus{gossip::Config{.workers = 2}};
    auto s = bus.subscribe(number, gossip::batch<int>({.size = 2, .period = 1h}, [&](std::span<const int> items) {
                               seen.insert(seen.end(), items.begin(), items.end());
                               where = std::this_thread::get_id();
                           }));
    bus.publish(number, 1);
    REQUIRE(eventually([&] { return bus.stats().waiting == 0 && bus.stats().timers == 1; }));
    s.unsubscribe();

    CHECK(seen == Numbers{1});
    CHECK(where == std::this_thread::get_id());
    CHECK(bus.stats().handled == 1);
}

TEST_CASE("by key unsubscribe runs the batch of every key", "[batch_collector]") {
    std::size_t runs = 0;
    gossip::EventBus<> bus{gossip::Config{.workers = 0}};
    auto s = bus.subscribe(
        number, gossip::batch<int>({.size = 5, .period = 1h, .by_key = true}, [&](std::span<const int>) { ++runs; }));
    for (int i = 0; i < 8; ++i) {
        bus.publish(number, i, {.key = std::to_string(i % 4)});
    }
    bus.poll();
    s.unsubscribe();

    CHECK(runs == 4);
    CHECK(bus.stats().handled == 8);
    CHECK(bus.stats().timers == 0);
}

TEST_CASE("what a batch's callable owns is gone when its unsubscribe has returned, whatever its period",
          "[batch_collector]") {
    auto token = std::make_shared<int>(0);
    gossip::EventBus<> bus{gossip::Config{.workers = 1}};
    auto s = bus.subscribe(number, gossip::batch<int>({.size = 5, .period = 1h}, [token](std::span<const int>) {}));
    bus.publish(number, 1);
    REQUIRE(eventually([&] { return bus.stats().timers == 1; }));
    CHECK(token.use_count() == 2);
    s.unsubscribe();

    CHECK(token.use_count() == 1);
    CHECK(bus.stats().timers == 0);
}

TEST_CASE("a batch that has never collected anything is gone with its subscription", "[batch_collector]") {
    auto token = std::make_shared<int>(0);
    gossip::EventBus<> bus{gossip::Config{.workers = 0}};
    auto s = bus.subscribe(number, gossip::batch<int>({}, [token](std::span<const int>) {}));
    CHECK(token.use_count() == 2);
    s.unsubscribe();

    CHECK(token.use_count() == 1);
}

TEST_CASE("what a batch's callable owns is gone with a bus that is gone", "[batch_collector]") {
    auto token = std::make_shared<int>(0);
    gossip::Subscription s;
    {
        gossip::EventBus<> bus{gossip::Config{.workers = 1}};
        s = bus.subscribe(number, gossip::batch<int>({.period = 1h}, [token](std::span<const int>) {}));
        bus.publish(number, 1);
        bus.shutdown();
        CHECK(token.use_count() == 1);
    }
    CHECK_FALSE(s.active());
}

TEST_CASE("a batch that ends its own subscription from its run leaves nothing behind", "[batch_collector]") {
    auto token = std::make_shared<int>(0);
    const bool last = GENERATE(false, true); // whether there is more when it ends itself
    Numbers seen;
    gossip::EventBus<> bus{gossip::Config{.workers = 0}};
    std::optional<gossip::Subscription> s;
    s = bus.subscribe(number, gossip::batch<int>({.size = 2, .period = 1h}, [&, token](std::span<const int> items) {
                          seen.insert(seen.end(), items.begin(), items.end());
                          if (s && items[0] == 1) {
                              if (!last) {
                                  static_cast<void>(bus.publish_sync(number, 3)); // collected while it runs
                              }
                              s.reset();
                              static_cast<void>(bus.publish_sync(number, 4)); // too late
                          }
                      }));
    bus.publish(number, 1);
    bus.publish(number, 2);
    CHECK(bus.drain(20s));

    CHECK(seen == (last ? Numbers{1, 2} : Numbers{1, 2, 3}));
    CHECK(token.use_count() == 1);
    CHECK(bus.stats().adds_up());
    CHECK(bus.stats().unrouted == 1);
    CHECK(bus.stats().timers == 0);
}

TEST_CASE("a second unsubscribe on another thread waits until the first has run what was collected",
          "[batch_collector]") {
    const Bounded bounded("a second unsubscribe");
    Gate gate;
    std::atomic<bool> running{false};
    std::atomic<bool> over{false};
    std::atomic<bool> second_began{false};
    std::atomic<bool> early{false};
    gossip::EventBus<> bus{gossip::Config{.workers = 1}};
    auto s = bus.subscribe(number, gossip::batch<int>({.size = 5, .period = 1h}, [&](std::span<const int>) {
                               running = true;
                               gate.pass();
                               over = true;
                           }));
    const gossip::SubscriptionId id = s.id();
    bus.publish(number, 1);
    REQUIRE(eventually([&] { return bus.stats().timers == 1; }));
    std::thread first([&] { s.unsubscribe(); });
    REQUIRE(eventually([&] { return running.load(); }));
    std::thread second([&] {
        second_began = true;
        bus.unsubscribe(id);
        early = !over;
    });
    REQUIRE(eventually([&] { return second_began.load(); }));
    gossip_test::a_moment(1000); // a chance to be early; being late is no failure
    gate.open();
    first.join();
    second.join();

    CHECK_FALSE(early);
}

TEST_CASE("every unsubscribe of a batch returns after what it had collected has run", "[batch_collector]") {
    const Bounded bounded("unsubscribing twice");
    int early = 0;
    for ([[maybe_unused]] const int round : gossip_test::Rounds(200)) {
        std::atomic<int> handled{0};
        gossip::EventBus<> bus{gossip::Config{.workers = 1}};
        auto s = bus.subscribe(number, gossip::batch<int>({.size = 100, .period = 1h}, [&](std::span<const int> items) {
                                   handled += static_cast<int>(items.size());
                               }));
        const gossip::SubscriptionId id = s.id();
        for (int i = 0; i < 5; ++i) {
            static_cast<void>(bus.publish_sync(number, i));
        }
        std::array<std::atomic<int>, 2> seen{};
        std::thread one([&] {
            bus.unsubscribe(id);
            seen[0] = handled.load();
        });
        std::thread two([&] {
            bus.unsubscribe(id);
            seen[1] = handled.load();
        });
        one.join();
        two.join();
        early += seen[0] == 5 && seen[1] == 5 ? 0 : 1;
    }
    CHECK(early == 0);
}

TEST_CASE("two batches that end each other at once do not deadlock", "[batch_collector]") {
    const Bounded bounded("batches that end each other");
    for ([[maybe_unused]] const int round : gossip_test::Rounds(100)) {
        std::atomic<int> ready{0};
        gossip::EventBus<> bus{gossip::Config{.workers = 2}};
        gossip::SubscriptionId a;
        gossip::SubscriptionId b;
        const auto end = [&](const gossip::SubscriptionId& id) {
            return [&](std::span<const int>) {
                ++ready;
                static_cast<void>(eventually([&] { return ready >= 2; }, 1s));
                bus.unsubscribe(id);
            };
        };
        a = bus.subscribe(number, gossip::batch<int>({.size = 2, .period = 0ns}, end(b))).detach();
        b = bus.subscribe(other, gossip::batch<int>({.size = 2, .period = 0ns}, end(a))).detach();
        bus.publish(number, 1);
        bus.publish(other, 1);
        const auto report = bus.shutdown();
        REQUIRE(report.adds_up());
        REQUIRE(bus.stats().subscriptions == 0);
    }
}

TEST_CASE("a worker that waits with an event for a batch lets go when the batch ends", "[batch_collector]") {
    const Bounded bounded("a full batch that ends");
    std::atomic<int> runs{0};
    gossip::EventBus<> bus{gossip::Config{.workers = 3}};
    gossip::SubscriptionId id;
    id = bus.subscribe(number, gossip::batch<int>({.size = 2, .period = 1h},
                                                  [&](std::span<const int>) {
                                                      if (++runs == 1) {
                                                          // Two more are collected, two workers wait with one each.
                                                          static_cast<void>(
                                                              eventually([&] { return bus.stats().waiting == 2; }));
                                                          bus.unsubscribe(id);
                                                      }
                                                  }))
             .detach();
    for (int i = 0; i < 8; ++i) {
        bus.publish(number, i);
    }
    const auto report = bus.shutdown();

    CHECK(runs == 2);
    CHECK(report.handled + report.unrouted == 8);
    CHECK(report.adds_up());
}

// From inside a run

TEST_CASE("everything that can be asked of a bus can be asked from inside a batch's run", "[batch_collector]") {
    const Bounded bounded("re-entrancy from a batch");
    enum class Call { publish, publish_sync, flush, unsubscribe_self, unsubscribe_other, drain, shutdown, subscribe };
    constexpr std::array calls{Call::publish,           Call::publish_sync, Call::flush,    Call::unsubscribe_self,
                               Call::unsubscribe_other, Call::drain,        Call::shutdown, Call::subscribe};
    const auto first = GENERATE_COPY(from_range(calls));
    const unsigned workers = GENERATE(0U, 1U, 3U);
    const bool by_key = GENERATE(false, true);
    for (const Call second : calls) {
        CAPTURE(static_cast<int>(first), static_cast<int>(second), workers, by_key);
        bool drained = true;
        bool closed = false;
        bool refused = false;
        std::atomic<int> runs{0};
        std::atomic<bool> asked{false};
        std::vector<gossip::Subscription> more;
        gossip::EventBus<> bus{gossip::Config{.workers = workers}};
        gossip::SubscriptionId self;
        gossip::SubscriptionId another =
            bus.subscribe(other, gossip::batch<int>({.size = 9, .period = 1h}, [](std::span<const int>) {})).detach();
        const auto make = [&](Call call) {
            switch (call) {
            case Call::publish:
                refused = refused || (bus.publish(number, 3) != gossip::PublishStatus::accepted) != closed;
                break;
            case Call::publish_sync:
                refused = refused || bus.publish_sync(number, 3).ok() == closed;
                break;
            case Call::flush:
                bus.flush();
                break;
            case Call::unsubscribe_self:
                bus.unsubscribe(self);
                break;
            case Call::unsubscribe_other:
                bus.unsubscribe(another);
                break;
            case Call::drain:
                // Nothing else is in flight, unless something was published here and waits in the batch, or for us.
                drained = bus.drain(first == Call::publish || first == Call::publish_sync ? 0ns : 10s) ||
                          first == Call::publish || first == Call::publish_sync;
                break;
            case Call::shutdown:
                refused = refused || bus.shutdown().complete;
                closed = true;
                break;
            case Call::subscribe:
                more.push_back(bus.subscribe(other, [](int) {}));
                break;
            }
        };
        self = bus.subscribe(number, gossip::batch<int>({.size = 2, .period = 1h, .by_key = by_key},
                                                        [&](std::span<const int>) {
                                                            if (runs++ == 0) {
                                                                make(first);
                                                                make(second);
                                                                asked = true;
                                                            }
                                                        }))
                   .detach();
        bus.publish(number, 1);
        bus.publish(number, 2);
        if (workers == 0) {
            bus.poll();
        }
        REQUIRE(eventually([&] { return asked.load(); }));
        const auto report = bus.shutdown();
        CHECK(drained);
        CHECK_FALSE(refused);
        CHECK(report.complete);
        CHECK(report.adds_up());
        CHECK(report.failed == 0);
        CHECK(report.abandoned == 0);
    }
}

TEST_CASE("a batch that publishes into itself from its run does not wait for itself", "[batch_collector]") {
    const Bounded bounded("a batch that feeds itself");
    std::atomic<int> left{50};
    std::size_t largest = 0;
    gossip::EventBus<> bus{gossip::Config{.workers = 1}};
    auto s = bus.subscribe(number, gossip::batch<int>({.size = 2, .period = 1h}, [&](std::span<const int> items) {
                               largest = items.size() > largest ? items.size() : largest;
                               for (int i = 0; i < 5 && left > 0; ++i, --left) {
                                   static_cast<void>(bus.publish_sync(number, i));
                               }
                           }));
    bus.publish(number, 1);
    bus.publish(number, 2);
    REQUIRE(eventually([&] { return left == 0; }));
    const auto report = bus.shutdown();

    CHECK(report.handled == 52);
    CHECK(largest == 2);
}

TEST_CASE("two batches that fill each other up do not wait for each other", "[batch_collector]") {
    const Bounded bounded("batches that feed each other");
    std::atomic<int> left{400};
    gossip::EventBus<> bus{gossip::Config{.workers = 2}};
    const auto feed = [&](const gossip::Topic<int>& topic) {
        return [&](std::span<const int>) {
            for (int i = 0; i < 4 && left-- > 0; ++i) {
                static_cast<void>(bus.publish_sync(topic, i));
            }
        };
    };
    auto a = bus.subscribe(number, gossip::batch<int>({.size = 2, .period = 1h}, feed(other)));
    auto b = bus.subscribe(other, gossip::batch<int>({.size = 2, .period = 1h}, feed(number)));
    for (int i = 0; i < 40; ++i) {
        bus.publish(i % 2 == 0 ? number : other, i);
    }
    CHECK(eventually([&] { return left <= 0; })); // each run of two makes four more
    const auto report = bus.shutdown();

    CHECK(report.adds_up());
    CHECK(report.handled == report.accepted);
}

TEST_CASE("drain from inside a batch's run ignores what that run has, and nothing else", "[batch_collector]") {
    const unsigned workers = GENERATE(0U, 2U);
    std::vector<bool> drained;
    gossip::EventBus<> bus{gossip::Config{.workers = workers}};
    auto s = bus.subscribe(number, gossip::batch<int>({.size = 3, .period = 1h}, [&](std::span<const int>) {
                               drained.push_back(bus.drain(0ns));
                           }));
    for (int i = 0; i < 3; ++i) {
        static_cast<void>(bus.publish_sync(number, i));
    }
    CHECK(drained == std::vector<bool>{true});
    auto hold = bus.subscribe(other, gossip::batch<int>({.size = 9, .period = 1h}, [](std::span<const int>) {}));
    static_cast<void>(bus.publish_sync(other, 1)); // waits in another batch
    for (int i = 0; i < 3; ++i) {
        static_cast<void>(bus.publish_sync(number, i));
    }
    CHECK(drained == std::vector<bool>{true, false});
}

TEST_CASE("a hook that drains does not wait for what its batch has ended before", "[batch_collector]") {
    std::optional<gossip::EventBus<>> bus;
    std::vector<bool> drained;
    gossip::Config config{.workers = 0};
    config.on_error = [&](const gossip::ErrorReport&) { drained.push_back(bus->drain(0ns)); };
    bus.emplace(std::move(config));
    auto s = bus->subscribe(number, gossip::batch<int>({.size = 4, .attempts = 2}, [&](std::span<const int> items) {
                                gossip::BatchResult result;
                                for (std::size_t i = 0; i < items.size(); ++i) {
                                    if (items[i] > 1) {
                                        result.fail(i, gossip::ProcessingError{"more than one"});
                                    }
                                }
                                drained.push_back(bus->drain(0ns));
                                return result;
                            }));

    for (int i = 1; i <= 4; ++i) {
        CHECK(bus->publish(number, i) == gossip::PublishStatus::accepted);
    }
    bus->poll();

    CHECK(drained == std::vector<bool>(5, true)); // two runs, and the ends of three
    CHECK(bus->shutdown().failed == 3);
    s.detach();
}

TEST_CASE("drain from inside a run is true with shares of events in it", "[batch_collector]") {
    std::vector<bool> drained;
    gossip::EventBus<> bus{gossip::Config{.workers = 0}};
    auto first = bus.subscribe(number, gossip::batch<int>({.size = 2, .period = 1h}, [&](std::span<const int>) {
                                   drained.push_back(bus.drain(0ns));
                               }));
    auto second = bus.subscribe(number, gossip::batch<int>({.size = 2, .period = 1h}, [&](std::span<const int>) {
                                    drained.push_back(bus.drain(0ns));
                                }));
    static_cast<void>(bus.publish_sync(number, 1));
    static_cast<void>(bus.publish_sync(number, 2));

    CHECK(drained == std::vector<bool>{true, true});
    CHECK(bus.stats().handled == 2);
}

// Memory

TEST_CASE("an event that finds no memory to be collected fails, and nothing else does", "[batch_collector]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    const bool by_key = GENERATE(false, true);
    const bool two = GENERATE(false, true); // two batches: each has a share
    int most = 0;
    for (int n = 0; n < 40; ++n) {
        CAPTURE(n, by_key, two);
        std::atomic<int> reported{0};
        std::size_t seen = 0;
        gossip::EventBus<> bus{
            gossip::Config{.workers = 0, .on_error = [&](const gossip::ErrorReport&) { ++reported; }}};
        const auto count = [&](std::span<const std::string> items) { seen += items.size(); };
        auto a = bus.subscribe(text, gossip::batch<std::string>({.size = 3, .period = 1h, .by_key = by_key}, count));
        std::optional<gossip::Subscription> b;
        if (two) {
            b = bus.subscribe(text, gossip::batch<std::string>({.size = 3, .period = 1h}, count));
        }
        for (int i = 0; i < 4; ++i) {
            bus.publish(text, std::string(50, 'x'), {.key = i % 2 == 0 ? "a key that is too long for any string" : ""});
        }
        support::fail_allocation_after(n);
        bus.poll();
        bus.flush();
        support::fail_allocation_after(-1);
        const auto report = bus.shutdown();
        most = report.failed > 0 ? n : most;
        CHECK(report.accepted == 4);
        CHECK(report.adds_up());
        CHECK(report.failed <= 1); // without memory for its error, too
        CHECK(seen >= (two ? 6U : 3U));
        CHECK(seen + report.failed >= 4);
        CHECK(reported >= static_cast<int>(report.failed));
    }
    CHECK(most > 0); // there was something to fail
}

TEST_CASE("what a flush has asked for while a batch grows is run also where there is no memory to grow",
          "[batch_collector]") {
    static gossip::EventBus<>* growing = nullptr;
    static int buffers = 0;
    buffers = 0;
    std::size_t seen = 0;
    gossip::EventBus<> bus{gossip::Config{.workers = 0}};
    growing = &bus;
    const gossip::BatchOptions options{.size = 1000, .period = 1h};
    auto count = [&](std::span<const int> items) { seen += items.size(); };
    using Runner = gossip::detail::BatchRunner<int, decltype(count)>;
    const auto collector = std::make_shared<gossip::detail::BatchCollector>(
        options, std::make_unique<Runner>(options, count),
        [](std::size_t room) -> std::unique_ptr<gossip::detail::BatchBuffer> {
            if (++buffers == 2) {
                growing->flush();
                throw std::bad_alloc();
            }
            return Runner::make_buffer(room);
        });
    auto s = bus.subscribe(number, [&](gossip::Context& context, const gossip::Event&) {
        return gossip::detail::collect_in(context.host(), collector);
    });
    for (int i = 0; i < 257; ++i) {
        bus.publish(number, i);
    }

    CHECK(bus.drain(20s));

    CHECK(seen == 256);
    CHECK(bus.stats().handled == 256);
    CHECK(bus.stats().failed == 1);
}

TEST_CASE("flush and shutdown without memory lose nothing", "[batch_collector]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    for (int n = 0; n < 20; ++n) {
        CAPTURE(n);
        Numbers seen;
        gossip::EventBus<> bus{gossip::Config{.workers = 0}};
        std::vector<gossip::Subscription> subscriptions;
        for (int i = 0; i < 3; ++i) {
            subscriptions.push_back(
                bus.subscribe(number, gossip::batch<int>({.size = 9, .period = 1h}, [&](std::span<const int> items) {
                                  seen.insert(seen.end(), items.begin(), items.end());
                              })));
        }
        seen.reserve(100);
        static_cast<void>(bus.publish_sync(number, n));
        support::fail_allocation_after(n);
        bus.flush();
        const auto report = bus.shutdown();
        support::fail_allocation_after(-1);
        CHECK(seen == Numbers(3, n));
        CHECK(report.handled == 1);
        CHECK(report.adds_up());
    }
}

TEST_CASE("a batch without memory for its timer runs at once", "[batch_collector]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    int at_once = 0;
    for (int n = 0; n < 12; ++n) {
        Numbers seen;
        seen.reserve(10);
        gossip::EventBus<> bus{gossip::Config{.workers = 0}};
        auto s = bus.subscribe(number, gossip::batch<int>({.size = 9, .period = 1h}, [&](std::span<const int> items) {
                                   seen.insert(seen.end(), items.begin(), items.end());
                               }));
        support::fail_allocation_after(n);
        static_cast<void>(bus.publish_sync(number, n).ok());
        support::fail_allocation_after(-1);
        const auto stats = bus.stats();
        CHECK(stats.handled + stats.failed + stats.timers == 1); // ran, failed, or waits for its time: never forgotten
        at_once += stats.handled != 0 ? 1 : 0;
        CHECK(bus.shutdown().adds_up());
    }
    CHECK(at_once != 0);
}

} // namespace batch_collector_test
