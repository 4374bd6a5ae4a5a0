#include <gossip/bus/event_bus.hpp>

void publish(gossip::EventBus<>& bus) { bus.publish(gossip::Event{gossip::EventType{"user.name"}, 7}); }
