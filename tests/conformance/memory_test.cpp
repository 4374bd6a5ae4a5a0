#include "conformance/suite.hpp"

namespace memory_test {

struct Memory {
    using Provider = gossip::MemoryProvider;
    static constexpr bool crosses = false;
    static bool available() { return true; }
    std::unique_ptr<gossip::EventBus<Provider>> bus(gossip::Config config) {
        return std::make_unique<gossip::EventBus<Provider>>(std::move(config));
    }
};

GOSSIP_CONFORMANCE(Memory)

} // namespace memory_test
