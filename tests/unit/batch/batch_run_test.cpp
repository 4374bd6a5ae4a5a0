#include <gossip/gossip.hpp>
#include <gossip/testing.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/hostile_data.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace batch_run_test {

using namespace std::chrono_literals;

inline namespace parts {

using Numbers = std::vector<int>;
using Runs = std::vector<Numbers>;

inline constexpr gossip::Topic<int> number{"batch_run.number"};
inline constexpr gossip::Topic<std::string> text{"batch_run.text"};

/// A bus on one thread; what has failed for good is written down.
struct Bench {
    gossip::testing::ManualClock clock;
    gossip::EventBus<> bus{gossip::Config{.workers = 0, .clock = &clock}};
    Runs runs;
    Numbers buried;
    gossip::Subscription letters = bus.subscribe(
        gossip::dead_letter, [this](const gossip::DeadLetter& letter) { buried.push_back(letter.event.data<int>()); });

    /// Collects with these options; the answer to a run is that of `f`.
    template <class F>
    gossip::Subscription collect(const gossip::BatchOptions& options, F f, gossip::SubscribeOptions wanted = {}) {
        return bus.subscribe(number,
                             gossip::batch<int>(options,
                                                [this, f](std::span<const int> items) {
                                                    runs.emplace_back(items.begin(), items.end());
                                                    return f(items);
                                                }),
                             std::move(wanted));
    }
    void publish(int first, int last) {
        for (int i = first; i <= last; ++i) {
            REQUIRE(bus.publish(number, i) == gossip::PublishStatus::accepted);
        }
        REQUIRE(bus.drain(20s));
    }
};

bool has(std::span<const int> items, int wanted) {
    for (const int item : items) {
        if (item == wanted) {
            return true;
        }
    }
    return false;
}

} // namespace parts

TEST_CASE("a batch that fails as a whole is called again, as often as it may", "[batch_run]") {
    Bench bench;
    const int failures = GENERATE(0, 1, 2, 3);
    int calls = 0;
    auto s = bench.collect({.size = 2, .attempts = 3}, [&](std::span<const int>) -> gossip::Result {
        return ++calls <= failures ? gossip::Result{gossip::RetryableError{"busy"}} : gossip::Result{};
    });

    bench.publish(1, 2);

    CHECK(calls == (failures < 3 ? failures + 1 : 3));
    for (const Numbers& run : bench.runs) {
        CHECK(run == Numbers{1, 2});
    }
    CHECK(bench.bus.stats().handled == (failures < 3 ? 2U : 0U));
    CHECK(bench.buried == (failures < 3 ? Numbers{} : Numbers{1, 2}));
}

TEST_CASE("fatal errors and those of validation are not tried again as a whole", "[batch_run]") {
    Bench bench;
    const bool fatal = GENERATE(true, false);
    auto s = bench.collect({.size = 2, .attempts = 5}, [&](std::span<const int>) -> gossip::Result {
        return fatal ? gossip::Result{gossip::FatalError{"broken"}} : gossip::ValidationError{"n", "bad"};
    });

    bench.publish(1, 2);

    CHECK(bench.runs.size() == 1);
    CHECK(bench.buried == Numbers{1, 2});
}

TEST_CASE("the delay between attempts passes on the bus's clock", "[batch_run]") {
    Bench bench;
    bench.clock.let_sleepers_advance();
    const auto begin = bench.clock.steady();
    auto s = bench.collect({.size = 1, .attempts = 4, .retry_delay = 250ms},
                           [](std::span<const int>) -> gossip::Result { return gossip::RetryableError{"busy"}; });

    bench.publish(1, 1);

    CHECK(bench.runs.size() == 4);
    CHECK(bench.clock.steady() - begin == 750ms);
}

TEST_CASE("a failed batch is split in halves until the bad event is alone", "[batch_run]") {
    Bench bench;
    const int bad = GENERATE(1, 2, 5, 8);
    auto s = bench.collect({.size = 8, .split = true}, [&](std::span<const int> items) -> gossip::Result {
        return has(items, bad) ? gossip::Result{gossip::ProcessingError{"poison"}} : gossip::Result{};
    });

    bench.publish(1, 8);

    CHECK(bench.buried == Numbers{bad});
    CHECK(bench.bus.stats().handled == 7);
    CHECK(bench.runs.size() == 7); // whole, two halves, two quarters, two alone
    CHECK(bench.runs[0] == Numbers{1, 2, 3, 4, 5, 6, 7, 8});
    CHECK(bench.runs[1] == Numbers{1, 2, 3, 4});
}

