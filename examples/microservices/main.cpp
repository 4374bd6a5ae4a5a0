// Five services: an order goes from service to service as events, and what belongs to one request can be told from the
// rest. Without arguments all of them are in this process, on one bus: billing is down for a while, and what failed
// meanwhile waits among the dead letters and is replayed.
//
// With a server each service is a process, and only the bus differs. Start them in any order, end them with Ctrl-C;
// what a service misses while it is not there waits for it:
//     for service in audit inventory billing shipping; do
//         microservices --redis redis://127.0.0.1:6379 --service $service &
//     done
//     microservices --redis redis://127.0.0.1:6379 --service orders
//
// Without arguments it prints, among others:
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

#ifdef GOSSIP_EXAMPLE_REDIS // there is a gossip::redis
#include "over_redis.hpp"
#endif

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>

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

int main(int argc, char** argv) {
    std::string url;
    std::string service;
    bool understood = argc % 2 == 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view option = argv[i];
        understood = understood && (option == "--redis" || option == "--service");
        (option == "--redis" ? url : service) = argv[i + 1];
    }
    if (!understood || url.empty() != service.empty()) {
        std::fprintf(stderr, "usage: microservices [--redis redis://127.0.0.1:6379 --service "
                             "orders|inventory|billing|shipping|audit]\n");
        return 2;
    }
    if (!url.empty()) {
#ifdef GOSSIP_EXAMPLE_REDIS
        try {
            return shop::serve(url, service);
        } catch (const gossip::Error& error) { // a bad url, or nobody there
            std::fprintf(stderr, "%s: %s\n", service.c_str(), error.what());
            return 1;
        }
#else
        std::fprintf(stderr, "built without gossip::redis\n");
        return 2;
#endif
    }
    // Around every processor of the bus: what it publishes inherits the request of the event that it was called for.
    gossip::EventBus<gossip::MemoryProvider> bus{
        gossip::Config{.workers = 2, .middleware = gossip::middleware::correlation("request")}};
    return run(bus) && bus.shutdown().adds_up() ? 0 : 1;
}
