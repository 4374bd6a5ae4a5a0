#include <gossip/gossip.hpp>
#include <gossip/testing.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace subscribing_test {

using namespace std::chrono_literals;

namespace subscribing_test {

using gossip_test::a_moment;
using gossip_test::Bounded;
using gossip_test::eventually;
using gossip_test::Gate;

inline constexpr gossip::Topic<int> number{"test.number"};
inline constexpr gossip::Topic<std::string> text{"test.text"};
inline constexpr gossip::Topic<> tick{"test.tick"};

/// A bus that the test pumps.
gossip::Config by_hand() { return {.workers = 0, .buffer_size = 256}; }

struct Member {
    int seen = 0;
    void take(const int& data) { seen += data; }
};

} // namespace subscribing_test

using namespace subscribing_test;

// What can be subscribed

TEST_CASE("every form of a processor gets the event", "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    int calls = 0;
    auto data = bus.subscribe(number, [&](const int& n) { calls += n == 7; });
    auto by_value = bus.subscribe(number, [&](int n) { calls += n == 7; });
    auto typed = bus.subscribe(number, [&](const gossip::TypedEvent<int>& e) { calls += *e == 7; });
    auto untyped = bus.subscribe(number, [&](const gossip::Event& e) { calls += e.data<int>() == 7; });
    auto nothing = bus.subscribe(number, [&] { ++calls; });
    auto context_data =
        bus.subscribe(number, [&](gossip::Context& c, const int& n) { calls += n == 7 && c.attempt() == 1; });
    auto context_typed =
        bus.subscribe(number, [&](gossip::Context&, const gossip::TypedEvent<int>& e) { calls += *e == 7; });
    auto context_event =
        bus.subscribe(number, [&](gossip::Context&, const gossip::Event& e) { calls += e.has_data(); });
    auto context_alone = bus.subscribe(number, [&](gossip::Context&) { ++calls; });
    auto result = bus.subscribe(number, [&](const int&) -> gossip::Result { return ++calls, gossip::Result{}; });
    auto error = bus.subscribe(tick, [&]() -> gossip::Error { return gossip::ProcessingError{"always"}; });
    auto owning = bus.subscribe(number, [&, kept = std::make_unique<int>(7)](const int& n) { calls += n == *kept; });

    const gossip::SyncResult sync = bus.publish_sync(number, 7);

    CHECK(sync.ok());
    CHECK(sync.processors() == 11);
    CHECK(calls == 11);
    CHECK_FALSE(bus.publish_sync(tick).ok());
}

TEST_CASE("a processor that returns an error, or throws anything, has failed", "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    auto a = bus.subscribe(tick, []() -> gossip::Result { return gossip::RetryableError{"returned"}; });
    auto b = bus.subscribe(tick, [] { throw gossip::ValidationError{"field", 1, "rule"}; });
    auto c = bus.subscribe(tick, [] { throw std::runtime_error{"foreign"}; });
    auto d = bus.subscribe(tick, [] { throw 1; });
    int after = 0;
    auto e = bus.subscribe(tick, [&] { ++after; });

    const gossip::SyncResult sync = bus.publish_sync(tick);

    REQUIRE(sync.errors().size() == 4);
    CHECK(gossip::is_retryable(sync.errors()[0]));
    CHECK(gossip::is_validation(sync.errors()[1]));
    CHECK(sync.failures()[2].subscription == c.id());
    CHECK(after == 1);
}

TEST_CASE("subscribe_many is one subscription that hears each of its names once", "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    int seen = 0;
    auto many = bus.subscribe_many({number.type(), tick.type(), tick.type()}, [&](const gossip::Event&) { ++seen; });

    CHECK(bus.stats().subscriptions == 1);
    CHECK(bus.publish_sync(tick).processors() == 1);
    CHECK(bus.publish_sync(number, 1).processors() == 1);
    CHECK(bus.publish_sync(text, "not this").processors() == 0);
    CHECK(seen == 2);

    many.unsubscribe();

    CHECK(bus.publish_sync(tick).processors() == 0);
    CHECK(bus.publish_sync(number, 1).processors() == 0);
}

