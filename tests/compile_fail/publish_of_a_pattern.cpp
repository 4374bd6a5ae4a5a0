// expect: a Pattern is for listening; publish on a Topic or an EventType
#include <gossip/bus/event_bus.hpp>

void publish(gossip::EventBus<>& bus) { bus.publish(gossip::Pattern{"user.*"}, 7); }
