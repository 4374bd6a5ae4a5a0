// expect: the data of a publish must be what its Topic<T> carries, a T
#include <gossip/bus/event_bus.hpp>

#include <string>

constexpr gossip::Topic<std::string> name{"user.name"};

void publish(gossip::EventBus<>& bus) { bus.publish(name, 7); }
