#include <gossip/gossip.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <span>
#include <thread>

namespace owned_processor_test {

using namespace std::chrono_literals;

namespace owned_processor_test {

inline constexpr gossip::Topic<int> number{"test.number"};
inline constexpr gossip::Topic<> tick{"test.tick"};

struct Owner {
    int sum = 0;
    int events = 0;
    void add(const int& n) { sum += n; }
    gossip::Result check(gossip::Context&, const int& n) {
        sum += n;
        return n < 0 ? gossip::Result{gossip::ValidationError{"n", n, "must not be negative"}} : gossip::Result{};
    }
    void any(const gossip::Event&) { ++events; }
};

/// Holds its own membership, as objects that listen do.
struct SelfKeeping {
    gossip::Subscription subscription;
    std::atomic<bool>* gone = nullptr;
    ~SelfKeeping() { *gone = true; }
};

} // namespace owned_processor_test

using namespace owned_processor_test;

TEST_CASE("a member function of an owned object is a processor", "[owned_processor]") {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    const auto owner = std::make_shared<Owner>();
    auto a = bus.subscribe(number, std::weak_ptr(owner), &Owner::add);
    auto b = bus.subscribe(number, std::weak_ptr(owner), &Owner::check);
    auto c = bus.subscribe(gossip::Pattern{"test.*"}, std::weak_ptr(owner), &Owner::any);
    auto d = bus.subscribe(number, std::weak_ptr(owner), [] {});

    CHECK(bus.publish_sync(number, 3).processors() == 4);
    CHECK_FALSE(bus.publish_sync(number, -1).ok());

    CHECK(owner->sum == 4);
    CHECK(owner->events == 2);
}

TEST_CASE("a subscription with an owner ends when the owner is gone", "[owned_processor]") {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    auto owner = std::make_shared<Owner>();
    int calls = 0;
    auto s = bus.subscribe(tick, std::weak_ptr(owner), [&] { ++calls; });
    CHECK(owner.use_count() == 1);
    static_cast<void>(bus.publish_sync(tick));
    CHECK(s.active());

    owner.reset();
    CHECK(bus.publish_sync(tick).ok());

    CHECK(calls == 1);
    CHECK_FALSE(s.active());
    CHECK(bus.stats().subscriptions == 0);
    CHECK(bus.publish_sync(tick).processors() == 0);
}

TEST_CASE("an owner that is gone already makes an inert subscription", "[owned_processor]") {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    std::weak_ptr<Owner> gone;

    auto s = bus.subscribe(tick, gone, [] {});

    CHECK_FALSE(s.active());
    CHECK(bus.stats().subscriptions == 0);
}

TEST_CASE("an owner lives while its processor runs", "[owned_processor]") {
    gossip::EventBus bus{gossip::Config{.workers = 1}};
    auto owner = std::make_shared<Owner>();
    std::weak_ptr<Owner> watch = owner;
    gossip_test::Gate begun;
    gossip_test::Gate go_on;
    std::atomic<bool> alive{false};
    auto s = bus.subscribe(tick, watch, [&] {
        begun.open();
        go_on.pass();
        alive = !watch.expired();
    });
    bus.publish(tick);
    REQUIRE(begun.pass());
    owner.reset();
    go_on.open();
    CHECK(bus.drain(20s));

    CHECK(alive);
    CHECK(watch.expired());
}

TEST_CASE("an owner that holds its own subscription may die in its own processor", "[owned_processor]") {
    const gossip_test::Bounded bounded("an owner that dies in its processor");
    for ([[maybe_unused]] const int round : gossip_test::Rounds(200)) {
        gossip::EventBus bus{gossip::Config{.workers = 2}};
        std::atomic<bool> gone{false};
        auto owner = std::make_shared<SelfKeeping>();
        owner->gone = &gone;
        gossip_test::Gate begun;
        owner->subscription = bus.subscribe(tick, std::weak_ptr(owner), [&begun] { begun.open(); });
        bus.publish(tick);
        bus.publish(tick);
        REQUIRE(begun.pass());
        owner.reset(); // whoever holds the last share, this thread or a worker, ends the subscription
        REQUIRE(bus.drain(20s));
        REQUIRE(gone);
        REQUIRE(bus.stats().subscriptions == 0);
    }
}

TEST_CASE("a batch of an owner that has gone runs nothing, and its events are handled", "[owned_processor]") {
    gossip::testing::ManualClock clock;
    gossip::EventBus bus{gossip::Config{.workers = 0, .clock = &clock}};
    auto owner = std::make_shared<Owner>();
    int runs = 0;
    auto s = bus.subscribe(
        number, std::weak_ptr(owner),
        gossip::batch<int>({.size = 10, .period = 1s}, [&, raw = owner.get()](std::span<const int> numbers) {
            ++runs;
            raw->sum += static_cast<int>(numbers.size());
        }));
    bus.publish(number, 1);
    bus.poll();
    clock.advance(1s);
    bus.poll();
    CHECK(runs == 1);
    CHECK(owner->sum == 1);

    bus.publish(number, 2);
    bus.poll();
    owner.reset();
    clock.advance(1s);
    bus.poll();

    CHECK(runs == 1);
    CHECK(bus.stats().handled == 2);
}

TEST_CASE("an owner lives while its batch runs", "[owned_processor]") {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    auto owner = std::make_shared<Owner>();
    const std::weak_ptr<Owner> watch = owner;
    bool alive = false;
    auto s = bus.subscribe(number, watch, gossip::batch<int>({.size = 2}, [&](std::span<const gossip::Event>) {
                               owner.reset();
                               alive = !watch.expired();
                               gossip::BatchResult result;
                               result.fail(1, gossip::errors::fatal);
                               return result;
                           }));

    bus.publish(number, 1);
    bus.publish(number, 2);
    bus.poll();

    CHECK(alive);
    CHECK(watch.expired());
    CHECK(bus.stats().handled == 1);
    CHECK(bus.stats().failed == 1);
}

TEST_CASE("an owner lives as long as a run that nobody waits for any more", "[owned_processor]") {
    gossip::testing::ManualClock clock;
    gossip::EventBus bus{gossip::Config{.workers = 1, .clock = &clock}};
    auto owner = std::make_shared<Owner>();
    const std::weak_ptr<Owner> watch = owner;
    gossip_test::Gate begun;
    gossip_test::Gate go_on;
    std::atomic<bool> alive{false};
    auto s = bus.subscribe(tick, watch, gossip::middleware::timeout_detached(1s)([&] {
                               begun.open();
                               go_on.pass();
                               alive = !watch.expired();
                           }));
    bus.publish(tick);
    REQUIRE(begun.pass());
    clock.advance(1s);
    REQUIRE(gossip_test::eventually([&] { return bus.stats().failed == 1; }));

    owner.reset();
    go_on.open();
    bus.shutdown();

    CHECK(alive);
    CHECK(watch.expired());
}

TEST_CASE("a member function of an owned object can stand in middleware, for names and patterns too",
          "[owned_processor]") {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    auto owner = std::make_shared<Owner>();
    const auto twice = gossip::middleware::duplicate_every(1);
    auto a = bus.subscribe(number, std::weak_ptr(owner), twice(&Owner::add));
    auto b = bus.subscribe(gossip::EventType{"test.number"}, std::weak_ptr(owner), &Owner::any);

    CHECK(bus.publish_sync(number, 3).ok());
    CHECK(owner->sum == 6);
    CHECK(owner->events == 1);
    owner.reset();
    CHECK(bus.publish_sync(number, 3).ok());

    CHECK(bus.stats().subscriptions == 0);
}

TEST_CASE("a failing owned processor is told apart by its subscription", "[owned_processor]") {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    const auto owner = std::make_shared<Owner>();
    auto s = bus.subscribe(number, std::weak_ptr(owner), &Owner::check, {.name = "checker"});

    const gossip::SyncResult result = bus.publish_sync(number, -1);

    REQUIRE(result.failures().size() == 1);
    CHECK(result.failures()[0].name == "checker");
    CHECK(result.failures()[0].subscription == s.id());
    CHECK(gossip::is_validation(result.errors()[0]));
}

} // namespace owned_processor_test
