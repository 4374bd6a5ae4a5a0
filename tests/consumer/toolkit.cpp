// The library's parts in one program, with errors as values only: built with other options than ours.
#include <gossip/gossip.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>

using namespace std::chrono_literals;

namespace {

struct Order {
    std::string id;
    int amount = 0;
};

constexpr gossip::Topic<Order> order_created{"order.created"};
constexpr gossip::Topic<> nothing{"nothing"};

int failures = 0;

void check(bool holds, const char* what) {
    if (!holds) {
        std::fprintf(stderr, "does not hold: %s\n", what);
        ++failures;
    }
}

gossip::Result charge(const Order& order) {
    if (order.amount < 0) {
        return gossip::ValidationError{"amount", std::to_string(order.amount), "must be positive"};
    }
    return {};
}

} // namespace

int handled_elsewhere();

int main(int argc, char** argv) {
    gossip::EventBus bus;
    std::atomic<int> tries = 0;
    std::atomic<int> batched = 0;
    std::atomic<int> letters = 0;
    std::atomic<int> by_pattern = 0;

    const auto charging = bus.subscribe(order_created, charge, {.name = "charge"});
    const auto flaky = [&tries](const Order&) -> gossip::Result {
        return ++tries == 1 ? gossip::Result{gossip::errors::retryable} : gossip::Result{};
    };
    const auto wanted = gossip::filter::metadata("source", "api") && !gossip::filter::has_metadata("test");
    const auto retrying = bus.subscribe(
        order_created,
        gossip::filter::only_if(wanted, gossip::middleware::chain(gossip::middleware::recovery(),
                                                                  gossip::middleware::retry(3, 1ms))(flaky)));
    const auto batching = bus.subscribe(
        order_created, gossip::batch<Order>({.size = 3, .period = 1h}, [&batched](std::span<const Order> orders) {
            batched += static_cast<int>(orders.size());
        }));
    const auto pattern = bus.subscribe(gossip::Pattern{"order.*"}, [&by_pattern](const gossip::Event& event) {
        by_pattern += event.data_if<Order>() != nullptr && event.data_if<int>() == nullptr ? 1 : 0;
        by_pattern.notify_all();
    });
    const auto letter = bus.subscribe(gossip::dead_letter, [&letters](const gossip::DeadLetter& dead) {
        letters += gossip::as<gossip::ValidationError>(dead.failures.front().error) ? 1 : 0;
    });

    bus.publish(order_created, {"a", 1}, {.key = "a", .metadata = {{"source", "api"}}});
    bus.publish(order_created, {"b", -1});
    bus.publish_after(1ms, order_created, {"c", 2});
    check(bus.publish_sync(nothing).processors() == 0, "nobody listens to nothing");
    for (int heard = by_pattern; heard < 3; heard = by_pattern) {
        by_pattern.wait(heard);
    }
    check(bus.drain(30s), "all comes to an end");

    const gossip::ShutdownReport report = bus.shutdown();
    check(report.adds_up() && report.failed == 1, "the counters add up, with one failure");
    check(tries == 2, "a retryable error is tried again");
    check(batched == 3, "a batch gets all data");
    check(letters == 1, "what fails is a dead letter with its error");
    check(by_pattern == 3, "a pattern hears what matches, with its data's type");
    check(handled_elsewhere() == 1, "another file's bus works");
    check(argc == 2 && std::strcmp(argv[1], gossip::version) == 0, "the version is the package's");
    return failures == 0 ? 0 : 1;
}
