#include <gossip/bus/event_bus.hpp>
#include <gossip/middleware/fallback.hpp>

gossip::EventBus bus{
    gossip::Config{.middleware = gossip::middleware::fallback([](const gossip::Event&, const gossip::Error&) {})}};
