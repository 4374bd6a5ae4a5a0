#include <gossip/gossip.hpp>

void take(gossip::EventBus<>& bus);

int main() {
    gossip::EventBus bus;
    take(bus);
    return bus.shutdown().accepted == 1 ? 0 : 1;
}
