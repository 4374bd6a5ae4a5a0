#include <gossip/provider/redis/fast_codec.hpp>

struct Order {
    int amount = 0;
};
template <>
inline constexpr auto gossip::members<Order> = gossip::member_list("amount", &Order::amount);

auto order = gossip::FastCodec::decode<Order>("{}");
