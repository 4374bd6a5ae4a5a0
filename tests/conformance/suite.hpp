#pragma once

// What every provider must do, as tests over a World: a transport to play with. A file with
//
//     #include "conformance/suite.hpp"
//     struct MyWorld {
//         using Provider = MyProvider;
//         static constexpr bool crosses = true;      // buses of one world hear each other; false: each only itself
//         static bool available() { return true; }   // false: all tests are skipped
//         std::unique_ptr<gossip::EventBus<Provider>> bus(gossip::Config config); // a new bus on this transport
//     };
//     GOSSIP_CONFORMANCE(MyWorld)
//
// is the whole test of a provider. A World is made afresh for each test. Data of Sample, std::int64_t and std::string
// must be able to travel.

#include <gossip/batch/batch.hpp>
#include <gossip/bus/event_bus.hpp>
#include <gossip/testing.hpp>

#include "conformance/sample.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace gossip_conformance {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::Context;
using gossip::Event;
using gossip::PublishStatus;
using gossip::Result;
using gossip_test::eventually;

inline constexpr gossip::Topic<Sample> sample{"conformance.sample"};
inline constexpr gossip::Topic<std::int64_t> number{"conformance.number"};
inline constexpr gossip::Topic<std::int64_t> other{"conformance.other"};
inline constexpr gossip::Topic<std::int64_t> deep{"conformance.deep.number"};
inline constexpr gossip::Topic<std::string> text{"conformance.text"};
inline constexpr gossip::Topic<> tick{"conformance.tick"};

/// One bus that publishes and one that listens; the same where buses do not hear each other.
template <class World>
class Pair {
public:
    using Bus = gossip::EventBus<typename World::Provider>;

    explicit Pair(Config config = {}) {
        listener_ = world_.bus(std::move(config));
        if constexpr (World::crosses) {
            sender_ = world_.bus(Config{.workers = 1});
        }
    }
    Bus& sender() { return sender_ != nullptr ? *sender_ : *listener_; }
    Bus& listener() { return *listener_; }

    /// Ends the sender, then the listener; both reports add up.
    gossip::ShutdownReport shutdown() {
        if constexpr (World::crosses) {
            const gossip::ShutdownReport sent = sender_->shutdown(20s);
            CHECK(sent.adds_up());
            CHECK(sent.transport.ok());
        }
        const gossip::ShutdownReport report = listener_->shutdown(20s);
        CHECK(report.adds_up());
        CHECK(report.transport.ok());
        return report;
    }

private:
    World world_;
    std::unique_ptr<Bus> listener_;
    std::unique_ptr<Bus> sender_;
};

template <class World>
void carries_what_an_event_has() {
    Pair<World> pair;
    std::mutex mutex;
    std::vector<Event> seen;
    auto s = pair.listener().subscribe(sample.type(), [&](const Event& event) {
        const std::lock_guard lock(mutex);
        seen.push_back(event);
    });
    Event event{sample, Sample{7, "seven \"quoted\" \xc3\xbc", 0.1}};
    event.with_key("customer-1")
        .with_priority(gossip::Priority::high)
        .with_metadata("text", "a")
        .with_metadata("whole", 3)
        .with_metadata("part", 2.5)
        .with_metadata("flag", true);
    CHECK(pair.sender().publish(sample, Sample{1, "first", 0}) == PublishStatus::accepted); // the type is known now
    CHECK(pair.sender().publish(event) == PublishStatus::accepted);
    REQUIRE(eventually([&] {
        const std::lock_guard lock(mutex);
        return seen.size() == 2;
    }));
    CHECK(pair.listener().drain(20s));
    const Event& got = seen[0].key().empty() ? seen[1] : seen[0]; // the other priority may come first
    CHECK(got.type() == sample.type());
    CHECK(got.id_text() == event.id_text());
    CHECK(got.key() == "customer-1");
    CHECK(got.priority() == gossip::Priority::high);
    CHECK(got.timestamp() == event.timestamp());
    CHECK(got.metadata() == event.metadata());
    CHECK(got.data<Sample>() == event.data<Sample>());
    pair.shutdown();
}

