#include <gossip/bus/event_bus.hpp>
#include <gossip/middleware/chain.hpp>
#include <gossip/middleware/correlation.hpp>
#include <gossip/middleware/retry.hpp>
#include <gossip/middleware/timeout_detached.hpp>

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

TEST_CASE("bad arguments of timeout_detached are refused", "[timeout_detached]") {
    CHECK_THROWS_AS(middleware::timeout_detached(0s), gossip::ValidationError);
    CHECK_THROWS_AS(middleware::timeout_detached(-1s), gossip::ValidationError);
    CHECK_THROWS_AS(middleware::timeout_detached(1s, {.helpers = 0}), gossip::ValidationError);
}

} // namespace timeout_detached_test
