#include <gossip/gossip.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace batch_test {

using namespace std::chrono_literals;

inline namespace parts {

using gossip_test::Bounded;
using gossip_test::eventually;
using gossip_test::Gate;
using Numbers = std::vector<int>;

inline constexpr gossip::Topic<int> number{"batch.number"};
inline constexpr gossip::Topic<std::string> text{"batch.text"};

/// A bus on one thread, with a clock in our hands.
struct Bench {
    gossip::testing::ManualClock clock;
    gossip::EventBus<> bus{gossip::Config{.workers = 0, .buffer_size = 4096, .clock = &clock}};
    std::vector<Numbers> runs;

    auto recorder() {
        return [this](std::span<const int> items) { runs.emplace_back(items.begin(), items.end()); };
    }
    void publish(int first, int last) {
        for (int i = first; i <= last; ++i) {
            REQUIRE(bus.publish(number, i) == gossip::PublishStatus::accepted);
        }
    }
};

} // namespace parts

TEST_CASE("a batch runs when its size is there, in the order of collecting", "[batch]") {
    Bench bench;
    auto s = bench.bus.subscribe(number, gossip::batch<int>({.size = 3, .period = 1h}, bench.recorder()));

    bench.publish(1, 7);
    bench.bus.poll();

    CHECK(bench.runs == std::vector<Numbers>{{1, 2, 3}, {4, 5, 6}});
    CHECK(bench.bus.stats().handled == 6);
    CHECK_FALSE(bench.bus.drain(0ns));
    const auto report = bench.bus.shutdown();
    CHECK(bench.runs == std::vector<Numbers>{{1, 2, 3}, {4, 5, 6}, {7}});
    CHECK(report.handled == 7);
}

TEST_CASE("a batch runs when its first event has waited for the period", "[batch]") {
    Bench bench;
    auto s = bench.bus.subscribe(number, gossip::batch<int>({.size = 3, .period = 10ms}, bench.recorder()));

    bench.publish(1, 1);
    bench.bus.poll();
    bench.clock.advance(9ms);
    bench.publish(2, 2);
    bench.bus.poll();
    CHECK(bench.runs.empty());
    bench.clock.advance(1ms);
    bench.bus.poll();

    CHECK(bench.runs == std::vector<Numbers>{{1, 2}});
}

TEST_CASE("the period counts from the first event of each batch, whatever ran before", "[batch]") {
    Bench bench;
    auto s = bench.bus.subscribe(number, gossip::batch<int>({.size = 2, .period = 10ms}, bench.recorder()));

    bench.publish(1, 1);
    bench.bus.poll();
    bench.clock.advance(6ms);
    bench.publish(2, 3); // 2 fills the first; 3 begins to wait now
    bench.bus.poll();
    REQUIRE(bench.runs == std::vector<Numbers>{{1, 2}});
    bench.clock.advance(4ms);
    bench.bus.poll();
    CHECK(bench.runs.size() == 1);
    bench.clock.advance(6ms);
    bench.bus.poll();

    CHECK(bench.runs == std::vector<Numbers>{{1, 2}, {3}});
}

TEST_CASE("with a period of 0 a batch runs as soon as something is collected", "[batch]") {
    Bench bench;
    auto s = bench.bus.subscribe(number, gossip::batch<int>({.size = 3, .period = 0ns}, bench.recorder()));

    bench.publish(1, 2);
    bench.bus.poll();

    CHECK(bench.runs == std::vector<Numbers>{{1}, {2}});
    CHECK(bench.bus.drain(0ns));
    CHECK(bench.bus.stats().timers == 0);
}

TEST_CASE("with a period of 0 what comes while a batch runs is the next batch", "[batch]") {
    const Bounded bounded("a batch without a period");
    Gate first;
    std::atomic<bool> began{false};
    std::vector<std::size_t> sizes; // one run at a time
    gossip::EventBus<> bus{gossip::Config{.workers = 2}};
    auto s = bus.subscribe(number, gossip::batch<int>({.size = 100, .period = 0ns}, [&](std::span<const int> items) {
                               sizes.push_back(items.size());
                               if (!began.exchange(true)) {
                                   first.pass();
                               }
                           }));
    bus.publish(number, 0);
    REQUIRE(eventually([&] { return began.load(); }));
    for (int i = 0; i < 5; ++i) {
        bus.publish(number, i);
    }
    REQUIRE(eventually([&] { return bus.stats().waiting == 0; }));
    first.open();
    CHECK(bus.drain(20s));
    bus.shutdown();

    std::size_t all = 0;
    for (const std::size_t size : sizes) {
        all += size;
    }
    CHECK(all == 6);
    CHECK(sizes.size() <= 3); // the last of the five may have been on its way still
}

