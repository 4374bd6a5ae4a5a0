#include <gossip/bus/event_bus.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace dead_letter_test {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::DeadLetter;
using gossip::EventBus;
using gossip::Result;

inline constexpr gossip::Topic<int> number{"letters.number"};

Result fail() { return gossip::RetryableError{"no"}; }

TEST_CASE("a failed event becomes one dead letter after its attempts, never one per attempt", "[bus][dead_letter]") {
    gossip::testing::ManualClock clock;
    std::vector<DeadLetter> letters;
    int runs = 0;
    EventBus bus{Config{.workers = 0, .clock = &clock}};
    auto s =
        bus.subscribe(number,
                      [&]() -> Result {
                          ++runs;
                          return gossip::RetryableError{"attempt " + std::to_string(runs)};
                      },
                      {.name = "payer", .redelivery = {.attempts = 4, .first_delay = 1s, .growth = 1, .jitter = 0}});
    auto d = bus.subscribe(gossip::dead_letter, [&](const DeadLetter& letter) { letters.push_back(letter); });

    const auto begin = clock.wall();
    bus.publish(number, 5, {.key = "k", .metadata = {{"source", "api"}}});
    for (int i = 0; i < 10; ++i) {
        bus.poll();
        clock.advance(1s);
    }
    REQUIRE(bus.drain(20s));

    CHECK(runs == 4);
    REQUIRE(letters.size() == 1);
    const DeadLetter& letter = letters[0];
    CHECK(letter.attempts == 4);
    CHECK(letter.subscription == "payer");
    CHECK(letter.event.data<int>() == 5);
    CHECK(letter.event.key() == "k");
    CHECK(letter.event.metadata().get<std::string>("source") == "api");
    CHECK(std::string(letter.error.what()).find("attempt 4") != std::string::npos);
    REQUIRE(letter.failures.size() == 1);
    CHECK(letter.failures[0].subscription == s.id());
    CHECK(letter.first_time == begin);
    CHECK(letter.last_time == begin + 3s);
    CHECK(bus.stats().dead_letters == 1);
    CHECK(bus.stats().failed == 1);
    CHECK(bus.stats().redelivered == 3);
    CHECK(bus.stats().adds_up());
}

TEST_CASE("an event that several processors failed becomes one dead letter with the first error and all of them",
          "[bus][dead_letter]") {
    std::vector<DeadLetter> letters;
    EventBus bus{Config{.workers = 0}};
    auto s1 = bus.subscribe(number, []() -> Result { return gossip::FatalError{"one"}; }, {.name = "a"});
    auto s2 = bus.subscribe(number, [] {}, {.name = "b"});
    auto s3 = bus.subscribe(number, [] { throw 3; }, {.name = "c"});
    auto d = bus.subscribe(gossip::dead_letter, [&](const DeadLetter& letter) { letters.push_back(letter); });

    bus.publish(number, 1);
    REQUIRE(bus.drain(20s));

    REQUIRE(letters.size() == 1);
    CHECK(letters[0].subscription == "a");
    CHECK(gossip::is_fatal(letters[0].error));
    REQUIRE(letters[0].failures.size() == 2);
    CHECK(letters[0].failures[0].name == "a");
    CHECK(letters[0].failures[1].name == "c");
    CHECK(bus.stats().failed == 1);
}

TEST_CASE("failures found at different times make one dead letter when the last attempt has been made",
          "[bus][dead_letter]") {
    gossip::testing::ManualClock clock;
    std::vector<DeadLetter> letters;
    EventBus bus{Config{.workers = 0, .clock = &clock}};
    auto s1 =
        bus.subscribe(number, fail, {.name = "again", .redelivery = {.attempts = 2, .first_delay = 1s, .jitter = 0}});
    auto s2 = bus.subscribe(number, fail, {.name = "once"});
    auto d = bus.subscribe(gossip::dead_letter, [&](const DeadLetter& letter) { letters.push_back(letter); });

    bus.publish(number, 1);
    bus.poll();
    CHECK(letters.empty());
    clock.advance(1s);
    REQUIRE(bus.drain(20s));

    REQUIRE(letters.size() == 1);
    CHECK(letters[0].failures.size() == 2);
    CHECK(letters[0].subscription == "once");
    CHECK(letters[0].attempts == 1);
}

