#include <gossip/bus/event_bus.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace carrier_test {

inline namespace parts {

using gossip::Event;
using gossip::EventType;
using gossip::Pattern;
using gossip::PublishStatus;
using gossip::Result;

inline constexpr gossip::Topic<int> number{"carrier.number"};

/// A transport that has an event for whoever begins to listen, as a stream has that was written before.
class Backlog {
public:
    void start(gossip::detail::Engine& engine) { engine_ = &engine; }
    PublishStatus send(gossip::detail::Engine&, Event&, bool) { return PublishStatus::unavailable; }
    Result send_sync(gossip::detail::Engine&, Event&) { return {}; }
    Result listen(const std::vector<EventType>& names, const std::vector<Pattern>&) {
        ++listening;
        for (const EventType& name : names) {
            Event event(name, listening);
            while (engine_->receive(event, std::chrono::milliseconds(1)) == PublishStatus::full) {}
        }
        return refuses ? Result{gossip::FatalError{"not for you"}} : Result{};
    }
    void unlisten(const std::vector<EventType>&, const std::vector<Pattern>&) noexcept { --listening; }
    bool drain(std::chrono::nanoseconds) { return true; }
    void close() noexcept {}
    Result shutdown(std::chrono::nanoseconds) noexcept { return {}; }
    [[nodiscard]] gossip::Outgoing outgoing() const { return {}; }

    int listening = 0;
    bool refuses = false;

private:
    gossip::detail::Engine* engine_ = nullptr;
};

} // namespace parts

TEST_CASE("what arrives before subscribe has returned finds its subscription", "[carrier]") {
    gossip::EventBus<Backlog> bus{gossip::Config{.workers = 0}};
    std::vector<int> seen;
    auto first = bus.subscribe(number, [&](const int& n) { seen.push_back(n); });
    bus.poll();
    CHECK(seen == std::vector<int>{1});
    first.unsubscribe();
    CHECK(bus.provider().listening == 0);
    const gossip::ShutdownReport report = bus.shutdown();
    CHECK(report.handled == 1);
    CHECK(report.unrouted == 0);
    CHECK(report.adds_up());
}

TEST_CASE("a subscription that the provider refuses is none", "[carrier]") {
    gossip::EventBus<Backlog> bus{gossip::Config{.workers = 0}};
    int runs = 0;
    bus.provider().refuses = true;
    CHECK_THROWS_AS(bus.subscribe(number.type(), [&] { ++runs; }), gossip::FatalError);
    CHECK(bus.stats().subscriptions == 0);
    bus.poll();
    CHECK(runs == 0);
    CHECK(bus.shutdown().adds_up());
}

} // namespace carrier_test
