#include <gossip/bus/event_bus.hpp>
#include <gossip/middleware/chain.hpp>
#include <gossip/middleware/correlation.hpp>
#include <gossip/middleware/make.hpp>
#include <gossip/middleware/retry.hpp>
#include <gossip/middleware/timeout.hpp>
#include <gossip/middleware/timeout_detached.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/processing.hpp"

#include <gossip/core/outgoing.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace timeout_detached_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;
using support::bind;
using support::number;
using support::Rig;
using support::Script;

inline namespace parts {

inline constexpr gossip::Topic<int> other{"test.other"};
inline constexpr gossip::Topic<> tick{"test.tick"};

/// Closed until it is opened.
class Gate {
public:
    void pass() {
        visited_ = true;
        visited_.notify_all();
        open_.wait(false);
    }
    void await_visit() const { visited_.wait(false); }
    [[nodiscard]] bool visited() const { return visited_; }
    void open() {
        open_ = true;
        open_.notify_all();
    }

private:
    std::atomic<bool> visited_{false};
    std::atomic<bool> open_{false};
};

/// Publishes until a run has reached the gate, and its event has failed. On a busy machine the helper's first
/// millisecond may pass before it begins: such an event fails without a run.
void publish_until_late(gossip::EventBus<>& bus, const Gate& gate) {
    std::uint64_t published = 0;
    while (!gate.visited()) {
        REQUIRE(bus.publish(number, 1) == gossip::PublishStatus::accepted);
        ++published;
        REQUIRE(gossip_test::eventually([&] { return gate.visited() || bus.stats().failed == published; }));
    }
    REQUIRE(gossip_test::eventually([&] { return bus.stats().failed == published; }));
}

/// Runs on another thread what waits on the clock, and moves the clock when it does and the gate has been reached.
Result run_late(Rig& rig, auto& bound, std::chrono::nanoseconds by, int waits, const Gate& gate) {
    Result result;
    {
        const std::jthread worker([&] { result = rig.run(bound, 7); });
        rig.clock.await_waits(waits);
        gate.await_visit();
        rig.clock.advance(by);
    }
    return result;
}

} // namespace parts

TEST_CASE("what ends in time comes as it is, from another thread", "[timeout_detached]") {
    Rig rig;
    std::thread::id there;
    auto bound = bind(middleware::timeout_detached(1s)([&](const int& n) -> Result {
        there = std::this_thread::get_id();
        return n == 0 ? Result{} : gossip::errors::fatal;
    }));

    CHECK(rig.run(bound, 0));
    CHECK(gossip::is_fatal(rig.run(bound, 1).error()));
    CHECK(there != std::this_thread::get_id());
}

TEST_CASE("exceptions come back from the helper", "[timeout_detached]") {
    Rig rig;
    auto bound = bind(middleware::timeout_detached(1s)([](const int&) { throw std::runtime_error{"bug"}; }));

    CHECK(std::string{rig.run(bound).error().what()} == "processing error: bug");
}

TEST_CASE("the caller goes on at the deadline, and the late outcome is counted and dropped", "[timeout_detached]") {
    Rig rig;
    Gate gate;
    std::atomic<int> seen{0};
    const auto detached = middleware::timeout_detached(10ms);
    Result result;
    {
        auto bound = bind(detached([&](Context& context, const int& n) {
            gate.pass();
            CHECK(context.stop_requested());
            CHECK(context.stop_token().stop_requested());
            seen = n;
        }));

        result = run_late(rig, bound, 10ms, 1, gate);
        CHECK(detached.late() == 0);
        gate.open();
    } // joins the helper

    REQUIRE_FALSE(result);
    CHECK(gossip::as<gossip::TimeoutError>(result.error())->timeout() == 10ms);
    CHECK(seen == 7);
    CHECK(detached.late() == 1);
    CHECK(detached.unbegun() == 0);
}

TEST_CASE("a run that succeeds at its deadline is too late", "[timeout_detached]") {
    Rig rig;
    const auto detached = middleware::timeout_detached(10ms);
    auto bound = bind(detached([&](const int&) { rig.clock.advance(10ms); }));

    CHECK(gossip::is_timeout(rig.run(bound).error()));
}

