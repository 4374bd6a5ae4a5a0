// expect: the data of a publish_sync must be what its Topic<T> carries, a T
#include <gossip/bus/event_bus.hpp>

#include <string>

constexpr gossip::Topic<std::string> name{"user.name"};

bool publish(gossip::EventBus<>& bus) { return bus.publish_sync(name, 7).ok(); }
