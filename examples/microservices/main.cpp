// Five services on one bus: an order goes from service to service as events, and what belongs to one request can be
// told from the rest. Billing is down for a while; what failed meanwhile waits among the dead letters and is replayed.
//
// It prints, among others:
//     > req-1: orders.placed o-1
//     > req-1: inventory.reserved o-1
//     > req-1: billing.paid o-1
//     > req-1: shipping.shipped o-1
//     > req-2: inventory.missing o-2, no teapot left
//     > billing failed o-3 of req-3 after 2 attempts: processing error: no card can be charged: timeout
//     > 1 order is replayed
//     > req-3: billing.paid o-3
//     > req-3: shipping.shipped o-3
#include "services.hpp"

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string>

namespace {

using namespace std::chrono_literals;

/// The whole shop on a bus over any provider: the services never name one.
template <class Provider>
bool run(gossip::EventBus<Provider>& bus) {
    using Bus = gossip::EventBus<Provider>;
    gossip::DeadLetters letters;
    letters.attach(bus);
    const shop::Audit<Bus> audit(bus);
    const shop::Inventory<Bus> inventory(bus, {{"cup", 10}, {"teapot", 0}});
    shop::Billing<Bus> billing(bus);
    const shop::Shipping<Bus> shipping(bus);
    shop::Gateway<Bus> gateway(bus);

    gateway.place({"o-1", "cup", 2}, "req-1");
    gateway.place({"o-2", "teapot", 1}, "req-2");
    if (!bus.drain(20s)) {
        return false;
    }

    billing.down(true);
    gateway.place({"o-3", "cup", 4}, "req-3");
    if (!bus.drain(20s)) {
        return false;
    }
    for (const auto& [number, letter] : letters.list()) {
        std::printf("%s failed %s of %s after %d attempts: %s\n", letter->subscription.c_str(),
                    letter->event.template data<shop::Order>().id.c_str(),
                    letter->event.metadata().template get<std::string>("request").value_or("?").c_str(),
                    letter->attempts, gossip::describe(letter->error).c_str());
    }

    billing.down(false);
    const std::size_t replayed = letters.replay(bus, gossip::DeadLetters::by_subscription("billing"));
    std::printf("%zu order is replayed\n", replayed);
    return bus.drain(20s) && replayed == 1 && letters.size() == 0;
}

} // namespace

int main() {
    // Around every processor of the bus: what it publishes inherits the request of the event that it was called for.
    gossip::EventBus<gossip::MemoryProvider> bus{
        gossip::Config{.workers = 2, .middleware = gossip::middleware::correlation("request")}};
    return run(bus) && bus.shutdown().adds_up() ? 0 : 1;
}
