#include <gossip/core/call_counter.hpp>

#include "support/catch.hpp"

namespace call_counter_test {

using gossip::detail::CallCounter;

TEST_CASE("calls are numbered from one, by a copy anew", "[call_counter]") {
    const CallCounter counter;
    CHECK(counter.next() == 1);
    CHECK(counter.next() == 2);

    const CallCounter copy(counter); // NOLINT(performance-unnecessary-copy-initialization)

    CHECK(copy.next() == 1);
    CHECK(counter.next() == 3);
}

} // namespace call_counter_test
