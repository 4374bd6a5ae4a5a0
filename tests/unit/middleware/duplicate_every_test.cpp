#include <gossip/middleware/duplicate_every.hpp>

#include "support/catch.hpp"
#include "support/processing.hpp"

#include <string>

namespace duplicate_every_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;
using support::bind;
using support::number;
using support::Rig;
using support::Script;

TEST_CASE("duplicate_every runs each n-th event twice", "[duplicate_every]") {
    Rig rig;
    std::string log;
    auto bound = bind(middleware::duplicate_every(3)([&](const int& n) { log += std::to_string(n); }));

    for (int n = 1; n <= 6; ++n) {
        CHECK(rig.run(bound, n));
    }

    CHECK(log == "12334566");
    CHECK_THROWS_AS(middleware::duplicate_every(0), gossip::ValidationError);
}

TEST_CASE("the second run's failure is the answer, the first one's ends it", "[duplicate_every]") {
    Rig rig;
    Script second({{}, gossip::errors::fatal});
    Script first({gossip::errors::fatal});
    auto bound = bind(middleware::duplicate_every(1)(second.processor()));
    auto other = bind(middleware::duplicate_every(1)(first.processor()));

    CHECK(gossip::is_fatal(rig.run(bound).error()));
    CHECK(gossip::is_fatal(rig.run(other).error()));
    CHECK(first.calls == 1);
}

} // namespace duplicate_every_test
