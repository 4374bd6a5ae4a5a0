#include <gossip/bus/event_bus.hpp>
#include <gossip/middleware/recovery.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/seed.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace delivery_test {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::Context;
using gossip::EventBus;
using gossip::Overflow;
using gossip::PublishStatus;
using gossip::Result;
using gossip_test::eventually;

inline constexpr gossip::Topic<int> number{"delivery.number"};
inline constexpr gossip::Topic<int> other{"delivery.other"};
inline constexpr gossip::Topic<int> unheard{"delivery.unheard"};

/// Ends the deferrals that it is given, on a thread of its own, some well and some badly, until it is destroyed.
class Resolver {
public:
    Resolver() : thread_([this] { run(); }) {}
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;
    ~Resolver() {
        over_ = true;
        thread_.join();
    }
    void take(gossip::Deferral deferral) {
        const std::lock_guard lock(mutex_);
        open_.push_back(std::move(deferral));
    }

private:
    void run() {
        gossip_test::Random random(77);
        for (;;) {
            std::optional<gossip::Deferral> next;
            {
                const std::lock_guard lock(mutex_);
                if (!open_.empty()) {
                    next.emplace(std::move(open_.front()));
                    open_.pop_front();
                }
            }
            if (!next) {
                if (over_) {
                    return;
                }
                std::this_thread::yield();
            } else if (random.one_in(3)) {
                next->fail(gossip::ProcessingError{"no"});
            } else if (!random.one_in(5)) {
                next->succeed();
            } // else it is dropped
        }
    }

    std::mutex mutex_;
    std::deque<gossip::Deferral> open_;
    std::atomic<bool> over_{false};
    std::thread thread_;
};

struct Program {
    unsigned workers;
    std::size_t buffer_size;
    Overflow overflow;
    bool deadline;
};

