// expect: T needs a mapping for nlohmann-json
#include <gossip/redis.hpp>

#include <gossip/bus/event_bus.hpp>

struct Opaque {
    int x = 0;
};
inline constexpr gossip::Topic<Opaque> opaque{"shop.opaque"};

void publish(gossip::EventBus<gossip::RedisProvider>& bus) { bus.publish(opaque, Opaque{}); }
