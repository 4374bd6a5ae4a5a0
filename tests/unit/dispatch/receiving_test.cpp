// What a provider brings in: receipts that are settled once, room that is waited for, data that is read late.
#include <gossip/batch/batch.hpp>
#include <gossip/bus/event_bus.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/raw_data.hpp>
#include <gossip/testing.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace receiving_test {

inline namespace parts {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::Context;
using gossip::Ending;
using gossip::Event;
using gossip::EventAccess;
using gossip::PublishStatus;
using gossip::Result;
using gossip_test::eventually;

inline constexpr gossip::Topic<int> number{"receiving.number"};
inline constexpr gossip::Topic<> tick{"receiving.tick"};

/// Hands the engine to the test, which plays the wire.
struct Wire : gossip::MemoryProvider {
    gossip::detail::Engine* engine = nullptr;
    void start(gossip::detail::Engine& to) noexcept { engine = &to; }
};
using Bus = gossip::EventBus<Wire>;

/// What became of one event; counts how often it was told.
struct Receipt final : gossip::detail::Receipt {
    void settled(Ending ending, const gossip::Error* error) noexcept override {
        last = ending;
        message = error == nullptr ? std::string{} : std::string{error->message()};
        ++told;
    }
    void attempted(int attempt) noexcept override {
        const std::lock_guard lock(mutex);
        attempts.push_back(told == 0 ? attempt : 0);
    }
    bool may_begin() noexcept override { return !barred; }
    void leaving() noexcept override {
        if (bars != nullptr) {
            bars->barred = true;
        }
        ++left;
    }
    std::atomic<bool> barred{false};
    Receipt* bars = nullptr; // once this one is left
    std::atomic<int> left{0};
    std::mutex mutex;
    std::vector<int> attempts; // that it was told of before its end
    std::atomic<int> told{0};
    std::atomic<Ending> last{Ending::unrouted};
    std::string message;

    [[nodiscard]] bool is(Ending ending) const { return told == 1 && last == ending; }
};

Event with_receipt(Event event, Receipt& receipt, int attempt = 1) {
    EventAccess::set_receipt(event, receipt, attempt);
    return event;
}
PublishStatus receive(Bus& bus, Event event, std::chrono::nanoseconds patience = 0ns) {
    return bus.provider().engine->receive(event, patience);
}
PublishStatus receive(Bus& bus, Receipt& receipt, Event event = Event{number, 1}, int attempt = 1) {
    return receive(bus, with_receipt(std::move(event), receipt, attempt));
}

} // namespace parts

TEST_CASE("a receipt is settled once, with the end of its event", "[receiving]") {
    Bus bus{Config{.workers = 0}};
    Receipt good;
    Receipt bad;
    Receipt keyed;
    Receipt nobody;
    auto s = bus.subscribe(
        number, [](const int& n) -> Result { return n == 2 ? Result{gossip::ProcessingError{"no twos"}} : Result{}; });
    CHECK(receive(bus, good) == PublishStatus::accepted);
    CHECK(receive(bus, bad, Event{number, 2}) == PublishStatus::accepted);
    CHECK(receive(bus, keyed, Event{number, 3}.with_key("k")) == PublishStatus::accepted);
    CHECK(receive(bus, nobody, Event{tick}) == PublishStatus::accepted);
    CHECK(good.told == 0);
    CHECK(bus.drain(20s));
    CHECK(good.is(Ending::handled));
    CHECK(bad.is(Ending::failed));
    CHECK(bad.message.find("no twos") != std::string::npos);
    CHECK(keyed.is(Ending::handled));
    CHECK(nobody.is(Ending::unrouted));
    CHECK(bus.shutdown().adds_up());
    CHECK(good.told + bad.told + keyed.told + nobody.told == 4);
}

TEST_CASE("an event that must not begin is abandoned, and lets its key go", "[receiving]") {
    std::vector<gossip::DropReason> dropped;
    Bus bus{
        Config{.workers = 0, .on_drop = [&](const Event&, gossip::DropReason reason) { dropped.push_back(reason); }}};
    std::vector<int> runs;
    auto s = bus.subscribe(number, [&](const int& n) { runs.push_back(n); });
    Receipt barred;
    Receipt free;
    barred.barred = true;
    CHECK(receive(bus, barred, Event{number, 1}.with_key("k")) == PublishStatus::accepted);
    CHECK(receive(bus, free, Event{number, 2}.with_key("k")) == PublishStatus::accepted);
    CHECK(bus.drain(20s));
    CHECK(runs == std::vector{2});
    CHECK(barred.is(Ending::abandoned));
    CHECK(free.is(Ending::handled));
    CHECK(dropped == std::vector{gossip::DropReason::abandoned});
    const auto report = bus.shutdown();
    CHECK(report.adds_up());
    CHECK(report.abandoned == 1);
}

