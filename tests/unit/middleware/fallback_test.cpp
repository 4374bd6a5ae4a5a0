#include <gossip/middleware/fallback.hpp>

#include "support/catch.hpp"
#include "support/processing.hpp"

#include <string>

namespace fallback_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;
using support::bind;
using support::number;
using support::Rig;
using support::Script;

TEST_CASE("a fallback runs when the processor has failed, and only then", "[fallback]") {
    Rig rig;
    int saved = 0;
    Script script({{}, gossip::errors::processing_failed});
    auto bound = bind(middleware::fallback([&](const int& n) { saved = n; })(script.processor()));

    CHECK(rig.run(bound, 1));
    CHECK(saved == 0);
    CHECK(rig.run(bound, 2));
    CHECK(saved == 2);
}

TEST_CASE("a fallback may look at the error", "[fallback]") {
    Rig rig;
    std::string seen;
    const auto failing = [](const int&) -> Result { return gossip::ProcessingError{"down"}; };
    auto error = bind(middleware::fallback([&](const gossip::Error& e) { seen = e.message(); })(failing));
    auto both = bind(middleware::fallback([&](Context& c, const Event& event, const gossip::Error& e) {
        seen = std::string{event.type().name()} + " " + std::string{e.message()} + std::to_string(c.attempt());
    })(failing));

    CHECK(rig.run(error));
    CHECK(seen == "down");
    CHECK(rig.run(both));
    CHECK(seen == "test.number down1");
}

TEST_CASE("a fallback that fails keeps the first error as the cause", "[fallback]") {
    Rig rig;
    const auto failing = [](const int&) -> Result { return gossip::ProcessingError{"down"}; };
    auto bound = bind(middleware::fallback([] { throw gossip::RetryableError{"the other is down, too"}; })(failing));

    const Result result = rig.run(bound);

    REQUIRE_FALSE(result);
    CHECK(gossip::describe(result.error()) == "retryable error: the other is down, too: processing error: down");
}

} // namespace fallback_test
