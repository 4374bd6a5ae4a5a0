#include <gossip/bus/event_bus.hpp>
#include <gossip/middleware/timeout_detached.hpp>

#include "support/catch.hpp"
#include "support/few_threads.hpp"

#include <chrono>
#include <string>

namespace middleware_exhaustion_test {

using namespace std::chrono_literals;

constexpr gossip::Topic<> tick{"exhaustion.tick"};

TEST_CASE("an event that no helper thread can be made for fails, and the next one tries again", "[timeout_detached]") {
    std::string said;
    int runs = 0;
    gossip::EventBus bus{gossip::Config{
        .workers = 0, .on_error = [&](const gossip::ErrorReport& report) { said = report.error.what(); }}};
    auto s = bus.subscribe(tick, gossip::middleware::timeout_detached(1h)([&] { ++runs; }));
    {
        const support::NoThreads no_threads;
        bus.publish(tick);
        CHECK(bus.poll() == 1);
        CHECK(bus.stats().failed == 1);
        CHECK(said.find("Resource temporarily unavailable") != std::string::npos);
        CHECK(runs == 0);
    }
    bus.publish(tick);
    CHECK(bus.poll() == 1);
    CHECK(bus.stats().handled == 1);
    CHECK(runs == 1);
    CHECK(bus.shutdown().adds_up());
}

} // namespace middleware_exhaustion_test
