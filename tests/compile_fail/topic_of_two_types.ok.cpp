#include <gossip/core/topic.hpp>

namespace orders {
inline constexpr gossip::Topic<int> created{"order.created"};
inline constexpr gossip::Topic<> counted{"order.counted"};
} // namespace orders
namespace billing {
inline constexpr gossip::Topic<int> order_created{"order.created"};
} // namespace billing

static_assert(gossip::topics_agree(orders::created, orders::counted, billing::order_created));
