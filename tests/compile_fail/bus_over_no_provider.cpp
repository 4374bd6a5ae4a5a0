// expect: Provider needs `void start\(detail::Engine&\)`
#include <gossip/bus/event_bus.hpp>

gossip::EventBus<int> bus;
