#include <gossip/middleware/logging.hpp>
#include <gossip/middleware/retry.hpp>

#include "support/catch.hpp"
#include "support/processing.hpp"

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace logging_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;
using support::bind;
using support::number;
using support::Rig;
using support::Script;

TEST_CASE("a line says name, type, id, attempt, outcome, duration and the chain of errors", "[logging]") {
    Rig rig;
    std::vector<std::string> lines;
    const auto logged = middleware::logging("charge", [&](const std::string& line) { lines.push_back(line); });
    auto bound = bind(logged([&](const int& n) -> Result {
        rig.clock.advance(1500us);
        return n == 0 ? Result{} : gossip::ProcessingError{"no answer", gossip::TimeoutError{1s}};
    }));

    CHECK(rig.run(bound, Event{number, 0}.with_id("e-1")));
    CHECK_FALSE(rig.run(bound, Event{number, 1}.with_id("e-2"), 2));

    REQUIRE(lines.size() == 2);
    CHECK(lines[0] == "charge: test.number e-1 attempt 1 ok after 1.5ms");
    CHECK(lines[1] ==
          "charge: test.number e-2 attempt 2 failed after 1.5ms: processing error: no answer: timeout after 1s");
}

TEST_CASE("a line is as long for the last event as for the first", "[logging]") {
    Rig rig;
    std::string last;
    auto bound = bind(middleware::logging("a", [&](std::string_view line) { last = line; })([](const int&) {}));

    CHECK(rig.run(bound, Event{number, 1}.with_id("x")));
    const std::string first = last;
    for (int i = 0; i < 100; ++i) {
        CHECK(rig.run(bound, Event{number, 1}.with_id("x")));
    }

    CHECK(last == first);
}

TEST_CASE("a structured sink sees the parts", "[logging]") {
    Rig rig;
    int seen = 0;
    const auto logged = middleware::logging("charge", [&](const middleware::LogRecord& record) {
        CHECK(record.name == "charge");
        CHECK(record.event.data<int>() == 7);
        CHECK(record.attempt == 3);
        CHECK(gossip::is_fatal(record.result.error()));
        CHECK(record.duration == 0ns);
        CHECK(record.lost == 0);
        ++seen;
    });
    Script script({gossip::errors::fatal});
    auto bound = bind(logged(script.processor()));

    CHECK_FALSE(rig.run(bound, Event{number, 7}, 3));

    CHECK(seen == 1);
}

TEST_CASE("failures_only says nothing of successes and measures no time", "[logging]") {
    Rig rig;
    std::vector<std::string> lines;
    Script script({{}, gossip::errors::fatal, {}});
    auto bound = bind(middleware::logging(
        "a", [&](const std::string& line) { lines.push_back(line); }, middleware::failures_only)(script.processor()));

    CHECK(rig.run(bound));
    CHECK_FALSE(rig.run(bound, Event{number, 1}.with_id("x")));
    CHECK(rig.run(bound));

    CHECK(lines == std::vector<std::string>{"a: test.number x attempt 1 failed: fatal error"});
}

TEST_CASE("predicates choose what is logged, by duration or by a rule of one's own", "[logging]") {
    Rig rig;
    int slow = 0;
    int odd = 0;
    const auto work = [&](const int& n) { rig.clock.advance(n * 1ms); };
    const auto is_odd = [](const Event& event, const Result&) { return event.data<int>() % 2 != 0; };
    auto by_time = bind(middleware::logging(
        "a", [&](const std::string&) { ++slow; }, middleware::slower_than(10ms))(work));
    auto by_rule = bind(middleware::logging(
        "a", [&](const std::string&) { ++odd; }, is_odd)(work));

    for (const int n : {1, 9, 10, 11}) {
        CHECK(rig.run(by_time, n));
        CHECK(rig.run(by_rule, n));
    }

    CHECK(slow == 2);
    CHECK(odd == 3);
    CHECK_THROWS_AS(middleware::slower_than(-1ms), gossip::ValidationError);
}

TEST_CASE("a sink that throws changes no result; its lines are counted", "[logging]") {
    Rig rig;
    std::string line;
    bool broken = true;
    const auto logged = middleware::logging("a", [&](const std::string& text) {
        if (broken) {
            throw std::runtime_error{"disk is full"};
        }
        line = text;
    });
    Script script({{}, gossip::errors::fatal, {}});
    auto bound = bind(logged(script.processor()));

    CHECK(rig.run(bound));
    CHECK(gossip::is_fatal(rig.run(bound).error()));
    broken = false;
    CHECK(rig.run(bound));

    CHECK(logged.lost() == 2);
    CHECK(line.ends_with("(lines lost: 2)"));
}

} // namespace logging_test