TEST_CASE("flush asks every batch for a run, and drain waits for it", "[batch]") {
    Bench bench;
    std::size_t other = 0;
    auto s = bench.bus.subscribe(number, gossip::batch<int>({.size = 10, .period = 1h}, bench.recorder()));
    auto s2 = bench.bus.subscribe(
        text, gossip::batch<std::string>({.size = 10, .period = 1h},
                                         [&](std::span<const std::string> texts) { other += texts.size(); }));
    bench.publish(1, 3);
    bench.bus.publish(text, "a");
    bench.bus.poll();
    REQUIRE(bench.runs.empty());

    bench.bus.flush();
    CHECK(bench.bus.drain(20s));

    CHECK(bench.runs == std::vector<Numbers>{{1, 2, 3}});
    CHECK(other == 1);
    bench.bus.flush(); // of nothing
    CHECK(bench.bus.drain(20s));
    CHECK(bench.runs.size() == 1);
}

TEST_CASE("no run has more events than the size, however many have come meanwhile", "[batch]") {
    const Bounded bounded("a slow batch");
    std::atomic<std::size_t> largest{0};
    std::atomic<int> seen{0};
    gossip::EventBus<> bus{gossip::Config{.workers = 3}};
    auto s = bus.subscribe(number, gossip::batch<int>({.size = 4, .period = 1h}, [&](std::span<const int> items) {
                               largest = items.size() > largest ? items.size() : largest.load();
                               seen += static_cast<int>(items.size());
                               std::this_thread::yield();
                           }));
    for (int i = 0; i < 500; ++i) {
        bus.publish(number, i);
        if (i % 7 == 0) {
            bus.flush();
        }
    }
    bus.flush();
    bus.shutdown();

    CHECK(seen == 500);
    CHECK(largest <= 4);
}

TEST_CASE("a batch processor takes data or events, and the context first if it wants it", "[batch]") {
    Bench bench;
    int calls = 0;
    const gossip::BatchOptions two{.size = 2, .period = 1h};
    auto a = bench.bus.subscribe(number, gossip::batch<int>(two, [&](std::span<const int> items) {
                                     calls += items[0] == 1 && items[1] == 2 ? 1 : 100;
                                 }));
    auto b = bench.bus.subscribe(
        number, gossip::batch<int>(two, [&](gossip::Context& context, std::span<const int> items) -> gossip::Result {
            calls += items.size() == 2 && context.attempt() == 1 ? 1 : 100;
            return {};
        }));
    auto c = bench.bus.subscribe(number, gossip::batch<int>(two, [&](std::span<const gossip::Event> events) {
                                     calls += events[1].data<int>() == 2 && events[0].type() == number.type() ? 1 : 100;
                                     return gossip::BatchResult{};
                                 }));
    auto d = bench.bus.subscribe(
        number, gossip::batch<int>(two, [&](gossip::Context& context, std::span<const gossip::Event> events) {
            calls += events[0].data<int>() == 1 && !context.stop_requested() ? 1 : 100;
        }));

    bench.publish(1, 2);
    bench.bus.poll();

    CHECK(calls == 4);
    CHECK(bench.bus.stats().handled == 2);
}

TEST_CASE("an event is handled only when all batches that collected it have run", "[batch]") {
    Bench bench;
    auto a = bench.bus.subscribe(number, gossip::batch<int>({.size = 1, .period = 1h}, [](std::span<const int>) {}));
    auto b = bench.bus.subscribe(number, gossip::batch<int>({.size = 2, .period = 1h}, bench.recorder()));

    bench.publish(1, 1);
    bench.bus.poll();
    CHECK(bench.bus.stats().handled == 0);
    bench.publish(2, 2);
    bench.bus.poll();

    CHECK(bench.bus.stats().handled == 2);
}

