// expect: Provider needs `Result shutdown\(std::chrono::nanoseconds\) noexcept`
#include <gossip/bus/event_bus.hpp>

#include <vector>

struct HalfProvider {
    void start(gossip::detail::Engine&) {}
    gossip::PublishStatus send(gossip::detail::Engine&, gossip::Event&, bool) { return gossip::PublishStatus::closed; }
    gossip::Result listen(const std::vector<gossip::EventType>&, const std::vector<gossip::Pattern>&) { return {}; }
};

gossip::EventBus<HalfProvider> bus;