TEST_CASE("a pattern hears names that were known before it and names that come later", "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    std::vector<std::string> heard;
    const auto say = [&bus](const char* name) {
        return bus.publish_sync(gossip::Event{gossip::Topic<>{gossip::EventType{name}}});
    };
    static_cast<void>(say("order.created"));

    auto one =
        bus.subscribe(gossip::Pattern{"order.*"}, [&](const gossip::Event& e) { heard.emplace_back(e.type().name()); });

    CHECK(say("order.created").processors() == 1);
    CHECK(say("order.paid").processors() == 1);
    CHECK(say("order").processors() == 0);
    CHECK(say("order.item.added").processors() == 0);
    CHECK(heard == std::vector<std::string>{"order.created", "order.paid"});
}

TEST_CASE("a closing ** hears one segment or more, and a subscription sees an event once whatever matches",
          "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    int seen = 0;
    auto all = bus.subscribe(gossip::Pattern{"order.**"}, [&](const gossip::Event&) { ++seen; });
    const auto say = [&bus](const char* name) {
        return bus.publish_sync(gossip::Event{gossip::Topic<>{gossip::EventType{name}}});
    };

    CHECK(say("order").processors() == 0);
    CHECK(say("order.created").processors() == 1);
    CHECK(say("order.item.added").processors() == 1);
    CHECK(seen == 2);
}

TEST_CASE("names of the library match no pattern that does not spell it", "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    int everything = 0;
    int letters = 0;
    auto failing = bus.subscribe(tick, []() -> gossip::Result { return gossip::ProcessingError{"no"}; });
    auto all = bus.subscribe(gossip::Pattern{"**"}, [&](const gossip::Event&) { ++everything; });
    auto spelled = bus.subscribe(gossip::Pattern{"gossip.*"}, [&](const gossip::Event&) { ++letters; });

    bus.publish(tick);
    REQUIRE(bus.drain(20s));

    CHECK(everything == 1);
    CHECK(letters == 1);
}

TEST_CASE("processors run in the order of their subscription, patterns included", "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    std::string order;
    auto a = bus.subscribe(tick, [&] { order += 'a'; });
    auto b = bus.subscribe(gossip::Pattern{"test.*"}, [&](const gossip::Event&) { order += 'b'; });
    auto c = bus.subscribe(tick, [&] { order += 'c'; });
    auto d = bus.subscribe_many({tick.type()}, [&](const gossip::Event&) { order += 'd'; });
    static_cast<void>(bus.publish_sync(tick));
    b.unsubscribe();
    b = bus.subscribe(gossip::Pattern{"**"}, [&](const gossip::Event&) { order += 'B'; });
    static_cast<void>(bus.publish_sync(tick));

    CHECK(order == "abcdacdB");
}

TEST_CASE("a subscription of higher priority runs first, equal ones in the order of their subscription",
          "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    std::string order;
    auto a = bus.subscribe(tick, [&] { order += 'a'; });
    auto b = bus.subscribe(tick, [&] { order += 'b'; }, {.priority = 5});
    auto c = bus.subscribe(gossip::Pattern{"test.*"}, [&](const gossip::Event&) { order += 'c'; }, {.priority = 5});
    auto d = bus.subscribe(tick, [&] { order += 'd'; }, {.priority = -1});
    auto e = bus.subscribe(tick, [&] { order += 'e'; });

    static_cast<void>(bus.publish_sync(tick));

    CHECK(order == "bcaed");
}

TEST_CASE("bad subscribe options are refused with the field, the value and the rule", "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    const auto refused = [&](gossip::SubscribeOptions options) -> std::string {
        try {
            auto s = bus.subscribe(
                tick, [] {}, std::move(options));
        } catch (const gossip::ValidationError& error) {
            return std::string(error.field());
        }
        return "accepted";
    };

    CHECK(refused({.redelivery = {.attempts = 0}}) == "redelivery.attempts");
    CHECK(refused({.redelivery = {.attempts = 2, .first_delay = -1ns}}) == "redelivery.first_delay");
    CHECK(refused({.redelivery = {.attempts = 2, .max_delay = -1ns}}) == "redelivery.max_delay");
    CHECK(refused({.redelivery = {.attempts = 2, .max_delay = std::chrono::nanoseconds::max()}}) ==
          "redelivery.max_delay");
    CHECK(refused({.redelivery = {.attempts = 2, .growth = 0.5}}) == "redelivery.growth");
    CHECK(refused({.redelivery = {.attempts = 2, .growth = std::numeric_limits<double>::quiet_NaN()}}) ==
          "redelivery.growth");
    CHECK(refused({.redelivery = {.attempts = 2, .jitter = 1.5}}) == "redelivery.jitter");
    CHECK(bus.stats().subscriptions == 0);
}

