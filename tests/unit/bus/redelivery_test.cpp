#include <gossip/bus/event_bus.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iterator>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace redelivery_test {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::Context;
using gossip::EventBus;
using gossip::Result;

inline constexpr gossip::Topic<int> number{"redelivery.number"};

/// When, on the clock, each attempt was made.
struct Attempts {
    gossip::testing::ManualClock clock;
    std::vector<std::chrono::nanoseconds> at;
    std::chrono::nanoseconds begin = clock.steady();
    EventBus<> bus{Config{.workers = 0, .clock = &clock}};

    void run(gossip::Redelivery policy, int steps, std::chrono::nanoseconds step) {
        auto s = bus.subscribe(number,
                               [&](Context& context) -> Result {
                                   at.push_back(clock.steady() - begin);
                                   CHECK(context.attempt() == static_cast<int>(at.size()));
                                   return gossip::errors::retryable;
                               },
                               {.redelivery = std::move(policy)});
        bus.publish(number, 1);
        for (int i = 0; i < steps; ++i) {
            bus.poll();
            clock.advance(step);
        }
    }
};

TEST_CASE("delays grow by their factor up to the longest", "[bus][redelivery]") {
    Attempts attempts;
    attempts.run({.attempts = 6, .first_delay = 10ms, .growth = 3, .jitter = 0, .max_delay = 100ms}, 500, 1ms);

    const std::vector<std::chrono::nanoseconds> expected{0ms, 10ms, 40ms, 130ms, 230ms, 330ms};
    CHECK(attempts.at == expected);
    CHECK(attempts.bus.stats().redelivered == 5);
    CHECK(attempts.bus.stats().failed == 1);
}

TEST_CASE("a first delay beyond the longest is waited for, and grows no more", "[bus][redelivery]") {
    Attempts attempts;
    attempts.run({.attempts = 3, .first_delay = 1h, .jitter = 0}, 200, 1min);

    const std::vector<std::chrono::nanoseconds> expected{0h, 1h, 2h};
    CHECK(attempts.at == expected);
}

TEST_CASE("no more events wait for another attempt than may; a further one has failed", "[bus][redelivery]") {
    gossip::testing::ManualClock clock;
    EventBus bus{Config{.workers = 0, .clock = &clock}};
    std::vector<int> attempts;
    std::vector<int> letters;
    auto s =
        bus.subscribe(number,
                      [&](Context& context) -> Result {
                          attempts.push_back(context.attempt());
                          return gossip::errors::retryable;
                      },
                      {.redelivery = {.attempts = 3, .first_delay = 1s, .growth = 1, .jitter = 0, .max_waiting = 2}});
    auto heard = bus.subscribe(gossip::dead_letter,
                               [&](const gossip::DeadLetter& letter) { letters.push_back(letter.attempts); });
    for (int round = 0; round < 2; ++round) {
        for (int i = 0; i < 3; ++i) {
            bus.publish(number, i);
        }
        bus.poll();
        CHECK(bus.stats().failed == 1U + 3U * static_cast<unsigned>(round));
        for (int again = 0; again < 2; ++again) {
            CHECK_FALSE(bus.drain(1s)); // nothing more is due
            clock.advance(1s);
            bus.poll();
        }
        CHECK(bus.drain(1s));
    }

    CHECK(attempts == std::vector<int>{1, 1, 1, 2, 2, 3, 3, 1, 1, 1, 2, 2, 3, 3});
    CHECK(letters == std::vector<int>{1, 3, 3, 1, 3, 3});
    CHECK(bus.stats().failed == 6);
    CHECK(bus.stats().redelivered == 8);
    CHECK(bus.stats().timers == 0);
}

TEST_CASE("delays are drawn at random between none of the jitter and all of it", "[bus][redelivery]") {
    std::vector<std::chrono::nanoseconds> delays;
    for (int i = 0; i < 40; ++i) {
        Attempts attempts;
        attempts.run({.attempts = 2, .first_delay = 100ms, .jitter = 0.5}, 120, 1ms);
        REQUIRE(attempts.at.size() == 2);
        delays.push_back(attempts.at[1]);
    }
    CHECK(*std::min_element(delays.begin(), delays.end()) >= 50ms);
    CHECK(*std::max_element(delays.begin(), delays.end()) <= 100ms);
    CHECK(*std::max_element(delays.begin(), delays.end()) - *std::min_element(delays.begin(), delays.end()) >= 10ms);
}

