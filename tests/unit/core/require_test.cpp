#include <gossip/core/require.hpp>

#include <gossip/core/guard.hpp>

#include "support/catch.hpp"

#include <chrono>

namespace require_test {

TEST_CASE("require names the field, the value and the rule", "[require]") {
    using gossip::detail::require;

    CHECK_NOTHROW(require(true, "size", 3, "must be even"));
    const gossip::Result result =
        gossip::guard([] { require(false, "delay", std::chrono::milliseconds(-5), "must not be negative"); });

    REQUIRE_FALSE(result);
    const auto error = gossip::as<gossip::ValidationError>(result.error());
    REQUIRE(error);
    CHECK(error->field() == "delay");
    CHECK(error->value() == "-5ms");
    CHECK(error->message() == "must not be negative, got -5ms");
}

} // namespace require_test