// The Subscription

TEST_CASE("a subscription ends with its scope, and says whether it is active", "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    int seen = 0;
    {
        const auto s = bus.subscribe(tick, [&] { ++seen; });
        CHECK(s.active());
        CHECK(bus.publish_sync(tick).processors() == 1);
    }
    CHECK(bus.publish_sync(tick).processors() == 0);
    CHECK(seen == 1);
    CHECK_FALSE(gossip::Subscription{}.active());
}

TEST_CASE("moving a subscription moves the membership, assigning ends the one before", "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    std::string order;
    auto a = bus.subscribe(tick, [&] { order += 'a'; });
    auto b = bus.subscribe(tick, [&] { order += 'b'; });
    gossip::Subscription moved = std::move(a);
    CHECK_FALSE(a.active());
    CHECK(moved.active());

    moved = std::move(b);

    static_cast<void>(bus.publish_sync(tick));
    CHECK(order == "b");
    auto& same = moved;
    moved = std::move(same);
    CHECK(moved.active());
}

TEST_CASE("unsubscribe may be called twice, by id it says whether there was something to end", "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    auto s = bus.subscribe(tick, [] {});
    const gossip::SubscriptionId id = s.id();

    CHECK(bus.unsubscribe(id));
    CHECK_FALSE(bus.unsubscribe(id));
    CHECK_FALSE(s.active());
    s.unsubscribe();
    s.unsubscribe();
    CHECK_FALSE(bus.unsubscribe(gossip::SubscriptionId{}));
    CHECK_FALSE(bus.unsubscribe(gossip::SubscriptionId{~std::uint64_t{0}}));
}

TEST_CASE("a detached processor stays until it is unsubscribed by its id", "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    int seen = 0;
    gossip::SubscriptionId id;
    {
        auto s = bus.subscribe(tick, [&] { ++seen; });
        id = s.detach();
        CHECK_FALSE(s.active());
    }
    static_cast<void>(bus.publish_sync(tick));
    CHECK(seen == 1);
    CHECK(bus.unsubscribe(id));
    static_cast<void>(bus.publish_sync(tick));
    CHECK(seen == 1);
}

TEST_CASE("subscription ids are never reused", "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    std::set<gossip::SubscriptionId> ids;
    for (int i = 0; i < 1000; ++i) {
        auto s = bus.subscribe(tick, [] {});
        ids.insert(s.id());
    }
    CHECK(ids.size() == 1000);
    CHECK(ids.count(gossip::SubscriptionId{}) == 0);
}

TEST_CASE("an id of one bus names nothing on another", "[subscribing]") {
    gossip::EventBus mine{by_hand()};
    gossip::EventBus other{by_hand()};
    auto kept = mine.subscribe(tick, [] {});
    auto theirs = other.subscribe(tick, [] {});

    CHECK_FALSE(other.unsubscribe(kept.id()));
    CHECK_FALSE(mine.unsubscribe(theirs.id()));

    CHECK(kept.active());
    CHECK(theirs.active());
}

TEST_CASE("what a processor owns is gone when its unsubscribe has returned", "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    auto owned = std::make_shared<int>(1);
    auto s = bus.subscribe(tick, [owned] {});
    static_cast<void>(bus.publish_sync(tick));
    REQUIRE(owned.use_count() == 2);

    s.unsubscribe();

    CHECK(owned.use_count() == 1);
}

TEST_CASE("what a processor owns is gone with a bus whose subscriptions are gone", "[subscribing]") {
    auto owned = std::make_shared<int>(1);
    {
        gossip::EventBus bus{gossip::Config{.workers = 1}};
        static_cast<void>(bus.subscribe(tick, [owned] {}).detach());
        bus.publish(tick);
    }
    CHECK(owned.use_count() == 1);
}

// The end of a subscription

