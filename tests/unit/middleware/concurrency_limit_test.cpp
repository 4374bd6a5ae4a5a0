#include <gossip/bus/event_bus.hpp>
#include <gossip/middleware/chain.hpp>
#include <gossip/middleware/concurrency_limit.hpp>
#include <gossip/middleware/make.hpp>
#include <gossip/middleware/timeout.hpp>
#include <gossip/middleware/timeout_detached.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/processing.hpp"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace concurrency_limit_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;
using support::bind;
using support::number;
using support::Rig;
using support::Script;

TEST_CASE("no more than the limit run at once, and all run", "[concurrency_limit]") {
    Rig rig;
    std::atomic<int> running{0};
    std::atomic<int> most{0};
    std::atomic<int> calls{0};
    std::atomic<int> failed{0};
    const auto limit = middleware::concurrency_limit(2);
    auto bound = bind(limit([&](const int&) {
        const int now = ++running;
        for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {}
        std::this_thread::yield();
        --running;
        ++calls;
    }));
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&] {
                for (int i = 0; i < 500; ++i) {
                    failed += rig.run(bound) ? 0 : 1;
                }
            });
        }
    }

    CHECK(calls == 2000);
    CHECK(failed == 0);
    CHECK(most <= 2);
    CHECK(rig.run(bound));
}

TEST_CASE("with no time to wait, the one too many is refused", "[concurrency_limit]") {
    Rig rig;
    int calls = 0;
    const auto limit = middleware::concurrency_limit({.runs = 1, .max_wait = 0s});
    auto inner = bind(limit([&](const int&) { ++calls; }));
    auto outer = bind(limit([&](const int&) {
        ++calls;
        CHECK(gossip::is(rig.run(inner).error(), gossip::errors::too_many_at_once));
    }));

    CHECK(rig.run(outer));
    CHECK(rig.run(inner));

    CHECK(calls == 2);
}

TEST_CASE("waiting ends with its time, a deadline or a stop", "[concurrency_limit]") {
    Rig rig;
    rig.clock.skip_sleeps = false;
    const auto limit = middleware::concurrency_limit({.runs = 1, .max_wait = 10s});
    auto inner = bind(limit([](const int&) {}));
    auto hurried = bind(middleware::timeout(5s)(limit([](const int&) {})));
    auto outer = bind(limit([&](const int&) {
        Result first;
        Result second;
        Result third;
        {
            const std::jthread waits([&] { first = rig.run(inner); });
            rig.clock.await_waits(1);
            rig.clock.advance(10s);
        }
        {
            const std::jthread waits([&] { second = rig.run(hurried); });
            rig.clock.await_waits(2);
            rig.clock.advance(5s);
        }
        {
            const std::jthread waits([&] { third = rig.run(inner); });
            rig.clock.await_waits(3);
            rig.host.stop();
        }
        CHECK(gossip::is(first.error(), gossip::errors::too_many_at_once));
        CHECK(gossip::is_timeout(second.error()));
        CHECK(gossip::is(second.error(), gossip::errors::too_many_at_once));
        CHECK(gossip::is(third.error(), gossip::errors::too_many_at_once));
    }));

    CHECK(rig.run(outer));
}

TEST_CASE("a processor that fails or throws gives its place back", "[concurrency_limit]") {
    Rig rig;
    auto bound = bind(middleware::concurrency_limit({.runs = 1, .max_wait = 0s})([](const int&) { throw 1; }));

    CHECK(gossip::is_processing(rig.run(bound).error()));
    CHECK(gossip::is_processing(rig.run(bound).error()));
}

inline namespace parts {

inline constexpr gossip::Topic<int> other{"test.other"};
inline constexpr gossip::Topic<> tick{"test.tick"};

/// Counts who comes by, on the way to what it is around.
auto counted(std::atomic<int>& count) {
    return middleware::make([&count](auto& next, Context& context, const Event& event) -> Result {
        ++count;
        return next(context, event);
    });
}

} // namespace parts

TEST_CASE("a processor may end its own subscription while another run of it waits for its place",
          "[concurrency_limit]") {
    const gossip_test::Bounded bounded("ending a limited processor from inside");
    gossip::EventBus bus{gossip::Config{.workers = 2}};
    std::atomic<int> entered{0};
    std::atomic<int> calls{0};
    gossip::Subscription s;
    s = bus.subscribe(number, middleware::chain(counted(entered), middleware::concurrency_limit(1))([&](const int&) {
                          ++calls;
                          static_cast<void>(gossip_test::eventually([&] { return entered == 2; }));
                          s.unsubscribe();
                      }));
    bus.publish(number, 1);
    bus.publish(number, 2);

    CHECK(bus.drain(20s));

    CHECK(calls == 1);
    CHECK(bus.stats().handled == 2);
    CHECK(bus.stats().failed == 0);
}

