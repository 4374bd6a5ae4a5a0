#include <gossip/middleware/ignore_errors.hpp>

#include "support/catch.hpp"
#include "support/processing.hpp"

namespace ignore_errors_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;
using support::bind;
using support::number;
using support::Rig;
using support::Script;

TEST_CASE("ignore_errors makes successes of failures", "[ignore_errors]") {
    Rig rig;
    Script script({gossip::errors::fatal});
    auto bound = bind(middleware::ignore_errors()(script.processor()));

    CHECK(rig.run(bound));
    CHECK(rig.run(bound));
}

TEST_CASE("ignore_errors ignores only what it was told to", "[ignore_errors]") {
    Rig rig;
    Script script({gossip::errors::validation_failed, gossip::errors::fatal});
    auto bound = bind(middleware::ignore_errors(gossip::is_validation)(script.processor()));

    CHECK(rig.run(bound));
    CHECK(gossip::is_fatal(rig.run(bound).error()));
}

} // namespace ignore_errors_test
