#include <gossip/bus/event_bus.hpp>

constexpr gossip::Topic<int> number{"some.number"};

auto listen(gossip::EventBus<>& bus) {
    return bus.subscribe(number, [](const int&) {});
}