TEST_CASE("a dead letter says when the event failed first, not when it was deferred or collected",
          "[bus][dead_letter]") {
    gossip::testing::ManualClock clock;
    std::vector<DeadLetter> letters;
    std::vector<gossip::Deferral> open;
    EventBus bus{Config{.workers = 0, .clock = &clock}};
    auto d = bus.subscribe(gossip::dead_letter, [&](const DeadLetter& letter) { letters.push_back(letter); });
    const auto begin = clock.wall();

    SECTION("a run") {
        auto s = bus.subscribe(number, [&] {
            clock.advance(10s);
            throw 1;
        });
        bus.publish(number, 1);
        REQUIRE(bus.drain(20s));
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].first_time == begin + 10s);
        CHECK(letters[0].last_time == begin + 10s);
    }
    SECTION("a deferral, then another attempt") {
        auto s = bus.subscribe(number,
                               [&](gossip::Context& context) -> Result {
                                   if (context.attempt() == 1) {
                                       open.push_back(context.defer());
                                       return {};
                                   }
                                   return gossip::errors::retryable;
                               },
                               {.redelivery = {.attempts = 2, .first_delay = 5s, .jitter = 0}});
        bus.publish(number, 1);
        bus.poll();
        clock.advance(10s);
        open[0].fail(gossip::errors::retryable);
        clock.advance(5s);
        REQUIRE(bus.drain(20s));
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].first_time == begin + 10s);
        CHECK(letters[0].last_time == begin + 15s);
    }
    SECTION("a processor, while a deferral stays open") {
        auto s = bus.subscribe(number, [&](gossip::Context& context) {
            open.push_back(context.defer());
            clock.advance(1s);
        });
        auto t = bus.subscribe(number, fail);
        bus.publish(number, 1);
        bus.poll();
        clock.advance(10s);
        open[0].succeed();
        REQUIRE(bus.drain(20s));
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].first_time == begin + 1s);
        CHECK(letters[0].last_time == begin + 11s);
    }
}

TEST_CASE("failure inside a dead-letter processor makes no new dead letter, is counted, and goes to the error hook",
          "[bus][dead_letter]") {
    int hooks = 0;
    int letters = 0;
    EventBus bus{Config{.workers = 0, .on_error = [&](const gossip::ErrorReport& report) {
                            if (report.in_dead_letter) {
                                ++hooks;
                                CHECK(report.name == "undertaker");
                            }
                        }}};
    auto s = bus.subscribe(number, fail);
    auto d = bus.subscribe(gossip::dead_letter,
                           [&](const DeadLetter&) -> Result {
                               ++letters;
                               throw 5;
                           },
                           {.name = "undertaker"});

    bus.publish(number, 1);
    REQUIRE(bus.drain(20s));

    CHECK(letters == 1);
    CHECK(hooks == 1);
    CHECK(bus.stats().dead_letters == 1);
    CHECK(bus.stats().dead_letters_failed == 1);
    CHECK(bus.stats().failed == 1);
    CHECK(bus.stats().adds_up());
}

TEST_CASE("a dead-letter processor's own redelivery is honoured and still makes no new dead letter",
          "[bus][dead_letter]") {
    int letters = 0;
    EventBus bus{Config{.workers = 0}};
    auto s = bus.subscribe(number, fail);
    auto d = bus.subscribe(gossip::dead_letter,
                           [&](const DeadLetter&) -> Result {
                               ++letters;
                               return gossip::RetryableError{"later"};
                           },
                           {.redelivery = {.attempts = 3, .first_delay = 0ns}});

    bus.publish(number, 1);
    REQUIRE(bus.drain(20s));

    CHECK(letters == 3);
    CHECK(bus.stats().dead_letters == 1);
    CHECK(bus.stats().dead_letters_failed == 1);
    CHECK(bus.stats().accepted == 1);
}

TEST_CASE("a failed event that was made of dead-letter data by the user dies at the second step",
          "[bus][dead_letter]") {
    int letters = 0;
    EventBus bus{Config{.workers = 0}};
    auto d = bus.subscribe(gossip::dead_letter, [&](const DeadLetter&) -> Result {
        ++letters;
        return gossip::RetryableError{"never"};
    });

    bus.publish(gossip::dead_letter, DeadLetter{gossip::Event{number, 1}, gossip::errors::timeout});
    REQUIRE(bus.drain(20s));

    CHECK(letters == 2);
    CHECK(bus.stats().failed == 1);
    CHECK(bus.stats().dead_letters == 1);
    CHECK(bus.stats().dead_letters_failed == 1);
}