TEST_CASE("splitting isolates a fatal event too, and several bad ones, at any size", "[batch_run]") {
    Bench bench;
    const std::size_t size = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{7});
    auto s = bench.collect({.size = size, .split = true}, [&](std::span<const int> items) -> gossip::Result {
        return has(items, 2) || has(items, 3) ? gossip::Result{gossip::FatalError{"poison"}} : gossip::Result{};
    });

    bench.publish(1, static_cast<int>(size) * 2);

    CHECK(bench.buried == (size == 1 ? Numbers{2} : Numbers{2, 3}));
    CHECK(bench.bus.stats().handled == size * 2 - bench.buried.size());
    CHECK(bench.bus.stats().adds_up());
}

TEST_CASE("a batch is tried whole first, then each half once; the calls are bounded", "[batch_run]") {
    Bench bench;
    auto s = bench.collect({.size = 8, .attempts = 3, .split = true},
                           [](std::span<const int>) -> gossip::Result { return gossip::RetryableError{"always"}; });

    bench.publish(1, 8);

    CHECK(bench.runs.size() == 3 + 2 * 7);
    CHECK(bench.runs[2].size() == 8);
    CHECK(bench.runs[3].size() == 4);
    CHECK(bench.buried == Numbers{1, 2, 3, 4, 5, 6, 7, 8});
}

TEST_CASE("an event of a half that has succeeded is handled, whatever the other half does", "[batch_run]") {
    Bench bench;
    std::vector<std::uint64_t> handled;
    auto s = bench.collect({.size = 4, .split = true}, [&](std::span<const int> items) -> gossip::Result {
        handled.push_back(bench.bus.stats().handled);
        return items.size() > 2 || has(items, 3) ? gossip::Result{gossip::ProcessingError{"no"}} : gossip::Result{};
    });

    bench.publish(1, 4);

    CHECK(handled == std::vector<std::uint64_t>{0, 0, 2, 2, 2}); // 1..4, 1..2, 3..4, 3, 4
    CHECK(bench.buried == Numbers{3});
}

TEST_CASE("what splitting has isolated is redelivered by itself", "[batch_run]") {
    Bench bench;
    int calls = 0;
    auto s = bench.collect({.size = 4, .period = 0ns, .split = true},
                           [&](std::span<const int> items) -> gossip::Result {
                               return has(items, 2) && ++calls < 2 ? gossip::Result{gossip::RetryableError{"busy"}}
                                                                   : gossip::Result{};
                           },
                           {.redelivery = {.attempts = 2, .first_delay = 0ns}});

    bench.publish(1, 4);

    CHECK(bench.buried.empty());
    CHECK(bench.bus.stats().redelivered == 1);
    CHECK(bench.bus.stats().handled == 4);
}

TEST_CASE("only what a BatchResult fails is called again, and what is fatal is not", "[batch_run]") {
    Bench bench;
    int calls = 0;
    auto s = bench.collect({.size = 6, .attempts = 3}, [&](std::span<const int> items) {
        ++calls;
        gossip::BatchResult result;
        for (std::size_t i = 0; i < items.size(); ++i) {
            if (items[i] == 5) {
                result.fail(i, gossip::FatalError{"poison"});
            } else if (items[i] % 2 == 0 && (items[i] != 4 || calls == 1)) {
                result.fail(i, gossip::RetryableError{"busy"});
            }
        }
        return result;
    });

    bench.publish(1, 6);

    CHECK(bench.runs == Runs{{1, 2, 3, 4, 5, 6}, {2, 4, 6}, {2, 6}});
    CHECK(bench.buried == Numbers{5, 2, 6});
    CHECK(bench.bus.stats().handled == 3);
}

