#include <gossip/bus/event_bus.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <atomic>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace publish_sync_test {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::Context;
using gossip::EventBus;
using gossip::Result;

inline constexpr gossip::Topic<int> number{"sync.number"};
inline constexpr gossip::Topic<> tick{"sync.tick"};

TEST_CASE("publish_sync runs the processors on the calling thread, in the order of their subscription", "[bus][sync]") {
    const auto workers = GENERATE(0U, 2U);
    std::vector<int> order;
    std::vector<std::thread::id> threads;
    EventBus bus{Config{.workers = workers}};
    const auto processor = [&](int name) {
        return [&, name] {
            order.push_back(name);
            threads.push_back(std::this_thread::get_id());
        };
    };
    auto s1 = bus.subscribe(number, processor(1));
    auto s2 = bus.subscribe(gossip::Pattern{"sync.*"}, processor(2));
    auto s3 = bus.subscribe(number, processor(3), {.priority = 1});

    const auto result = bus.publish_sync(number, 5);

    CHECK(result.ok());
    CHECK(result.processors() == 3);
    CHECK(order == std::vector<int>{3, 1, 2});
    CHECK(threads == std::vector<std::thread::id>(3, std::this_thread::get_id()));
    CHECK(bus.publish_sync(tick).processors() == 1);
}

TEST_CASE("publish_sync hands every error back to its caller, and makes no dead letter and no redelivery",
          "[bus][sync]") {
    int letters = 0;
    int runs = 0;
    int hooks = 0;
    EventBus bus{Config{.workers = 0, .on_error = [&](const gossip::ErrorReport&) { ++hooks; }}};
    auto d = bus.subscribe(gossip::dead_letter, [&] { ++letters; });
    auto s1 = bus.subscribe(number,
                            [&](Context& context) -> Result {
                                ++runs;
                                CHECK(context.attempt() == 1);
                                return gossip::RetryableError{"one"};
                            },
                            {.name = "first", .redelivery = {.attempts = 5, .first_delay = 0ns}});
    auto s2 = bus.subscribe(number, [] {});
    auto s3 = bus.subscribe(number, [] { throw std::runtime_error{"three"}; }, {.name = "third"});

    const auto result = bus.publish_sync(number, 1);

    CHECK_FALSE(result.ok());
    CHECK_FALSE(result);
    CHECK(result.processors() == 3);
    REQUIRE(result.errors().size() == 2);
    CHECK(gossip::is_retryable(result.errors()[0]));
    CHECK(std::string(result.errors()[1].what()).find("three") != std::string::npos);
    CHECK(result.failures()[0].name == "first");
    CHECK(result.failures()[1].name == "third");
    CHECK(result.failures()[1].subscription == s3.id());
    CHECK(bus.drain(20s));
    CHECK(runs == 1);
    CHECK(letters == 0);
    CHECK(bus.stats().failed == 1);
    CHECK(bus.stats().redelivered == 0);
}

TEST_CASE("publish_sync counts in the ledger: handled, failed or unrouted", "[bus][sync]") {
    EventBus bus{Config{.workers = 0}};

    CHECK(bus.publish_sync(number, 1).ok());
    CHECK(bus.stats().unrouted == 1);
    auto s = bus.subscribe(
        number, [](const int& value) -> Result { return value == 0 ? Result{gossip::errors::timeout} : Result{}; });
    CHECK(bus.publish_sync(number, 1).ok());
    CHECK_FALSE(bus.publish_sync(number, 0).ok());

    CHECK(bus.stats().accepted == 3);
    CHECK(bus.stats().handled == 1);
    CHECK(bus.stats().failed == 1);
    CHECK(bus.stats().adds_up());
}

TEST_CASE("publish_sync goes outside of the order of keys and needs no room", "[bus][sync]") {
    std::vector<int> seen;
    std::optional<gossip::Deferral> open;
    EventBus bus{Config{.workers = 0, .buffer_size = 2}};
    auto s = bus.subscribe(number, [&](Context& context, const int& value) {
        seen.push_back(value);
        if (value == 1) {
            open.emplace(context.defer());
        }
    });
    bus.publish(number, 1, {.key = "k"});
    bus.poll();
    bus.publish(number, 2, {.key = "k"});
    bus.publish(number, 3, {.key = "k"});

    CHECK(bus.publish_sync(number, 4, {.key = "k"}).ok());
    CHECK(seen == std::vector<int>{1, 4});
    CHECK(bus.poll() == 0); // and it has let nothing go that was not its own
    open->succeed();
    CHECK(bus.drain(20s));
    CHECK(seen == std::vector<int>{1, 4, 2, 3});
}