TEST_CASE("a failed batch is a failed event each", "[batch]") {
    Bench bench;
    Numbers buried;
    auto s = bench.bus.subscribe(
        number,
        gossip::batch<int>({.size = 3, .period = 1h},
                           [](std::span<const int>) -> gossip::Result { return gossip::ProcessingError{"no"}; }),
        {.name = "mailer"});
    auto letters = bench.bus.subscribe(gossip::dead_letter, [&](const gossip::DeadLetter& letter) {
        buried.push_back(letter.event.data<int>());
        CHECK(letter.failures.size() == 1);
        CHECK(letter.failures[0].name == "mailer");
        CHECK(gossip::is_processing(letter.error));
    });

    bench.publish(1, 3);
    CHECK(bench.bus.drain(20s));

    CHECK(buried == Numbers{1, 2, 3});
    CHECK(bench.bus.stats().failed == 3);
}

TEST_CASE("a batch that throws anything fails its events, and goes on with the next", "[batch]") {
    Bench bench;
    int calls = 0;
    auto s = bench.bus.subscribe(number, gossip::batch<int>({.size = 2, .period = 1h}, [&](std::span<const int>) {
                                     switch (++calls) {
                                     case 1:
                                         throw std::runtime_error{"bug"};
                                     case 2:
                                         throw 17;
                                     case 3:
                                         throw gossip::FatalError{"worse"};
                                     default:
                                         break;
                                     }
                                 }));

    bench.publish(1, 8);
    CHECK(bench.bus.drain(20s));

    CHECK(calls == 4);
    CHECK(bench.bus.stats().failed == 6);
    CHECK(bench.bus.stats().handled == 2);
}

TEST_CASE("a BatchResult fails the items that it names, and no other", "[batch]") {
    Bench bench;
    Numbers buried;
    auto s = bench.bus.subscribe(number, gossip::batch<int>({.size = 4, .period = 1h}, [](std::span<const int> items) {
                                     gossip::BatchResult result;
                                     for (std::size_t i = items.size(); i-- > 0;) { // in any order
                                         if (items[i] % 2 == 0) {
                                             result.fail(i, gossip::ProcessingError{"even"});
                                         }
                                     }
                                     return result;
                                 }));
    auto letters = bench.bus.subscribe(
        gossip::dead_letter, [&](const gossip::DeadLetter& letter) { buried.push_back(letter.event.data<int>()); });

    bench.publish(1, 4);
    CHECK(bench.bus.drain(20s));

    CHECK(buried == Numbers{2, 4});
    CHECK(bench.bus.stats().handled == 2);
}

TEST_CASE("events that are their bytes alone and others mix in one batch, called again in part", "[batch]") {
    Bench bench;
    std::vector<Numbers> calls;
    Numbers buried;
    auto s = bench.bus.subscribe(
        number, gossip::batch<int>({.size = 7, .period = 1h, .attempts = 2}, [&](std::span<const int> items) {
            calls.emplace_back(items.begin(), items.end());
            gossip::BatchResult result;
            for (std::size_t i = 0; i < items.size(); ++i) {
                if (items[i] % 2 == 0) {
                    result.fail(i, gossip::RetryableError{"even"});
                }
            }
            return result;
        }));
    auto letters = bench.bus.subscribe(
        gossip::dead_letter, [&](const gossip::DeadLetter& letter) { buried.push_back(letter.event.data<int>()); });

    bench.publish(1, 3);
    bench.bus.publish(gossip::Event{number, 4}.with_metadata("a", "b"));
    bench.publish(5, 5);
    bench.bus.poll();
    CHECK(bench.bus.publish_sync(gossip::Event{number, 6}).ok());
    bench.publish(7, 7);
    CHECK(bench.bus.drain(20s));

    CHECK(calls == std::vector<Numbers>{{1, 2, 3, 4, 5, 6, 7}, {2, 4, 6}});
    CHECK(buried == Numbers{2, 4}); // the one that was published synchronously has no letter
    CHECK(bench.bus.stats().failed == 3);
    CHECK(bench.bus.stats().handled == 4);
}

TEST_CASE("a BatchResult that fails an item which is not there fails the batch", "[batch]") {
    Bench bench;
    std::vector<std::string> errors;
    auto s = bench.bus.subscribe(number, gossip::batch<int>({.size = 2, .period = 1h}, [](std::span<const int>) {
                                     gossip::BatchResult result;
                                     result.fail(2, gossip::ProcessingError{"whose?"});
                                     return result;
                                 }));
    auto letters = bench.bus.subscribe(gossip::dead_letter, [&](const gossip::DeadLetter& letter) {
        CHECK(gossip::as<gossip::ValidationError>(letter.error)->field() == "index");
        errors.emplace_back(letter.error.what());
    });

    bench.publish(1, 2);
    CHECK(bench.bus.drain(20s));

    CHECK(errors.size() == 2);
    CHECK(bench.bus.stats().failed == 2);
}