TEST_CASE("when unsubscribe returns the processor is not running on any other thread and never runs again",
          "[subscribing]") {
    gossip::EventBus bus{gossip::Config{.workers = 2, .buffer_size = 64}};
    const Bounded bounded("unsubscribe against runs");
    std::atomic<bool> stop{false};
    std::thread publisher([&] {
        while (!stop) {
            bus.publish(tick);
        }
    });
    int violations = 0;
    for (const int round : gossip_test::Rounds(500)) {
        struct Probe {
            std::atomic<int> running{0};
            std::atomic<int> runs{0};
            std::atomic<bool> over{false};
            std::atomic<int> late{0};
        };
        Probe probe;
        auto s = bus.subscribe(tick, [&probe] {
            ++probe.running;
            probe.late += probe.over ? 1 : 0;
            std::this_thread::yield();
            ++probe.runs;
            --probe.running;
        });
        static_cast<void>(eventually([&] { return probe.runs >= round % 4; }));
        s.unsubscribe();
        violations += probe.running != 0 ? 1 : 0;
        probe.over = true;
        std::this_thread::yield();
        violations += probe.late;
    }
    stop = true;
    publisher.join();
    CHECK(violations == 0);
}

TEST_CASE("unsubscribe waits for a run that publish_sync started on a thread of the user's", "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    Gate begun;
    Gate go_on;
    std::atomic<bool> finished{false};
    std::atomic<bool> ended{false};
    auto s = bus.subscribe(tick, [&] {
        begun.open();
        go_on.pass();
        finished = true;
    });
    std::thread runner([&] { static_cast<void>(bus.publish_sync(tick)); });
    REQUIRE(begun.pass());

    bool finished_before_end = false;
    std::thread ender([&] {
        s.unsubscribe();
        finished_before_end = finished;
        ended = true;
    });
    REQUIRE(eventually([&] { return bus.stats().subscriptions == 0; }));
    CHECK_FALSE(ended);
    go_on.open();
    ender.join();
    runner.join();

    CHECK(finished_before_end);
}

TEST_CASE("a processor that unsubscribes itself finishes its run, and never runs again", "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    const Bounded bounded("unsubscribe from inside");
    auto owned = std::make_shared<int>(0);
    gossip::Subscription s;
    s = bus.subscribe(tick, [owned, &s] {
        s.unsubscribe();
        ++*owned; // still there
    });
    bus.publish(tick);
    bus.publish(tick);

    CHECK(bus.drain(20s));

    CHECK(*owned == 1);
    CHECK(bus.stats().handled + bus.stats().unrouted == 2);
    CHECK(bus.publish_sync(tick).processors() == 0);
    auto other = bus.subscribe(number, [] {}); // any change lets go of what is not used any more
    CHECK(owned.use_count() == 1);
}

TEST_CASE("a processor that unsubscribes itself waits for its run on another thread", "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    Gate both;
    Gate go_on;
    std::atomic<int> running{0};
    std::atomic<int> others_at_return{-1};
    gossip::Subscription s;
    s = bus.subscribe(number, [&](int me) {
        if (++running == 2) {
            both.open();
        }
        if (me == 0) {
            both.pass();
            s.unsubscribe();
            others_at_return = running - 1;
        } else {
            go_on.pass();
        }
        --running;
    });
    std::thread a([&] { static_cast<void>(bus.publish_sync(number, 0)); });
    std::thread b([&] { static_cast<void>(bus.publish_sync(number, 1)); });
    REQUIRE(eventually([&] { return bus.stats().subscriptions == 0; }));
    CHECK(others_at_return == -1);
    go_on.open();
    a.join();
    b.join();

    CHECK(others_at_return == 0);
}

TEST_CASE("the destructor of a subscription that ended itself waits for the run in which it did", "[subscribing]") {
    const bool by_id_outside = GENERATE(false, true);
    gossip::EventBus bus{gossip::Config{.workers = 1}};
    const Bounded bounded("a second end");
    Gate ended;
    Gate go_on;
    std::atomic<bool> over{false};
    std::atomic<int> over_at_return{-1};
    std::atomic<gossip::SubscriptionId> id{};
    auto s = bus.subscribe(tick, [&] {
        bus.unsubscribe(id);
        ended.open();
        go_on.pass();
        over = true;
    });
    id = s.id();
    bus.publish(tick);
    REQUIRE(ended.pass());

    std::thread ender([&] {
        if (by_id_outside) {
            bus.unsubscribe(id);
        } else {
            gossip::Subscription scope = std::move(s);
        }
        over_at_return = over ? 1 : 0;
    });
    a_moment(1000);
    CHECK(over_at_return == -1);
    go_on.open();
    ender.join();

    CHECK(over_at_return == 1);
}

