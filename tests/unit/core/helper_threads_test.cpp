#include <gossip/core/helper_threads.hpp>

#include "support/catch.hpp"

#include <memory>
#include <thread>

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

TEST_CASE("a thread in a helper's run is known to that bus alone, and other threads are not", "[helper_threads]") {
    HelperThreads bus;
    HelperThreads other;
    CHECK_FALSE(bus.run_here());
    {
        const HelperThreads::Scope scope(&bus);
        CHECK(bus.run_here());
        CHECK_FALSE(other.run_here());
        bool elsewhere = true;
        std::jthread([&] { elsewhere = bus.run_here(); }).join();
        CHECK_FALSE(elsewhere);
        {
            const HelperThreads::Scope none(nullptr);
            CHECK_FALSE(bus.run_here());
        }
        CHECK(bus.run_here());
    }
    CHECK_FALSE(bus.run_here());
}

} // namespace helper_threads_test