TEST_CASE("each event of a failed batch is redelivered by itself", "[batch]") {
    Bench bench;
    std::vector<std::pair<int, Numbers>> calls; // attempt, items
    auto s = bench.bus.subscribe(
        number,
        gossip::batch<int>({.size = 2, .period = 5ms},
                           [&](gossip::Context& context, std::span<const int> items) -> gossip::Result {
                               calls.emplace_back(context.attempt(), Numbers(items.begin(), items.end()));
                               return calls.size() == 1 ? gossip::Result{gossip::RetryableError{"busy"}}
                                                        : gossip::Result{};
                           }),
        {.redelivery = {.attempts = 3, .first_delay = 1ms, .jitter = 0}});

    bench.publish(1, 2);
    bench.bus.poll();
    REQUIRE(calls.size() == 1);
    CHECK(bench.bus.stats().redelivered == 2);
    bench.clock.advance(1ms);
    bench.publish(3, 3);
    bench.bus.poll(); // 1 and 2 meet again; 3 waits
    bench.bus.flush();
    CHECK(bench.bus.drain(20s));

    REQUIRE(calls.size() == 3);
    CHECK(calls[1] == std::pair<int, Numbers>{2, {1, 2}});
    CHECK(calls[2] == std::pair<int, Numbers>{1, {3}});
    CHECK(bench.bus.stats().handled == 3);
    CHECK(bench.bus.stats().failed == 0);
}

TEST_CASE("the predicate of a redelivery is asked once about each failure of a batch", "[batch]") {
    Bench bench;
    int asked = 0;
    auto s = bench.bus.subscribe(
        number,
        gossip::batch<int>({.size = 2, .period = 0ns},
                           [](std::span<const int>) -> gossip::Result { return gossip::RetryableError{"busy"}; }),
        {.redelivery = {.attempts = 3, .first_delay = 0ns, .when = [&](const gossip::Error&) {
                            ++asked;
                            return true;
                        }}});

    bench.publish(1, 2);
    CHECK(bench.bus.drain(1s));

    CHECK(bench.bus.stats().redelivered == 4);
    CHECK(asked == 4);
    CHECK(bench.bus.stats().failed == 2);
}

TEST_CASE("an event that is deferred and collected is tried again once, when both have ended", "[batch]") {
    Bench bench;
    const bool deferral_fails = GENERATE(false, true);
    const bool batch_fails = GENERATE(false, true);
    const bool deferral_first = GENERATE(false, true);
    std::vector<gossip::Deferral> open;
    std::vector<int> attempts;
    const auto defer = gossip::middleware::make([&](auto& next, gossip::Context& context, const gossip::Event& event) {
        attempts.push_back(context.attempt());
        open.push_back(context.defer());
        return next(context, event);
    });
    const gossip::Result bad = gossip::RetryableError{"busy"};
    auto s = bench.bus.subscribe(
        number,
        defer(gossip::batch<int>({.size = 10, .period = 1h},
                                 [&](std::span<const int>) { return batch_fails ? bad : gossip::Result{}; })),
        {.redelivery = {.attempts = 2, .first_delay = 0ns}});
    bench.bus.publish(number, 1, {.key = "k"});
    for (int round = 0; round < 2; ++round) {
        bench.bus.poll();
        if (deferral_first && !open.empty()) {
            open.front().resolve(deferral_fails ? bad : gossip::Result{});
        }
        CHECK(bench.bus.stats().redelivered == static_cast<unsigned>(round != 0 && attempts.size() == 2));
        bench.bus.flush();
        bench.bus.poll(0);
        if (!deferral_first && !open.empty()) {
            open.front().resolve(deferral_fails ? bad : gossip::Result{});
        }
        open.clear();
    }
    CHECK(bench.bus.drain(1s));

    const bool fails = deferral_fails || batch_fails;
    CHECK(attempts == (fails ? std::vector<int>{1, 2} : std::vector<int>{1}));
    CHECK(bench.bus.stats().failed == (fails ? 1 : 0));
    CHECK(bench.bus.stats().adds_up());
    CHECK(bench.bus.publish(number, 2, {.key = "k"}) == gossip::PublishStatus::accepted);
    bench.bus.poll();
    CHECK(open.size() == 1); // the key was let go
    open.clear();
}