TEST_CASE("a delay of zero is due now, however often and whatever the growth", "[bus][redelivery]") {
    int runs = 0;
    gossip::testing::ManualClock clock;
    EventBus bus{Config{.workers = 0, .clock = &clock}};
    auto s = bus.subscribe(number,
                           [&]() -> Result {
                               ++runs;
                               return gossip::errors::retryable;
                           },
                           {.redelivery = {.attempts = 150, .first_delay = 0ns, .growth = 1'000}});
    bus.publish(number, 1);

    CHECK(bus.drain(20s));
    CHECK(runs == 150);
}

TEST_CASE("huge delays stay the longest one", "[bus][redelivery]") {
    Attempts attempts;
    attempts.run({.attempts = 400,
                  .first_delay = std::chrono::hours{24 * 365},
                  .growth = 1'000,
                  .jitter = 0,
                  .max_delay = std::chrono::hours{24 * 365 * 100}},
                 3, std::chrono::hours{24 * 365});
    CHECK(attempts.at.size() == 2);
}

TEST_CASE("fatal and validation errors are never tried again, wherever in the chain of causes they are",
          "[bus][redelivery]") {
    const gossip::Error error =
        GENERATE(as<gossip::Error>{}, gossip::FatalError{"x"}, gossip::ValidationError{"f", "x"},
                 gossip::ProcessingError{"outer", gossip::FatalError{"x"}},
                 gossip::RetryableError{"outer", gossip::ValidationError{"f", "x"}});
    const bool thrown = GENERATE(false, true);
    int runs = 0;
    EventBus bus{Config{.workers = 0}};
    auto s = bus.subscribe(number,
                           [&]() -> Result {
                               ++runs;
                               if (thrown) {
                                   error.rethrow();
                               }
                               return error;
                           },
                           {.redelivery = {.attempts = 5, .first_delay = 0ns}});

    bus.publish(number, 1);
    CHECK(bus.drain(20s));

    CHECK(runs == 1);
    CHECK(bus.stats().failed == 1);
    CHECK(bus.stats().redelivered == 0);
}

TEST_CASE("the predicate says which errors are tried again, and one that throws says no", "[bus][redelivery]") {
    int runs = 0;
    EventBus bus{Config{.workers = 0}};
    const auto processor = [&]() -> Result {
        ++runs;
        return runs == 1 ? Result{gossip::errors::timeout} : Result{gossip::errors::processing_failed};
    };

    SECTION("by kind") {
        auto s = bus.subscribe(number, processor,
                               {.redelivery = {.attempts = 9, .first_delay = 0ns, .when = gossip::is_timeout}});
        bus.publish(number, 1);
        CHECK(bus.drain(20s));
        CHECK(runs == 2);
    }
    SECTION("thrown") {
        auto s = bus.subscribe(
            number, processor,
            {.redelivery = {.attempts = 9, .first_delay = 0ns, .when = [](const gossip::Error&) -> bool { throw 1; }}});
        bus.publish(number, 1);
        CHECK(bus.drain(20s));
        CHECK(runs == 1);
    }
    CHECK(bus.stats().failed == 1);
}

TEST_CASE("only the subscription that failed is run again", "[bus][redelivery]") {
    int good = 0;
    int bad = 0;
    EventBus bus{Config{.workers = 0}};
    const gossip::SubscribeOptions again{.redelivery = {.attempts = 3, .first_delay = 0ns}};
    auto s1 = bus.subscribe(
        number, [&] { ++good; }, again);
    auto s2 = bus.subscribe(
        number, [&]() -> Result { return ++bad < 3 ? Result{gossip::errors::retryable} : Result{}; }, again);

    bus.publish(number, 1);
    CHECK(bus.drain(20s));

    CHECK(good == 1);
    CHECK(bad == 3);
    CHECK(bus.stats().handled == 1);
    CHECK(bus.stats().redelivered == 2);
}

TEST_CASE("an event that waits for a redelivery holds no worker", "[bus][redelivery]") {
    gossip::testing::ManualClock clock;
    std::atomic<int> good{0};
    std::atomic<int> attempts{0};
    EventBus bus{Config{.workers = 1, .clock = &clock}};
    auto s = bus.subscribe(number,
                           [&](const int& value) -> Result {
                               if (value == 0) {
                                   return ++attempts < 2 ? Result{gossip::errors::retryable} : Result{};
                               }
                               ++good;
                               return {};
                           },
                           {.redelivery = {.attempts = 2, .first_delay = 1h, .jitter = 0}});

    for (int i = 0; i < 10; ++i) {
        bus.publish(number, i);
    }
    REQUIRE(gossip_test::eventually([&] { return good == 9; }));
    CHECK(attempts == 1);
    CHECK_FALSE(bus.drain(1ms));
    clock.advance(1h);
    CHECK(gossip_test::eventually([&] { return attempts == 2; }));
    CHECK(bus.drain(20s));
}

TEST_CASE("redeliveries that are due run on a real clock without anybody's help", "[bus][redelivery]") {
    const auto workers = GENERATE(1U, 4U);
    std::atomic<int> runs{0};
    EventBus bus{Config{.workers = workers}};
    auto s = bus.subscribe(number,
                           [&](Context& context) -> Result {
                               ++runs;
                               return context.attempt() < 4 ? Result{gossip::errors::retryable} : Result{};
                           },
                           {.redelivery = {.attempts = 4, .first_delay = 100us, .growth = 1}});

    for (int i = 0; i < 50; ++i) {
        bus.publish(number, i);
    }
    CHECK(bus.drain(20s));

    CHECK(runs == 200);
    CHECK(bus.stats().handled == 50);
    CHECK(bus.stats().redelivered == 150);
}

TEST_CASE("a deferral that fails is redelivered like a run that fails", "[bus][redelivery]") {
    int runs = 0;
    EventBus bus{Config{.workers = 0}};
    auto s =
        bus.subscribe(number,
                      [&](Context& context) {
                          ++runs;
                          context.defer().resolve(context.attempt() < 3 ? Result{gossip::errors::retryable} : Result{});
                      },
                      {.redelivery = {.attempts = 3, .first_delay = 0ns}});

    bus.publish(number, 1);
    CHECK(bus.drain(20s));

    CHECK(runs == 3);
    CHECK(bus.stats().handled == 1);
}

/// What one run does besides returning, and how many failures it leaves.
struct Conduct {
    const char* name;
    std::size_t failures;
    Result (*run)(Context&);
};
const Conduct conducts[] = {
    {"throws after it has deferred", 2,
     [](Context& context) -> Result {
         const gossip::Deferral dropped = context.defer();
         throw std::runtime_error("x");
     }},
    {"fails after a deferral that succeeds", 1,
     [](Context& context) -> Result {
         context.defer().succeed();
         return gossip::errors::retryable;
     }},
    {"has two deferrals that fail", 2,
     [](Context& context) -> Result {
         gossip::Deferral a = context.defer();
         gossip::Deferral b = context.defer();
         a.fail(gossip::errors::retryable);
         b.fail(gossip::errors::timeout);
         return {};
     }},
    {"has a deferral that fails and one that succeeds", 1,
     [](Context& context) -> Result {
         gossip::Deferral a = context.defer();
         gossip::Deferral b = context.defer();
         a.fail(gossip::errors::retryable);
         b.succeed();
         return {};
     }},
    {"fails with three deferrals that fail", 4,
     [](Context& context) -> Result {
         for (int i = 0; i < 3; ++i) {
             context.defer().fail(gossip::errors::retryable);
         }
         return gossip::errors::timeout;
     }},
};

TEST_CASE("attempts is the total, whatever a run defers and fails", "[bus][redelivery]") {
    const Conduct conduct = GENERATE(from_range(std::begin(conducts), std::end(conducts)));
    INFO(conduct.name);
    std::vector<gossip::DeadLetter> letters;
    std::vector<int> attempts;
    EventBus bus{Config{.workers = 0}};
    auto heard =
        bus.subscribe(gossip::dead_letter, [&](const gossip::DeadLetter& letter) { letters.push_back(letter); });
    auto s = bus.subscribe(number,
                           [&](Context& context) -> Result {
                               attempts.push_back(context.attempt());
                               return conduct.run(context);
                           },
                           {.redelivery = {.attempts = 6, .first_delay = 0ns}});

    bus.publish(number, 1);
    CHECK(bus.drain(20s));

    CHECK(attempts == std::vector<int>{1, 2, 3, 4, 5, 6});
    CHECK(bus.stats().redelivered == 5);
    REQUIRE(letters.size() == 1);
    CHECK(letters[0].attempts == 6);
    CHECK(letters[0].failures.size() == conduct.failures);
}

TEST_CASE("whatever a run defers and fails, an event with a key runs once at a time, and before the next of its key",
          "[bus][redelivery]") {
    const Conduct conduct = GENERATE(from_range(std::begin(conducts), std::end(conducts)));
    INFO(conduct.name);
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    std::atomic<int> runs{0};
    std::atomic<int> disorder{0};
    EventBus bus{Config{.workers = 4}};
    auto s = bus.subscribe(number,
                           [&](Context& context, const int& value) -> Result {
                               const int now = ++inside;
                               most = std::max(most.load(), now);
                               disorder += runs++ / 4 == value ? 0 : 1;
                               // Room for another run, if there were one.
                               static_cast<void>(gossip_test::eventually([&] { return inside > 1; }, 2ms));
                               --inside;
                               return conduct.run(context);
                           },
                           {.redelivery = {.attempts = 4, .first_delay = 0ns}});

    for (int i = 0; i < 3; ++i) {
        bus.publish(number, i, {.key = "k"});
    }
    CHECK(bus.drain(20s));

    CHECK(runs == 12);
    CHECK(most == 1);
    CHECK(disorder == 0);
    CHECK(bus.stats().failed == 3);
}

TEST_CASE("a deferral that fails while its run goes on is not tried again before that has returned",
          "[bus][redelivery]") {
    std::atomic<int> inside{0};
    std::atomic<int> overlaps{0};
    std::atomic<int> runs{0};
    EventBus bus{Config{.workers = 2}};
    auto s = bus.subscribe(
        number,
        [&](Context& context) {
            overlaps += inside++ == 0 ? 0 : 1;
            ++runs;
            std::thread([deferral = context.defer()]() mutable { deferral.fail(gossip::errors::retryable); }).join();
            static_cast<void>(gossip_test::eventually([&] { return inside > 1; }, 2ms));
            --inside;
        },
        {.redelivery = {.attempts = 5, .first_delay = 0ns}});

    bus.publish(number, 1);
    CHECK(bus.drain(20s));

    CHECK(runs == 5);
    CHECK(overlaps == 0);
}

TEST_CASE("a run and its deferrals that end at the same time on several threads are tried again once",
          "[bus][redelivery]") {
    constexpr int events = 100;
    std::atomic<int> runs{0};
    std::mutex mutex;
    std::vector<gossip::Deferral> open;
    std::atomic<bool> over{false};
    EventBus bus{Config{.workers = 2}};
    const auto resolve = [&] {
        while (!over) {
            std::optional<gossip::Deferral> one;
            {
                const std::lock_guard lock(mutex);
                if (!open.empty()) {
                    one.emplace(std::move(open.back()));
                    open.pop_back();
                }
            }
            if (one) {
                one->fail(gossip::errors::retryable);
            } else {
                std::this_thread::yield();
            }
        }
    };
    std::thread a(resolve);
    std::thread b(resolve);
    auto s = bus.subscribe(number,
                           [&](Context& context) -> Result {
                               ++runs;
                               for (int i = 0; i < 2; ++i) {
                                   gossip::Deferral deferral = context.defer();
                                   const std::lock_guard lock(mutex);
                                   open.push_back(std::move(deferral));
                               }
                               return gossip::errors::retryable;
                           },
                           {.redelivery = {.attempts = 3, .first_delay = 0ns}});

    for (int i = 0; i < events; ++i) {
        bus.publish(number, i, {.key = i % 2 == 0 ? "even" : ""});
    }
    CHECK(bus.drain(60s));
    over = true;
    a.join();
    b.join();

    CHECK(runs == 3 * events);
    CHECK(bus.stats().failed == events);
    CHECK(bus.stats().redelivered == 2 * events);
}

TEST_CASE("one failure that must not be tried again is enough, and each is asked about once", "[bus][redelivery]") {
    int runs = 0;
    std::vector<std::string> asked;
    std::vector<gossip::DeadLetter> letters;
    gossip::Redelivery policy{.attempts = 3, .first_delay = 0ns, .when = [&](const gossip::Error& error) {
                                  asked.emplace_back(error.message());
                                  return error.message() != "never";
                              }};
    EventBus bus{Config{.workers = 0}};
    auto heard =
        bus.subscribe(gossip::dead_letter, [&](const gossip::DeadLetter& letter) { letters.push_back(letter); });

    SECTION("fatal") {
        auto s = bus.subscribe(number,
                               [&](Context& context) -> Result {
                                   ++runs;
                                   context.defer().fail(gossip::FatalError{"x"});
                                   return gossip::RetryableError{"run"};
                               },
                               {.redelivery = policy});
        bus.publish(number, 1);
        CHECK(bus.drain(20s));
        CHECK(asked.empty());
    }
    SECTION("not wanted") {
        auto s = bus.subscribe(number,
                               [&](Context& context) -> Result {
                                   ++runs;
                                   context.defer().fail(gossip::RetryableError{"deferral"});
                                   return gossip::RetryableError{"never"};
                               },
                               {.redelivery = policy});
        bus.publish(number, 1);
        CHECK(bus.drain(20s));
        CHECK(asked == std::vector<std::string>{"deferral", "never"});
    }

    CHECK(runs == 1);
    REQUIRE(letters.size() == 1);
    CHECK(letters[0].failures.size() == 2);
}

TEST_CASE("nothing is tried again of what has failed before the subscription or the bus ended", "[bus][redelivery]") {
    int runs = 0;
    int others = 0;
    int letters = 0;
    std::vector<gossip::Deferral> open;
    std::optional<EventBus<>> bus;
    bus.emplace(Config{.workers = 0});
    auto heard = bus->subscribe(gossip::dead_letter, [&](const gossip::DeadLetter& letter) {
        ++letters;
        CHECK(letter.attempts == 1);
    });
    auto s = bus->subscribe(number,
                            [&](Context& context, const int& value) -> Result {
                                if (value == 2) {
                                    return {};
                                }
                                ++runs;
                                open.push_back(context.defer());
                                open.push_back(context.defer());
                                return gossip::errors::retryable;
                            },
                            {.redelivery = {.attempts = 3, .first_delay = 1h}});
    auto t = bus->subscribe(number, [&] { ++others; });
    bus->publish(number, 1, {.key = "k"});
    bus->publish(number, 2, {.key = "k"});
    bus->poll();
    REQUIRE(open.size() == 2);
    open[0].fail(gossip::errors::retryable);

    SECTION("the subscription: its key goes on to the next event, once") {
        s.unsubscribe();
        CHECK(letters == 0);
        open[1].succeed();
        CHECK(bus->drain(20s));
        CHECK(runs == 1);
        CHECK(others == 2);
        CHECK(letters == 1);
        CHECK(bus->stats().failed == 1);
        CHECK(bus->stats().handled == 1);
    }
    SECTION("the bus, past its deadline: both events are abandoned, and the late end changes nothing") {
        const auto report = bus->shutdown(0ns);
        CHECK(report.abandoned == 2);
        open[1].fail(gossip::errors::retryable);
        CHECK(bus->stats().failed == 0);
        CHECK(bus->stats().adds_up());
        CHECK(runs == 1);
    }
    SECTION("the bus, in time: a redelivery that waits is a dead letter with both failures") {
        open[1].fail(gossip::errors::retryable);
        open.clear();
        CHECK(bus->stats().redelivered == 1);
        const auto report = bus->shutdown();
        CHECK(report.failed == 1);
        CHECK(report.handled == 1);
        CHECK(letters == 1);
        CHECK(others == 2);
    }
    CHECK(bus->stats().waiting == 0);
}

} // namespace redelivery_test