TEST_CASE("dead letters are heard through every kind of subscription that spells the name", "[bus][dead_letter]") {
    int heard = 0;
    EventBus bus{Config{.workers = 0}};
    auto s = bus.subscribe(number, fail);

    SECTION("a topic") {
        auto d = bus.subscribe(gossip::dead_letter, [&] { ++heard; });
        bus.publish(number, 1);
        REQUIRE(bus.drain(20s));
    }
    SECTION("a name") {
        auto d = bus.subscribe(gossip::EventType{"gossip.dead_letter"}, [&] { ++heard; });
        bus.publish(number, 1);
        REQUIRE(bus.drain(20s));
    }
    SECTION("a pattern") {
        auto d = bus.subscribe(gossip::Pattern{"gossip.*"}, [&] { ++heard; });
        bus.publish(number, 1);
        REQUIRE(bus.drain(20s));
    }
    SECTION("but not a pattern that does not spell it") {
        auto d = bus.subscribe(gossip::Pattern{"**"},
                               [&](const gossip::Event& event) { heard += event.type() != number.type(); });
        bus.publish(number, 1);
        REQUIRE(bus.drain(20s));
        ++heard;
    }

    CHECK(heard == 1);
}

TEST_CASE("without anybody who listens to dead letters a failed event is counted and makes none",
          "[bus][dead_letter]") {
    EventBus bus{Config{.workers = 0}};
    auto s = bus.subscribe(number, fail);

    bus.publish(number, 1);
    REQUIRE(bus.drain(20s));

    CHECK(bus.stats().failed == 1);
    CHECK(bus.stats().dead_letters == 0);
}

TEST_CASE("replaying a dead letter runs all processors, those that had succeeded too", "[bus][dead_letter]") {
    int good = 0;
    int bad = 0;
    bool broken = true;
    EventBus bus{Config{.workers = 0}};
    auto s1 = bus.subscribe(number, [&] { ++good; });
    auto s2 = bus.subscribe(number, [&](gossip::Context& context) -> Result {
        ++bad;
        CHECK(context.attempt() == 1);
        return broken ? Result{gossip::errors::timeout} : Result{};
    });
    auto d = bus.subscribe(gossip::dead_letter, [&](const DeadLetter& letter) {
        broken = false;
        bus.publish(letter.event);
    });

    bus.publish(number, 1);
    REQUIRE(bus.drain(20s));

    CHECK(good == 2);
    CHECK(bad == 2);
    CHECK(bus.stats().accepted == 2);
    CHECK(bus.stats().failed == 1);
    CHECK(bus.stats().handled == 1);
}

TEST_CASE("dead letters are never refused and never dropped, however full the buffer", "[bus][dead_letter]") {
    std::vector<int> buried;
    const auto overflow = GENERATE(gossip::Overflow::block, gossip::Overflow::reject, gossip::Overflow::drop_oldest);
    EventBus bus{Config{.workers = 0, .buffer_size = 2, .overflow = overflow}};
    auto s = bus.subscribe(number, [&](const int& value) -> Result {
        if (value < 100) {
            for (int i = 0; i < 4; ++i) {
                bus.publish(number, 100);
            }
        }
        return gossip::errors::timeout;
    });
    auto d = bus.subscribe(gossip::dead_letter,
                           [&](const DeadLetter& letter) { buried.push_back(letter.event.data<int>()); });

    bus.publish(number, 1);
    bus.publish(number, 2);
    REQUIRE(bus.drain(20s));

    const auto stats = bus.stats();
    CHECK(stats.adds_up());
    CHECK(buried.size() == stats.failed);
    CHECK(stats.dead_letters == stats.failed);
    CHECK(stats.failed + stats.dropped == stats.accepted);
    CHECK(std::count(buried.begin(), buried.end(), 1) + (stats.dropped != 0 ? 1 : 0) >= 1);
}

TEST_CASE("an event is failed, and its drain waits, until its dead letter has been read", "[bus][dead_letter]") {
    std::atomic<bool> go{false};
    std::atomic<bool> reading{false};
    EventBus bus{Config{.workers = 1}};
    auto s = bus.subscribe(number, fail);
    auto d = bus.subscribe(gossip::dead_letter, [&] {
        reading = true;
        static_cast<void>(gossip_test::eventually([&] { return go.load(); }));
    });

    bus.publish(number, 1);
    REQUIRE(gossip_test::eventually([&] { return reading.load(); }));
    CHECK_FALSE(bus.drain(1ms));
    go = true;
    CHECK(bus.drain(20s));
}

} // namespace dead_letter_test