TEST_CASE("an event that was deferred well lets its key go while a batch goes on collecting", "[batch]") {
    Bench bench;
    std::vector<gossip::Deferral> open;
    const auto defer = gossip::middleware::make([&](auto& next, gossip::Context& context, const gossip::Event& event) {
        open.push_back(context.defer());
        return next(context, event);
    });
    auto s = bench.bus.subscribe(number, defer(gossip::batch<int>({.size = 2, .period = 1h}, bench.recorder())));
    for (int i = 1; i <= 2; ++i) {
        bench.bus.publish(number, i, {.key = "k"});
    }
    bench.bus.poll();
    REQUIRE(open.size() == 1);
    open[0].succeed();
    bench.bus.poll();
    REQUIRE(open.size() == 2);
    open[1].succeed();
    CHECK(bench.bus.drain(1s));

    CHECK(bench.runs == std::vector<Numbers>{{1, 2}});
    CHECK(bench.bus.stats().handled == 2);
}

TEST_CASE("only what a BatchResult fails is redelivered", "[batch]") {
    Bench bench;
    auto s = bench.bus.subscribe(number,
                                 gossip::batch<int>({.size = 3, .period = 1ms},
                                                    [&](std::span<const int> items) {
                                                        bench.runs.emplace_back(items.begin(), items.end());
                                                        gossip::BatchResult result;
                                                        if (items.size() == 3) {
                                                            result.fail(1, gossip::RetryableError{"busy"});
                                                        }
                                                        return result;
                                                    }),
                                 {.redelivery = {.attempts = 2, .first_delay = 0ns}});

    bench.publish(1, 3);
    bench.bus.poll();
    bench.bus.poll();
    bench.clock.advance(1ms);
    CHECK(bench.bus.drain(20s));

    CHECK(bench.runs == std::vector<Numbers>{{1, 2, 3}, {2}});
    CHECK(bench.bus.stats().handled == 3);
}

TEST_CASE("a fatal failure of a batch is not redelivered", "[batch]") {
    Bench bench;
    auto s = bench.bus.subscribe(
        number,
        gossip::batch<int>({.size = 2, .period = 1ms},
                           [](std::span<const int>) -> gossip::Result { return gossip::FatalError{"broken"}; }),
        {.redelivery = {.attempts = 5, .first_delay = 0ns}});

    bench.publish(1, 2);
    CHECK(bench.bus.drain(20s));

    CHECK(bench.bus.stats().failed == 2);
    CHECK(bench.bus.stats().redelivered == 0);
}

TEST_CASE("a slow batch is back-pressure: it collects twice its size, and a worker waits with the next", "[batch]") {
    const Bounded bounded("back-pressure of a batch");
    Gate gate;
    std::atomic<int> runs{0};
    gossip::EventBus<> bus{gossip::Config{.workers = 4, .buffer_size = 64}};
    auto s = bus.subscribe(number, gossip::batch<int>({.size = 2, .period = 1h}, [&](std::span<const int>) {
                               if (++runs == 1) {
                                   gate.pass();
                               }
                           }));
    for (int i = 0; i < 20; ++i) {
        bus.publish(number, i);
    }
    // One worker runs a batch of 2, which has collected 2 more; three workers wait with an event each.
    REQUIRE(eventually([&] { return bus.stats().waiting == 13 && runs == 1; }));
    CHECK_FALSE(bus.drain(20ms)); // time in which it must stay so
    CHECK(bus.stats().waiting == 13);
    CHECK(runs == 1);
    gate.open();
    const auto report = bus.shutdown();

    CHECK(report.handled == 20);
    CHECK(runs == 10);
}

TEST_CASE("dead letters can be collected as well", "[batch]") {
    Bench bench;
    std::size_t buried = 0;
    bool drained = false;
    auto s = bench.bus.subscribe(number, []() -> gossip::Result { return gossip::ProcessingError{"no"}; });
    auto letters = bench.bus.subscribe(
        gossip::dead_letter,
        gossip::batch<gossip::DeadLetter>({.size = 3, .period = 1h}, [&](std::span<const gossip::DeadLetter> dead) {
            buried += dead.size();
            drained = bench.bus.drain(0ns);
        }));

    bench.publish(1, 7);
    bench.bus.poll();
    bench.bus.poll();
    CHECK(buried == 6);
    const auto report = bench.bus.shutdown();

    CHECK(buried == 7);
    CHECK(drained); // but for the letters that run here nothing was in flight
    CHECK(report.dead_letters == 7);
    CHECK(report.dead_letters_failed == 0);
    CHECK(report.adds_up());
}

