#include <gossip/middleware/retry.hpp>
#include <gossip/middleware/timeout.hpp>

#include "support/catch.hpp"
#include "support/processing.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace retry_test {

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

middleware::RetryPolicy plain(int attempts, std::chrono::nanoseconds first_delay) {
    return {.attempts = attempts, .first_delay = first_delay, .jitter = 0};
}
const Result busy = gossip::RetryableError{"busy"};

} // namespace parts

TEST_CASE("retry calls again until it succeeds", "[retry]") {
    Rig rig;
    Script script({busy, busy});
    auto bound = bind(middleware::retry(3, 1ms)(script.processor()));

    CHECK(rig.run(bound));

    CHECK(script.calls == 3);
}

TEST_CASE("retry(n) is the first call and n more, and the last result comes as it is", "[retry]") {
    Rig rig;
    const gossip::RetryableError last{"the last"};
    Script script({busy, busy, busy, last});
    auto bound = bind(middleware::retry(3, 1ms)(script.processor()));

    const Result result = rig.run(bound);

    CHECK(script.calls == 4);
    REQUIRE_FALSE(result);
    CHECK(gossip::is(result.error(), last));
}

TEST_CASE("delays grow up to their maximum", "[retry]") {
    Rig rig;
    Script script(std::vector<Result>(9, busy));
    auto policy = plain(6, 10ms);
    policy.growth = 3;
    policy.max_delay = 100ms;
    auto bound = bind(middleware::retry(policy)(script.processor()));

    CHECK_FALSE(rig.run(bound));

    CHECK(rig.clock.slept == std::vector<std::chrono::nanoseconds>{10ms, 30ms, 90ms, 100ms, 100ms});
}

TEST_CASE("jitter takes up to its part of a delay away", "[retry]") {
    Rig rig;
    Script script(std::vector<Result>(1000, busy));
    middleware::RetryPolicy policy = plain(200, 100ms);
    policy.growth = 1;
    policy.jitter = 0.5;
    auto bound = bind(middleware::retry(policy)(script.processor()));

    CHECK_FALSE(rig.run(bound));

    REQUIRE(rig.clock.slept.size() == 199);
    std::chrono::nanoseconds sum{0};
    for (const auto slept : rig.clock.slept) {
        CHECK(slept >= 50ms);
        CHECK(slept <= 100ms);
        sum += slept;
    }
    CHECK(sum > 199 * 65ms);
    CHECK(sum < 199 * 85ms);
}

TEST_CASE("fatal and validation errors are never tried again, thrown or returned, wherever in the chain", "[retry]") {
    Rig rig;
    const std::vector<Result> final_ones{gossip::FatalError{"stolen"}, gossip::ValidationError{"amount", "is odd"},
                                         gossip::ProcessingError{"outer", gossip::FatalError{"inner"}},
                                         gossip::RetryableError{"outer", gossip::ValidationError{"amount", "is odd"}}};
    for (const Result& answer : final_ones) {
        int calls = 0;
        auto returning = bind(middleware::retry(3, 1ms)([&](const int&) -> Result { return ++calls, answer; }));
        auto throwing = bind(middleware::retry(3, 1ms)([&](const int&) { ++calls, answer.error().rethrow(); }));

        CHECK_FALSE(rig.run(returning));
        CHECK_FALSE(rig.run(throwing));

        CHECK(calls == 2);
    }
}

TEST_CASE("exceptions are tried again", "[retry]") {
    Rig rig;
    int calls = 0;
    auto bound = bind(middleware::retry(2, 1ms)([&](const int&) {
        if (++calls < 3) {
            throw std::runtime_error{"bug"};
        }
    }));

    CHECK(rig.run(bound));
    CHECK(calls == 3);
}