TEST_CASE("two processors that end each other at once do not deadlock, and both keep what they own", "[subscribing]") {
    const Bounded bounded("a cycle of two");
    for ([[maybe_unused]] const int round : gossip_test::Rounds(50)) {
        gossip::EventBus bus{by_hand()};
        std::array<gossip::Subscription, 2> s;
        std::array<std::shared_ptr<std::atomic<int>>, 2> owned{std::make_shared<std::atomic<int>>(0),
                                                               std::make_shared<std::atomic<int>>(0)};
        std::atomic<int> inside{0};
        for (std::size_t i = 0; i < 2; ++i) {
            s[i] = bus.subscribe(gossip::EventType{i == 0 ? "test.a" : "test.b"},
                                 [&s, &inside, i, mine = owned[i]](const gossip::Event&) {
                                     ++inside;
                                     static_cast<void>(eventually([&] { return inside >= 2; }));
                                     s[1 - i].unsubscribe();
                                     ++*mine; // of the processor's own state, which must still be there
                                     a_moment(100);
                                     ++*mine;
                                 });
        }
        std::thread a(
            [&] { static_cast<void>(bus.publish_sync(gossip::Event{gossip::Topic<>{gossip::EventType{"test.a"}}})); });
        std::thread b(
            [&] { static_cast<void>(bus.publish_sync(gossip::Event{gossip::Topic<>{gossip::EventType{"test.b"}}})); });
        a.join();
        b.join();

        REQUIRE(*owned[0] == 2);
        REQUIRE(*owned[1] == 2);
        REQUIRE(bus.stats().subscriptions == 0);
    }
}

TEST_CASE("three processors that end each other in a ring do not deadlock", "[subscribing]") {
    const Bounded bounded("a cycle of three");
    for ([[maybe_unused]] const int round : gossip_test::Rounds(50)) {
        gossip::EventBus bus{gossip::Config{.workers = 3, .buffer_size = 16}};
        std::array<gossip::Subscription, 3> s;
        const std::array<gossip::EventType, 3> names{gossip::EventType{"test.a"}, gossip::EventType{"test.b"},
                                                     gossip::EventType{"test.c"}};
        std::atomic<int> inside{0};
        std::atomic<int> done{0};
        for (std::size_t i = 0; i < 3; ++i) {
            s[i] = bus.subscribe(names[i], [&, i, mine = std::make_unique<int>(0)](const gossip::Event&) {
                ++inside;
                static_cast<void>(eventually([&] { return inside >= 3; }));
                s[(i + 1) % 3].unsubscribe();
                done += ++*mine;
            });
        }
        for (const auto& name : names) {
            bus.publish(gossip::Event{gossip::Topic<>{name}});
        }
        REQUIRE(bus.drain(20s));
        REQUIRE(done == 3);
    }
}

TEST_CASE("where waiting for one run would close a cycle, the others are waited for", "[subscribing]") {
    // A runs on two threads, the first of which waits for B; B ends A: it waits for the second run of A alone.
    const Bounded bounded("a cycle beside a run");
    gossip::EventBus bus{by_hand()};
    gossip::Subscription a;
    gossip::Subscription b;
    std::atomic<int> inside{0};
    std::atomic<bool> plain_run_over{false};
    std::atomic<int> over_at_return{-1};
    Gate go_on;
    a = bus.subscribe(number, [&](int which) {
        ++inside;
        if (which == 0) {
            static_cast<void>(eventually([&] { return inside == 3; }));
            b.unsubscribe();
        } else {
            go_on.pass();
            plain_run_over = true;
        }
    });
    b = bus.subscribe(tick, [&] {
        ++inside;
        static_cast<void>(eventually([&] { return inside == 3; }));
        a.unsubscribe();
        over_at_return = plain_run_over ? 1 : 0;
    });
    std::thread first([&] { static_cast<void>(bus.publish_sync(number, 0)); });
    std::thread second([&] { static_cast<void>(bus.publish_sync(number, 1)); });
    std::thread third([&] { static_cast<void>(bus.publish_sync(tick)); });
    REQUIRE(eventually([&] { return bus.stats().subscriptions == 0; }));
    a_moment(100);
    CHECK(over_at_return == -1);
    go_on.open();
    first.join();
    second.join();
    third.join();

    CHECK(over_at_return == 1);
}

