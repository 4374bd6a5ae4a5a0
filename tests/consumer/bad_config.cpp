#include <gossip/gossip.hpp>

int main() {
    const gossip::EventBus bus{gossip::Config{.workers = 5000}};
    return 0;
}
