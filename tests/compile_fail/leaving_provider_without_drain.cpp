// expect: a Provider with outgoing\(\) needs `bool drain\(std::chrono::nanoseconds\)`
#include <gossip/bus/event_bus.hpp>

#include <chrono>
#include <vector>

struct Away {
    void start(gossip::detail::Engine&) {}
    gossip::PublishStatus send(gossip::detail::Engine&, gossip::Event&, bool) { return {}; }
    gossip::Result send_sync(gossip::detail::Engine&, gossip::Event&) { return {}; }
    gossip::Result listen(const std::vector<gossip::EventType>&, const std::vector<gossip::Pattern>&) { return {}; }
    void unlisten(const std::vector<gossip::EventType>&, const std::vector<gossip::Pattern>&) noexcept {}
    void close() noexcept {}
    gossip::Result shutdown(std::chrono::nanoseconds) noexcept { return {}; }
    gossip::Outgoing outgoing() const { return {}; }
};

gossip::EventBus<Away> bus;