TEST_CASE("a redelivery that must not begin any more is left to others", "[receiving]") {
    gossip::testing::ManualClock clock;
    Bus bus{Config{.workers = 0, .clock = &clock}};
    int runs = 0;
    int letters = 0;
    auto dead = bus.subscribe(gossip::dead_letter, [&] { ++letters; });
    auto s = bus.subscribe(number, [&](const int&) -> Result { return ++runs, gossip::errors::retryable; },
                           {.redelivery = {.attempts = 3, .first_delay = 10ms, .jitter = 0}});
    Receipt receipt;
    CHECK(receive(bus, receipt) == PublishStatus::accepted);
    bus.poll();
    REQUIRE(runs == 1);

    receipt.barred = true;
    clock.advance(1s);
    CHECK(bus.drain(20s));

    CHECK(runs == 1);
    CHECK(letters == 0);
    CHECK(receipt.left == 1);
    CHECK(receipt.is(Ending::abandoned));
    CHECK(bus.shutdown().adds_up());
}

TEST_CASE("what is left to others says so before its key is passed on", "[receiving]") {
    gossip::testing::ManualClock clock;
    Bus bus{Config{.workers = 0, .clock = &clock}};
    std::vector<int> runs;
    auto s = bus.subscribe(number, [&](const int& n) -> Result { return runs.push_back(n), gossip::errors::retryable; },
                           {.redelivery = {.attempts = 3, .first_delay = 1h, .jitter = 0}});
    Receipt first;
    Receipt second;
    first.bars = &second;
    CHECK(receive(bus, first, Event{number, 1}.with_key("k")) == PublishStatus::accepted);
    CHECK(receive(bus, second, Event{number, 2}.with_key("k")) == PublishStatus::accepted);
    bus.poll();
    REQUIRE(runs == std::vector{1}); // the other one waits for its key

    CHECK(bus.shutdown().adds_up());

    CHECK(runs == std::vector{1});
    CHECK(first.left == 1);
    CHECK(first.is(Ending::abandoned));
    CHECK(second.is(Ending::abandoned));
}

TEST_CASE("copies of an event have no receipt", "[receiving]") {
    Bus bus{Config{.workers = 0}};
    Receipt receipt;
    std::optional<Event> copy;
    int letters = 0;
    auto s = bus.subscribe(number.type(), [&](const Event& event) -> Result {
        if (!copy) {
            copy = event;
            bus.publish(*copy);
        }
        return gossip::errors::processing_failed;
    });
    auto dead = bus.subscribe(gossip::dead_letter, [&](const gossip::DeadLetter& letter) {
        CHECK_FALSE(EventAccess::has_receipt(letter.event));
        ++letters;
    });
    CHECK(receive(bus, receipt, Event{number, 1}.with_metadata("a", 1)) == PublishStatus::accepted);
    CHECK(bus.drain(20s));
    CHECK(letters == 2);
    CHECK(receipt.is(Ending::failed));
    copy.reset();
    CHECK(receipt.told == 1);
}

TEST_CASE("a receipt waits for deferrals, redeliveries and batches", "[receiving]") {
    gossip::testing::ManualClock clock;
    Bus bus{Config{.workers = 0, .clock = &clock}};
    SECTION("deferrals, also of several processors") {
        std::vector<gossip::Deferral> open;
        auto a = bus.subscribe(number, [&](Context& context, const int&) { open.push_back(context.defer()); });
        auto b = bus.subscribe(number, [&](Context& context, const int&) { open.push_back(context.defer()); });
        Receipt receipt;
        CHECK(receive(bus, receipt) == PublishStatus::accepted);
        bus.poll();
        REQUIRE(open.size() == 2);
        open[0].succeed();
        CHECK(receipt.told == 0);
        open[1].succeed();
        CHECK(receipt.is(Ending::handled));
    }
    SECTION("a redelivery") {
        int runs = 0;
        auto a = bus.subscribe(
            number, [&](const int&) -> Result { return ++runs < 3 ? Result{gossip::errors::retryable} : Result{}; },
            {.redelivery = {.attempts = 3, .first_delay = 10ms, .jitter = 0}});
        Receipt receipt;
        CHECK(receive(bus, receipt) == PublishStatus::accepted);
        bus.poll();
        CHECK(receipt.told == 0);
        for (int i = 0; i < 100; ++i) {
            clock.advance(10ms);
            bus.poll();
        }
        CHECK(runs == 3);
        CHECK(receipt.is(Ending::handled));
    }
    SECTION("a batch, whose items end by themselves") {
        Receipt receipts[3];
        auto a = bus.subscribe(number, gossip::batch<int>({.size = 3}, [](std::span<const int> numbers) {
                                   CHECK(numbers.size() == 3);
                                   gossip::BatchResult each;
                                   each.fail(1, gossip::errors::processing_failed);
                                   return each;
                               }));
        for (int i = 0; i < 3; ++i) {
            CHECK(receive(bus, receipts[i], Event{number, i}) == PublishStatus::accepted);
            CHECK(receipts[i].told == 0);
        }
        CHECK(bus.drain(20s));
        CHECK(receipts[0].is(Ending::handled));
        CHECK(receipts[1].is(Ending::failed));
        CHECK(receipts[2].is(Ending::handled));
    }
    SECTION("a redelivery of what a batch has failed") {
        int runs = 0;
        auto a = bus.subscribe(number,
                               gossip::batch<int>({.size = 1},
                                                  [&](std::span<const int>) -> Result {
                                                      return ++runs < 2 ? Result{gossip::errors::retryable} : Result{};
                                                  }),
                               {.redelivery = {.attempts = 2, .first_delay = 10ms, .jitter = 0}});
        Receipt receipt;
        CHECK(receive(bus, receipt) == PublishStatus::accepted);
        bus.poll();
        bus.poll();
        CHECK(receipt.told == 0);
        for (int i = 0; i < 10; ++i) {
            clock.advance(10ms);
            bus.poll();
        }
        CHECK(receipt.is(Ending::handled));
    }
}

