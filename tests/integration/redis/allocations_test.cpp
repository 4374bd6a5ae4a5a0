// What an event that comes from a server, or goes to one, costs its bus in memory once that has come to rest.
#include <gossip/bus/event_bus.hpp>
#include <gossip/provider/redis/fast_codec.hpp>
#include <gossip/redis.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/redis_bus.hpp"
#include "support/redis_server.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace allocations_test {

inline namespace parts {

/// Owns nothing: what its own strings would allocate is not the bus's.
struct Reading {
    std::int64_t sensor = 0;
    double value = 0;
    bool is_last = false;
};

} // namespace parts
} // namespace allocations_test

template <>
inline constexpr auto
    gossip::members<allocations_test::Reading> = gossip::member_list("sensor", &allocations_test::Reading::sensor,
                                                                     "value", &allocations_test::Reading::value,
                                                                     "is_last", &allocations_test::Reading::is_last);

namespace allocations_test {

inline namespace parts {

using gossip_test::eventually;
using gossip_test::patient;
using gossip_test::RedisServer;

using Bus = gossip::EventBus<gossip::BasicRedisProvider<gossip::FastCodec>>;

inline constexpr gossip::Topic<Reading> measured{"sensors.measured"};

/// Events as a bus sends them, made by the server itself: the test allocates for the command alone.
void send(const RedisServer& server, const std::string& command, std::size_t count) {
    const std::string message = R"({"Type":"sensors.measured","Timestamp":"2024-01-02T03:04:05.123456789Z",)"
                                R"("Data":{"sensor":7,"value":21.5,"is_last":false},"Metadata":{},)"
                                R"("Id":"0123456789abcdef0123456789abcdef"})";
    server.command(
        {"EVAL", "for i = 1, tonumber(ARGV[1]) do " + command + " end", "0", std::to_string(count), message});
}

/// Of all threads but the test's own, for each of many events that come in such bursts.
double allocations_of_an_event(gossip::RedisMode mode, std::size_t burst, bool by_pattern = false) {
    const std::string command =
        mode == gossip::RedisMode::streams
            ? "redis.call('XADD', 'a-prefix-of-channels:sensors.measured', '*', 'event', ARGV[2])"
            : "redis.call('PUBLISH', 'a-prefix-of-channels:sensors.measured', ARGV[2])";
    const std::size_t count = burst == 1 ? 500 : 20 * burst;
    const RedisServer server;
    Bus bus(patient({.url = server.url(),
                     .mode = mode,
                     .group = mode == gossip::RedisMode::streams ? "g" : "",
                     .prefix = "a-prefix-of-channels:"}),
            gossip::Config{.workers = 1});
    std::atomic<std::size_t> handled{0};
    const auto count_one = [&](const Reading& reading) { handled += reading.sensor == 7 ? 1U : 0U; };
    std::vector<gossip::Subscription> listens;
    if (by_pattern) {
        listens.push_back(bus.subscribe(gossip::Pattern("sensors.**"), [](const gossip::Event&) {}));
        listens.push_back(bus.subscribe(gossip::Pattern("*.measured"), [](const gossip::Event&) {}));
    }
    listens.push_back(bus.subscribe(measured, count_one));
    const auto come = [&](std::size_t all) {
        for (const std::size_t before = handled; handled < before + all;) {
            const std::size_t so_far = handled;
            send(server, command, burst);
            if (!eventually([&] { return handled == so_far + burst; }) || !bus.drain(std::chrono::seconds(60))) {
                return false;
            }
        }
        return true;
    };
    REQUIRE(come(count / 2));

    const support::AllocationCounter own;
    const std::size_t before = support::allocations_of_all_threads();
    REQUIRE(come(count));
    const std::size_t allocations = support::allocations_of_all_threads() - before - own.count();

    return static_cast<double>(allocations) / static_cast<double>(count);
}

constexpr double for_the_batches = 0.25; // what is allocated for many events together

} // namespace parts

TEST_CASE("an event that comes by Pub/Sub costs two allocations at the most", "[allocations]") {
    GOSSIP_NEEDS_REDIS()
    if (!support::allocations_are_counted()) {
        return;
    }
    const std::size_t burst = GENERATE(as<std::size_t>{}, 1, 1'000);

    const double each = allocations_of_an_event(gossip::RedisMode::pub_sub, burst);

    CAPTURE(burst, each);
    CHECK(each >= 1);
    CHECK(each <= 2 + for_the_batches);
}

TEST_CASE("an event that comes by Pub/Sub also for patterns costs no more", "[allocations]") {
    GOSSIP_NEEDS_REDIS()
    if (!support::allocations_are_counted()) {
        return;
    }

    const double each = allocations_of_an_event(gossip::RedisMode::pub_sub, 1'000, true);

    CAPTURE(each);
    CHECK(each >= 1);
    CHECK(each <= 2 + for_the_batches);
}

TEST_CASE("an event that comes by a stream costs two allocations at the most, its acknowledgement included",
          "[allocations]") {
    GOSSIP_NEEDS_REDIS()
    if (!support::allocations_are_counted()) {
        return;
    }
    const std::size_t burst = GENERATE(as<std::size_t>{}, 1, 1'000);

    const double each = allocations_of_an_event(gossip::RedisMode::streams, burst);

    CAPTURE(burst, each);
    CHECK(each >= 1);
    CHECK(each <= 2 + for_the_batches);
}

TEST_CASE("an event that is published costs no allocation, its confirmation included", "[allocations]") {
    GOSSIP_NEEDS_REDIS()
    if (!support::allocations_are_counted()) {
        return;
    }
    const gossip::RedisMode mode = GENERATE(gossip::RedisMode::pub_sub, gossip::RedisMode::streams);
    const std::size_t burst = GENERATE(as<std::size_t>{}, 1, 1'000);
    const RedisServer server;
    Bus bus(patient({.url = server.url(),
                     .mode = mode,
                     .group = mode == gossip::RedisMode::streams ? "g" : "",
                     .prefix = "a-prefix-of-channels:"}));
    const auto leave = [&](std::size_t all) {
        std::size_t accepted = 0;
        for (std::size_t i = 0; i < all; ++i) {
            accepted += bus.publish(measured, Reading{7, 21.5, false}) == gossip::PublishStatus::accepted ? 1U : 0U;
            if (i % burst == 0 && !bus.drain(std::chrono::seconds(60))) {
                return false;
            }
        }
        return bus.drain(std::chrono::seconds(60)) && accepted == all;
    };
    const std::size_t count = burst == 1 ? 500 : 20 * burst;
    REQUIRE(leave(count / 2));

    const std::size_t before = support::allocations_of_all_threads();
    const bool left = leave(count);
    const std::size_t allocations = support::allocations_of_all_threads() - before;

    REQUIRE(left);
    const double each = static_cast<double>(allocations) / static_cast<double>(count);
    CAPTURE(burst, each);
    CHECK(each <= for_the_batches);
}

} // namespace allocations_test