TEST_CASE("helpers are bounded: without a free one an event fails unbegun", "[timeout_detached]") {
    Rig rig;
    Gate gate;
    std::atomic<int> calls{0};
    const auto detached = middleware::timeout_detached(10ms, {.helpers = 1});
    Result first;
    Result second;
    {
        auto bound = bind(detached([&](const int&) {
            ++calls;
            gate.pass();
        }));
        {
            const std::jthread worker([&] { first = rig.run(bound); });
            gate.await_visit();
            rig.clock.await_waits(1);
            rig.clock.advance(10ms);
        }
        second = run_late(rig, bound, 10ms, 2, gate);
        gate.open();
    }

    CHECK(gossip::is_timeout(first.error()));
    CHECK(gossip::as<gossip::TimeoutError>(second.error())->message() == "no helper thread was free");
    CHECK(calls == 1);
    CHECK(detached.late() == 1);
    CHECK(detached.unbegun() == 1);
}

TEST_CASE("a stop releases the caller at once", "[timeout_detached]") {
    Rig rig;
    Gate gate;
    Result result;
    {
        auto bound = bind(middleware::timeout_detached(1h)([&](const int&) { gate.pass(); }));
        {
            const std::jthread worker([&] { result = rig.run(bound); });
            rig.clock.await_waits(1);
            rig.host.stop();
        }
        gate.open();
    }

    CHECK(gossip::is(result.error(), gossip::errors::cancelled));
}

TEST_CASE("a late run may outlive the event and be the one that ends its processor", "[timeout_detached]") {
    Rig rig;
    Gate gate;
    const auto seen = std::make_shared<std::atomic<int>>(0); // the helper's last words may come after the test's end
    const auto detached = middleware::timeout_detached(10ms);
    std::function<void()> end_it;
    const auto processor = [&gate, &end_it, seen](const gossip::TypedEvent<int>& event) {
        gate.pass();
        end_it();
        const auto kept = seen;
        *kept = *event;
        kept->notify_all();
    };
    using Bound = decltype(bind(detached(processor)));
    auto bound = std::make_unique<Bound>(bind(detached(processor)));
    end_it = [&] { bound.reset(); };

    CHECK(gossip::is_timeout(run_late(rig, *bound, 10ms, 1, gate).error()));
    gate.open();
    seen->wait(0);

    CHECK(*seen == 7);
    CHECK(bound == nullptr);
}

TEST_CASE("deferring on a helper is refused", "[timeout_detached]") {
    Rig rig;
    auto bound =
        bind(middleware::timeout_detached(1s)([](Context& context, const int&) { context.defer().succeed(); }));

    CHECK(gossip::is_processing(rig.run(bound).error()));
    CHECK(rig.host.deferred == 0);
}

TEST_CASE("what the worker's publishes inherit goes to the helper", "[timeout_detached]") {
    Rig rig;
    Event out{number, 0};
    auto bound = bind(middleware::chain(middleware::correlation("request"),
                                        middleware::timeout_detached(1s))([&] { gossip::detail::add_outgoing(out); }));

    CHECK(rig.run(bound, Event{number, 1}.with_metadata("request", "r-1")));

    CHECK(out.metadata().get<std::string>("request") == "r-1");
}

TEST_CASE("many workers and few helpers run everything once", "[timeout_detached]") {
    std::atomic<int> sum{0};
    std::atomic<int> failed{0};
    {
        auto bound = bind(middleware::timeout_detached(1h, {.helpers = 2})([&](const int& n) { sum += n; }));
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&] {
                for (int i = 0; i < 200; ++i) {
                    Context context;
                    failed += bound(context, Event{number, 1}) ? 0 : 1;
                }
            });
        }
    }

    CHECK(failed == 0);
    CHECK(sum == 800);
}