TEST_CASE("a shutdown leaves to others what waits for its redelivery", "[receiving]") {
    gossip::testing::ManualClock clock;
    int letters = 0;
    Bus bus{Config{.workers = 0, .clock = &clock}};
    auto dead = bus.subscribe(gossip::dead_letter, [&] { ++letters; });
    auto a = bus.subscribe(number, [](const int&) -> Result { return gossip::errors::retryable; },
                           {.redelivery = {.attempts = 3, .first_delay = 1h}});
    Receipt receipt;
    CHECK(receive(bus, receipt) == PublishStatus::accepted);
    bus.poll();
    CHECK(receipt.told == 0);
    const gossip::ShutdownReport report = bus.shutdown();
    CHECK(receipt.is(Ending::abandoned));
    CHECK(report.abandoned == 1);
    CHECK(report.failed == 0);
    CHECK(letters == 0);
    CHECK(report.adds_up());
}

TEST_CASE("a shutdown leaves to others what fails while it waits, if attempts are left", "[receiving]") {
    std::optional<gossip::Deferral> last;
    std::optional<gossip::Deferral> other;
    const auto fail_now = [](std::optional<gossip::Deferral>& open) {
        if (open) {
            std::exchange(open, std::nullopt)->resolve(gossip::ProcessingError{"not now"});
        }
    };
    Config config{.workers = 0};
    config.on_drop = [&](const Event&, gossip::DropReason) { fail_now(other); }; // redeliveries have been ended
    Bus bus{std::move(config)};
    Receipt waits;
    Receipt late;
    Receipt spent;
    auto a = bus.subscribe(number,
                           [&](Context& context, const int& n) -> Result {
                               if (n == 1) {
                                   return gossip::ProcessingError{"not now"};
                               }
                               (n == 2 ? other : last) = context.defer();
                               return {};
                           },
                           {.redelivery = {.attempts = 3, .first_delay = 1h}});
    CHECK(receive(bus, waits) == PublishStatus::accepted);
    CHECK(receive(bus, late, Event{number, 2}) == PublishStatus::accepted);
    CHECK(receive(bus, spent, Event{number, 3}, 3) == PublishStatus::accepted);
    CHECK(bus.poll() == 3);
    fail_now(last);
    CHECK(spent.is(Ending::failed));
    REQUIRE(other);

    const gossip::ShutdownReport report = bus.shutdown(20s);
    CHECK(waits.is(Ending::abandoned));
    CHECK(late.is(Ending::abandoned)); // neither handled nor failed for good
    CHECK(report.abandoned == 2);
    CHECK(report.failed == 1);
    CHECK(report.adds_up());
}

TEST_CASE("a shutdown leaves to others also what has no place any more among those that wait", "[receiving]") {
    std::optional<gossip::Deferral> other;
    Config config{.workers = 0};
    config.on_drop = [&](const Event&, gossip::DropReason) { // redeliveries have been ended
        if (other) {
            std::exchange(other, std::nullopt)->resolve(gossip::ProcessingError{"not now"});
        }
    };
    Bus bus{std::move(config)};
    Receipt waits;
    Receipt late;
    auto s = bus.subscribe(number,
                           [&](Context& context, const int& n) -> Result {
                               if (n == 1) {
                                   return gossip::ProcessingError{"not now"};
                               }
                               other = context.defer();
                               return {};
                           },
                           {.redelivery = {.attempts = 3, .first_delay = 1h, .max_waiting = 1}});
    CHECK(receive(bus, waits) == PublishStatus::accepted);
    CHECK(receive(bus, late, Event{number, 2}) == PublishStatus::accepted);
    CHECK(bus.poll() == 2);

    CHECK(bus.shutdown(20s).abandoned == 2);

    CHECK(waits.is(Ending::abandoned));
    CHECK(late.is(Ending::abandoned));
}

