#include <gossip/core/helper_threads.hpp>

#include "support/catch.hpp"

#include <memory>

namespace helper_threads_test {

using gossip::detail::HelperGroup;
using gossip::detail::HelperThreads;

inline namespace parts {

struct Group final : HelperGroup {
    void join() noexcept override { ++joined; }
    int joined = 0;
};

} // namespace parts

TEST_CASE("all groups that are still there are joined, once", "[helper_threads]") {
    HelperThreads bus;
    const auto first = std::make_shared<Group>();
    const auto second = std::make_shared<Group>();
    bus.add(first);
    bus.add(second);
    bus.add(std::make_shared<Group>());

    bus.join();
    bus.join();

    CHECK(first->joined == 1);
    CHECK(second->joined == 1);
}

} // namespace helper_threads_test