TEST_CASE("a batch that names its failures one time and fails as a whole another keeps count", "[batch_run]") {
    Bench bench;
    int calls = 0;
    auto s = bench.collect({.size = 4, .attempts = 3, .split = true}, [&](std::span<const int> items) {
        gossip::BatchResult result;
        if (++calls == 1) {
            result.fail(1, gossip::RetryableError{"busy"});
            result.fail(3, gossip::RetryableError{"busy"});
        } else if (has(items, 4)) {
            throw gossip::ValidationError{"n", "bad"};
        }
        return result;
    });

    bench.publish(1, 4);

    CHECK(bench.runs == Runs{{1, 2, 3, 4}, {2, 4}, {2}, {4}});
    CHECK(bench.buried == Numbers{4});
    CHECK(bench.bus.stats().handled == 3);
}

TEST_CASE("no further attempt is made once the bus has run out of patience", "[batch_run]") {
    std::atomic<bool> running{false};
    int calls = 0;
    gossip::EventBus<> bus{gossip::Config{.workers = 1}};
    auto s =
        bus.subscribe(number, gossip::batch<int>({.size = 4, .attempts = 1'000'000, .retry_delay = 1h, .split = true},
                                                 [&](std::span<const int>) -> gossip::Result {
                                                     ++calls;
                                                     running = true;
                                                     return gossip::RetryableError{"busy"};
                                                 }));
    for (int i = 0; i < 4; ++i) {
        bus.publish(number, i);
    }
    while (!running) {
        std::this_thread::yield();
    }
    const auto report = bus.shutdown(1ms);

    CHECK(calls == 1);
    CHECK(report.failed == 4);
    CHECK(report.adds_up());
}

// Data

TEST_CASE("data is moved out of its event for the call, and back for what comes after", "[batch_run]") {
    const std::string long_text(100, 'x');
    std::vector<std::string> buried;
    std::vector<std::string> seen;
    gossip::EventBus<> bus{gossip::Config{.workers = 0}};
    auto letters = bus.subscribe(gossip::dead_letter, [&](const gossip::DeadLetter& letter) {
        buried.push_back(letter.event.data<std::string>());
    });
    auto s = bus.subscribe(text, gossip::batch<std::string>({.size = 2, .attempts = 2, .split = true},
                                                            [&](std::span<const std::string> texts) -> gossip::Result {
                                                                seen.insert(seen.end(), texts.begin(), texts.end());
                                                                return gossip::RetryableError{"busy"};
                                                            }));
    bus.publish(text, "a" + long_text, {.key = "key"}); // boxed: events with a key are
    bus.publish(text, "b" + long_text);
    CHECK(bus.drain(20s));

    const std::vector<std::string> both{"a" + long_text, "b" + long_text};
    CHECK(buried == both);
    REQUIRE(seen.size() == 6);
    CHECK(seen == std::vector<std::string>{both[0], both[1], both[0], both[1], both[0], both[1]});
}

TEST_CASE("a batch leaves the data alone that others have a share in", "[batch_run]") {
    const std::string long_text(100, 'x');
    std::vector<gossip::Event> kept;
    std::size_t seen = 0;
    gossip::EventBus<> bus{gossip::Config{.workers = 0}};
    auto before = bus.subscribe(text, [&](const gossip::Event& event) { kept.push_back(event); });
    const auto collect = [&](std::span<const std::string> texts) {
        seen += texts.size() == 2 && texts[0] == long_text && texts[1] == long_text ? 1 : 0;
    };
    auto first = bus.subscribe(text, gossip::batch<std::string>({.size = 2}, collect));
    auto second = bus.subscribe(text, gossip::batch<std::string>({.size = 2}, collect));
    bus.publish(text, long_text, {.key = "key"});
    bus.publish(text, long_text);
    CHECK(bus.drain(20s));

    CHECK(seen == 2);
    REQUIRE(kept.size() == 2);
    CHECK(kept[0].data<std::string>() == long_text);
    CHECK(kept[1].data<std::string>() == long_text);
}