TEST_CASE("a processor may end another that waits for the place that it has", "[concurrency_limit]") {
    const gossip_test::Bounded bounded("ending a processor that waits for our place");
    gossip::EventBus bus{gossip::Config{.workers = 2}};
    const auto limit = middleware::concurrency_limit(1);
    std::atomic<int> waiting{0};
    std::atomic<int> calls{0};
    auto waits = bus.subscribe(other, middleware::chain(counted(waiting), limit)([&](const int&) { ++calls; }));
    auto holds = bus.subscribe(number, limit([&](const int&) {
                                   bus.publish(other, 1);
                                   static_cast<void>(gossip_test::eventually([&] { return waiting == 1; }));
                                   waits.unsubscribe();
                               }));
    bus.publish(number, 1);

    CHECK(bus.drain(20s));

    CHECK(calls == 0);
    CHECK(bus.stats().handled == 2);
}

TEST_CASE("a processor may end another that publishes into the place that it has", "[concurrency_limit]") {
    const gossip_test::Bounded bounded("ending a processor that publishes into our place");
    gossip::EventBus bus{gossip::Config{.workers = 2}};
    const auto limit = middleware::concurrency_limit(1);
    std::atomic<int> waiting{0};
    std::atomic<int> refused{0};
    auto inner = bus.subscribe(number, middleware::chain(counted(waiting), limit)([](const int&) {}));
    auto middle = bus.subscribe(other, [&](const int&) {
        const gossip::SyncResult result = bus.publish_sync(number, 1);
        refused = !result.ok() && gossip::is(result.errors().front(), gossip::errors::deadlock) ? 1 : 0;
    });
    auto holds = bus.subscribe(tick, limit([&] {
                                   bus.publish(other, 1);
                                   static_cast<void>(gossip_test::eventually([&] { return waiting == 1; }));
                                   middle.unsubscribe();
                               }));
    bus.publish(tick);

    CHECK(bus.drain(20s));

    CHECK(refused == 1);
}

TEST_CASE("who has a place and a turn's owner do not wait for each other for ever, whoever is last",
          "[concurrency_limit]") {
    const gossip_test::Bounded bounded("a place and a turn that wait for each other");
    const bool owner_is_last = GENERATE(false, true);
    gossip::EventBus bus{gossip::Config{.workers = 2}};
    const auto limit = middleware::concurrency_limit(1);
    std::atomic<int> at_the_place{0};
    std::atomic<bool> has_turn{false};
    std::atomic<bool> wants_turn{false};
    std::atomic<int> refused_turn{0};
    std::atomic<int> refused_place{0};
    const auto refused = [](const gossip::SyncResult& result) {
        return !result.ok() && gossip::is(result.errors().front(), gossip::errors::deadlock) ? 1 : 0;
    };
    auto inner = bus.subscribe(tick, middleware::chain(counted(at_the_place), limit)([] {}));
    auto turn = bus.subscribe(other,
                              [&](const int& first) {
                                  if (first == 1) {
                                      has_turn = true;
                                      if (owner_is_last) {
                                          static_cast<void>(gossip_test::eventually([&] { return wants_turn.load(); }));
                                      }
                                      refused_place += refused(bus.publish_sync(tick));
                                  }
                              },
                              {.max_concurrency = 1});
    auto holds = bus.subscribe(number, limit([&](const int&) {
                                   bus.publish(other, 1);
                                   static_cast<void>(gossip_test::eventually(
                                       [&] { return owner_is_last ? has_turn.load() : at_the_place == 1; }));
                                   wants_turn = true;
                                   refused_turn += refused(bus.publish_sync(other, 2));
                               }));
    bus.publish(number, 1);

    CHECK(bus.drain(20s));

    CHECK(refused_turn + refused_place == 1); // one of them makes way, and the other goes on
    CHECK(bus.stats().adds_up());
}

