// expect: FastCodec needs a specialization of gossip::members<T>
#include <gossip/provider/redis/fast_codec.hpp>

struct Order {
    int amount = 0;
};

auto order = gossip::FastCodec::decode<Order>("{}");
