#include <gossip/middleware/retry.hpp>
#include <gossip/middleware/timeout.hpp>

#include "support/catch.hpp"
#include "support/processing.hpp"

#include <chrono>
#include <stop_token>
#include <string>
#include <vector>

namespace timeout_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;
using support::bind;
using support::number;
using support::Rig;
using support::Script;

TEST_CASE("what ends within its time comes as it is", "[timeout]") {
    Rig rig;
    Script script({{}, gossip::errors::processing_failed});
    auto bound = bind(middleware::timeout(10ms)([&](const int&) -> Result {
        rig.clock.advance(9ms);
        return script.next();
    }));

    CHECK(rig.run(bound));
    CHECK(gossip::is(rig.run(bound).error(), gossip::errors::processing_failed));
}

TEST_CASE("what ends at its deadline or later is a timeout, a success as well", "[timeout]") {
    Rig rig;
    auto bound = bind(middleware::timeout(10ms)([&](const int&) { rig.clock.advance(10ms); }));

    const Result result = rig.run(bound);

    REQUIRE_FALSE(result);
    CHECK(gossip::as<gossip::TimeoutError>(result.error())->timeout() == 10ms);
}

TEST_CASE("a late failure is the cause of the timeout", "[timeout]") {
    Rig rig;
    auto bound = bind(middleware::timeout(10ms)([&](const int&) -> Result {
        rig.clock.advance(1h);
        return gossip::FatalError{"stolen"};
    }));

    const Result result = rig.run(bound);

    REQUIRE_FALSE(result);
    CHECK(result.error().kind() == gossip::ErrorKind::timeout);
    CHECK(gossip::is_fatal(result.error()));
}

TEST_CASE("the processor sees its deadline, is woken by it and told to stop", "[timeout]") {
    Rig rig;
    bool slept = true;
    bool token = false;
    auto bound = bind(middleware::timeout(10ms)([&](Context& context, const int&) {
        CHECK(context.remaining() == 10ms);
        CHECK_FALSE(context.stop_requested());
        const std::stop_token stop = context.stop_token();
        CHECK_FALSE(stop.stop_requested());
        slept = context.sleep_for(1h);
        CHECK(context.stop_requested());
        token = stop.stop_requested();
    }));

    CHECK(gossip::is_timeout(rig.run(bound).error()));

    CHECK_FALSE(slept);
    CHECK(token);
    CHECK(rig.clock.slept == std::vector<std::chrono::nanoseconds>{10ms});
}

TEST_CASE("of two timeouts the earlier ends the run, and says so", "[timeout]") {
    Rig rig;
    const auto sleepy = [](Context& context, const int&) { context.sleep_for(1h); };
    auto outer = bind(middleware::timeout(5ms)(middleware::timeout(50ms)(sleepy)));
    auto inner = bind(middleware::timeout(50ms)(middleware::timeout(5ms)(sleepy)));

    CHECK(gossip::as<gossip::TimeoutError>(rig.run(outer).error())->timeout() == 5ms);
    CHECK(gossip::as<gossip::TimeoutError>(rig.run(inner).error())->timeout() == 5ms);
}

TEST_CASE("retry outside of timeout gives each attempt its own time, and never two at once", "[timeout]") {
    Rig rig;
    int running = 0;
    int calls = 0;
    auto bound = bind(middleware::retry(2, 1ms)(middleware::timeout(10ms)([&](Context& context, const int&) {
        CHECK(++running == 1);
        CHECK(context.remaining() == 10ms);
        if (++calls < 3) {
            context.sleep_for(1h);
        }
        --running;
    })));

    CHECK(rig.run(bound));
    CHECK(calls == 3);
}

TEST_CASE("a timeout is positive, and may be longer than time", "[timeout]") {
    Rig rig;
    auto endless = bind(middleware::timeout(std::chrono::hours::max())([&](Context& context, const int&) {
        CHECK(context.deadline() == Context::no_deadline);
        rig.clock.advance(1h);
    }));

    CHECK(rig.run(endless));
    CHECK_THROWS_AS(middleware::timeout(0s), gossip::ValidationError);
    CHECK_THROWS_AS(middleware::timeout(-1s), gossip::ValidationError);
}

} // namespace timeout_test
