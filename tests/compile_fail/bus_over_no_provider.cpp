// expect: Provider needs `PublishStatus send\(detail::Engine&, Event&, bool may_wait\)`
#include <gossip/bus/event_bus.hpp>

gossip::EventBus<int> bus;
