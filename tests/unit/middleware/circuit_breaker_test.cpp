#include <gossip/middleware/circuit_breaker.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/processing.hpp"

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace circuit_breaker_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;
using support::bind;
using support::number;
using support::Rig;
using support::Script;

using middleware::CircuitState;

inline namespace parts {
const Result down = gossip::ProcessingError{"down"};
}

TEST_CASE("a circuit opens after so many failures in a row, and lets nothing through", "[circuit_breaker]") {
    Rig rig;
    Script script({down, down, {}, down, down, down});
    const auto breaker = middleware::circuit_breaker({.failures = 3, .open_for = 10s});
    auto bound = bind(breaker(script.processor()));

    for (int i = 0; i < 6; ++i) {
        CHECK(breaker.state() == CircuitState::closed);
        CHECK(rig.run(bound).ok() == (i == 2));
    }

    CHECK(breaker.state() == CircuitState::open);
    CHECK(gossip::is(rig.run(bound).error(), gossip::errors::circuit_open));
    CHECK(gossip::is_retryable(rig.run(bound).error()));
    CHECK(script.calls == 6);
}

TEST_CASE("after its time a circuit lets trials through, and closes when all succeed", "[circuit_breaker]") {
    Rig rig;
    Script script({down});
    const auto breaker = middleware::circuit_breaker({.failures = 1, .open_for = 10s, .trials = 2});
    auto bound = bind(breaker(script.processor()));

    CHECK_FALSE(rig.run(bound));
    rig.clock.advance(9s);
    CHECK_FALSE(rig.run(bound));
    CHECK(script.calls == 1);
    rig.clock.advance(1s);
    CHECK(rig.run(bound));
    CHECK(breaker.state() == CircuitState::half_open);
    CHECK(rig.run(bound));

    CHECK(breaker.state() == CircuitState::closed);
}

TEST_CASE("a trial that fails opens the circuit for its whole time again", "[circuit_breaker]") {
    Rig rig;
    Script script({down, down});
    const auto breaker = middleware::circuit_breaker({.failures = 1, .open_for = 10s});
    auto bound = bind(breaker(script.processor()));

    CHECK_FALSE(rig.run(bound));
    rig.clock.advance(10s);
    CHECK(gossip::is_processing(rig.run(bound).error()));
    rig.clock.advance(9s);
    CHECK(gossip::is(rig.run(bound).error(), gossip::errors::circuit_open));
    rig.clock.advance(1s);

    CHECK(rig.run(bound));
    CHECK(breaker.state() == CircuitState::closed);
}

TEST_CASE("while half open no more than the trials are let through", "[circuit_breaker]") {
    Rig rig;
    const auto breaker = middleware::circuit_breaker({.failures = 1, .open_for = 1s});
    int depth = 0;
    auto fail = bind(breaker([](const int&) -> Result { return down; }));
    auto inner = bind(breaker([&](const int&) { ++depth; }));
    auto outer = bind(breaker([&](const int&) {
        ++depth;
        CHECK(gossip::is(rig.run(inner).error(), gossip::errors::circuit_open));
    }));

    CHECK_FALSE(rig.run(fail));
    rig.clock.advance(1s);
    CHECK(rig.run(outer));

    CHECK(depth == 1);
    CHECK(breaker.state() == CircuitState::closed);
}

TEST_CASE("a run from before the circuit opened has no say in the trial", "[circuit_breaker]") {
    Rig rig;
    const auto breaker = middleware::circuit_breaker({.failures = 1, .open_for = 1s});
    auto fail = bind(breaker([](const int&) -> Result { return down; }));
    auto slow = bind(breaker([&](const int&) {
        CHECK_FALSE(rig.run(fail));
        rig.clock.advance(2s);
    }));

    CHECK(rig.run(slow));

    CHECK(breaker.state() == CircuitState::open);
}

