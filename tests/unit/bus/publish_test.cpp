#include <gossip/bus/event_bus.hpp>
#include <gossip/testing.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace publish_test {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::EventBus;
using gossip::Overflow;
using gossip::Priority;
using gossip::PublishStatus;

struct Owned {
    std::unique_ptr<int> pointer;
};
inline constexpr gossip::Topic<int> number{"publish.number"};
inline constexpr gossip::Topic<std::string> text{"publish.text"};
inline constexpr gossip::Topic<Owned> owned{"publish.owned"};
inline constexpr gossip::Topic<std::array<int, 40>> large{"publish.large"};
inline constexpr gossip::Topic<> tick{"publish.tick"};

TEST_CASE("what the options of a publish say is what the processor sees", "[bus][publish]") {
    int seen = 0;
    EventBus bus{Config{.workers = 0}};
    auto s = bus.subscribe(gossip::Pattern{"publish.*"}, [&](const gossip::Event& event) {
        ++seen;
        CHECK(event.key() == "k");
        CHECK(event.priority() == Priority::high);
        REQUIRE(event.metadata().size() == 4);
        CHECK(event.metadata().begin()->key == "s");
        CHECK(event.metadata().get<std::string>("s") == "text");
        CHECK(event.metadata().get<std::int64_t>("i") == -7);
        CHECK(event.metadata().get<double>("d") == 0.5);
        CHECK(event.metadata().get<bool>("b") == true);
    });
    const gossip::PublishOptions options{
        .key = "k", .priority = Priority::high, .metadata = {{"s", "text"}, {"i", -7}, {"d", 0.5}, {"b", true}}};

    CHECK(bus.publish(number, 1, options) == PublishStatus::accepted);
    CHECK(bus.publish(tick, options) == PublishStatus::accepted);
    CHECK(bus.try_publish(number, 1, options) == PublishStatus::accepted);
    CHECK(bus.try_publish(tick, options) == PublishStatus::accepted);
    CHECK(bus.publish_sync(number, 1, options).ok());
    CHECK(bus.publish_sync(tick, options).ok());
    bus.publish_after(0ns, number, 1, options);
    bus.publish_after(0ns, tick, options);
    CHECK(bus.drain(20s));
    CHECK(seen == 8);
}

TEST_CASE("publish stamps with the bus's clock; an event made by hand keeps the time of its making", "[bus][publish]") {
    gossip::testing::ManualClock clock;
    std::vector<std::chrono::system_clock::time_point> times;
    EventBus bus{Config{.workers = 0, .clock = &clock}};
    auto s = bus.subscribe(gossip::Pattern{"publish.*"},
                           [&](const gossip::Event& event) { times.push_back(event.timestamp()); });
    const auto begin = clock.wall();

    bus.publish(number, 1);
    clock.advance(1s);
    bus.publish(tick);
    bus.publish(number, 2, {.key = "k"});
    CHECK(bus.publish_sync(number, 2).ok());
    CHECK(bus.try_publish(number, 3) == PublishStatus::accepted);
    bus.publish_after(2s, number, 4);
    const gossip::Event made = gossip::Event{number, 5}.with_timestamp(begin - 5s);
    bus.publish(made);
    bus.publish_after(2s, made);
    bus.poll();
    clock.advance(2s);
    CHECK(bus.drain(20s));

    CHECK(times == std::vector<std::chrono::system_clock::time_point>{begin + 1s, begin, begin + 1s, begin + 1s,
                                                                      begin + 1s, begin - 5s, begin + 3s, begin - 5s});
}

TEST_CASE("a topic declared twice with different types is seen when it is published: who wants the other type fails",
          "[bus][publish]") {
    constexpr gossip::Topic<std::string> other_number{"publish.number"};
    std::vector<std::string> letters;
    int heard = 0;
    EventBus bus{Config{.workers = 0}};
    auto same = bus.subscribe(number, [&](const int&) { ++heard; });
    auto other = bus.subscribe(other_number, [&](const std::string&) { FAIL("there is no string"); });
    auto hears = bus.subscribe(gossip::dead_letter,
                               [&](const gossip::DeadLetter& letter) { letters.emplace_back(letter.error.what()); });

    bus.publish(number, 1);
    CHECK(bus.drain(20s));
    const gossip::SyncResult result = bus.publish_sync(number, 2);

    CHECK(heard == 2); // whoever wants what is there gets it
    CHECK(bus.stats().failed == 2);
    CHECK(letters == std::vector<std::string>{"type assertion failed: expected std::string, got int"});
    REQUIRE(result.errors().size() == 1);
    const auto error = gossip::as<gossip::TypeAssertionError>(result.errors()[0]);
    REQUIRE(error.has_value());
    CHECK(error->expected() == "std::string");
    CHECK(error->actual() == "int");
}