TEST_CASE("what failed for good of an event that a shutdown leaves to others is told to the error hook",
          "[receiving]") {
    const bool late = GENERATE(false, true); // after the other part of it was left
    std::optional<gossip::Deferral> open;
    std::vector<std::string> told;
    int letters = 0;
    Config config{.workers = 0};
    config.on_error = [&](const gossip::ErrorReport& report) {
        told.push_back(std::string(report.name) + ": " + std::string(report.error.message()));
    };
    config.on_drop = [&](const Event&, gossip::DropReason) { // redeliveries have been ended
        if (open) {
            std::exchange(open, std::nullopt)->resolve(gossip::ProcessingError{"for good"});
        }
    };
    Bus bus{std::move(config)};
    Receipt receipt;
    Receipt last; // given up after it
    auto letter = bus.subscribe(gossip::dead_letter, [&](const gossip::DeadLetter&) { ++letters; });
    auto a = bus.subscribe(number, [](const int&) -> Result { return gossip::ProcessingError{"not now"}; },
                           {.name = "a", .redelivery = {.attempts = 2, .first_delay = 1h}});
    auto b = bus.subscribe(number,
                           [&](Context& context, const int& n) -> Result {
                               if (n == 1 && late) {
                                   open = context.defer();
                               }
                               return n == 1 && !late ? Result{gossip::ProcessingError{"for good"}} : Result{};
                           },
                           {.name = "b"});
    CHECK(receive(bus, receipt) == PublishStatus::accepted);
    CHECK(receive(bus, last, Event{number, 2}) == PublishStatus::accepted);
    CHECK(bus.poll() == 2);
    CHECK(told.empty());

    const gossip::ShutdownReport report = bus.shutdown(20s);

    CHECK(told == std::vector<std::string>{"b: for good"});
    CHECK(letters == 0);
    CHECK(receipt.is(Ending::abandoned));
    CHECK(last.is(Ending::abandoned));
    CHECK(report.abandoned == 2);
    CHECK(report.adds_up());
}

TEST_CASE("what failed for good of an event that a shutdown past its deadline leaves to others is told, too",
          "[receiving]") {
    const bool received = GENERATE(false, true); // what has nobody else is abandoned, and that is all
    std::optional<Bus> bus;
    std::optional<gossip::Deferral> open;
    std::vector<std::string> told;
    std::vector<bool> drained;
    Config config{.workers = 0};
    config.on_error = [&](const gossip::ErrorReport& report) {
        told.push_back(std::string(report.name) + ": " + std::string(report.error.message()));
        open.reset(); // as if its holder came now
        drained.push_back(bus->drain(0ns));
    };
    bus.emplace(std::move(config));
    Receipt receipt;
    const auto fails = [](const char* how) {
        return [how](const int&) -> Result { return gossip::ProcessingError{how}; };
    };
    auto a = bus->subscribe(number, fails("not now"), {.name = "a", .redelivery = {.attempts = 2, .first_delay = 1h}});
    auto b = bus->subscribe(number, fails("for good"), {.name = "b"});
    auto c = bus->subscribe(number, [&](Context& context, const int&) { open = context.defer(); }, {.name = "c"});
    CHECK((received ? receive(*bus, receipt) : bus->publish(number, 1)) == PublishStatus::accepted);
    CHECK(bus->poll() == 1);
    CHECK(told.empty());

    const gossip::ShutdownReport report = bus->shutdown(0ns);

    CHECK(told == (received ? std::vector<std::string>{"b: for good"} : std::vector<std::string>{}));
    CHECK(drained == std::vector<bool>(told.size(), true));
    CHECK(receipt.told == (received ? 1 : 0));
    CHECK((!received || receipt.is(Ending::abandoned)));
    CHECK(report.abandoned == 1);
    CHECK(report.adds_up());
    for (gossip::Subscription* const s : {&a, &b, &c}) {
        s->detach();
    }
}

TEST_CASE("events of several subscriptions end once, however a shutdown and their holders meet", "[receiving]") {
    for (int round = 0; round < 60; ++round) {
        const bool waits = round % 2 == 0;
        const unsigned workers = static_cast<unsigned>(round / 2 % 3);
        std::atomic<int> told{0};
        std::mutex mutex;
        std::vector<gossip::Deferral> open;
        std::optional<Bus> bus;
        Config config{.workers = workers};
        config.on_error = [&](const gossip::ErrorReport&) {
            ++told;
            bus->drain(0ns);
        };
        config.on_drop = [&](const Event&, gossip::DropReason) { bus->drain(0ns); };
        bus.emplace(std::move(config));
        constexpr int count = 40;
        std::array<Receipt, count> receipts;
        auto a = bus->subscribe(number, [](const int&) -> Result { return gossip::ProcessingError{"not now"}; },
                                {.redelivery = {.attempts = 3, .first_delay = round % 3 == 0 ? 0ns : 1h}});
        auto b = bus->subscribe(number, [](const int& n) -> Result {
            return n % 2 == 0 ? Result{gossip::ProcessingError{"for good"}} : Result{};
        });
        auto c = bus->subscribe(number, [&](Context& context, const int&) {
            const std::lock_guard lock(mutex);
            open.push_back(context.defer());
        });
        for (int i = 0; i < count; ++i) {
            CHECK(receive(*bus, receipts[static_cast<std::size_t>(i)], Event{number, i}) == PublishStatus::accepted);
        }
        bus->poll();
        std::atomic<bool> over{false};
        std::thread holder([&] {
            for (bool last = false; !last;) {
                last = over;
                std::vector<gossip::Deferral> mine;
                {
                    const std::lock_guard lock(mutex);
                    mine.swap(open);
                }
                for (gossip::Deferral& deferral : mine) {
                    deferral.resolve(told % 2 == 0 ? Result{} : Result{gossip::ProcessingError{"for good"}});
                }
                std::this_thread::yield();
            }
        });

        const gossip::ShutdownReport report = waits ? bus->shutdown() : bus->shutdown(0ns);

        over = true;
        holder.join();
        CHECK(report.accepted == count);
        CHECK(report.adds_up());
        for (const Receipt& receipt : receipts) {
            CHECK(receipt.told == 1);
        }
        for (gossip::Subscription* const s : {&a, &b, &c}) {
            s->detach();
        }
    }
}