TEST_CASE("shutdown waits for a late run, also where the subscription outlives the bus", "[timeout_detached]") {
    const gossip_test::Bounded bound("a shutdown while a helper is late");
    Gate gate;
    std::atomic<bool> finished{false};
    gossip::Subscription outlives;
    {
        gossip::EventBus bus{gossip::Config{.workers = 1}};
        outlives = bus.subscribe(number, middleware::timeout_detached(1ms, {.helpers = 1})([&](const int&) {
                                     gate.pass();
                                     finished = true;
                                 }));
        publish_until_late(bus, gate);
        const std::jthread opener([&] {
            if (gossip_test::eventually([&] { return bus.publish(number, 2) == gossip::PublishStatus::closed; })) {
                gate.open();
            }
        });

        const auto report = bus.shutdown();

        CHECK(finished);
        CHECK(report.complete);
        CHECK(report.adds_up());
    }
    CHECK_FALSE(outlives.active());
}

TEST_CASE("a late run that shuts its bus down closes the intake and waits for nobody", "[timeout_detached]") {
    const gossip_test::Bounded bound("a shutdown from a late run");
    Gate gate;
    std::atomic<bool> returned{false};
    std::atomic<bool> complete{true};
    gossip::EventBus bus{gossip::Config{.workers = 1}};
    auto s = bus.subscribe(number, middleware::timeout_detached(1ms, {.helpers = 1})([&](const int&) {
                               gate.pass();
                               complete = bus.shutdown().complete;
                               returned = true;
                           }));
    publish_until_late(bus, gate);
    {
        const std::jthread opener([&] {
            if (gossip_test::eventually([&] { return bus.publish(number, 2) == gossip::PublishStatus::closed; })) {
                gate.open();
            }
        });
        CHECK(bus.shutdown().complete);
    }
    CHECK(returned);
    CHECK_FALSE(complete);
}

TEST_CASE("shutdown waits for a late run that has ended its own subscription", "[timeout_detached]") {
    const gossip_test::Bounded bound("a shutdown after a late run ended its subscription");
    Gate gate;
    std::atomic<bool> unsubscribed{false};
    std::atomic<bool> finished{false};
    gossip::EventBus bus{gossip::Config{.workers = 1}};
    gossip::Subscription s;
    s = bus.subscribe(number, middleware::timeout_detached(1ms, {.helpers = 1})([&](const int&) {
                          auto* const end = &finished; // the processor goes with its subscription
                          auto* const told = &unsubscribed;
                          gossip::EventBus<>* const home = &bus;
                          gate.pass();
                          s.unsubscribe();
                          *told = true;
                          static_cast<void>(gossip_test::eventually(
                              [&] { return home->publish(number, 2) == gossip::PublishStatus::closed; }));
                          *end = true;
                      }));
    publish_until_late(bus, gate);
    gate.open();
    REQUIRE(gossip_test::eventually([&] { return unsubscribed.load(); }));

    CHECK(bus.shutdown().complete);

    CHECK(finished);
}

TEST_CASE("a run on a helper publishes into a full buffer without waiting for the worker that waits for it",
          "[timeout_detached]") {
    const gossip_test::Bounded bound("publishing on a helper");
    gossip::EventBus bus{gossip::Config{.workers = 1, .buffer_size = 2}};
    std::atomic<int> runs{0};
    auto o = bus.subscribe(other, [&](const int&) { ++runs; });
    auto s = bus.subscribe(number, middleware::timeout_detached(1h)([&](const int&) {
                               for (int i = 0; i < 10; ++i) {
                                   static_cast<void>(bus.publish(other, i));
                               }
                           }));
    bus.publish(number, 1);

    CHECK(bus.drain(20s));

    CHECK(runs == 10);
    CHECK(bus.stats().spilled == 8);
}

TEST_CASE("the only worker ends a subscription whose late run publishes into a full buffer", "[timeout_detached]") {
    const gossip_test::Bounded bound("ending a late run that publishes");
    Gate gate;
    gossip::EventBus bus{gossip::Config{.workers = 1, .buffer_size = 2}};
    auto o = bus.subscribe(other, [](const int&) {});
    gossip::Subscription s = bus.subscribe(number, middleware::timeout_detached(1ms, {.helpers = 1})([&](const int&) {
                                               gate.pass();
                                               for (int i = 0; i < 20; ++i) {
                                                   static_cast<void>(bus.publish(other, i));
                                               }
                                           }));
    publish_until_late(bus, gate);
    const std::uint64_t before = bus.stats().accepted;
    auto ender = bus.subscribe(tick, [&] {
        gate.open();
        s.unsubscribe();
    });
    bus.publish(tick);

    CHECK(bus.drain(20s));

    CHECK(bus.stats().accepted == before + 21);
}