TEST_CASE("a predicate says what is tried again", "[retry]") {
    Rig rig;
    Script script({busy, gossip::errors::processing_failed});
    Script same({busy, gossip::errors::processing_failed});
    middleware::RetryPolicy policy = plain(9, 1ms);
    int limit = 0;
    limit = 7;
    auto by_value = bind(middleware::retry(
        policy, [limit](const gossip::Error& e) { return limit == 7 && gossip::is_retryable(e); })(same.processor()));
    policy.retry_if = gossip::is_retryable;
    auto by_name = bind(middleware::retry(policy)(script.processor()));

    CHECK(gossip::is_processing(rig.run(by_name).error()));
    CHECK(gossip::is_processing(rig.run(by_value).error()));

    CHECK(script.calls == 2);
    CHECK(same.calls == 2);
}

TEST_CASE("a stop ends the retrying with the last result", "[retry]") {
    Rig rig;
    int calls = 0;
    auto bound = bind(middleware::retry(9, 1s)([&](const int&) -> Result {
        if (++calls == 2) {
            rig.host.stop();
        }
        return busy;
    }));

    CHECK(gossip::is_retryable(rig.run(bound).error()));
    CHECK(calls == 2);
}

TEST_CASE("a deadline further out ends the retrying", "[retry]") {
    Rig rig;
    Script script(std::vector<Result>(9, busy));
    auto bound = bind(middleware::timeout(25ms)(middleware::retry(plain(9, 10ms))(script.processor())));

    const Result result = rig.run(bound);

    CHECK(script.calls == 2); // at 0 and 10 ms; the next would be at 30
    CHECK(gossip::is_timeout(result.error()));
    CHECK(gossip::is(result.error(), busy.error()));
}

TEST_CASE("a retried deferral is not tried again", "[retry]") {
    Rig rig;
    int calls = 0;
    auto bound = bind(middleware::retry(3, 1ms)([&](Context& context, const int&) {
        ++calls;
        auto deferral = context.defer();
        deferral.fail(gossip::errors::retryable);
    }));

    CHECK(rig.run(bound));
    CHECK(calls == 1);
    CHECK(rig.host.resolved == 1);
}

TEST_CASE("zero delays, zero times and huge ones are defined", "[retry]") {
    Rig rig;
    Script at_once({busy, busy});
    Script once({busy});
    Script huge({busy});
    auto no_delay = bind(middleware::retry(2, 0ms)(at_once.processor()));
    auto no_times = bind(middleware::retry(0, 1ms)(once.processor()));
    auto endless =
        bind(middleware::retry(std::numeric_limits<int>::max(), std::chrono::hours::max())(huge.processor()));

    CHECK(rig.run(no_delay));
    CHECK_FALSE(rig.run(no_times));
    CHECK(once.calls == 1);
    CHECK(rig.run(endless));
    CHECK(huge.calls == 2);
}

TEST_CASE("bad retry policies are refused by name", "[retry]") {
    const auto field_of = [](auto change) {
        middleware::RetryPolicy policy;
        change(policy);
        const Result result = gossip::guard([&] { static_cast<void>(middleware::retry(policy)); });
        return result ? std::string{} : std::string{gossip::as<gossip::ValidationError>(result.error())->field()};
    };
    using Policy = middleware::RetryPolicy;

    CHECK(field_of([](Policy&) {}).empty());
    CHECK(field_of([](Policy& p) { p.attempts = 0; }) == "attempts");
    CHECK(field_of([](Policy& p) { p.first_delay = -1ms; }) == "first_delay");
    CHECK(field_of([](Policy& p) { p.growth = 0.5; }) == "growth");
    CHECK(field_of([](Policy& p) { p.growth = std::numeric_limits<double>::quiet_NaN(); }) == "growth");
    CHECK(field_of([](Policy& p) { p.growth = std::numeric_limits<double>::infinity(); }) == "growth");
    CHECK(field_of([](Policy& p) { p.max_delay = p.first_delay - 1ns; }) == "max_delay");
    CHECK(field_of([](Policy& p) { p.jitter = 1.5; }) == "jitter");
    CHECK_THROWS_AS(middleware::retry(-1, 1ms), gossip::ValidationError);
    CHECK_THROWS_AS(middleware::retry(1, -1ms), gossip::ValidationError);
}

} // namespace retry_test