template <class World>
void carries_typed_data() {
    Pair<World> pair;
    std::mutex mutex;
    std::vector<Sample> samples;
    std::vector<std::string> texts;
    std::atomic<std::int64_t> sum{0};
    std::atomic<int> ticks{0};
    auto a = pair.listener().subscribe(sample, [&](const Sample& data) {
        const std::lock_guard lock(mutex);
        samples.push_back(data);
    });
    auto b = pair.listener().subscribe(text, [&](const gossip::TypedEvent<std::string>& event) {
        const std::lock_guard lock(mutex);
        texts.push_back(*event);
    });
    auto c = pair.listener().subscribe(number, [&](const std::int64_t& n) { sum += n; });
    auto d = pair.listener().subscribe(tick, [&] { ++ticks; });
    const Sample hard{-9'007'199'254'740'993, "line\nbreak\ttab", 1.0 / 3.0};
    const std::string long_text(100'000, 'x');
    CHECK(pair.sender().publish(sample, hard) == PublishStatus::accepted);
    CHECK(pair.sender().publish(text, long_text) == PublishStatus::accepted);
    CHECK(pair.sender().publish(text, std::string{}) == PublishStatus::accepted);
    CHECK(pair.sender().publish(number, 40) == PublishStatus::accepted);
    CHECK(pair.sender().publish(number, 2, {.key = "k"}) == PublishStatus::accepted);
    CHECK(pair.sender().publish(tick) == PublishStatus::accepted);
    CHECK(eventually([&] {
        const std::lock_guard lock(mutex);
        return samples.size() == 1 && texts.size() == 2 && sum == 42 && ticks == 1;
    }));
    CHECK(pair.shutdown().handled == 6);
    CHECK(samples == std::vector<Sample>{hard});
    CHECK(std::set<std::string>(texts.begin(), texts.end()) == std::set<std::string>{"", long_text});
}

template <class World>
void matches_patterns_once() {
    Pair<World> pair;
    std::atomic<int> name{0};
    std::atomic<int> one{0};
    std::atomic<int> all{0};
    std::atomic<int> exact{0};
    auto a = pair.listener().subscribe(number, [&](const std::int64_t&) { ++name; });
    auto b = pair.listener().subscribe(gossip::Pattern{"conformance.*"}, [&] { ++one; });
    auto c = pair.listener().subscribe(gossip::Pattern{"conformance.**"}, [&] { ++all; });
    auto d = pair.listener().subscribe(gossip::Pattern{"conformance.other"}, [&] { ++exact; });
    for (int i = 0; i < 10; ++i) {
        CHECK(pair.sender().publish(number, 1) == PublishStatus::accepted);
        CHECK(pair.sender().publish(other, 1) == PublishStatus::accepted);
        CHECK(pair.sender().publish(deep, 1) == PublishStatus::accepted);
    }
    CHECK(eventually([&] { return name == 10 && one == 20 && all == 30 && exact == 10; }));
    const gossip::ShutdownReport report = pair.shutdown();
    CHECK(name == 10);
    CHECK(one == 20);
    CHECK(all == 30);
    CHECK(exact == 10);
    CHECK(report.handled == 30);
}

template <class World>
void ends_a_subscription() {
    Pair<World> pair;
    std::atomic<int> first{0};
    std::atomic<int> second{0};
    auto a = pair.listener().subscribe(number, [&](const std::int64_t&) { ++first; });
    auto b = pair.listener().subscribe(number, [&](const std::int64_t&) { ++second; });
    CHECK(pair.sender().publish(number, 1) == PublishStatus::accepted);
    CHECK(eventually([&] { return first == 1 && second == 1; }));
    a.unsubscribe();
    CHECK(pair.sender().publish(number, 1) == PublishStatus::accepted);
    CHECK(eventually([&] { return second == 2; }));
    b.unsubscribe();
    CHECK(pair.sender().publish(number, 1) == PublishStatus::accepted);
    CHECK(pair.sender().drain(20s));
    auto c = pair.listener().subscribe(other, [&](const std::int64_t&) { ++first; });
    CHECK(pair.sender().publish(other, 1) == PublishStatus::accepted);
    CHECK(eventually([&] { return first == 2; }));
    pair.shutdown();
    CHECK(second == 2);
}

template <class World>
void refuses_after_shutdown() {
    Pair<World> pair;
    auto& bus = pair.sender();
    std::atomic<int> runs{0};
    auto a = pair.listener().subscribe(number, [&](const std::int64_t&) { ++runs; });
    CHECK(bus.publish(number, 1) == PublishStatus::accepted);
    CHECK(eventually([&] { return runs == 1; }));
    const gossip::ShutdownReport first = bus.shutdown(20s);
    CHECK(first.complete);
    CHECK(bus.publish(number, 2) == PublishStatus::closed);
    Event event{number, 3};
    CHECK(bus.try_publish(event) == PublishStatus::closed);
    CHECK(event.data<std::int64_t>() == 3);
    const gossip::SyncResult sync = bus.publish_sync(number, 4);
    REQUIRE_FALSE(sync.ok());
    CHECK(gossip::is(sync.errors().front(), gossip::errors::closed));
    auto late = bus.subscribe(other, [](const std::int64_t&) {});
    CHECK_FALSE(late.active());
    const gossip::ShutdownReport second = bus.shutdown();
    CHECK(second.accepted == first.accepted);
    CHECK(second.adds_up());
    pair.shutdown();
    CHECK(runs == 1);
}

template <class World>
void drains_what_was_accepted() {
    Pair<World> pair;
    std::atomic<int> runs{0};
    auto a = pair.listener().subscribe(number, [&](const std::int64_t&) { ++runs; });
    for (int i = 0; i < 500; ++i) {
        CHECK(pair.sender().publish(number, i) == PublishStatus::accepted);
    }
    CHECK(pair.sender().drain(20s));
    const gossip::Stats stats = pair.sender().stats();
    CHECK(stats.accepted == 500);
    CHECK(stats.sent == 500);
    CHECK(stats.unconfirmed == 0);
    CHECK(eventually([&] { return runs == 500; }));
    CHECK(pair.listener().drain(20s));
    CHECK(pair.listener().stats().handled == 500);
    pair.shutdown();
}

template <class World>
void keeps_the_order_of_a_key() {
    constexpr std::int64_t count = 600;
    constexpr std::int64_t keys = 4;
    Pair<World> pair(Config{.workers = 3});
    std::mutex mutex;
    std::map<std::string, std::vector<std::int64_t>> seen;
    std::atomic<int> runs{0};
    auto a = pair.listener().subscribe(number.type(), [&](const Event& event) {
        {
            const std::lock_guard lock(mutex);
            seen[std::string(event.key())].push_back(event.data<std::int64_t>());
        }
        ++runs;
    });
    for (std::int64_t i = 0; i < count; ++i) {
        const std::string key = "key-" + std::to_string(i % keys);
        REQUIRE(pair.sender().publish(number, i, {.key = key}) == PublishStatus::accepted);
    }
    CHECK(eventually([&] { return runs == count; }));
    pair.shutdown();
    CHECK(seen.size() == keys);
    for (const auto& [key, values] : seen) {
        INFO(key);
        CHECK(values.size() == count / keys);
        CHECK(std::is_sorted(values.begin(), values.end()));
    }
}

template <class World>
void survives_failing_processors() {
    std::atomic<int> hooks{0};
    std::atomic<int> letters{0};
    std::atomic<int> good{0};
    Pair<World> pair(Config{.on_error = [&](const gossip::ErrorReport&) { ++hooks; }});
    auto dead = pair.listener().subscribe(gossip::dead_letter, [&](const gossip::DeadLetter& letter) {
        letters += letter.event.type() == number.type() ? 1 : 0;
    });
    auto a = pair.listener().subscribe(number, [](const std::int64_t& n) -> Result {
        if (n % 3 == 0) {
            throw std::runtime_error("thirds");
        }
        return n % 3 == 1 ? Result{gossip::ProcessingError{"ones"}} : Result{};
    });
    auto b = pair.listener().subscribe(number, [&](const std::int64_t&) { ++good; });
    for (int i = 0; i < 30; ++i) {
        CHECK(pair.sender().publish(number, i) == PublishStatus::accepted);
    }
    CHECK(eventually([&] { return good == 30 && letters == 20; }));
    const gossip::ShutdownReport report = pair.shutdown();
    CHECK(report.handled == 10);
    CHECK(report.failed == 20);
    CHECK(report.dead_letters == 20);
    CHECK(hooks == 20);
    CHECK(letters == 20);
}

template <class World>
void redelivers_defers_and_batches() {
    Pair<World> pair;
    std::atomic<int> tries{0};
    std::atomic<int> batched{0};
    std::mutex mutex;
    std::vector<gossip::Deferral> open;
    auto a = pair.listener().subscribe(
        number,
        [&](const std::int64_t&) -> Result { return ++tries < 3 ? Result{gossip::errors::retryable} : Result{}; },
        {.redelivery = {.attempts = 3, .first_delay = 1ms}});
    auto b = pair.listener().subscribe(other, [&](Context& context, const std::int64_t&) {
        const std::lock_guard lock(mutex);
        open.push_back(context.defer());
    });
    auto c = pair.listener().subscribe(deep,
                                       gossip::batch<std::int64_t>({.size = 5}, [&](std::span<const std::int64_t> all) {
                                           batched += static_cast<int>(all.size());
                                       }));
    CHECK(pair.sender().publish(number, 1) == PublishStatus::accepted);
    CHECK(pair.sender().publish(other, 1) == PublishStatus::accepted);
    for (int i = 0; i < 7; ++i) {
        CHECK(pair.sender().publish(deep, i) == PublishStatus::accepted);
    }
    CHECK(eventually([&] {
        const std::lock_guard lock(mutex);
        return tries == 3 && open.size() == 1 && batched == 5 && pair.listener().stats().received == 9;
    }));
    CHECK_FALSE(pair.listener().drain(1ms)); // a deferral is open, a batch not full
    open.front().succeed();
    const gossip::ShutdownReport report = pair.shutdown();
    CHECK(batched == 7);
    CHECK(report.handled == 9);
}

template <class World>
void takes_from_many_threads() {
    constexpr int threads = 4;
    constexpr int each = 500;
    Pair<World> pair(Config{.workers = 3, .buffer_size = 64});
    std::mutex mutex;
    std::multiset<std::int64_t> seen;
    std::atomic<int> runs{0};
    auto a = pair.listener().subscribe(number, [&](const std::int64_t& n) {
        {
            const std::lock_guard lock(mutex);
            seen.insert(n);
        }
        ++runs;
    });
    std::atomic<int> refused{0};
    std::vector<std::thread> publishers;
    for (int t = 0; t < threads; ++t) {
        publishers.emplace_back([&, t] {
            for (int i = 0; i < each; ++i) {
                if (pair.sender().publish(number, t * each + i) != PublishStatus::accepted) {
                    ++refused;
                }
            }
        });
    }
    std::thread subscriber([&] {
        for (int i = 0; i < 10; ++i) {
            auto s = pair.listener().subscribe(gossip::Pattern{"conformance.*"}, [] {});
            auto t = pair.listener().subscribe(text, [](const std::string&) {});
        }
    });
    for (std::thread& publisher : publishers) {
        publisher.join();
    }
    subscriber.join();
    CHECK(refused == 0);
    CHECK(eventually([&] { return runs == threads * each; }));
    CHECK(pair.shutdown().handled == threads * each);
    CHECK(std::set<std::int64_t>(seen.begin(), seen.end()).size() == threads * each);
    CHECK(seen.size() == threads * each);
}

template <class World>
void waits_for_slow_processors() {
    Pair<World> pair(Config{.workers = 1, .buffer_size = 2});
    gossip_test::Gate gate;
    std::atomic<int> runs{0};
    auto a = pair.listener().subscribe(number, [&](const std::int64_t&) {
        if (runs == 0) {
            gate.pass();
        }
        ++runs;
    });
    std::thread publisher([&] {
        for (int i = 0; i < 100; ++i) {
            static_cast<void>(pair.sender().publish(number, i));
        }
    });
    if (World::crosses) {
        publisher.join();
        CHECK(pair.sender().drain(20s));
    }
    gate.open();
    if (!World::crosses) {
        publisher.join();
    }
    CHECK(eventually([&] { return runs == 100; }));
    pair.shutdown();
}

template <class World>
void publishes_later_and_from_processors() {
    Pair<World> pair(Config{.workers = 1, .buffer_size = 2});
    std::atomic<int> numbers{0};
    std::atomic<int> others{0};
    std::atomic<int> late{0};
    std::vector<gossip::Subscription> more;
    auto a = pair.listener().subscribe(number, [&](const std::int64_t& n) {
        if (n == 0) { // while it waits for the transport, the transport may wait for room in the buffer
            more.push_back(pair.listener().subscribe(deep, [&](const std::int64_t&) { ++late; }));
        }
        ++numbers;
        for (int i = 0; i < 5; ++i) {
            CHECK_NOFAIL(pair.listener().publish(other, i) == PublishStatus::accepted);
        }
    });
    auto b = pair.listener().subscribe(other, [&](const std::int64_t&) { ++others; });
    const auto later = pair.sender().publish_after(5ms, number, 1);
    for (int i = 0; i < 19; ++i) {
        CHECK(pair.sender().publish(number, i) == PublishStatus::accepted);
    }
    CHECK(eventually([&] { return numbers == 20 && others == 100; }));
    CHECK(pair.sender().publish(deep, 1) == PublishStatus::accepted);
    CHECK(eventually([&] { return late == 1; }));
    CHECK_FALSE(pair.sender().cancel(later));
    pair.shutdown();
}

template <class World>
void takes_back_what_is_to_come() {
    Pair<World> pair;
    std::atomic<int> runs{0};
    auto a = pair.listener().subscribe(number, [&](const std::int64_t&) { ++runs; });
    const auto never = pair.sender().publish_after(1h, number, 1);
    const auto soon = pair.sender().publish_after(1ms, number, 2);
    CHECK(pair.sender().drain(20s)); // what is not due is not waited for
    CHECK(pair.sender().cancel(never));
    CHECK_FALSE(pair.sender().cancel(never));
    CHECK(eventually([&] { return runs == 1; }));
    CHECK_FALSE(pair.sender().cancel(soon));
    CHECK(pair.sender().stats().cancelled == 1);
    pair.shutdown();
    CHECK(runs == 1);
}

template <class World>
void publishes_synchronously() {
    Pair<World> pair;
    std::atomic<int> runs{0};
    auto a = pair.listener().subscribe(number, [&](const std::int64_t&) { ++runs; });
    const gossip::SyncResult done = pair.sender().publish_sync(number, 1);
    CHECK(done.ok());
    CHECK(pair.sender().stats().sent == 1);
    CHECK(eventually([&] { return runs == 1; }));
    auto letters = pair.sender().subscribe(gossip::dead_letter, [] {}); // what is the library's own goes nowhere
    pair.shutdown();
}

template <class World>
void ends_within_its_deadline() {
    Pair<World> pair(Config{.workers = 1});
    gossip_test::Gate inside;
    auto a = pair.listener().subscribe(number, [&](Context& context, const std::int64_t&) {
        inside.open();
        while (!context.stop_requested()) {
            std::this_thread::yield();
        }
    });
    std::atomic<bool> stop{false};
    std::thread publisher([&] {
        while (!stop && pair.sender().publish(number, 1) == PublishStatus::accepted) {
            std::this_thread::yield();
        }
    });
    REQUIRE(inside.pass());
    const auto begin = std::chrono::steady_clock::now();
    const gossip::ShutdownReport report = pair.listener().shutdown(100ms);
    CHECK(std::chrono::steady_clock::now() - begin < 10s);
    CHECK(report.adds_up());
    stop = true;
    publisher.join();
    CHECK(pair.sender().shutdown(5s).adds_up());
}

/// Whichever thread drops: a publisher's, or the one that reads what arrives.
template <class World>
void ends_from_a_drop_hook() {
    typename Pair<World>::Bus* home = nullptr;
    std::atomic<int> asked{0};
    std::atomic<int> incomplete{0};
    Pair<World> pair(Config{.workers = 1,
                            .buffer_size = 2,
                            .overflow = gossip::Overflow::drop_oldest,
                            .on_drop = [&](const Event&, gossip::DropReason) {
                                if (asked++ == 0) {
                                    incomplete += home->shutdown(100ms).complete ? 0 : 1;
                                }
                            }});
    home = &pair.listener();
    gossip_test::Gate gate;
    auto a = pair.listener().subscribe(number, [&](const std::int64_t&) { gate.pass(); });
    for (int i = 0; i < 20; ++i) {
        static_cast<void>(pair.sender().publish(number, i)); // refused by a bus that has been ended meanwhile
    }
    gate.open();
    const gossip::ShutdownReport report = pair.shutdown();
    CHECK(report.complete);
    CHECK(incomplete == std::min(asked.load(), 1));
}

} // namespace gossip_conformance

#define GOSSIP_CONFORMANCE_TEST(name, scenario, ...)         \
    TEMPLATE_TEST_CASE(name, "[conformance]", __VA_ARGS__) { \
        if (!TestType::available()) {                        \
            WARN("skipped: the transport is not there");     \
            return;                                          \
        }                                                    \
        const gossip_test::Bounded bounded(name);            \
        gossip_conformance::scenario<TestType>();            \
    }

#define GOSSIP_CONFORMANCE(...)                                                                                      \
    GOSSIP_CONFORMANCE_TEST("an event arrives with all that it has", carries_what_an_event_has, __VA_ARGS__)         \
    GOSSIP_CONFORMANCE_TEST("data arrives as its type and equal", carries_typed_data, __VA_ARGS__)                   \
    GOSSIP_CONFORMANCE_TEST("each subscription sees an event once, whatever matches", matches_patterns_once,         \
                            __VA_ARGS__)                                                                             \
    GOSSIP_CONFORMANCE_TEST("what was unsubscribed is not called any more", ends_a_subscription, __VA_ARGS__)        \
    GOSSIP_CONFORMANCE_TEST("after shutdown every publish is closed", refuses_after_shutdown, __VA_ARGS__)           \
    GOSSIP_CONFORMANCE_TEST("drain waits for the transport", drains_what_was_accepted, __VA_ARGS__)                  \
    GOSSIP_CONFORMANCE_TEST("events of one key keep their order", keeps_the_order_of_a_key, __VA_ARGS__)             \
    GOSSIP_CONFORMANCE_TEST("failing processors fail their own events alone", survives_failing_processors,           \
                            __VA_ARGS__)                                                                             \
    GOSSIP_CONFORMANCE_TEST("redelivery, deferral and batches end what arrived", redelivers_defers_and_batches,      \
                            __VA_ARGS__)                                                                             \
    GOSSIP_CONFORMANCE_TEST("what many threads publish arrives once each", takes_from_many_threads, __VA_ARGS__)     \
    GOSSIP_CONFORMANCE_TEST("a full buffer holds the transport back and loses nothing", waits_for_slow_processors,   \
                            __VA_ARGS__)                                                                             \
    GOSSIP_CONFORMANCE_TEST("timers and processors publish and subscribe through the transport",                     \
                            publishes_later_and_from_processors, __VA_ARGS__)                                        \
    GOSSIP_CONFORMANCE_TEST("what is published later can be taken back until it is due", takes_back_what_is_to_come, \
                            __VA_ARGS__)                                                                             \
    GOSSIP_CONFORMANCE_TEST("a synchronous publish is confirmed", publishes_synchronously, __VA_ARGS__)              \
    GOSSIP_CONFORMANCE_TEST("a drop hook may ask for the shutdown", ends_from_a_drop_hook, __VA_ARGS__)              \
    GOSSIP_CONFORMANCE_TEST("a shutdown under traffic ends within its deadline", ends_within_its_deadline, __VA_ARGS__)
