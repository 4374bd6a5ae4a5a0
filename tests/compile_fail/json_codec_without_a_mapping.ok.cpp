#include <gossip/provider/redis/json_codec.hpp>

struct Order {
    int amount = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Order, amount)

auto order = gossip::JsonCodec::decode<Order>("{}");
