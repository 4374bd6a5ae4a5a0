// expect: Config::middleware is called with a processor of any event and returns one
#include <gossip/bus/event_bus.hpp>

gossip::EventBus bus{gossip::Config{.middleware = 3}};
