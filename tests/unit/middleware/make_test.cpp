#include <gossip/middleware/make.hpp>

#include "support/catch.hpp"
#include "support/processing.hpp"

#include <stdexcept>
#include <string>

namespace make_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;
using support::bind;
using support::number;
using support::Rig;
using support::Script;

TEST_CASE("a middleware of one's own sees next, context and event, and decides", "[make]") {
    Rig rig;
    int calls = 0;
    const auto twice = middleware::make([](auto& next, Context& context, const Event& event) -> Result {
        if (Result first = next(context, event); !first) {
            return first;
        }
        return next(context, event);
    });
    auto bound = bind(twice([&](const int&) { ++calls; }));

    CHECK(rig.run(bound));

    CHECK(calls == 2);
}

TEST_CASE("what a middleware of one's own throws leaves it, and is caught further out", "[make]") {
    Rig rig;
    const auto broken =
        middleware::make([](auto&, Context&, const Event&) -> Result { throw gossip::FatalError{"no"}; });
    auto bound = bind(broken([](const int&) {}));

    CHECK(gossip::is_fatal(rig.run(bound).error()));
}

TEST_CASE("an error may be returned where a result is wanted", "[make]") {
    Rig rig;
    const auto refusing = middleware::make([](auto&, Context&, const Event&) { return gossip::FatalError{"no"}; });
    auto bound = bind(refusing([](const int&) {}));

    CHECK(gossip::is_fatal(rig.run(bound).error()));
}

} // namespace make_test