TEST_CASE("data that can't be copied fails its event alone", "[batch_run]") {
    static constexpr gossip::Topic<support::ThrowingCopy> topic{"batch_run.throwing"};
    std::vector<std::vector<std::string>> runs;
    std::vector<gossip::Event> shares; // so that the batch has to copy
    gossip::EventBus<> bus{gossip::Config{.workers = 0}};
    auto s = bus.subscribe(
        topic, gossip::batch<support::ThrowingCopy>({.size = 3}, [&](std::span<const support::ThrowingCopy> items) {
            auto& run = runs.emplace_back();
            for (const support::ThrowingCopy& item : items) {
                run.push_back(item.text);
            }
        }));
    support::ThrowingCopy::fail = false;
    for (const char* const name : {"a", "b", "c"}) {
        gossip::Event event{topic, support::ThrowingCopy{name}};
        gossip::EventAccess::box_data(event);
        if (std::string(name) == "b") {
            shares.push_back(event);
        }
        bus.publish(std::move(event));
    }
    support::ThrowingCopy::fail = true;
    CHECK(bus.drain(20s));
    support::ThrowingCopy::fail = false;

    CHECK(runs == std::vector<std::vector<std::string>>{{"a", "c"}});
    CHECK(bus.stats().failed == 1);
    CHECK(bus.stats().handled == 2);
}

TEST_CASE("every object of the data is destroyed once, and none is copied that need not be", "[batch_run]") {
    static constexpr gossip::Topic<support::SelfPointer> topic{"batch_run.self"};
    const int alive = support::SelfPointer::alive;
    const int copied = support::SelfPointer::copied;
    bool fails = GENERATE(false, true);
    bool intact = true;
    {
        gossip::EventBus<> bus{gossip::Config{.workers = 0}};
        auto s = bus.subscribe(topic, gossip::batch<support::SelfPointer>(
                                          {.size = 4, .attempts = 2, .split = true},
                                          [&](std::span<const support::SelfPointer> items) -> gossip::Result {
                                              int expected = items[0].value;
                                              for (const support::SelfPointer& item : items) {
                                                  intact = intact && item.intact() && item.value == expected++;
                                              }
                                              return fails ? gossip::Result{gossip::RetryableError{"busy"}}
                                                           : gossip::Result{};
                                          }));
        for (int i = 0; i < 10; ++i) {
            bus.publish(topic, support::SelfPointer{i});
        }
        bus.shutdown();
    }
    CHECK(intact);
    CHECK(support::SelfPointer::copied == copied);
    CHECK(support::SelfPointer::alive == alive);
}

TEST_CASE("data of any size and alignment is collected", "[batch_run]") {
    static constexpr gossip::Topic<support::OverAligned> aligned{"batch_run.aligned"};
    static constexpr gossip::Topic<support::MoveOnly> unique{"batch_run.unique"};
    std::size_t seen = 0;
    gossip::EventBus<> bus{gossip::Config{.workers = 0}};
    auto s = bus.subscribe(
        aligned, gossip::batch<support::OverAligned>({.size = 2}, [&](std::span<const support::OverAligned> items) {
            for (const auto& item : items) {
                seen += reinterpret_cast<std::uintptr_t>(&item) % 128 == 0 ? 1 : 0;
            }
        }));
    auto t =
        bus.subscribe(unique, gossip::batch<support::MoveOnly>({.size = 2}, [&](std::span<const gossip::Event> events) {
                          for (const gossip::Event& event : events) {
                              seen += *event.data<support::MoveOnly>().pointer == 5 ? 1 : 0;
                          }
                      }));
    for (int i = 0; i < 2; ++i) {
        bus.publish(aligned, {});
        bus.publish(unique, {std::make_unique<int>(5)});
    }
    CHECK(bus.drain(20s));

    CHECK(seen == 4);
}

TEST_CASE("a warm batch allocates nothing, for data and for events", "[batch_run]") {
    std::size_t seen = 0;
    gossip::EventBus<> bus{gossip::Config{.workers = 0}};
    auto s = bus.subscribe(number, gossip::batch<int>({.size = 50, .period = 1h},
                                                      [&](std::span<const int> items) { seen += items.size(); }));
    const auto round = [&] {
        for (int i = 0; i < 200; ++i) {
            bus.publish(number, i);
        }
        bus.poll();
    };
    round();
    const support::AllocationCounter counter;
    round();

    CHECK(counter.count() == 0);
    CHECK(seen == 400);
}

} // namespace batch_run_test
