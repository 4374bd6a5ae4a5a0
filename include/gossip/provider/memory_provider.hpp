#pragma once

#include <gossip/provider/provider.hpp>

#include <chrono>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// The provider of a bus within one process: the shortest way from publish to the inbox.
///
/// Threads: every member from any thread.
/// Cost:    nothing of its own.
class MemoryProvider {
public:
    void start(detail::Engine&) noexcept {}
    PublishStatus send(detail::Engine& engine, Event& event, bool may_wait) { return engine.publish(event, may_wait); }
    /// The plain way: no event is made outside of its slot.
    template <class T>
    PublishStatus send_data(detail::Engine& engine, const EventType& type, T&& data) {
        return engine.publish_data<T>(type, std::forward<T>(data));
    }
    Result listen(const std::vector<EventType>&, const std::vector<Pattern>&) noexcept { return {}; }
    Result shutdown(std::chrono::nanoseconds) noexcept { return {}; }
};

static_assert(event_provider<MemoryProvider>);

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