TEST_CASE("a late run and the processor that ends its subscription end each other", "[timeout_detached]") {
    const gossip_test::Bounded bound("a late run in a cycle");
    for (int round = 0; round < 20; ++round) {
        Gate gate;
        std::atomic<bool> both{false};
        gossip::EventBus bus{gossip::Config{.workers = 1}};
        gossip::Subscription t;
        gossip::Subscription s =
            bus.subscribe(number, middleware::timeout_detached(1ms, {.helpers = 1})([&](const int&) {
                              gate.pass();
                              t.unsubscribe();
                          }));
        publish_until_late(bus, gate);
        t = bus.subscribe(tick, [&] {
            gate.open();
            s.unsubscribe();
            both = true;
        });
        bus.publish(tick);

        CHECK(bus.drain(20s));

        CHECK(both);
        CHECK_FALSE(s.active());
        CHECK_FALSE(t.active());
    }
}

TEST_CASE("a run on the only helper ends its subscription while another is in line for it: that one is not run",
          "[timeout_detached]") {
    const gossip_test::Bounded bound("ending a subscription with a run in line");
    gossip::EventBus bus{gossip::Config{.workers = 2}};
    std::atomic<int> entered{0};
    std::atomic<int> runs{0};
    gossip::Subscription s;
    const auto counted = middleware::make([&](auto& next, Context& context, const Event& event) -> Result {
        ++entered;
        return next(context, event);
    });
    s = bus.subscribe(number, middleware::chain(counted, middleware::timeout_detached(1h, {.helpers = 1}))([&](int) {
                          ++runs;
                          static_cast<void>(gossip_test::eventually([&] { return entered == 2; }));
                          s.unsubscribe();
                      }));
    bus.publish(number, 1);
    bus.publish(number, 2);

    CHECK(bus.drain(20s));

    CHECK(runs == 1);
    CHECK(bus.stats().handled == 2);
}

TEST_CASE("a drain on a helper ignores the run's event, and notices that it has ended", "[timeout_detached]") {
    const gossip_test::Bounded bound("a drain on a helper");
    gossip::testing::ManualClock clock;
    gossip::EventBus bus{gossip::Config{.workers = 2, .clock = &clock}};
    Gate gate;
    std::atomic<bool> draining{false};
    std::atomic<bool> open{false};
    std::atomic<int> drained{-1};
    auto o = bus.subscribe(other, [&](const int&) { gate.pass(); });
    auto s = bus.subscribe(number, middleware::timeout_detached(1s)([&](const int&) {
                               static_cast<void>(bus.publish(other, 1));
                               gate.await_visit();
                               const bool too_early = bus.drain(1ns); // the other one is still in flight
                               draining = true;
                               const bool quiet = bus.drain(20s);
                               drained = !too_early && quiet && open ? 1 : 0;
                           }));
    bus.publish(number, 1);
    REQUIRE(gossip_test::eventually([&] { return draining.load(); }));
    clock.advance(1s);
    REQUIRE(gossip_test::eventually([&] { return bus.stats().failed == 1; }));
    CHECK(drained == -1);
    open = true;
    gate.open();

    CHECK(gossip_test::eventually([&] { return drained != -1; }));

    CHECK(drained == 1);
}

TEST_CASE("a timeout inside fires its token at its own time", "[timeout_detached]") {
    const gossip_test::Bounded bound("a token on a helper");
    gossip::EventBus bus{gossip::Config{.workers = 2}};
    std::atomic<bool> fired{false};
    auto s = bus.subscribe(
        number, middleware::chain(middleware::timeout_detached(1h), middleware::timeout(1ms))([&](Context& context) {
            const std::stop_token token = context.stop_token();
            fired = gossip_test::eventually([&] { return token.stop_requested(); });
        }));
    bus.publish(number, 1);

    CHECK(bus.drain(20s));

    CHECK(fired);
}

