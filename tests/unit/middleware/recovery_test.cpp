#include <gossip/middleware/recovery.hpp>

#include "support/catch.hpp"
#include "support/processing.hpp"

#include <stdexcept>
#include <string>

namespace recovery_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;
using support::bind;
using support::number;
using support::Rig;
using support::Script;

TEST_CASE("recovery makes a failure of any exception, never a success", "[recovery]") {
    Rig rig;
    Context context;
    auto standard = bind(middleware::recovery()([](const int&) { throw std::runtime_error{"bug"}; }));
    auto foreign = bind(middleware::recovery()([](const int&) { throw 42; }));
    auto own = bind(middleware::recovery()([](const int&) { throw gossip::ValidationError{"amount", "is odd"}; }));
    const Event event{number, 1};

    const Result first = standard(context, event); // no guard of the test's: nothing may come out
    const Result second = foreign(context, event);
    const Result third = own(context, event);

    REQUIRE_FALSE(first);
    CHECK(std::string{first.error().what()} == "processing error: bug");
    CHECK(gossip::as<gossip::ProcessingError>(first.error())->exception() != nullptr);
    REQUIRE_FALSE(second);
    REQUIRE_FALSE(third);
    CHECK(gossip::as<gossip::ValidationError>(third.error())->field() == "amount");
}

TEST_CASE("recovery leaves successes and returned errors alone", "[recovery]") {
    Rig rig;
    Script script({gossip::errors::fatal});
    auto bound = bind(middleware::recovery()(script.processor()));

    CHECK(gossip::is(rig.run(bound).error(), gossip::errors::fatal));
    CHECK(rig.run(bound));
}

} // namespace recovery_test