TEST_CASE("a drop hook that drains does not wait for the event that it is told of", "[receiving]") {
    std::optional<Bus> bus;
    std::vector<bool> drained;
    Config config{.workers = 0};
    config.on_drop = [&](const Event&, gossip::DropReason) { drained.push_back(bus->drain(100ms)); };
    bus.emplace(std::move(config));
    Receipt receipt;
    auto s = bus->subscribe(number, [](const int&) -> Result { return gossip::ProcessingError{"not now"}; },
                            {.redelivery = {.attempts = 2, .first_delay = 1h}});
    CHECK(receive(*bus, receipt) == PublishStatus::accepted);
    CHECK(bus->poll() == 1);

    CHECK(bus->shutdown(20s).abandoned == 1);

    CHECK(drained == std::vector<bool>{true});
    s.detach();
}

TEST_CASE("what fails after its event was abandoned asks nobody for another attempt, nor for the time", "[receiving]") {
    const bool failed_before = GENERATE(false, true);
    auto clock = std::make_unique<gossip::testing::ManualClock>();
    std::optional<Bus> bus(std::in_place, Config{.workers = 0, .clock = clock.get()});
    std::optional<gossip::Deferral> first;
    std::optional<gossip::Deferral> last;
    int asked = 0;
    gossip::Redelivery redelivery{.attempts = 3};
    redelivery.when = [&](const gossip::Error&) {
        ++asked;
        return true;
    };
    bus->subscribe(number,
                   [&](Context& context, const int&) {
                       first = context.defer();
                       last = context.defer();
                   },
                   {.redelivery = redelivery})
        .detach();
    bus->publish(number, 1);
    CHECK(bus->poll() == 1);
    REQUIRE(last);

    if (failed_before) {
        std::exchange(first, std::nullopt)->resolve(gossip::ProcessingError{"not now"});
    }
    CHECK(bus->shutdown(0ms).abandoned == 1);
    bus.reset(); // the clock, and what the question looks at, may go with it
    clock.reset();
    if (first) {
        std::exchange(first, std::nullopt)->resolve(gossip::ProcessingError{"too late"});
        std::exchange(last, std::nullopt)->resolve(gossip::ProcessingError{"too late"});
    } else {
        std::exchange(last, std::nullopt)->succeed();
    }

    CHECK(asked == 0);
}

TEST_CASE("past the deadline of a shutdown nobody is asked whether to try again", "[receiving]") {
    Bus bus{Config{.workers = 1}};
    Receipt receipt;
    std::atomic<bool> inside{false};
    std::atomic<int> asked{0};
    gossip::Redelivery redelivery{.attempts = 3};
    redelivery.when = [&](const gossip::Error&) { return ++asked == 0; };
    auto s = bus.subscribe(number,
                           [&](Context& context, const int&) -> Result {
                               inside = true;
                               static_cast<void>(eventually([&] { return context.stop_requested(); }));
                               return gossip::ProcessingError{"not now"};
                           },
                           {.redelivery = redelivery});
    CHECK(receive(bus, receipt) == PublishStatus::accepted);
    REQUIRE(eventually([&] { return inside.load(); }));

    const gossip::ShutdownReport report = bus.shutdown(0ms);

    CHECK(asked == 0);
    CHECK(receipt.is(Ending::abandoned)); // left to others: it had attempts
    CHECK(report.adds_up());
}

TEST_CASE("past the deadline of a shutdown every receipt is told that its event is abandoned", "[receiving]") {
    Bus bus{Config{.workers = 1}};
    std::optional<gossip::Deferral> open;
    gossip_test::Gate inside;
    auto a = bus.subscribe(number, [&](Context& context, const int& n) {
        if (n == 0) {
            open = context.defer();
            return;
        }
        inside.open();
        while (!context.stop_requested()) {
            std::this_thread::yield();
        }
    });
    Receipt deferred;
    Receipt running;
    Receipt waiting;
    CHECK(receive(bus, deferred, Event{number, 0}) == PublishStatus::accepted);
    CHECK(receive(bus, running, Event{number, 1}) == PublishStatus::accepted);
    REQUIRE(inside.pass());
    CHECK(receive(bus, waiting, Event{number, 2}) == PublishStatus::accepted);
    const gossip::ShutdownReport report = bus.shutdown(1ms);
    CHECK(deferred.is(Ending::abandoned));
    CHECK(running.is(Ending::handled));
    CHECK(waiting.is(Ending::abandoned));
    CHECK(report.abandoned == 2);
    open->succeed();
    open.reset();
    CHECK(deferred.told == 1);
}

TEST_CASE("what is dropped for a later event tells its receipt", "[receiving]") {
    Bus bus{Config{.workers = 0, .buffer_size = 2, .overflow = gossip::Overflow::drop_oldest}};
    auto s = bus.subscribe(number, [](const int&) {});
    Receipt receipts[3];
    for (Receipt& receipt : receipts) {
        CHECK(receive(bus, receipt) == PublishStatus::accepted);
    }
    CHECK(receipts[0].is(Ending::dropped));
    CHECK(bus.shutdown().adds_up());
    CHECK(receipts[1].is(Ending::handled));
    CHECK(receipts[2].is(Ending::handled));
}

