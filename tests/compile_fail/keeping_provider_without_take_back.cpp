// expect: a Provider that keeps events to come needs `bool keeps\(\) const`
#include <gossip/bus/event_bus.hpp>

#include <chrono>
#include <string>
#include <vector>

struct Away {
    void start(gossip::detail::Engine&) {}
    gossip::PublishStatus send(gossip::detail::Engine&, gossip::Event&, bool) { return {}; }
    gossip::PublishStatus send_later(gossip::detail::Engine&, gossip::Event&, std::chrono::nanoseconds, std::string&) {
        return {};
    }
    bool keeps() const { return true; }
    gossip::Result send_sync(gossip::detail::Engine&, gossip::Event&) { return {}; }
    gossip::Result listen(const std::vector<gossip::EventType>&, const std::vector<gossip::Pattern>&) { return {}; }
    void unlisten(const std::vector<gossip::EventType>&, const std::vector<gossip::Pattern>&) noexcept {}
    bool drain(std::chrono::nanoseconds) { return true; }
    void close() noexcept {}
    gossip::Result shutdown(std::chrono::nanoseconds) noexcept { return {}; }
    gossip::Outgoing outgoing() const { return {}; }
};

gossip::EventBus<Away> bus;
