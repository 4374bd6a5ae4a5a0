#include <gossip/middleware/rate_limit.hpp>
#include <gossip/middleware/timeout.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/processing.hpp"

#include <atomic>
#include <chrono>
#include <limits>
#include <thread>
#include <vector>

namespace rate_limit_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;
using support::bind;
using support::number;
using support::Rig;
using support::Script;

TEST_CASE("a burst passes at once, then events wait for their turn", "[rate_limit]") {
    Rig rig;
    int calls = 0;
    auto bound = bind(middleware::rate_limit({.events = 10, .per = 1s, .burst = 2})([&](const int&) { ++calls; }));

    for (int i = 0; i < 4; ++i) {
        CHECK(rig.run(bound));
    }

    CHECK(calls == 4);
    CHECK(rig.clock.slept == std::vector<std::chrono::nanoseconds>{100ms, 100ms});
}

TEST_CASE("a pause fills the bucket up to its burst", "[rate_limit]") {
    Rig rig;
    auto bound = bind(middleware::rate_limit({.events = 10, .per = 1s, .burst = 3, .max_wait = 0s})([](const int&) {}));
    const auto passed = [&] {
        int count = 0;
        while (rig.run(bound)) {
            ++count;
        }
        return count;
    };

    CHECK(passed() == 3);
    rig.clock.advance(100ms);
    CHECK(passed() == 1);
    rig.clock.advance(1h);
    CHECK(passed() == 3);
}

TEST_CASE("who would wait for too long is refused, and takes no token", "[rate_limit]") {
    Rig rig;
    auto limited = bind(middleware::rate_limit({.events = 1, .per = 1s, .max_wait = 500ms})([](const int&) {}));
    auto hurried = bind(middleware::timeout(500ms)(middleware::rate_limit(1, 1s)([](const int&) {})));

    CHECK(rig.run(limited));
    CHECK(gossip::is(rig.run(limited).error(), gossip::errors::rate_limited));
    CHECK(gossip::is_retryable(rig.run(limited).error()));
    rig.clock.advance(500ms);
    CHECK(rig.run(limited));
    CHECK(rig.run(hurried));
    CHECK(gossip::is(rig.run(hurried).error(), gossip::errors::rate_limited));
}

TEST_CASE("a stop ends the wait", "[rate_limit]") {
    Rig rig;
    int calls = 0;
    auto bound = bind(middleware::rate_limit(1, 1s)([&](const int&) { ++calls; }));

    CHECK(rig.run(bound));
    rig.host.stop();

    CHECK(gossip::is(rig.run(bound).error(), gossip::errors::cancelled));
    CHECK(calls == 1);
}

TEST_CASE("all that one limit wraps shares it", "[rate_limit]") {
    Rig rig;
    const auto limit = middleware::rate_limit({.events = 1, .per = 1s, .max_wait = 0s});
    auto first = bind(limit([](const int&) {}));
    auto second = bind(limit([](const int&) {}));

    CHECK(rig.run(first));
    CHECK_FALSE(rig.run(second));
}

TEST_CASE("rates from one in a century to one a nanosecond and more are defined", "[rate_limit]") {
    Rig rig;
    constexpr auto most = std::numeric_limits<std::int64_t>::max();
    auto slowest = bind(middleware::rate_limit({.events = 1, .per = std::chrono::nanoseconds::max(), .max_wait = 1h})(
        [](const int&) {}));
    auto fastest = bind(middleware::rate_limit({.events = most, .per = 1ns, .burst = most})([](const int&) {}));

    CHECK(rig.run(slowest));
    CHECK_FALSE(rig.run(slowest));
    for (int i = 0; i < 100; ++i) {
        CHECK(rig.run(fastest));
    }
    CHECK(rig.clock.slept.empty());
}

TEST_CASE("many threads get the burst, and then what the time brings, and no more", "[rate_limit]") {
    Rig rig;
    std::atomic<int> granted{0};
    std::atomic<int> refused{0};
    std::atomic<bool> over{false};
    auto bound = bind(
        middleware::rate_limit({.events = 10, .per = 1s, .burst = 5, .max_wait = 0s})([&](const int&) { ++granted; }));
    std::vector<std::jthread> all;
    for (int t = 0; t < 4; ++t) {
        all.emplace_back([&] {
            while (!over) {
                refused += rig.run(bound) ? 0 : 1;
            }
        });
    }

    int wrong = 0;
    for (int token = 0; token < 30; ++token) {
        const bool came = gossip_test::eventually([&] { return granted >= 5 + token; });
        const int before = refused;
        const bool emptied =
            gossip_test::eventually([&] { return refused >= before + 8; }); // of those who have asked since
        wrong += came && emptied && granted == 5 + token ? 0 : 1;
        rig.clock.advance(100ms);
    }
    over = true;

    CHECK(wrong == 0);
}

TEST_CASE("bad rates are refused", "[rate_limit]") {
    CHECK_THROWS_AS(middleware::rate_limit(0, 1s), gossip::ValidationError);
    CHECK_THROWS_AS(middleware::rate_limit(1, 0s), gossip::ValidationError);
    CHECK_THROWS_AS(middleware::rate_limit({.burst = -1}), gossip::ValidationError);
    CHECK_THROWS_AS(middleware::rate_limit({.max_wait = -1s}), gossip::ValidationError);
}

} // namespace rate_limit_test
