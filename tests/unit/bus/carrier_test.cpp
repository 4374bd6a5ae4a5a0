#include <gossip/bus/event_bus.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace carrier_test {

inline namespace parts {

using namespace std::chrono_literals;
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

/// A transport that keeps events to come, if it says so.
class Keeper : public Backlog {
public:
    struct Kept {
        std::string name;
        std::chrono::nanoseconds delay;
        std::int64_t time_ns;
    };
    [[nodiscard]] bool keeps() const { return is_keeping; }
    PublishStatus send_later(gossip::detail::Engine&, Event& event, std::chrono::nanoseconds delay,
                             std::string& ticket) {
        if (status == PublishStatus::accepted) {
            kept.push_back({std::string(event.type().name()), delay, gossip::EventAccess::time_ns(event)});
            ticket = std::to_string(kept.size());
        }
        return status;
    }
    bool take_back(const std::string& ticket) { return ticket == std::exchange(there, ""); }

    bool is_keeping = true;
    PublishStatus status = PublishStatus::accepted;
    std::string there; // the ticket that take_back finds
    std::vector<Kept> kept;
};
static_assert(gossip::keeps_events<Keeper> && gossip::event_provider<Keeper>);
static_assert(!gossip::claims_to_keep<Backlog> && !gossip::keeps_events<gossip::MemoryProvider>);

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

TEST_CASE("a transport that keeps events gets what is published later at once, stamped with its due time",
          "[carrier]") {
    gossip::testing::ManualClock clock;
    gossip::EventBus<Keeper> bus{gossip::Config{.workers = 0, .clock = &clock}};
    const auto made = std::chrono::sys_days{std::chrono::year{2024} / 1 / 2};
    bus.publish_after(3s, number, 1);
    bus.publish_at(clock.wall() + 5s, number, 2);
    bus.publish_after(7s, Event{number, 3}.with_timestamp(made)); // keeps the time of its making

    const auto& kept = bus.provider().kept;
    REQUIRE(kept.size() == 3);
    const std::int64_t now = std::chrono::nanoseconds(clock.wall().time_since_epoch()).count();
    CHECK(kept[0].name == "carrier.number");
    CHECK(kept[0].delay == 3s);
    CHECK(kept[0].time_ns - now == 3'000'000'000);
    CHECK(kept[1].delay == 5s);
    CHECK(kept[1].time_ns - now == 5'000'000'000);
    CHECK(kept[2].time_ns == std::chrono::nanoseconds(made.time_since_epoch()).count());
    CHECK(bus.stats().timers == 0);
}

TEST_CASE("what a transport keeps is taken back there, once, and counted", "[carrier]") {
    gossip::EventBus<Keeper> bus{gossip::Config{.workers = 0}};
    const auto first = bus.publish_after(1h, number, 1);
    const auto second = bus.publish_after(1h, number, 2);
    bus.provider().there = "2";
    CHECK_FALSE(bus.cancel(first)); // it has gone: this forgets the other, too
    bus.provider().there = "2";
    CHECK(bus.cancel(second));
    CHECK_FALSE(bus.cancel(second));
    CHECK(bus.stats().cancelled == 1);
}

TEST_CASE("what has no delay, is repeated or is the library's own stays a timer of this process", "[carrier]") {
    gossip::testing::ManualClock clock;
    gossip::EventBus<Keeper> bus{gossip::Config{.workers = 0, .clock = &clock}};
    bus.publish_after(0s, number, 1);
    bus.publish_at(clock.wall() - 1h, number, 1);
    const auto again = bus.publish_every(1s, number, 1);
    const auto own = bus.publish_after(1s, Event{gossip::EventType("gossip.test")});
    CHECK(bus.provider().kept.empty());
    CHECK(bus.stats().timers == 4);
    CHECK(bus.cancel(again));
    CHECK(bus.cancel(own));

    bus.provider().is_keeping = false; // as the provider was made
    bus.publish_after(1s, number, 1);
    CHECK(bus.provider().kept.empty());
    CHECK(bus.stats().timers == 3);
}

TEST_CASE("what a transport refuses to keep is told, and can't be taken back", "[carrier]") {
    int told = 0;
    gossip::EventBus<Keeper> bus{gossip::Config{.workers = 0, .on_error = [&](const gossip::ErrorReport& report) {
                                                    told +=
                                                        gossip::is(report.error, gossip::errors::unavailable) ? 1 : 0;
                                                }}};
    bus.provider().status = PublishStatus::unavailable;
    const auto id = bus.publish_after(1s, number, 1);
    CHECK(told == 1);
    CHECK_FALSE(bus.cancel(id));
    bus.provider().status = PublishStatus::closed;
    CHECK_FALSE(bus.cancel(bus.publish_after(1s, number, 1)));
    CHECK(told == 1);
}

} // namespace carrier_test
