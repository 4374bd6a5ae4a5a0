// expect: FastCodec knows bool, integers, float, double, std::string, std::optional, std::vector
#include <gossip/provider/redis/fast_codec.hpp>

struct Order {
    const char* id = nullptr;
};
template <>
inline constexpr auto gossip::members<Order> = gossip::member_list("id", &Order::id);

auto order = gossip::FastCodec::decode<Order>("{}");
