#include <gossip/core/topic.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"

#include <string>
#include <type_traits>

namespace topic_test {

inline namespace parts {

struct Order {
    std::string id;
};
inline constexpr gossip::Topic<Order> order_created{"order.created"};
inline constexpr gossip::Topic<> tick{"clock.tick"};

static_assert(order_created.name() == "order.created" && order_created.type().hash() != 0);
static_assert(std::is_same_v<decltype(order_created)::data_type, Order>);
static_assert(std::is_void_v<decltype(tick)::data_type>);
static_assert(gossip::topics_agree(order_created));
static_assert(gossip::topics_agree(order_created, tick, order_created, gossip::Topic<Order>{"order.created"}));
static_assert(gossip::topics_agree(tick, gossip::Topic<Order>{"clock.ticks"}, gossip::Topic<int>{"clock"}));
static_assert(!std::is_convertible_v<gossip::EventType, gossip::Topic<Order>>);
static_assert(!std::is_constructible_v<gossip::Topic<Order>, std::string>);

} // namespace parts

TEST_CASE("a constant topic has its name and type without allocating", "[topic]") {
    const support::AllocationCounter allocations;
    const gossip::EventType type = order_created.type();

    CHECK(allocations.count() == 0);
    CHECK(type.name() == "order.created");
    CHECK(tick.name() == "clock.tick");
}

TEST_CASE("a topic made from a run-time name equals the constant one", "[topic]") {
    const gossip::Topic<Order> topic{gossip::EventType{std::string{"order.created"}}};

    CHECK(topic.type() == order_created.type());
    CHECK(topic.name() == "order.created");
}

} // namespace topic_test
