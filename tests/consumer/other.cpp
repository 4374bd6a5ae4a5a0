// A second translation unit: what both include must be defined once.
#include <gossip/gossip.hpp>

#include <atomic>

namespace {

struct Greeting {
    int number = 0;
};

constexpr gossip::Topic<Greeting> greeting{"consumer.greeting"};

} // namespace

int handled_elsewhere() {
    std::atomic<int> sum = 0;
    gossip::EventBus bus;
    gossip::Subscription subscription = bus.subscribe(greeting, [&](const Greeting& data) { sum += data.number; });
    bus.publish(greeting, {1});
    bus.shutdown();
    return sum;
}