TEST_CASE("on a bus without a clock of its own the stamp is the system's time", "[bus][publish]") {
    std::chrono::system_clock::time_point time;
    EventBus bus{Config{.workers = 0}};
    auto s = bus.subscribe(number, [&](const gossip::TypedEvent<int>& event) { time = event.timestamp(); });
    const auto before = std::chrono::system_clock::now();
    bus.publish(number, 1);
    const auto after = std::chrono::system_clock::now();
    bus.poll();
    CHECK(time >= before - 2ms);
    CHECK(time <= after + 2ms);
}

TEST_CASE("try_publish never waits, and a refused event is still the caller's", "[bus][publish]") {
    const auto key = GENERATE("", "k");
    const auto priority = GENERATE(Priority::normal, Priority::low);
    EventBus bus{Config{.workers = 0, .buffer_size = 2}};
    const gossip::PublishOptions options{.key = key, .priority = priority};
    CHECK(bus.try_publish(tick, options) == PublishStatus::accepted);
    CHECK(bus.try_publish(tick, options) == PublishStatus::accepted);

    Owned data{std::make_unique<int>(7)};
    CHECK(bus.try_publish(owned, std::move(data), options) == PublishStatus::full);
    REQUIRE(data.pointer != nullptr);
    CHECK(*data.pointer == 7);
    std::string words(100, 'x');
    CHECK(bus.try_publish(text, std::move(words), options) == PublishStatus::full);
    CHECK(words == std::string(100, 'x'));
    gossip::Event event = gossip::Event{text, std::string(100, 'y')}.with_key(key).with_priority(priority);
    CHECK(bus.try_publish(event) == PublishStatus::full);
    CHECK(event.data<std::string>() == std::string(100, 'y'));
    CHECK(event.key() == key);
    CHECK(event.type() == text.type());
    CHECK(bus.stats().rejected == 3);

    CHECK(bus.poll() == 2);
    CHECK(bus.try_publish(event) == PublishStatus::accepted);
    CHECK(bus.try_publish(owned, std::move(data), options) == PublishStatus::accepted);
    CHECK(data.pointer == nullptr);
    bus.shutdown();
    gossip::Event late{text, std::string("late")};
    CHECK(bus.try_publish(late) == PublishStatus::closed);
    CHECK(late.data<std::string>() == "late");
}

TEST_CASE("try_publish from inside a processor of a full bus is refused, not spilled", "[bus][publish]") {
    PublishStatus said{};
    EventBus bus{Config{.workers = 0, .buffer_size = 2}};
    auto s = bus.subscribe(number, [&](const int& value) {
        if (value == 0) {
            bus.publish(number, 1);
            bus.publish(number, 1);
            said = bus.try_publish(number, 1);
        }
    });
    bus.publish(number, 0);
    CHECK(bus.drain(20s));
    CHECK(said == PublishStatus::full);
    CHECK(bus.stats().spilled == 0);
}

TEST_CASE("publish after shutdown says closed, in every way of publishing", "[bus][publish]") {
    EventBus bus{Config{.workers = 1}};
    bus.shutdown();

    CHECK(bus.publish(number, 1) == PublishStatus::closed);
    CHECK(bus.publish(large, {}) == PublishStatus::closed);
    CHECK(bus.publish(number, 1, {.key = "k"}) == PublishStatus::closed);
    CHECK(bus.publish(number, 1, {.priority = Priority::low}) == PublishStatus::closed);
    CHECK(bus.publish(tick) == PublishStatus::closed);
    CHECK(bus.publish(gossip::Event{number, 1}) == PublishStatus::closed);
    CHECK(bus.try_publish(number, 1) == PublishStatus::closed);
    CHECK_FALSE(bus.cancel(bus.publish_after(0ns, number, 1)));
    CHECK(bus.stats().accepted == 0);
    CHECK(bus.stats().rejected == 0);
}

TEST_CASE("a publish to a warm bus without key, priority and metadata allocates nothing for data of up to 64 bytes",
          "[bus][publish]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    const gossip::Topic<std::array<char, 64>> full{"publish.full"};
    EventBus bus{Config{.workers = 0, .buffer_size = 64}};
    auto s = bus.subscribe(full, [](const std::array<char, 64>&) {});
    bus.publish(full, {});
    bus.poll();

    const support::AllocationCounter counter;
    for (int i = 0; i < 200; ++i) {
        bus.publish(full, {});
        static_cast<void>(bus.publish_sync(full, {}).ok());
        bus.poll();
    }
    CHECK(counter.count() == 0);
}

} // namespace publish_test
