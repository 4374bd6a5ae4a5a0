// expect: a processor of events without a data type takes
#include <gossip/bus/event_bus.hpp>
#include <gossip/middleware/fallback.hpp>

gossip::EventBus bus{gossip::Config{.middleware = gossip::middleware::fallback([](const double&) {})}};