TEST_CASE("what is received while a processor waits for it is spilled; where the oldest makes room, that is dropped",
          "[receiving]") {
    const bool drops = GENERATE(false, true);
    std::vector<int> seen;
    Bus bus{Config{
        .workers = 0, .buffer_size = 2, .overflow = drops ? gossip::Overflow::drop_oldest : gossip::Overflow::block}};
    auto s = bus.subscribe(number, [&](const int& n) { seen.push_back(n); });
    for (int i = 0; i < 4; ++i) {
        Event event{number, i};
        CHECK(bus.provider().engine->publish_spilling(event));
    }
    CHECK(bus.stats().spilled == (drops ? 0 : 2));
    CHECK(bus.drain(5s));

    CHECK(seen == (drops ? std::vector<int>{2, 3} : std::vector<int>{0, 1, 2, 3}));
    const gossip::ShutdownReport report = bus.shutdown();
    CHECK(report.dropped == (drops ? 2 : 0));
    CHECK(report.adds_up());
    Event late{number, 4};
    CHECK_FALSE(bus.provider().engine->publish_spilling(late));
}

TEST_CASE("receiving waits for room only as long as its patience", "[receiving]") {
    Bus bus{Config{.workers = 1, .buffer_size = 2, .overflow = gossip::Overflow::reject}};
    gossip_test::Gate gate;
    gossip_test::Gate inside;
    auto s = bus.subscribe(number, [&](const int& n) {
        if (n == 0) {
            inside.open();
            gate.pass();
        }
    });
    CHECK(receive(bus, Event{number, 0}) == PublishStatus::accepted);
    REQUIRE(inside.pass());
    CHECK(receive(bus, Event{number, 1}) == PublishStatus::accepted);
    CHECK(receive(bus, Event{number, 2}) == PublishStatus::accepted);
    const auto begin = std::chrono::steady_clock::now();
    CHECK(receive(bus, Event{number, 3}, 20ms) == PublishStatus::full);
    CHECK(std::chrono::steady_clock::now() - begin >= 20ms);

    std::atomic<PublishStatus> late{PublishStatus::full};
    std::thread reader([&] { late = receive(bus, Event{number, 4}, 20s); });
    gate.open();
    reader.join();
    CHECK(late == PublishStatus::accepted);
    CHECK(bus.drain(20s));
    Receipt lost;
    Event unwanted = with_receipt(Event{number, 5}, lost);
    bus.provider().engine->lose(unwanted);
    CHECK(lost.is(Ending::abandoned));
    const gossip::ShutdownReport report = bus.shutdown();
    CHECK(report.adds_up());
    CHECK(report.handled == 4);
    CHECK(report.abandoned == 1);
    CHECK(receive(bus, Event{number, 6}, 20s) == PublishStatus::closed);
}

TEST_CASE("a delivery that others had before begins with a later attempt", "[receiving]") {
    Bus bus{Config{.workers = 0}};
    std::vector<int> attempts;
    auto s = bus.subscribe(number,
                           [&](Context& context, const int&) -> Result {
                               attempts.push_back(context.attempt());
                               return gossip::errors::retryable;
                           },
                           {.redelivery = {.attempts = 5, .first_delay = 0ns}});
    Receipt receipt;
    CHECK(receive(bus, receipt, Event{number, 1}, 4) == PublishStatus::accepted);
    CHECK(bus.drain(20s));
    CHECK(attempts == std::vector<int>{4, 5});
    CHECK(receipt.attempts == std::vector<int>{5});
    CHECK(receipt.is(Ending::failed));
}

TEST_CASE("a receipt is told of each redelivery when it begins", "[receiving]") {
    gossip::testing::ManualClock clock;
    Bus bus{Config{.workers = 0, .clock = &clock}};
    const auto fail = [](const int&) -> Result { return gossip::errors::retryable; };
    auto a = bus.subscribe(number, fail, {.redelivery = {.attempts = 3, .first_delay = 10ms, .growth = 1}});
    auto b = bus.subscribe(number, fail, {.redelivery = {.attempts = 2, .first_delay = 1h}});
    Receipt receipt;
    CHECK(receive(bus, receipt) == PublishStatus::accepted);
    bus.poll();
    CHECK(receipt.attempts.empty()); // nothing but the first
    for (int i = 0; i < 10; ++i) {
        clock.advance(10ms);
        bus.poll();
    }
    CHECK(receipt.attempts == std::vector<int>{2, 3});
    clock.advance(1h);
    bus.poll();
    CHECK(receipt.attempts == std::vector<int>{2, 3, 2}); // the other's
    CHECK(receipt.is(Ending::failed));
}

