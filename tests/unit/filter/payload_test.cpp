#include <gossip/filter/payload.hpp>

#include "support/catch.hpp"

namespace payload_test {

namespace filter = gossip::filter;
using gossip::Event;

inline namespace parts {

struct Payment {
    double amount = 0;
};
constexpr gossip::Topic<Payment> paid{"payment.received"};
const auto large = [](const Payment& p) { return p.amount > 100; };

} // namespace parts

TEST_CASE("where asks the data", "[payload]") {
    CHECK(filter::where<Payment>(large)(Event{paid, {500}}));
    CHECK_FALSE(filter::where<Payment>(large)(Event{paid, {5}}));
}

TEST_CASE("where says no to other data and to none", "[payload]") {
    CHECK_FALSE(filter::where<Payment>(large)(Event{gossip::EventType{"payment.received"}, 500.0}));
    CHECK_FALSE(filter::where<Payment>(large)(Event{gossip::EventType{"payment.received"}}));
}

TEST_CASE("where may ask for the event as well", "[payload]") {
    const auto keyed = filter::where<Payment>(
        [](const gossip::TypedEvent<Payment>& event) { return event->amount > 1 && !event.key().empty(); });

    CHECK(keyed(Event{paid, {2}}.with_key("k")));
    CHECK_FALSE(keyed(Event{paid, {2}}));
}

TEST_CASE("has_data asks for the type of the data", "[payload]") {
    CHECK(filter::has_data<Payment>()(Event{paid, {2}}));
    CHECK_FALSE(filter::has_data<int>()(Event{paid, {2}}));
}

} // namespace payload_test