TEST_CASE("a processor added while an event is being handled does not see that event", "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    std::string order;
    std::vector<gossip::Subscription> added;
    auto first = bus.subscribe(tick, [&] {
        order += 'a';
        if (added.empty()) {
            added.push_back(bus.subscribe(tick, [&] { order += 'b'; }));
            added.push_back(bus.subscribe(gossip::Pattern{"test.*"}, [&](const gossip::Event&) { order += 'c'; }));
        }
    });
    bus.publish(tick);
    bus.publish(tick);

    CHECK(bus.drain(20s));

    CHECK(order == "aabc");
}

TEST_CASE("a processor removed while an event is being handled and not yet called is not called", "[subscribing]") {
    gossip::EventBus bus{by_hand()};
    std::string order;
    gossip::Subscription b;
    auto a = bus.subscribe(tick, [&] {
        order += 'a';
        b.unsubscribe();
    });
    b = bus.subscribe(tick, [&] { order += 'b'; });
    auto c = bus.subscribe(tick, [&] { order += 'c'; });

    bus.publish(tick);
    CHECK(bus.drain(20s));

    CHECK(order == "ac");
    CHECK(bus.stats().handled == 1);
}

TEST_CASE("unsubscribing ends redeliveries that wait: they are dead-lettered with the attempts they had",
          "[subscribing]") {
    gossip::testing::ManualClock clock;
    gossip::EventBus bus{gossip::Config{.workers = 0, .clock = &clock}};
    std::vector<int> attempts;
    auto letters = bus.subscribe(gossip::dead_letter,
                                 [&](const gossip::DeadLetter& letter) { attempts.push_back(letter.attempts); });
    int runs = 0;
    auto s = bus.subscribe(tick, [&]() -> gossip::Result { return ++runs, gossip::RetryableError{"later"}; },
                           {.redelivery = {.attempts = 5, .first_delay = 1s, .jitter = 0}});
    bus.publish(tick);
    CHECK_FALSE(bus.drain(20s));
    REQUIRE(bus.stats().redelivered == 1);

    s.unsubscribe();

    CHECK(bus.drain(20s));
    CHECK(attempts == std::vector<int>{1});
    CHECK(bus.stats().failed == 1);
    clock.advance(1h);
    CHECK(bus.drain(20s));
    CHECK(runs == 1);
    CHECK(bus.stats().adds_up());
}

TEST_CASE("unsubscribing from a redelivery that is due ends the ones behind it with the attempts they had",
          "[subscribing]") {
    gossip::testing::ManualClock clock;
    gossip::EventBus bus{gossip::Config{.workers = 0, .clock = &clock}};
    std::vector<int> attempts;
    auto letters = bus.subscribe(gossip::dead_letter,
                                 [&](const gossip::DeadLetter& letter) { attempts.push_back(letter.attempts); });
    const gossip::SubscribeOptions again{.redelivery = {.attempts = 5, .first_delay = 1s, .jitter = 0}};
    gossip::Subscription second;
    auto first = bus.subscribe(
        tick,
        [&](gossip::Context& context) -> gossip::Result {
            if (context.attempt() == 1) {
                return gossip::RetryableError{"once"};
            }
            second.unsubscribe();
            return {};
        },
        again);
    int runs = 0;
    second = bus.subscribe(
        number, [&]() -> gossip::Result { return ++runs, gossip::RetryableError{"always"}; }, again);
    bus.publish(tick);
    bus.publish(number, 1);
    CHECK_FALSE(bus.drain(20s));
    REQUIRE(bus.stats().redelivered == 2);

    clock.advance(1s);
    CHECK(bus.drain(20s));

    CHECK(runs == 1);
    CHECK(attempts == std::vector<int>{1});
    CHECK(bus.stats().handled == 1);
    CHECK(bus.stats().failed == 1);
}

