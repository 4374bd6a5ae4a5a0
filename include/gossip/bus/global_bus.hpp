#pragma once

#include <gossip/bus/event_bus.hpp>

#include <cstdlib>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// The process-wide bus, made with the default Config when it is first asked for.
///
/// Threads: from any thread, also before main and after it.
/// Owns:    itself; it is shut down when the program exits, and never destroyed: what static objects publish after that
///          is refused as `closed`.
[[gnu::visibility("default")]] inline EventBus<>& global_bus() {
    static EventBus<>* const bus = [] {
        auto* const made = new EventBus<>;
        std::atexit([] { global_bus().shutdown(); });
        return made;
    }();
    return *bus;
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
