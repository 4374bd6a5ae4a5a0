#include <gossip/fwd.hpp>

#include <type_traits>

namespace fwd_test {

/// What a user's header may say with the names alone.
struct Service {
    Service(gossip::EventBus<>& on, const gossip::Topic<>& about);
    gossip::Result handle(gossip::Context& context, const gossip::Event& event);
    void on_letter(const gossip::DeadLetter& letter);
    gossip::EventBus<>& bus;
    const gossip::Topic<>& topic;
    gossip::Subscription* subscription = nullptr;
    gossip::PublishStatus status{};
    gossip::Priority priority{};
};

} // namespace fwd_test

#include <gossip/gossip.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"

namespace fwd_test {

Service::Service(gossip::EventBus<>& on, const gossip::Topic<>& about) : bus(on), topic(about) {}
gossip::Result Service::handle(gossip::Context&, const gossip::Event& event) {
    return event.type() == topic.type() ? gossip::Result{} : gossip::Result{gossip::errors::invalid_event};
}
void Service::on_letter(const gossip::DeadLetter&) {}

inline namespace parts {

/// Whether T is a whole type by now: its name stood in fwd.hpp for this one, not for another.
template <class... Ts>
constexpr bool whole = ((sizeof(Ts) > 0) && ...);

} // namespace parts

TEST_CASE("names that were only declared are those of the library", "[fwd]") {
    using namespace gossip;
    STATIC_REQUIRE(std::is_same_v<Topic<>, Topic<void>>);
    STATIC_REQUIRE(std::is_same_v<EventBus<>, EventBus<MemoryProvider>>);
    STATIC_REQUIRE(whole<EventType, Pattern, Event, TypedEvent<int>, EventId, Metadata, MetadataValue, Priority>);
    STATIC_REQUIRE(
        whole<Context, Deferral, Error, Result, RetryableError, ValidationError, ProcessingError, TimeoutError,
              FatalError, TypeAssertionError, NoDataError, InvalidEventError, UnsupportedEventTypeError>);
    STATIC_REQUIRE(whole<MemoryProvider, Config, BusMiddleware, Clock, Overflow, PublishOptions, PublishStatus,
                         ScheduledId, Subscription, SubscriptionId, SubscribeOptions, Redelivery>);
    STATIC_REQUIRE(whole<BatchOptions, BatchResult, DeadLetter, DeadLetters, Failure, ErrorReport, Counters, Stats,
                         ShutdownReport, SyncResult, gossip::testing::ManualClock>);

    EventBus bus{Config{.workers = 0}};
    constexpr Topic<> tick{"fwd.tick"};
    Service service{bus, tick};
    auto s = bus.subscribe(tick, [&](Context& context, const Event& event) { return service.handle(context, event); });
    CHECK(bus.publish_sync(tick).ok());
}

} // namespace fwd_test