TEST_CASE("a deferral that fails after its subscription has ended is dead-lettered at once", "[subscribing]") {
    gossip::testing::ManualClock clock;
    gossip::EventBus bus{gossip::Config{.workers = 0, .clock = &clock}};
    int letters = 0;
    auto hears = bus.subscribe(gossip::dead_letter, [&] { ++letters; });
    std::optional<gossip::Deferral> open;
    auto s =
        bus.subscribe(tick, [&](gossip::Context& context) { open = context.defer(); }, {.redelivery = {.attempts = 3}});
    bus.publish(tick);
    CHECK_FALSE(bus.drain(20s));

    s.unsubscribe();
    open->fail(gossip::RetryableError{"late"});

    CHECK(bus.drain(20s));
    CHECK(letters == 1);
    CHECK(bus.stats().timers == 0);
}

TEST_CASE("a failure that races with unsubscribe leaves no redelivery behind", "[subscribing]") {
    const Bounded bounded("failure against unsubscribe");
    for (const int round : gossip_test::Rounds(2000)) {
        gossip::EventBus bus{by_hand()};
        std::optional<gossip::Deferral> open;
        auto s = bus.subscribe(tick, [&](gossip::Context& context) { open = context.defer(); },
                               {.redelivery = {.attempts = 3, .first_delay = 1h, .jitter = 0}});
        bus.publish(tick);
        REQUIRE(bus.poll() == 1);
        std::atomic<bool> go{false};
        std::thread failing([&] {
            while (!go) {
                std::this_thread::yield();
            }
            open->fail(gossip::RetryableError{"at the same time"});
        });
        go = true;
        s.unsubscribe();
        failing.join();
        INFO("round " << round);
        REQUIRE(bus.stats().timers == 0);
        REQUIRE(bus.stats().failed == 1);
    }
}

TEST_CASE("subscribing and unsubscribing on many threads while events pass loses no call", "[subscribing]") {
    const Bounded bounded("churn");
    gossip::EventBus bus{gossip::Config{.workers = 2, .buffer_size = 64}};
    std::atomic<int> constant_calls{0};
    auto constant = bus.subscribe(tick, [&] { ++constant_calls; });
    std::atomic<bool> stop{false};
    std::vector<std::thread> churners;
    for (int t = 0; t < 2; ++t) {
        churners.emplace_back([&bus, &stop, t] {
            while (!stop) {
                auto a = bus.subscribe(tick, [] {});
                auto b = bus.subscribe(gossip::Pattern{t == 0 ? "test.*" : "**"}, [](const gossip::Event&) {});
                auto c = bus.subscribe_many({tick.type(), number.type()}, [](const gossip::Event&) {});
                b.unsubscribe();
            }
        });
    }
    for (int i = 0; i < 3000; ++i) {
        bus.publish(tick);
    }
    CHECK(bus.drain(60s));
    stop = true;
    for (auto& thread : churners) {
        thread.join();
    }
    CHECK(constant_calls == 3000);
    CHECK(bus.stats().subscriptions == 1);
    CHECK(bus.stats().handled == 3000);
}

TEST_CASE("more names than the registry remembers are still delivered", "[subscribing]") {
    gossip::EventBus bus{gossip::Config{.workers = 0, .buffer_size = 64}};
    int seen = 0;
    auto all = bus.subscribe(gossip::Pattern{"name.*"}, [&](const gossip::Event&) { ++seen; });
    constexpr int names = 66'000;
    for (int i = 0; i < names; ++i) {
        static_cast<void>(
            bus.publish_sync(gossip::Event{gossip::Topic<>{gossip::EventType{"name.n" + std::to_string(i)}}}));
    }
    CHECK(seen == names);
    all.unsubscribe();
    CHECK(bus.publish_sync(gossip::Event{gossip::Topic<>{gossip::EventType{"name.n65999"}}}).processors() == 0);
    auto late = bus.subscribe(gossip::EventType{"name.n65998"}, [&](const gossip::Event&) { ++seen; });
    CHECK(bus.publish_sync(gossip::Event{gossip::Topic<>{gossip::EventType{"name.n65998"}}}).processors() == 1);
}

// After the bus

TEST_CASE("a subscription may outlive its bus, and is inert then", "[subscribing]") {
    gossip::Subscription s;
    {
        gossip::EventBus bus{gossip::Config{.workers = 1}};
        s = bus.subscribe(tick, [] {});
        CHECK(s.active());
    }
    s.unsubscribe();
    CHECK_FALSE(s.active());
}

