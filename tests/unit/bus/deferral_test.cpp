#include <gossip/bus/event_bus.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace deferral_test {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::Context;
using gossip::Deferral;
using gossip::EventBus;
using gossip::Result;

struct Text {
    std::unique_ptr<std::string> text;
};
inline constexpr gossip::Topic<Text> said{"deferral.said"};
inline constexpr gossip::Topic<int> number{"deferral.number"};

TEST_CASE("a deferred event is open until its last deferral is resolved, and the drain waits for it",
          "[bus][deferral]") {
    std::vector<Deferral> open;
    EventBus bus{Config{.workers = 0}};
    auto s1 = bus.subscribe(number, [&](Context& context) {
        open.push_back(context.defer());
        open.push_back(context.defer());
    });
    auto s2 = bus.subscribe(number, [&](Context& context) { open.push_back(context.defer()); });

    bus.publish(number, 1);
    CHECK(bus.poll() == 1);
    for (Deferral& deferral : open) {
        CHECK(bus.stats().handled == 0);
        CHECK_FALSE(bus.drain(20s)); // nothing more is due here
        CHECK(deferral.pending());
        deferral.succeed();
        CHECK_FALSE(deferral.pending());
    }
    CHECK(bus.drain(20s));
    CHECK(bus.stats().handled == 1);
}

TEST_CASE("a deferral may be moved to any thread and the data stays reachable through it until it is resolved",
          "[bus][deferral]") {
    std::string text;
    EventBus bus{Config{.workers = 1}};
    auto s = bus.subscribe(said, [&](Context& context, const Text&) {
        std::thread([deferral = context.defer(), &text]() mutable {
            Deferral moved = std::move(deferral);
            text = *moved.event().data<Text>().text + std::string(moved.event().key());
            moved.succeed();
        }).detach();
    });

    bus.publish(said, {std::make_unique<std::string>("still ")}, {.key = "here"});
    CHECK(bus.drain(20s));
    CHECK(text == "still here");
}

TEST_CASE("a deferral that is destroyed unresolved fails the event", "[bus][deferral]") {
    std::vector<gossip::DeadLetter> letters;
    EventBus bus{Config{.workers = 0}};
    auto d = bus.subscribe(gossip::dead_letter, [&](const gossip::DeadLetter& letter) { letters.push_back(letter); });
    std::optional<Deferral> open;
    auto s = bus.subscribe(number, [&](Context& context) { open.emplace(context.defer()); }, {.name = "forgetful"});

    bus.publish(number, 1);
    bus.poll();
    open.reset();
    CHECK(bus.drain(20s));

    REQUIRE(letters.size() == 1);
    CHECK(gossip::is(letters[0].error, gossip::errors::deferral_dropped));
    CHECK(letters[0].subscription == "forgetful");
    CHECK(bus.stats().failed == 1);
}

TEST_CASE("a second resolution does nothing", "[bus][deferral]") {
    std::optional<Deferral> open;
    EventBus bus{Config{.workers = 0}};
    auto s = bus.subscribe(number, [&](Context& context) { open.emplace(context.defer()); });
    bus.publish(number, 1);
    bus.poll();

    open->succeed();
    open->fail(gossip::errors::fatal);
    open.reset();

    CHECK(bus.stats().handled == 1);
    CHECK(bus.stats().failed == 0);
}

TEST_CASE("a run that fails after it has deferred fails the event once, when the deferral is resolved",
          "[bus][deferral]") {
    std::optional<Deferral> open;
    std::vector<gossip::DeadLetter> letters;
    EventBus bus{Config{.workers = 0}};
    auto d = bus.subscribe(gossip::dead_letter, [&](const gossip::DeadLetter& letter) { letters.push_back(letter); });
    auto s = bus.subscribe(number, [&](Context& context) -> Result {
        open.emplace(context.defer());
        return gossip::ProcessingError{"run"};
    });
    bus.publish(number, 1);
    bus.poll();
    CHECK(bus.stats().failed == 0);

    SECTION("well") {
        open->succeed();
        CHECK(bus.drain(20s));
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].failures.size() == 1);
    }
    SECTION("badly") {
        open->fail(gossip::ProcessingError{"deferred"});
        CHECK(bus.drain(20s));
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].failures.size() == 2);
        CHECK(std::string(letters[0].error.what()).find("run") != std::string::npos);
    }
    CHECK(bus.stats().failed == 1);
}

TEST_CASE("a deferral resolved while its processor still runs ends the event when the processor has returned",
          "[bus][deferral]") {
    EventBus bus{Config{.workers = 0}};
    auto s = bus.subscribe(number, [&](Context& context) {
        context.defer().succeed();
        CHECK(bus.stats().handled == 0);
    });
    bus.publish(number, 1);
    bus.poll();
    CHECK(bus.stats().handled == 1);
}

TEST_CASE("a deferral may outlive its subscription", "[bus][deferral]") {
    std::optional<Deferral> open;
    EventBus bus{Config{.workers = 0}};
    auto s = bus.subscribe(number, [&](Context& context) { open.emplace(context.defer()); });
    bus.publish(number, 1);
    bus.poll();
    s.unsubscribe();

    open->fail(gossip::errors::retryable);

    CHECK(bus.drain(20s));
    CHECK(bus.stats().failed == 1);
}

TEST_CASE("a deferral may outlive the bus: its event was abandoned once, and resolving it changes nothing",
          "[bus][deferral]") {
    std::vector<Deferral> open;
    std::atomic<int> deferred{0};
    gossip::Subscription kept;
    gossip::ShutdownReport report;
    {
        EventBus bus{Config{.workers = 1}};
        kept = bus.subscribe(said,
                             [&](Context& context, const Text&) {
                                 open.push_back(context.defer());
                                 ++deferred;
                             },
                             {.redelivery = {.attempts = 3, .first_delay = 0ns}});
        for (int i = 0; i < 4; ++i) {
            bus.publish(said, {std::make_unique<std::string>("later")}, {.key = i % 2 == 0 ? "" : std::to_string(i)});
        }
        REQUIRE(gossip_test::eventually([&] { return deferred == 4; }));
        CHECK_FALSE(bus.drain(0ns));
        report = bus.shutdown(0ns);
        REQUIRE(open.size() == 4);
        open[0].succeed();
        CHECK(bus.shutdown().handled == report.handled);
    }
    CHECK(report.abandoned == 4);
    CHECK(report.adds_up());
    CHECK(*open[1].event().data<Text>().text == "later");
    open[1].fail(gossip::errors::retryable);
    open[2].succeed();
    open.clear();
    CHECK_FALSE(kept.active());
}

TEST_CASE("a context outside of any bus says that it cannot defer", "[bus][deferral]") {
    Context context;
    CHECK_THROWS_AS(context.defer(), gossip::ProcessingError);
}

} // namespace deferral_test