TEST_CASE("each of many receipts is settled once, whoever ends its event", "[receiving]") {
    constexpr int count = 2'000;
    std::vector<Receipt> receipts(count);
    std::mutex mutex;
    std::vector<gossip::Deferral> open;
    {
        Bus bus{Config{.workers = 3, .buffer_size = 64}};
        auto s = bus.subscribe(number, [&](Context& context, const int& n) -> Result {
            if (n % 7 == 0) {
                const std::lock_guard lock(mutex);
                open.push_back(context.defer());
            }
            return n % 5 == 0 ? Result{gossip::errors::processing_failed} : Result{};
        });
        std::atomic<bool> stop{false};
        std::thread resolver([&] {
            while (!stop) {
                std::vector<gossip::Deferral> mine;
                {
                    const std::lock_guard lock(mutex);
                    mine.swap(open);
                }
                for (gossip::Deferral& deferral : mine) {
                    deferral.succeed();
                }
                std::this_thread::yield();
            }
        });
        for (int i = 0; i < count; ++i) {
            Event event = with_receipt(Event{number, i}, receipts[static_cast<std::size_t>(i)]);
            if (i % 3 == 0) {
                event.with_key(std::to_string(i % 9));
            }
            REQUIRE(bus.provider().engine->receive(event, 20s) == PublishStatus::accepted);
        }
        CHECK(bus.drain(20s));
        stop = true;
        resolver.join();
        CHECK(bus.shutdown(1ms).adds_up());
    }
    int wrong = 0;
    for (int i = 0; i < count; ++i) {
        wrong += receipts[static_cast<std::size_t>(i)].is(i % 5 == 0 ? Ending::failed : Ending::handled) ? 0 : 1;
    }
    CHECK(wrong == 0);
}

TEST_CASE("an event that is abandoned while others look at it tells its receipt", "[receiving]") {
    for (int round = 0; round < 20; ++round) {
        Bus bus{Config{.workers = 0}};
        std::optional<gossip::Deferral> open;
        auto s = bus.subscribe(number, [&](Context& context, const int&) { open = context.defer(); });
        Receipt receipt;
        CHECK(receive(bus, receipt, Event{number, 1}) == PublishStatus::accepted);
        CHECK(bus.poll() == 1);
        std::atomic<bool> over{false};
        std::atomic<bool> looks{false};
        std::atomic<bool> saw_receipt{false};
        std::thread reader([&] {
            while (!over) {
                const Event copy = open->event();
                saw_receipt = saw_receipt || EventAccess::has_receipt(copy);
                looks = true;
            }
        });
        CHECK(eventually([&] { return looks.load(); }));
        CHECK(bus.shutdown(0ms).abandoned == 1);
        over = true;
        reader.join();
        CHECK_FALSE(saw_receipt);
        CHECK(receipt.is(Ending::abandoned));
        open.reset();
        CHECK(receipt.told == 1);
    }
}

TEST_CASE("a failure that there is no memory for is still a failure", "[receiving]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    struct Told final : gossip::detail::Receipt {
        void settled(Ending ending, const gossip::Error*) noexcept override {
            failed = ending == Ending::failed;
            handled = ending == Ending::handled;
            ++told;
        }
        bool failed = false;
        bool handled = false;
        int told = 0;
    } deferred, batched, collected;
    Bus bus{Config{.workers = 0}};
    const auto bring = [&](Told& receipt) {
        Event event{number, 1};
        EventAccess::set_receipt(event, receipt, 1);
        CHECK(receive(bus, std::move(event)) == PublishStatus::accepted);
        const std::size_t done = bus.poll();
        support::fail_allocation_after(-1);
        CHECK(done == 1);
    };
    {
        std::optional<gossip::Deferral> open;
        auto s = bus.subscribe(number, [&](Context& context, const int&) { open = context.defer(); });
        bring(deferred);
        support::fail_allocation_after(0, 1000);
        open->fail(gossip::errors::processing_failed);
        support::fail_allocation_after(-1);
        CHECK(deferred.failed);
    }
    {
        auto s = bus.subscribe(number, gossip::batch<int>({.size = 1}, [](std::span<const Event>) -> Result {
                                   support::fail_allocation_after(0, 1000);
                                   return gossip::errors::processing_failed;
                               }));
        bring(batched);
        CHECK(batched.failed);
    }
    int successes = 0;
    for (; !collected.handled; ++successes) {
        collected = {};
        auto s = bus.subscribe(number, gossip::batch<int>({.size = 2}, [](std::span<const Event>) {}),
                               {.filter = [&](const Event&) {
                                   support::fail_allocation_after(successes, 1000);
                                   return true;
                               }});
        bring(collected);
        s.unsubscribe(); // runs what has been collected
        CHECK(collected.told == 1);
    }
    CHECK(successes > 2);
    CHECK(bus.stats().failed == 1U + static_cast<unsigned>(successes));
    CHECK(bus.stats().handled == 1);
    CHECK(bus.shutdown().adds_up());
}

