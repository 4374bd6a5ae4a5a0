#include <gossip/bus/global_bus.hpp>

#include "support/catch.hpp"

#include <chrono>

namespace global_bus_test {

using namespace std::chrono_literals;

namespace global_bus_test {

inline constexpr gossip::Topic<> tick{"test.global.tick"};

/// Used before main begins and after it has ended.
struct Early {
    gossip::PublishStatus before = gossip::global_bus().publish(tick);
    ~Early() {
        // The bus was made first and is shut down last, or is closed already: it must only still be there.
        static_cast<void>(gossip::global_bus().publish(tick));
        static_cast<void>(gossip::global_bus().stats().adds_up());
    }
};
const Early early;

} // namespace global_bus_test

using namespace global_bus_test;

TEST_CASE("the global bus is one bus, there before main", "[global_bus]") {
    CHECK(early.before == gossip::PublishStatus::accepted);
    CHECK(&gossip::global_bus() == &gossip::global_bus());

    CHECK(gossip::global_bus().drain(20s)); // who listens from here on does not hear the early one
    int seen = 0;
    auto s = gossip::global_bus().subscribe(tick, [&] { ++seen; });
    gossip::global_bus().publish(tick);
    CHECK(gossip::global_bus().drain(20s));

    CHECK(seen == 1);
    CHECK(gossip::global_bus().stats().adds_up());
}

} // namespace global_bus_test
