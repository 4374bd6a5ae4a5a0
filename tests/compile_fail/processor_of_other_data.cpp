// expect: a processor of Topic<T> takes \(const T&\), \(const TypedEvent<T>&\), \(const Event&\), \(\), or one of these
#include <gossip/bus/event_bus.hpp>

#include <string>

constexpr gossip::Topic<int> number{"some.number"};

auto listen(gossip::EventBus<>& bus) {
    return bus.subscribe(number, [](const std::string&) {});
}
