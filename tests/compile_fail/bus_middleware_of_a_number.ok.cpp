#include <gossip/bus/event_bus.hpp>
#include <gossip/middleware/retry.hpp>

gossip::EventBus bus{gossip::Config{.middleware = gossip::middleware::retry(3)}};