TEST_CASE("who brings a single event may run it in the place of a worker that sleeps", "[receiving]") {
    const gossip_test::Bounded bounded("a borrowed place");
    Bus bus(gossip::Config{.workers = 1});
    std::atomic<int> runs{0};
    std::atomic<std::thread::id> last{};
    auto s = bus.subscribe(number, [&](const int&) {
        last = std::this_thread::get_id();
        ++runs;
    });
    gossip::detail::Engine& engine = *bus.provider().engine;
    std::optional<unsigned> place;
    REQUIRE(eventually([&] { return (place = engine.borrow_place()).has_value(); }));
    CHECK_FALSE(engine.borrow_place());
    Receipt receipt;
    CHECK(receive(bus, receipt) == PublishStatus::accepted);
    CHECK(runs == 0);
    engine.work_in(*place);
    CHECK(runs == 1);
    CHECK(last.load() == std::this_thread::get_id());
    CHECK(receipt.is(Ending::handled));
    CHECK(bus.drain(0ns));

    // What came while the place was lent is for the worker, when it is back.
    REQUIRE(eventually([&] { return (place = engine.borrow_place()).has_value(); }));
    engine.work_in(*place);
    CHECK(bus.publish(number, 2) == PublishStatus::accepted);
    CHECK(eventually([&] { return runs == 2; }));
    CHECK(last.load() != std::this_thread::get_id());
    CHECK(bus.shutdown().adds_up());
    CHECK_FALSE(engine.borrow_place());
}

TEST_CASE("who drains is told of the end of what ran in a borrowed place", "[receiving]") {
    const gossip_test::Bounded bounded("a drain of a borrowed place");
    Bus bus(gossip::Config{.workers = 1});
    auto s = bus.subscribe(number, [](const int&) {});
    gossip::detail::Engine& engine = *bus.provider().engine;
    for (int round = 0; round < 200; ++round) {
        std::optional<unsigned> place;
        REQUIRE(eventually([&] { return (place = engine.borrow_place()).has_value(); }));
        CHECK(receive(bus, Event{number, round}) == PublishStatus::accepted);
        std::thread drains([&bus] { CHECK_NOFAIL(bus.drain(1min)); });
        engine.work_in(*place);
        drains.join();
    }
    CHECK(bus.shutdown().adds_up());
}

TEST_CASE("a failure that there is no memory for is told to the error hook where its event is left to others",
          "[receiving]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    std::optional<gossip::Deferral> open;
    int told = 0;
    Config config{.workers = 0};
    config.on_error = [&](const gossip::ErrorReport& report) {
        told += is(report.error, gossip::errors::out_of_memory) ? 1 : 100;
    };
    Bus bus{std::move(config)};
    Receipt receipt;
    auto a = bus.subscribe(number, [](const int&) -> Result { return gossip::errors::processing_failed; },
                           {.redelivery = {.attempts = 2, .first_delay = 1h}});
    auto b = bus.subscribe(number, [&](Context& context, const int&) { open = context.defer(); });
    CHECK(receive(bus, receipt) == PublishStatus::accepted);
    CHECK(bus.poll() == 1);

    support::fail_allocation_after(0, 1000);
    open->fail(gossip::errors::processing_failed);
    support::fail_allocation_after(-1);
    CHECK(bus.shutdown(20s).abandoned == 1);

    CHECK(told == 1);
    CHECK(receipt.is(Ending::abandoned));
}

TEST_CASE("where an event finds no room the place that was borrowed for it is the worker's again", "[receiving]") {
    const gossip_test::Bounded bounded("a borrowed place and no room");
    const bool drops = GENERATE(false, true);
    Bus* home = nullptr;
    std::atomic<int> ticks{0};
    std::atomic<bool> worked{false}; // beside the hook
    const auto drop = [&](const Event&, gossip::DropReason) {
        CHECK_NOFAIL(home->publish(tick) == PublishStatus::accepted);
        worked = eventually([&] { return ticks == 1; });
    };
    Bus bus{Config{.workers = 1,
                   .buffer_size = 2,
                   .overflow = drops ? gossip::Overflow::drop_oldest : gossip::Overflow::block,
                   .on_drop = drop}};
    home = &bus;
    std::optional<gossip::Deferral> open;
    std::atomic<bool> holds{false}; // the key
    auto s = bus.subscribe(number, [&](Context& context, const int& value) {
        if (value == 0) {
            open = context.defer();
            holds = true;
        }
    });
    auto l = bus.subscribe(tick, [&] { ++ticks; });
    for (int i = 0; i < 3; ++i) {
        REQUIRE(eventually([&] { return i == 0 || holds; }));
        CHECK(bus.publish(number, i, {.key = "k", .priority = gossip::Priority::low}) == PublishStatus::accepted);
    }
    REQUIRE(eventually([&] { return bus.stats().waiting == 2; })); // for the end of the first
    gossip::detail::Engine& engine = *bus.provider().engine;
    std::optional<unsigned> place;
    REQUIRE(eventually([&] { return (place = engine.borrow_place()).has_value(); }));
    Event event = Event{number, 3}.with_key("k").with_priority(gossip::Priority::low);
    if (drops) {
        CHECK(engine.receive(event, 0ns, &place) == PublishStatus::accepted);
        CHECK(worked);
    } else {
        CHECK(bus.publish(tick) == PublishStatus::accepted);
        CHECK(engine.receive(event, 0ns, &place) == PublishStatus::full);
        CHECK(eventually([&] { return ticks == 1; }));
    }
    CHECK_FALSE(place);
    open.reset();
    CHECK(bus.shutdown().adds_up());
}

} // namespace receiving_test