TEST_CASE("bad data is not the other side's failure, unless one says so", "[circuit_breaker]") {
    Rig rig;
    const Result bad = gossip::ValidationError{"amount", "is odd"};
    Script script({bad, down, bad, {}});
    Script other({bad});
    const auto breaker = middleware::circuit_breaker({.failures = 1, .open_for = 1s});
    const auto strict = middleware::circuit_breaker(
        {.failures = 1, .open_for = 1s, .counts = [](const gossip::Error&) { return true; }});
    auto bound = bind(breaker(script.processor()));
    auto strictly = bind(strict(other.processor()));

    CHECK_FALSE(rig.run(bound));
    CHECK(breaker.state() == CircuitState::closed);
    CHECK_FALSE(rig.run(strictly));
    CHECK(strict.state() == CircuitState::open);

    CHECK_FALSE(rig.run(bound));
    rig.clock.advance(1s);
    CHECK(gossip::is_validation(rig.run(bound).error())); // a trial that said nothing: another one may
    CHECK(breaker.state() == CircuitState::half_open);
    CHECK(rig.run(bound));
    CHECK(breaker.state() == CircuitState::closed);
}

TEST_CASE("a predicate that throws during a trial neither keeps the circuit half open nor hides the failure",
          "[circuit_breaker]") {
    Rig rig;
    Script script({down, down});
    const auto breaker = middleware::circuit_breaker(
        {.failures = 1, .open_for = 1s, .counts = [](const gossip::Error&) -> bool { throw std::string("bug"); }});
    auto bound = bind(breaker(script.processor()));

    CHECK(rig.run(bound).error().what() == std::string(down.error().what()));
    CHECK(breaker.state() == CircuitState::open);
    rig.clock.advance(1s);
    CHECK(rig.run(bound).error().what() == std::string(down.error().what())); // the trial
    CHECK(breaker.state() == CircuitState::open);
    rig.clock.advance(1s);

    CHECK(rig.run(bound));
    CHECK(breaker.state() == CircuitState::closed);
}

TEST_CASE("of many threads no more than the trials get through to see whether it is well again", "[circuit_breaker]") {
    constexpr int threads = 4;
    constexpr int trials = 2;
    Rig rig;
    std::atomic<int> admitted{0};
    std::atomic<int> refused{0};
    std::atomic<bool> trying{false};
    std::atomic<bool> well{false};
    const auto breaker = middleware::circuit_breaker({.failures = 1, .open_for = 10s, .trials = trials});
    auto bound = bind(breaker([&](const int&) -> Result {
        if (trying) { // nobody leaves before all have been answered
            ++admitted;
            static_cast<void>(gossip_test::eventually([&] { return admitted + refused == threads; }));
        }
        return well ? Result{} : down;
    }));

    int wrong = 0;
    for (int round = 0; round < 100; ++round) {
        well = trying = false;
        static_cast<void>(rig.run(bound)); // opens it, unless it is open
        rig.clock.advance(10s);
        admitted = refused = 0;
        trying = true;
        well = round % 2 == 0;
        {
            std::vector<std::jthread> all;
            for (int t = 0; t < threads; ++t) {
                all.emplace_back([&] {
                    const Result result = rig.run(bound);
                    if (!result && gossip::is(result.error(), gossip::errors::circuit_open)) {
                        ++refused;
                    }
                });
            }
        }
        wrong += admitted == trials && refused == threads - trials &&
                         breaker.state() == (well ? CircuitState::closed : CircuitState::open)
                     ? 0
                     : 1;
    }

    CHECK(wrong == 0);
}

TEST_CASE("bad circuit breaker options are refused", "[circuit_breaker]") {
    CHECK_THROWS_AS(middleware::circuit_breaker({.failures = 0}), gossip::ValidationError);
    CHECK_THROWS_AS(middleware::circuit_breaker({.open_for = 0s}), gossip::ValidationError);
    CHECK_THROWS_AS(middleware::circuit_breaker({.trials = 0}), gossip::ValidationError);
}

} // namespace circuit_breaker_test
