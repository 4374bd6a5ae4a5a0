#include <gossip/bus/event_bus.hpp>

#include <chrono>
#include <vector>

struct WholeProvider {
    void start(gossip::detail::Engine&) {}
    gossip::PublishStatus send(gossip::detail::Engine&, gossip::Event&, bool) { return gossip::PublishStatus::closed; }
    gossip::Result listen(const std::vector<gossip::EventType>&, const std::vector<gossip::Pattern>&) { return {}; }
    gossip::Result shutdown(std::chrono::nanoseconds) noexcept { return {}; }
};

gossip::EventBus<WholeProvider> bus;
