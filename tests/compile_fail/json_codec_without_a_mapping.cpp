// expect: T needs a mapping for nlohmann-json, such as NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE
#include <gossip/provider/redis/json_codec.hpp>

struct Order {
    int amount = 0;
};

auto order = gossip::JsonCodec::decode<Order>("{}");