TEST_CASE("a helper and a processor of another bus that wait for each other's turns do not wait for ever",
          "[timeout_detached]") {
    const gossip_test::Bounded bound("turns in a circle over a helper and two buses");
    gossip::EventBus a{gossip::Config{.workers = 1}};
    gossip::EventBus b{gossip::Config{.workers = 1}};
    std::atomic<bool> has_turn{false};
    std::atomic<bool> here{false};
    std::atomic<int> refused{0};
    const auto publish = [&](gossip::EventBus<>& bus, const gossip::Topic<int>& topic) {
        const gossip::SyncResult result = bus.publish_sync(topic, 2);
        refused += !result.ok() && gossip::is(result.errors().front(), gossip::errors::deadlock) ? 1 : 0;
    };
    auto in_a = a.subscribe(number, middleware::timeout_detached(1h)([&](const int& first) {
                                if (first == 1) {
                                    here = true;
                                    static_cast<void>(gossip_test::eventually([&] { return has_turn.load(); }));
                                    publish(b, other);
                                }
                            }),
                            {.max_concurrency = 1});
    auto in_b = b.subscribe(other,
                            [&](const int& first) {
                                if (first == 1) {
                                    has_turn = true;
                                    static_cast<void>(gossip_test::eventually([&] { return here.load(); }));
                                    publish(a, number);
                                }
                            },
                            {.max_concurrency = 1});
    a.publish(number, 1);
    b.publish(other, 1);

    CHECK(a.drain(20s));
    CHECK(b.drain(20s));

    CHECK(refused == 1);
    CHECK(a.stats().adds_up());
    CHECK(b.stats().adds_up());
}

TEST_CASE("a helper and a processor of another bus may end each other", "[timeout_detached]") {
    const gossip_test::Bounded bound("a helper and a worker of two buses that end each other");
    for (int round = 0; round < 20; ++round) {
        std::atomic<int> inside{0};
        std::atomic<int> ended{0};
        gossip::EventBus a{gossip::Config{.workers = 1}};
        gossip::EventBus b{gossip::Config{.workers = 1}};
        gossip::Subscription in_a;
        gossip::Subscription in_b;
        const auto end = [&](gossip::Subscription& whose) {
            ++inside;
            static_cast<void>(gossip_test::eventually([&] { return inside == 2; }));
            whose.unsubscribe();
            ++ended;
        };
        in_a = a.subscribe(number, middleware::timeout_detached(1h)([&](const int&) { end(in_b); }));
        in_b = b.subscribe(other, [&](const int&) { end(in_a); });
        a.publish(number, 1);
        b.publish(other, 1);

        REQUIRE(a.drain(20s));
        REQUIRE(b.drain(20s));

        REQUIRE(ended == 2);
    }
}

TEST_CASE("a processor on a helper's thread may drain the bus that the helper belongs to", "[timeout_detached]") {
    const gossip_test::Bounded bound("a drain over a helper and two buses");
    gossip::EventBus a{gossip::Config{.workers = 1}};
    gossip::EventBus b{gossip::Config{.workers = 1}};
    std::atomic<bool> drained{false};
    auto in_b = b.subscribe(other, [&](const int&) { drained = a.drain(20s); });
    auto in_a = a.subscribe(
        number, middleware::timeout_detached(1h)([&](const int&) { static_cast<void>(b.publish_sync(other, 1)); }));
    a.publish(number, 1);

    CHECK(a.drain(20s));

    CHECK(drained);
}

TEST_CASE("bad arguments of timeout_detached are refused", "[timeout_detached]") {
    CHECK_THROWS_AS(middleware::timeout_detached(0s), gossip::ValidationError);
    CHECK_THROWS_AS(middleware::timeout_detached(-1s), gossip::ValidationError);
    CHECK_THROWS_AS(middleware::timeout_detached(1s, {.helpers = 0}), gossip::ValidationError);
}

} // namespace timeout_detached_test
