// When a reader lets the worker that it has woken go first.
#include <gossip/redis.hpp>

#include "support/catch.hpp"

namespace courtesy_test {

inline namespace parts {

using gossip::redis::detail::Courtesy;

/// Lone events until it wants to yield again.
unsigned without(Courtesy& courtesy) {
    unsigned count = 0;
    while (!courtesy.wants_to_yield(1)) {
        ++count;
    }
    return count;
}

} // namespace parts

TEST_CASE("a reader yields after a lone event, and not after several or none", "[courtesy]") {
    Courtesy courtesy;
    CHECK(courtesy.wants_to_yield(1));
    CHECK_FALSE(courtesy.wants_to_yield(0));
    CHECK_FALSE(courtesy.wants_to_yield(2));
    CHECK(courtesy.wants_to_yield(1));
}

TEST_CASE("a yield that took long is not repeated for many events, and each further one for twice as many",
          "[courtesy]") {
    Courtesy courtesy;
    courtesy.yielded(Courtesy::long_us + 1);
    CHECK(without(courtesy) == Courtesy::least_wary);
    courtesy.yielded(Courtesy::long_us + 1);
    CHECK(without(courtesy) == 2 * Courtesy::least_wary);
    for (int i = 0; i < 20; ++i) {
        courtesy.yielded(1'000'000);
        CHECK(without(courtesy) <= Courtesy::most_wary);
    }
    courtesy.yielded(1'000'000);
    CHECK(without(courtesy) == Courtesy::most_wary);
}

TEST_CASE("a short yield ends a reader's caution", "[courtesy]") {
    Courtesy courtesy;
    courtesy.yielded(Courtesy::long_us + 1);
    CHECK(without(courtesy) == Courtesy::least_wary);
    courtesy.yielded(Courtesy::long_us);
    CHECK(courtesy.wants_to_yield(1));
    courtesy.yielded(Courtesy::long_us + 1);
    CHECK(without(courtesy) == Courtesy::least_wary);
}

} // namespace courtesy_test
