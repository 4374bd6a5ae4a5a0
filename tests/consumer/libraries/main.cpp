// The program: it owns the bus. What it asks of the library is as if it stood in one file with it.
#include "part.hpp"

#include <gossip/bus/global_bus.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>

using namespace std::chrono_literals;

static int failures = 0;

static void check(bool holds, const char* what) {
    if (!holds) {
        std::fprintf(stderr, "does not hold: %s\n", what);
        ++failures;
    }
}

static void program(Part& part) {
    gossip::EventBus bus{gossip::Config{.workers = 1, .buffer_size = 2}};
    std::atomic<int> answers = 0;
    std::atomic<int> mine = 0;
    const gossip::Subscription first = bus.subscribe(answered, [&answers](const Answer&) { ++answers; });
    const gossip::Subscription second = bus.subscribe(order_created, [&mine](const Order&) { ++mine; });
    part.start(bus);
    check(part.id() != first.id() && part.id() != second.id(), "the ids of subscriptions differ");

    bus.publish(order_created, {"a", 1});
    bus.publish(part.make(2));
    check(bus.drain(10s), "all comes to an end");
    check(part.orders_heard() == 2 && mine == 2, "both hear what either has published");
    check(answers == 2, "the program hears what the library's processor publishes");

    check(part.amount_of(gossip::Event(order_created, Order{"b", 7})) == 7, "the library reads the program's data");
    check(part.make(8).data<Order>().amount == 8, "the program reads the library's data");
    check(part.make(8).data_if<Answer>() == nullptr, "data of another type is not taken for it");
    check(part.make(1).id() != gossip::Event(order_created, Order{"b", 7}).id(), "the ids of events differ");

    const gossip::SyncResult bad = bus.publish_sync(order_created, {"c", -1});
    check(!bad.ok() && gossip::as<gossip::ValidationError>(bad.errors().front()), "errors keep their kind");
    const gossip::SyncResult late = bus.publish_sync(order_created, {"d", 0});
    check(!late.ok() && gossip::is(late.errors().front(), gossip::errors::timeout), "ready-made errors are known");
    try {
        part.throw_error();
        check(false, "an error is thrown");
    } catch (const gossip::ValidationError& error) {
        check(error.field() == "field", "a thrown error is caught as what it is");
    }

    bus.publish(echo, {6});
    check(bus.drain(10s), "all comes to an end");
    check(part.echoes_heard() == 127, "a processor of the library publishes into a full buffer without waiting");
    bus.publish(once);
    check(bus.drain(10s), "all comes to an end");
    bus.publish(once);
    check(bus.drain(10s), "all comes to an end");
    check(bus.stats().unrouted == 1, "a processor of the library ends itself without waiting");
    check(part.global_bus() == &gossip::global_bus(), "there is one bus of the process");

    part.stop();
    bus.publish(order_created, {"e", 1});
    const gossip::ShutdownReport report = bus.shutdown();
    check(part.orders_heard() == 4, "what the library has stopped does not run again");
    check(report.adds_up(), "the counters add up");
}

// First the subscriptions of the library end, then the bus, then the library goes.
int main() {
    Part* const part = find_part();
    if (part == nullptr) {
        return 1;
    }
    program(*part);
    leave_part();
    return failures == 0 ? 0 : 1;
}