TEST_CASE("a batch of one type refuses data of another, event by event", "[batch]") {
    Bench bench;
    auto s = bench.bus.subscribe(gossip::Pattern{"batch.*"},
                                 gossip::batch<int>({.size = 2, .period = 1h}, bench.recorder()));
    bench.publish(1, 1);
    bench.bus.publish(text, "not a number");
    bench.publish(2, 2);
    CHECK(bench.bus.drain(20s));

    CHECK(bench.runs == std::vector<Numbers>{{1, 2}});
    CHECK(bench.bus.stats().failed == 1);
    CHECK(bench.bus.stats().handled == 2);
}

TEST_CASE("filters and middleware stand before a batch", "[batch]") {
    Bench bench;
    int logged = 0;
    const auto counting =
        gossip::middleware::make([&](auto& next, gossip::Context& context, const gossip::Event& event) {
            ++logged;
            return next(context, event);
        });
    auto s = bench.bus.subscribe(
        number, gossip::filter::only_if(gossip::filter::where<int>([](const int& n) { return n > 2; }),
                                        counting(gossip::batch<int>({.size = 2, .period = 1h}, bench.recorder()))));
    bench.publish(1, 4);
    CHECK(bench.bus.drain(20s));

    CHECK(bench.runs == std::vector<Numbers>{{3, 4}});
    CHECK(logged == 2);
    CHECK(bench.bus.stats().handled == 4);
}

TEST_CASE("publish_sync gives the event to the batch, and its errors come too late for the caller", "[batch]") {
    std::atomic<int> reported{0};
    gossip::EventBus<> bus{gossip::Config{.workers = 0, .on_error = [&](const gossip::ErrorReport&) { ++reported; }}};
    auto s =
        bus.subscribe(number, gossip::batch<int>({.size = 2, .period = 1h}, [](std::span<const int>) -> gossip::Result {
                          return gossip::ProcessingError{"no"};
                      }));
    CHECK(bus.publish_sync(number, 1).ok());
    CHECK(bus.publish_sync(number, 2).ok());

    CHECK(reported == 2);
    const auto report = bus.shutdown();
    CHECK(report.failed == 2);
    CHECK(report.adds_up());
}

TEST_CASE("a batch outside of a bus, or bound once for two subscriptions, says that it can't collect", "[batch]") {
    auto alone = gossip::bind_processor<int>(gossip::batch<int>({}, [](std::span<const int>) {}));
    gossip::Context nowhere;
    CHECK(gossip::is_processing(alone(nowhere, gossip::Event{number, 1}).error()));

    Bench bench;
    auto shared = gossip::bind_processor<int>(gossip::batch<int>({.size = 1}, bench.recorder()));
    auto first = bench.bus.subscribe(
        number, [&](gossip::Context& context, const gossip::Event& event) { return shared(context, event); });
    auto second = bench.bus.subscribe(
        number, [&](gossip::Context& context, const gossip::Event& event) { return shared(context, event); });
    bench.publish(1, 1);
    CHECK(bench.bus.drain(20s));

    CHECK(bench.runs == std::vector<Numbers>{{1}});
    CHECK(bench.bus.stats().failed == 1);
}

TEST_CASE("a batch that is subscribed twice collects for each by itself", "[batch]") {
    Bench bench;
    const auto batch = gossip::batch<int>({.size = 2, .period = 1h}, bench.recorder());
    auto first = bench.bus.subscribe(number, batch);
    auto second = bench.bus.subscribe(number, batch);
    bench.publish(1, 2);
    CHECK(bench.bus.drain(20s));

    CHECK(bench.runs == std::vector<Numbers>{{1, 2}, {1, 2}});
}

TEST_CASE("events in a batch cannot be deferred", "[batch]") {
    Bench bench;
    auto s =
        bench.bus.subscribe(number, gossip::batch<int>({.size = 1}, [](gossip::Context& context, std::span<const int>) {
                                context.defer().succeed();
                            }));
    bench.publish(1, 1);
    CHECK(bench.bus.drain(20s));

    CHECK(bench.bus.stats().failed == 1);
}

} // namespace batch_test