TEST_CASE("for publish_sync a deferring processor is done; its end is settled and counted later", "[bus][sync]") {
    int letters = 0;
    int hooks = 0;
    std::optional<gossip::Deferral> open;
    EventBus bus{Config{.workers = 0, .on_error = [&](const gossip::ErrorReport&) { ++hooks; }}};
    auto s = bus.subscribe(number, [&](Context& context) { open.emplace(context.defer()); });
    auto d = bus.subscribe(gossip::dead_letter, [&] { ++letters; });

    CHECK(bus.publish_sync(number, 1, {.key = "k"}).ok());
    CHECK(bus.stats().handled == 0);
    CHECK_FALSE(bus.drain(0ns));
    SECTION("well") {
        open->succeed();
        CHECK(bus.stats().handled == 1);
        CHECK(hooks == 0);
    }
    SECTION("badly") {
        open->fail(gossip::errors::timeout);
        CHECK(bus.stats().failed == 1);
        CHECK(hooks == 1); // its caller has gone
    }
    CHECK(bus.drain(20s));
    CHECK(letters == 0);
    CHECK(bus.stats().adds_up());
}

TEST_CASE("after shutdown publish_sync returns the closed error, runs nothing and counts nothing", "[bus][sync]") {
    int runs = 0;
    EventBus bus{Config{.workers = 1}};
    auto s = bus.subscribe(number, [&] { ++runs; });
    bus.shutdown();

    const auto result = bus.publish_sync(number, 1);

    REQUIRE(result.errors().size() == 1);
    CHECK(gossip::is(result.errors()[0], gossip::errors::closed));
    CHECK(result.processors() == 0);
    CHECK(runs == 0);
    CHECK(bus.stats().accepted == 0);
}

TEST_CASE("publish_sync from inside a processor runs at once, before the outer one goes on", "[bus][sync]") {
    const auto workers = GENERATE(0U, 1U);
    std::vector<int> order;
    EventBus bus{Config{.workers = workers, .buffer_size = 2}};
    auto s = bus.subscribe(number, [&](const int& value) {
        order.push_back(value);
        if (value > 0) {
            CHECK(bus.publish_sync(number, value - 1).ok());
        }
        order.push_back(-value);
    });

    bus.publish(number, 3);
    CHECK(bus.drain(20s));

    CHECK(order == std::vector<int>{3, 2, 1, 0, 0, -1, -2, -3});
    CHECK(bus.stats().accepted == 4);
    CHECK(bus.stats().adds_up());
}

TEST_CASE("publish_sync waits for its turn where a subscription allows only so many runs at once", "[bus][sync]") {
    std::atomic<int> inside{0};
    std::atomic<int> overlaps{0};
    std::atomic<int> runs{0};
    EventBus bus{Config{.workers = 2}};
    auto s = bus.subscribe(number,
                           [&] {
                               overlaps += inside.fetch_add(1) != 0 ? 1 : 0;
                               ++runs;
                               std::this_thread::yield();
                               --inside;
                           },
                           {.max_concurrency = 1});

    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 100; ++i) {
                i % 2 == 0 ? static_cast<void>(bus.publish_sync(number, i).ok())
                           : static_cast<void>(bus.publish(number, i));
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(bus.drain(20s));

    CHECK(runs == 300);
    CHECK(overlaps == 0);
    CHECK(bus.stats().handled == 300);
}

TEST_CASE("publish_sync takes an event made by hand as it is", "[bus][sync]") {
    const auto time = std::chrono::system_clock::time_point{12'345s};
    bool right = false;
    EventBus bus{Config{.workers = 0}};
    auto s = bus.subscribe(number, [&](const gossip::TypedEvent<int>& event) {
        right = event.data() == 9 && event.timestamp() == time && event.key() == "k" && event.metadata().contains("a");
    });

    CHECK(bus.publish_sync(gossip::Event{number, 9}.with_timestamp(time).with_key("k").with_metadata("a", true)).ok());
    CHECK(right);
}

} // namespace publish_sync_test
