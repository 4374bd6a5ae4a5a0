// expect: a processor of events without a data type takes \(\), \(const Event&\), or one of these after \(Context&\)
#include <gossip/bus/event_bus.hpp>

#include <string>

auto listen(gossip::EventBus<>& bus) {
    return bus.subscribe(gossip::Pattern{"user.*"}, [](const std::string&) {});
}