TEST_CASE("subscribing after shutdown makes an inert subscription", "[subscribing]") {
    gossip::EventBus bus{gossip::Config{.workers = 1}};
    bus.shutdown();

    auto s = bus.subscribe(tick, [] {});

    CHECK_FALSE(s.active());
    CHECK(bus.stats().subscriptions == 0);
    CHECK_FALSE(bus.unsubscribe(s.id()));
}

TEST_CASE("subscribing without memory changes nothing, and unsubscribing needs none", "[subscribing]") {
    if (!support::allocations_are_counted()) {
        return; // this build does not let allocations fail
    }
    gossip::EventBus bus{by_hand()};
    auto other = bus.subscribe(gossip::Pattern{"test.*"}, [](const gossip::Event&) {});
    int subscribed = 0;
    for (int n = 0; subscribed < 20 && n < 1000; ++n) {
        const auto owned = std::make_shared<int>(0);
        const gossip::Topic<> topic{gossip::EventType{"test.memory.n" + std::to_string(n)}};
        gossip::Subscription s;
        bool refused = false;
        support::fail_allocation_after(n);
        try {
            s = bus.subscribe(topic, [owned] { ++*owned; });
        } catch (const std::bad_alloc&) {
            refused = true;
        }
        support::fail_allocation_after(-1);
        REQUIRE(bus.stats().subscriptions == (refused ? 1U : 2U));
        REQUIRE(bus.publish_sync(topic).processors() == (refused ? 0U : 1U));
        REQUIRE(*owned == (refused ? 0 : 1));
        if (refused) {
            REQUIRE(owned.use_count() == 1);
            continue;
        }
        support::fail_allocation_after(subscribed);
        const bool ended = bus.unsubscribe(s.id());
        support::fail_allocation_after(-1);
        REQUIRE(ended);
        REQUIRE(owned.use_count() == 1); // the callable is gone
        REQUIRE(bus.publish_sync(topic).processors() == 0);
        ++subscribed;
    }
    CHECK(subscribed == 20);
    CHECK(bus.stats().subscriptions == 1);
}

TEST_CASE("the end of a subscription waits for no error hook, once a redelivered run has returned", "[subscribing]") {
    const Bounded bounded("ending a subscription while the error hook waits for that");
    std::atomic<bool> ended{false};
    std::atomic<bool> ended_first{false};
    Gate inside;
    gossip::EventBus bus{gossip::Config{.workers = 1, .on_error = [&](const gossip::ErrorReport&) {
                                            ended_first = eventually([&] { return ended.load(); });
                                        }}};
    auto s = bus.subscribe(number,
                           [&](gossip::Context& context, const int&) -> gossip::Result {
                               if (context.attempt() == 2) {
                                   inside.open();
                                   static_cast<void>(eventually([&] { return bus.stats().subscriptions == 0; }));
                                   a_moment(10'000); // until the other one sleeps
                               }
                               return gossip::errors::retryable;
                           },
                           {.redelivery = {.attempts = 2, .first_delay = 0ns}});
    bus.publish(number, 1);
    REQUIRE(inside.pass());
    s.unsubscribe();
    ended = true;
    CHECK(bus.drain(20s));
    CHECK(ended_first);
    CHECK(bus.stats().failed == 1);
}

TEST_CASE("when unsubscribe returns, nobody is asking the subscription whether it wants redelivery", "[subscribing]") {
    const Bounded bounded("ending a subscription that is being asked");
    gossip::EventBus bus{gossip::Config{.workers = 1}};
    std::atomic<bool> ended{false};
    std::atomic<bool> asked_after_end{false};
    Gate inside;
    auto s =
        bus.subscribe(number, [](const int&) -> gossip::Result { return gossip::errors::retryable; },
                      {.redelivery = {.attempts = 2, .first_delay = 0ns, .when = [&](const gossip::Error&) {
                                          inside.open();
                                          static_cast<void>(eventually([&] { return bus.stats().subscriptions == 0; }));
                                          asked_after_end = eventually([&] { return ended.load(); }, 50ms);
                                          return true;
                                      }}});
    bus.publish(number, 1);
    REQUIRE(inside.pass());
    s.unsubscribe();
    ended = true;
    CHECK(bus.drain(20s));
    CHECK_FALSE(asked_after_end);
    CHECK(bus.stats().failed == 1);
}

} // namespace subscribing_test
