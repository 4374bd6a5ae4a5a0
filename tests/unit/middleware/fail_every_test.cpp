#include <gossip/middleware/fail_every.hpp>
#include <gossip/middleware/retry.hpp>

#include "support/catch.hpp"
#include "support/processing.hpp"

#include <chrono>
#include <string>

namespace fail_every_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;
using support::bind;
using support::number;
using support::Rig;
using support::Script;

TEST_CASE("fail_every fails each n-th call without running it", "[fail_every]") {
    Rig rig;
    std::string log;
    auto bound = bind(
        middleware::fail_every(2, gossip::FatalError{"on purpose"})([&](const int& n) { log += std::to_string(n); }));

    CHECK(rig.run(bound, 1));
    CHECK(gossip::is_fatal(rig.run(bound, 2).error()));
    CHECK(rig.run(bound, 3));

    CHECK(log == "13");
    CHECK_THROWS_AS(middleware::fail_every(0), gossip::ValidationError);
}

TEST_CASE("what fail_every fails is tried again by default, and each processor counts for itself", "[fail_every]") {
    Rig rig;
    int calls = 0;
    const auto flaky = middleware::fail_every(2);
    auto first = bind(middleware::retry(1, 1ms)(flaky([&](const int&) { ++calls; })));
    auto second = bind(flaky([&](const int&) { ++calls; }));

    CHECK(rig.run(first));
    CHECK(rig.run(second));
    CHECK(rig.run(first));

    CHECK(calls == 3);
}

} // namespace fail_every_test
