#include <gossip/bus/event_bus.hpp>
#include <gossip/provider/memory_provider.hpp>

gossip::EventBus<gossip::MemoryProvider> bus;
