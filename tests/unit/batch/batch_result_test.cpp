#include <gossip/batch/batch_result.hpp>
#include <gossip/core/errors.hpp>

#include "support/catch.hpp"

#include <string>

namespace batch_result_test {

TEST_CASE("a BatchResult is well until it fails an item, and then for all others", "[batch_result]") {
    gossip::BatchResult result;
    CHECK(result.ok());

    result.fail(3, gossip::FatalError{"third"});

    CHECK_FALSE(result.ok());
    CHECK(gossip::is_fatal(result.of(3).error()));
    CHECK(result.of(2).ok());
}

TEST_CASE("of two errors of one item the first counts", "[batch_result]") {
    gossip::BatchResult result;
    result.fail(5, gossip::ProcessingError{"later item"});
    result.fail(1, gossip::RetryableError{"first"});
    result.fail(1, gossip::FatalError{"second"});

    CHECK(gossip::is_retryable(result.of(1).error()));
    const auto& sorted = gossip::detail::BatchFailures::sorted(result);
    REQUIRE(sorted.size() == 2);
    CHECK(sorted[0].first == 1);
    CHECK(gossip::is_retryable(sorted[0].second));
    CHECK(sorted[1].first == 5);
}

} // namespace batch_result_test
