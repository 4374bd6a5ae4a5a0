#include <gossip/batch/batch.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <optional>
#include <span>
#include <string>

namespace batch_options_test {

using namespace std::chrono_literals;

inline namespace parts {

/// What a batch with these options is refused for; empty if it is not.
std::string refusal(const gossip::BatchOptions& options) {
    const gossip::Result made =
        gossip::guard([&] { static_cast<void>(gossip::batch<int>(options, [](std::span<const int>) {})); });
    if (made) {
        return {};
    }
    const auto error = gossip::as<gossip::ValidationError>(made.error());
    return error ? std::string(error->field()) + "|" + std::string(error->value()) + "|" + std::string(error->rule())
                 : "another error";
}

} // namespace parts

TEST_CASE("bad batch options are refused with the field, the value and the rule", "[batch_options]") {
    CHECK(refusal({.size = 0}) == "size|0|must be between 1 and 1000000");
    CHECK(refusal({.size = 1'000'001}) == "size|1000001|must be between 1 and 1000000");
    CHECK(refusal({.period = -1ns}) == "period|-1ns|must not be negative");
    CHECK(refusal({.concurrency = 0}) == "concurrency|0|must be between 1 and 1024");
    CHECK(refusal({.concurrency = 1025}) == "concurrency|1025|must be between 1 and 1024");
    CHECK(refusal({.capacity = 500}) == "capacity|500|must be 0 unless by_key is set");
    CHECK(refusal({.size = 10, .by_key = true, .capacity = 19}) ==
          "capacity|19|must be between twice the size and 1000000000");
    CHECK(refusal({.by_key = true, .capacity = 1'000'000'001}) ==
          "capacity|1000000001|must be between twice the size and 1000000000");
    CHECK(refusal({.attempts = 0}) == "attempts|0|must be at least 1");
    CHECK(refusal({.retry_delay = -1ms}) == "retry_delay|-1ms|must not be negative");
}

TEST_CASE("batch options at the edges are taken", "[batch_options]") {
    CHECK(refusal({}).empty());
    CHECK(refusal({.size = 1, .period = 0ns}).empty());
    CHECK(refusal({.size = 1'000'000, .period = std::chrono::nanoseconds::max(), .concurrency = 1024}).empty());
    CHECK(refusal({.size = 10, .by_key = true, .capacity = 20, .attempts = 1'000'000, .split = true}).empty());
}

TEST_CASE("a batch collects its size for each run and one more, by key at least sixteen times its size",
          "[batch_options]") {
    CHECK(gossip::detail::capacity_of({.size = 10}) == 20);
    CHECK(gossip::detail::capacity_of({.size = 10, .concurrency = 3}) == 40);
    CHECK(gossip::detail::capacity_of({.size = 10, .by_key = true}) == 160);
    CHECK(gossip::detail::capacity_of({.size = 10, .concurrency = 20, .by_key = true}) == 210);
    CHECK(gossip::detail::capacity_of({.size = 10, .by_key = true, .capacity = 30}) == 30);
}

} // namespace batch_options_test