/// Threads that publish in every way, subscribe, unsubscribe, drain and shut down at random times; then the books are
/// read.
void run_law(const Program& program, std::uint64_t round) {
    std::atomic<std::uint64_t> accepted{0};
    std::atomic<std::uint64_t> refused{0};
    std::atomic<std::uint64_t> dropped{0};
    std::atomic<std::uint64_t> abandoned{0};
    std::atomic<std::uint64_t> reported{0};
    std::atomic<bool> stopped{false};
    Resolver resolver;
    EventBus bus{Config{.workers = program.workers,
                        .buffer_size = program.buffer_size,
                        .overflow = program.overflow,
                        .on_error = [&](const gossip::ErrorReport&) { ++reported; },
                        .on_drop =
                            [&](const gossip::Event&, gossip::DropReason reason) {
                                ++(reason == gossip::DropReason::overflow ? dropped : abandoned);
                            }}};
    const auto count = [&](PublishStatus status) {
        if (status == PublishStatus::accepted) {
            ++accepted;
        } else if (status == PublishStatus::full) {
            ++refused;
        } else {
            stopped = true;
        }
    };
    const auto processor = [&](Context& context, const int& value) -> Result {
        switch (value % 16) {
        case 1:
            throw std::runtime_error{"thrown"};
        case 2:
            return gossip::RetryableError{"failed"};
        case 3:
        case 4:
            resolver.take(context.defer());
            return {};
        case 5:
            count(bus.publish(other, value + 1));
            return {};
        case 6:
            resolver.take(context.defer());
            resolver.take(context.defer());
            return gossip::FatalError{"and failed"};
        default:
            return {};
        }
    };
    const gossip::SubscribeOptions again{.redelivery = {.attempts = 3, .first_delay = 0ns, .jitter = 0}};
    auto first = bus.subscribe(number, processor, again);
    auto second = bus.subscribe(other, processor, {.max_concurrency = 1});
    auto letters = bus.subscribe(gossip::dead_letter, [&](const gossip::DeadLetter& letter) -> Result {
        if (letter.event.key() == "1") {
            throw 5;
        }
        return {};
    });

    std::vector<std::thread> threads;
    for (std::uint64_t t = 0; t < 3; ++t) {
        threads.emplace_back([&, t] {
            gossip_test::Random random(round * 100 + t);
            for (int i = 0; i < 300 && !stopped; ++i) {
                const int value = static_cast<int>(random.below(16));
                const gossip::Topic<int>& topic = random.one_in(8) ? unheard : random.one_in(3) ? other : number;
                const std::string key = random.one_in(3) ? std::to_string(random.below(3)) : "";
                const auto priority = static_cast<gossip::Priority>(random.one_in(3) ? random.below(4) : 1);
                switch (random.below(8)) {
                case 0: {
                    int data = value;
                    count(bus.try_publish(topic, std::move(data), {.key = key, .priority = priority}));
                    break;
                }
                case 1: {
                    const auto result = bus.publish_sync(topic, value, {.key = key});
                    const bool closed = !result.ok() && gossip::is(result.errors()[0], gossip::errors::closed);
                    count(closed ? PublishStatus::closed : PublishStatus::accepted);
                    break;
                }
                case 2:
                case 3:
                    count(bus.publish(topic, value, {.key = key, .priority = priority}));
                    break;
                default:
                    count(bus.publish(topic, value));
                }
            }
        });
    }
    threads.emplace_back([&] {
        gossip_test::Random random(round * 100 + 50);
        for (int i = 0; i < 30 && !stopped; ++i) {
            auto passing = random.one_in(2) ? bus.subscribe(number, processor, again)
                                            : bus.subscribe(gossip::Pattern{"delivery.*"}, [](const gossip::Event&) {});
            gossip_test::a_moment(random.below(200), 2ms);
        }
    });
    gossip::ShutdownReport report;
    threads.emplace_back([&] {
        gossip_test::Random random(round * 100 + 60);
        gossip_test::a_moment(random.below(2'000));
        static_cast<void>(bus.drain(random.one_in(2) ? 0ns : 100us));
        report = program.deadline ? bus.shutdown(100us) : bus.shutdown();
    });
    for (std::thread& thread : threads) {
        thread.join();
    }

    GOSSIP_INFO_SEED();
    INFO("workers " << program.workers << ", round " << round);
    CHECK(report.complete);
    CHECK(report.accepted == accepted);
    CHECK(bus.stats().rejected == refused); // one may have been refused while the report was being made
    CHECK(report.dropped == dropped);
    CHECK(report.abandoned >= abandoned);
    CHECK(report.accepted == report.handled + report.failed + report.unrouted + report.dropped + report.abandoned);
    CHECK(report.adds_up());
    CHECK((program.deadline || report.abandoned == 0));
    CHECK(bus.stats().waiting == 0);
    CHECK(bus.stats().timers == 0);
}

TEST_CASE("every accepted event ends in exactly one of five ends, whatever threads do at random times", "[bus][law]") {
    std::uint64_t round = 0;
    for (const Overflow overflow : {Overflow::block, Overflow::reject, Overflow::drop_oldest}) {
        for (const unsigned workers : {1U, 2U, 4U}) {
            for (const bool deadline : {false, true}) {
                run_law({workers, 8, overflow, deadline}, ++round);
            }
        }
    }
}

TEST_CASE("the counters add up at every moment when nothing is in flight", "[bus][law]") {
    EventBus bus{Config{.workers = 3, .buffer_size = 16}};
    auto s1 = bus.subscribe(number, [&](const int& value) -> Result {
        if (value % 3 == 0) {
            return gossip::ProcessingError{"third"};
        }
        if (value % 7 == 0 && value < 100) {
            bus.publish(other, value);
        }
        return {};
    });
    auto s2 = bus.subscribe(gossip::dead_letter, [](const gossip::DeadLetter&) {});

    for (const int round : gossip_test::Rounds(50)) {
        std::thread helper([&] {
            for (int i = 0; i < 20; ++i) {
                bus.publish(number, i, {.key = "k"});
            }
        });
        for (int i = 0; i < 20; ++i) {
            bus.publish(number, i);
        }
        helper.join();
        REQUIRE(bus.drain(20s));
        const gossip::Stats stats = bus.stats();
        CHECK(stats.adds_up());
        CHECK(stats.accepted == static_cast<std::uint64_t>(round + 1) * 44);
        CHECK(stats.dead_letters == stats.failed);
        CHECK(stats.waiting == 0);
    }
}

TEST_CASE("a refusal is a status and a count, and the hook for drops is not called for it", "[bus]") {
    int hooks = 0;
    EventBus bus{Config{.workers = 0,
                        .buffer_size = 2,
                        .overflow = Overflow::reject,
                        .on_drop = [&](const gossip::Event&, gossip::DropReason) { ++hooks; }}};

    CHECK(bus.publish(number, 1) == PublishStatus::accepted);
    CHECK(bus.publish(number, 2) == PublishStatus::accepted);
    CHECK(bus.publish(number, 3) == PublishStatus::full);
    CHECK(bus.publish(number, 4, {.key = "k"}) == PublishStatus::full);

    CHECK(bus.stats().rejected == 2);
    CHECK(bus.stats().accepted == 2);
    CHECK(hooks == 0);
}

TEST_CASE("a drop is a count and a call of the drop hook with the event that was dropped", "[bus]") {
    std::vector<int> told;
    std::vector<int> seen;
    EventBus bus{Config{.workers = 0,
                        .buffer_size = 2,
                        .overflow = Overflow::drop_oldest,
                        .on_drop = [&](const gossip::Event& event, gossip::DropReason reason) {
                            CHECK(reason == gossip::DropReason::overflow);
                            told.push_back(event.data<int>());
                        }}};
    auto s = bus.subscribe(number, [&](const int& value) { seen.push_back(value); });
    int buried = 0;
    auto d = bus.subscribe(gossip::dead_letter, [&] { ++buried; });

    for (int i = 0; i < 5; ++i) {
        CHECK(bus.publish(number, i) == PublishStatus::accepted);
    }
    CHECK(bus.drain(20s));

    CHECK(told == std::vector<int>{0, 1, 2});
    CHECK(seen == std::vector<int>{3, 4});
    CHECK(bus.stats().dropped == 3);
    CHECK(bus.stats().adds_up());
    CHECK(buried == 0);
}

TEST_CASE("a drop hook that throws is told to the error hook and changes nothing", "[bus]") {
    int errors = 0;
    EventBus bus{Config{.workers = 0,
                        .buffer_size = 2,
                        .overflow = Overflow::drop_oldest,
                        .on_error = [&](const gossip::ErrorReport&) { ++errors; },
                        .on_drop = [](const gossip::Event&, gossip::DropReason) { throw 1; }}};

    for (int i = 0; i < 3; ++i) {
        CHECK(bus.publish(number, i) == PublishStatus::accepted);
    }

    CHECK(errors == 1);
    CHECK(bus.stats().dropped == 1);
}

TEST_CASE("an exception of any type touches no other processor, no worker and no later event", "[bus]") {
    std::atomic<int> before{0};
    std::atomic<int> after{0};
    EventBus bus{Config{.workers = 1}};
    auto s1 = bus.subscribe(number, [&] { ++before; });
    auto s2 = bus.subscribe(number, [](const int& value) -> Result {
        switch (value) {
        case 0:
            throw 5;
        case 1:
            throw std::runtime_error{"runtime"};
        case 2:
            throw gossip::FatalError{"fatal"};
        case 3:
            throw "text";
        case 4:
            try {
                throw std::runtime_error{"inner"};
            } catch (...) {
                std::throw_with_nested(std::logic_error{"outer"});
            }
        case 5:
            return gossip::ProcessingError{"returned"};
        default:
            return {};
        }
    });
    auto s3 = bus.subscribe(number, [&] { ++after; });

    for (int i = 0; i < 8; ++i) {
        CHECK(bus.publish(number, i) == PublishStatus::accepted);
    }
    REQUIRE(bus.drain(20s));

    CHECK(before == 8);
    CHECK(after == 8);
    CHECK(bus.stats().failed == 6);
    CHECK(bus.stats().handled == 2);
}

TEST_CASE("recovery turns an exception into a failed event", "[bus]") {
    std::vector<std::string> told;
    EventBus bus{Config{
        .workers = 0, .on_error = [&](const gossip::ErrorReport& report) { told.emplace_back(report.error.what()); }}};
    auto s = bus.subscribe(number, gossip::middleware::recovery()([](const int&) { throw std::runtime_error{"bug"}; }));

    bus.publish(number, 1);
    bus.poll();

    CHECK(bus.stats().failed == 1);
    CHECK(bus.stats().handled == 0);
    REQUIRE(told.size() == 1);
    CHECK(told[0].find("bug") != std::string::npos);
}

TEST_CASE("the error hook is told once of each event that ends failed, with its first error", "[bus]") {
    std::vector<std::string> told;
    EventBus bus{Config{.workers = 0, .on_error = [&](const gossip::ErrorReport& report) {
                            CHECK(report.event.data<int>() == 7);
                            CHECK_FALSE(report.in_dead_letter);
                            told.emplace_back(std::string(report.name) + ": " + report.error.what());
                        }}};
    auto s1 = bus.subscribe(number, []() -> Result { return gossip::ProcessingError{"one"}; },
                            {.name = "first", .redelivery = {.attempts = 3, .first_delay = 0ns}});
    auto s2 = bus.subscribe(number, []() -> Result { return gossip::ProcessingError{"two"}; }, {.name = "second"});

    bus.publish(number, 7);
    REQUIRE(bus.drain(20s));

    REQUIRE(told.size() == 1);
    CHECK(told[0].find("second: ") == 0); // it failed for good while the other was tried again
    CHECK(bus.stats().failed == 1);
}

TEST_CASE("an error hook that throws touches nobody", "[bus]") {
    int calls = 0;
    EventBus bus{Config{.workers = 0, .on_error = [&](const gossip::ErrorReport&) {
                            ++calls;
                            throw std::runtime_error{"hook"};
                        }}};
    auto s = bus.subscribe(number, []() -> Result { return gossip::errors::timeout; });

    bus.publish(number, 1);
    bus.publish(number, 2);
    CHECK(bus.poll() == 2);

    CHECK(calls == 2);
    CHECK(bus.stats().failed == 2);
}

TEST_CASE("a hook may publish, subscribe and ask for statistics", "[bus]") {
    EventBus<>* self = nullptr;
    int seen = 0;
    std::vector<gossip::Subscription> kept;
    EventBus bus{Config{.workers = 0,
                        .buffer_size = 2,
                        .overflow = Overflow::drop_oldest,
                        .on_error =
                            [&](const gossip::ErrorReport&) {
                                self->publish(other, 1);
                                CHECK(self->stats().accepted > 0);
                            },
                        .on_drop =
                            [&](const gossip::Event&, gossip::DropReason) {
                                kept.push_back(self->subscribe(unheard, [] {}));
                                CHECK_FALSE(self->drain(0ns));
                            }}};
    self = &bus;
    auto s1 = bus.subscribe(number, []() -> Result { return gossip::errors::timeout; });
    auto s2 = bus.subscribe(other, [&] { ++seen; });

    for (int i = 0; i < 3; ++i) {
        bus.publish(number, i);
    }
    REQUIRE(bus.drain(20s));

    CHECK(seen == 2);
    CHECK(kept.size() == 1);
    CHECK(bus.stats().adds_up());
}

} // namespace delivery_test