TEST_CASE("a processor that publishes into its own place is told so", "[concurrency_limit]") {
    const gossip_test::Bounded bounded("a processor that waits for itself");
    gossip::EventBus bus{gossip::Config{.workers = 1}};
    const auto limit = middleware::concurrency_limit(1);
    bool refused = false;
    auto inner = bus.subscribe(other, limit([](const int&) {}));
    auto outer = bus.subscribe(number, limit([&](const int&) {
                                   const gossip::SyncResult result = bus.publish_sync(other, 1);
                                   refused =
                                       !result.ok() && gossip::is(result.errors().front(), gossip::errors::deadlock);
                               }));
    bus.publish(number, 1);

    CHECK(bus.drain(20s));

    CHECK(refused);
    CHECK(bus.stats().handled == 1);
}

TEST_CASE("no wait for a place is called hopeless while somebody can give one back", "[concurrency_limit]") {
    const gossip_test::Bounded bounded("many who wait for places");
    gossip::EventBus a{gossip::Config{.workers = 3}};
    gossip::EventBus b{gossip::Config{.workers = 2}};
    const auto limit = middleware::concurrency_limit(2);
    std::atomic<int> calls{0};
    std::atomic<int> failed{0};
    const auto one = b.subscribe(other, [&](const int&) { ++calls; }, {.max_concurrency = 1});
    const auto many =
        a.subscribe(number, limit([&](const int& i) { failed += b.publish_sync(other, i).ok() ? 0 : 1; }));
    const auto there = b.subscribe(number, limit([&](const int&) { ++calls; }));
    for (int i = 0; i < 500; ++i) {
        a.publish(number, i);
        b.publish(number, i);
        if (i % 50 == 0) { // each end has all who wait look again
            gossip::Subscription gone = a.subscribe(tick, [] {});
        }
    }

    CHECK(a.drain(20s));
    CHECK(b.drain(20s));

    CHECK(failed == 0);
    CHECK(calls == 1000);
    CHECK(a.stats().failed + b.stats().failed == 0);
}

TEST_CASE("who has a place may end a processor of another bus whose helper waits for it", "[concurrency_limit]") {
    const gossip_test::Bounded bounded("ending a processor of another bus whose helper waits for our place");
    gossip::EventBus a{gossip::Config{.workers = 1}};
    gossip::EventBus b{gossip::Config{.workers = 1}};
    const auto limit = middleware::concurrency_limit(1);
    std::atomic<int> waiting{0};
    std::atomic<int> calls{0};
    auto waits = a.subscribe(number, middleware::timeout_detached(std::chrono::nanoseconds::max())(
                                         middleware::chain(counted(waiting), limit)([&](const int&) { ++calls; })));
    auto holds = b.subscribe(number, limit([&](const int&) {
                                 a.publish(number, 1);
                                 static_cast<void>(gossip_test::eventually([&] { return waiting == 1; }));
                                 waits.unsubscribe();
                             }));
    b.publish(number, 1);

    CHECK(b.drain(20s));
    CHECK(a.drain(20s));

    CHECK(calls == 0);
    CHECK(a.stats().handled == 1);
    CHECK(b.stats().handled == 1);
}

TEST_CASE("a shutdown that is in a wait for a place hears of another one that has less patience",
          "[concurrency_limit]") {
    const gossip_test::Bounded bounded("a shutdown that waits for a place");
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    std::atomic<int> holding{0};
    std::atomic<int> waiting{0};
    const auto limit = middleware::concurrency_limit(1);
    auto holds = bus.subscribe(other, limit([&](Context& context, const int&) {
                                   ++holding;
                                   static_cast<void>(context.sleep_for(1h)); // a shutdown past its deadline ends it
                               }));
    auto waits = bus.subscribe(number, middleware::chain(counted(waiting), limit)([](const int&) {}));
    bus.publish(other, 1);
    std::thread polls([&] { bus.poll(1); });
    CHECK(gossip_test::eventually([&] { return holding == 1; }));
    bus.publish(number, 1);
    std::thread patient([&] { static_cast<void>(bus.shutdown()); });
    CHECK(gossip_test::eventually([&] { return waiting == 1; }));

    CHECK(bus.shutdown(1ms).adds_up());

    polls.join();
    patient.join();
}

TEST_CASE("bad limits are refused", "[concurrency_limit]") {
    CHECK_THROWS_AS(middleware::concurrency_limit(0), gossip::ValidationError);
    CHECK_THROWS_AS(middleware::concurrency_limit({.max_wait = -1s}), gossip::ValidationError);
}

} // namespace concurrency_limit_test
