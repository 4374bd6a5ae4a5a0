#include <gossip/gossip.hpp>
#include <gossip/testing.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/few_threads.hpp"
#include "support/seed.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace exhaustion_test {

// The first allocation fails, then the second, and so on, until a scene needs no more of them: whatever there is no
// memory for is told to the caller or to the error hook, what was accepted ends once, and nothing is left behind.

using namespace std::chrono_literals;

inline namespace parts {

using gossip::Result;
using gossip_test::Bounded;

/// While it lives `failures` allocations of this thread fail, after `successes` have succeeded.
class Shortage {
public:
    Shortage(int successes, int failures) noexcept
        : successes_(successes), before_(support::allocations_of_this_thread()) {
        support::fail_allocation_after(successes, failures);
    }
    Shortage(const Shortage&) = delete;
    Shortage& operator=(const Shortage&) = delete;
    ~Shortage() { end(); }
    /// Whether it was felt.
    bool end() noexcept {
        support::fail_allocation_after(-1);
        return support::allocations_of_this_thread() - before_ > static_cast<std::size_t>(successes_);
    }

private:
    const int successes_;
    const std::size_t before_;
};

/// Plays with one allocation failing, then with all failing from one on: each in turn, until `play` says that the
/// shortage was not felt. Returns the number of plays.
template <class Play>
int each_allocation(Play play) {
    const Bounded bounded("playing without memory");
    if (!support::allocations_are_counted()) {
        return 0; // this build does not let allocations fail
    }
    int plays = 0;
    for (const int failures : {1, std::numeric_limits<int>::max()}) {
        int successes = 0;
        for (bool felt = true; felt; ++successes, ++plays) {
            INFO("allocation " << successes << " fails" << (failures == 1 ? "" : ", and all after it"));
            felt = play(successes, failures);
            REQUIRE(successes < 2000);
        }
    }
    return plays;
}

/// Data that counts its instances; the large kind does not fit into an event.
template <std::size_t Size>
struct Counted {
    Counted() noexcept { ++living; }
    Counted(const Counted&) noexcept { ++living; }
    Counted(Counted&&) noexcept { ++living; }
    Counted& operator=(const Counted&) = default;
    Counted& operator=(Counted&&) = default;
    ~Counted() { --living; }

    static inline std::atomic<int> living = 0;
    std::array<std::byte, Size> bytes{};
};
using Small = Counted<8>;
using Large = Counted<1000>;

inline constexpr gossip::Topic<Small> small{"exhaustion.small"};
inline constexpr gossip::Topic<Large> large{"exhaustion.large"};
inline constexpr gossip::Topic<> tick{"exhaustion.tick"};
const std::string long_key(100, 'k');
const std::string long_name(100, 'n');

/// A bus by hand on a manual clock, and what its hooks and dead letters were told.
struct World {
    explicit World(gossip::Overflow overflow = gossip::Overflow::reject, std::size_t buffer = 16)
        : bus(gossip::Config{.workers = 0,
                             .buffer_size = buffer,
                             .overflow = overflow,
                             .clock = &clock,
                             .on_error =
                                 [this](const gossip::ErrorReport& told) {
                                     ++(told.in_dead_letter ? letter_errors : errors);
                                     last_subject = told.event.type().name().empty() ? 'n' : 'y';
                                 },
                             .on_drop = [this](const gossip::Event&, gossip::DropReason) { ++drops; }}) {}

    /// Some seconds; what was deferred fails.
    void go_on(int seconds) {
        for (int i = 0; i < seconds; ++i) {
            bus.poll();
            clock.advance(1s);
            while (!open.empty()) {
                gossip::Deferral deferral = std::move(open.back());
                open.pop_back();
                deferral.fail(gossip::RetryableError{"later"});
            }
        }
    }
    /// What is left to do, with memory. Then everything has to be there.
    void settle() {
        go_on(16);
        bus.flush();
        const bool quiet = bus.drain(20s);
        CHECK(quiet);
        report = bus.shutdown();
        CHECK(report.complete);
        CHECK(report.adds_up());
        CHECK(report.abandoned == 0);
        CHECK(bus.stats().timers == 0);
        CHECK(bus.stats().waiting == 0);
    }

    gossip::testing::ManualClock clock;
    std::uint64_t errors = 0;
    std::uint64_t letter_errors = 0;
    std::uint64_t drops = 0;
    std::uint64_t runs = 0;
    std::uint64_t letters = 0;
    char last_subject = '-'; // whether the event that the error hook was last told of had a name
    gossip::ShutdownReport report;
    std::vector<gossip::Deferral> open;
    gossip::EventBus<> bus;
    std::vector<gossip::Subscription> subscriptions;
};

void nothing_lives() {
    CHECK(Small::living == 0);
    CHECK(Large::living == 0);
}

} // namespace parts

TEST_CASE("a bus that there is no memory for is not made, and leaves nothing behind", "[exhaustion]") {
    const unsigned workers = GENERATE(0U, 3U);
    const Bounded bounded("making a bus without memory");
    const auto owned = std::make_shared<int>(0);
    int made = 0;
    const int plays = each_allocation([&](int successes, int failures) {
        gossip::testing::ManualClock clock;
        std::optional<gossip::EventBus<>> bus;
        gossip::Config config{.workers = workers,
                              .clock = &clock,
                              .on_error = [owned](const gossip::ErrorReport&) {},
                              .on_drop = [owned](const gossip::Event&, gossip::DropReason) {}};
        bool refused = false;
        Shortage shortage(successes, failures);
        try {
            bus.emplace(std::move(config));
        } catch (const std::bad_alloc&) {
            refused = true;
        }
        const bool felt = shortage.end();
        config = {};
        CHECK(refused == felt);
        CHECK(bus.has_value() != refused);
        made += bus ? 1 : 0;
        if (bus) {
            CHECK(bus->shutdown().adds_up());
        }
        bus.reset();
        CHECK(owned.use_count() == 1);
        return felt;
    });
    CHECK(made == (plays == 0 ? 0 : 2));
}

TEST_CASE("a bus whose threads can't be made is not made, and says why", "[exhaustion]") {
    const auto owned = std::make_shared<int>(0);
    gossip::testing::ManualClock clock;
    std::string said;
    {
        const support::NoThreads no_threads;
        try {
            const gossip::EventBus bus{gossip::Config{
                .workers = 2, .clock = &clock, .on_error = [owned](const gossip::ErrorReport&) { ++*owned; }}};
        } catch (const std::system_error& error) {
            CHECK(error.code() == std::errc::resource_unavailable_try_again);
            said = error.what();
        }
        CHECK_FALSE(said.empty());
        CHECK(owned.use_count() == 1);
        clock.advance(1s); // nobody listens to it any more

        gossip::EventBus without{gossip::Config{.workers = 0}};
        CHECK(without.publish(tick) == gossip::PublishStatus::accepted);
        CHECK(without.shutdown().unrouted == 1);
    }
    gossip::EventBus bus{gossip::Config{.workers = 2}};
    CHECK(bus.publish(tick) == gossip::PublishStatus::accepted);
    CHECK(bus.drain(20s));
}

TEST_CASE("a bus whose second thread can't be made ends the first one and is not made", "[exhaustion]") {
    if (support::sanitized) {
        return;
    }
    const auto owned = std::make_shared<int>(0);
    bool refused = false;
    {
        const support::OneThread one_thread;
        try {
            const gossip::EventBus one{gossip::Config{.workers = 1}};
        } catch (const std::system_error&) {
            FAIL("one thread can be made");
        }
        try {
            const gossip::EventBus bus{
                gossip::Config{.workers = 3, .on_error = [owned](const gossip::ErrorReport&) { ++*owned; }}};
        } catch (const std::system_error& error) {
            CHECK(error.code() == std::errc::resource_unavailable_try_again);
            refused = true;
        }
        CHECK(refused);
        CHECK(owned.use_count() == 1); // nobody runs any more who could have it
    }
    gossip::EventBus bus{gossip::Config{.workers = 2}};
    CHECK(bus.publish(tick) == gossip::PublishStatus::accepted);
    CHECK(bus.drain(20s));
}

TEST_CASE("a subscription that there is no memory for changes nothing", "[exhaustion]") {
    struct Kind {
        const char* name;
        gossip::Subscription (*make)(World&, const std::shared_ptr<int>&);
    };
    const Kind kind = GENERATE(values<Kind>({
        {"a topic, with all options",
         [](World& world, const std::shared_ptr<int>& owned) {
             // One by one: GCC 12 destroys the members of a nested aggregate twice when a later one throws.
             gossip::SubscribeOptions options;
             options.name = long_name;
             options.max_concurrency = 1;
             options.redelivery.attempts = 2;
             options.redelivery.when = [owned](const gossip::Error&) { return true; };
             options.filter = [owned](const gossip::Event&) { return true; };
             return world.bus.subscribe(
                 small, [owned](const Small&) { ++*owned; }, std::move(options));
         }},
        {"a pattern",
         [](World& world, const std::shared_ptr<int>& owned) {
             return world.bus.subscribe(gossip::Pattern{"exhaustion.*"}, [owned](const gossip::Event&) { ++*owned; });
         }},
        {"many names",
         [](World& world, const std::shared_ptr<int>& owned) {
             return world.bus.subscribe_many(
                 {gossip::EventType{"exhaustion.small"}, gossip::EventType{"exhaustion." + long_name}},
                 [owned](const gossip::Event&) { ++*owned; });
         }},
        {"an owner's",
         [](World& world, const std::shared_ptr<int>& owned) {
             return world.bus.subscribe(small, std::weak_ptr<int>(owned), [owned](const Small&) { ++*owned; });
         }},
        {"a batch",
         [](World& world, const std::shared_ptr<int>& owned) {
             return world.bus.subscribe(small, gossip::batch<Small>({.size = 1}, [owned](std::span<const Small> run) {
                                            *owned += static_cast<int>(run.size());
                                        }));
         }},
    }));
    INFO(kind.name);
    each_allocation([&](int successes, int failures) {
        const auto owned = std::make_shared<int>(0);
        bool felt = false;
        {
            World world;
            auto before = world.bus.subscribe(small, [&](const Small&) { ++world.runs; });
            gossip::Subscription s;
            bool refused = false;
            Shortage shortage(successes, failures);
            try {
                s = kind.make(world, owned);
            } catch (const std::bad_alloc&) {
                refused = true;
            }
            felt = shortage.end();
            CHECK((felt || !refused));
            CHECK(s.active() != refused);
            CHECK(world.bus.stats().subscriptions == (refused ? 1U : 2U));
            CHECK((!refused || owned.use_count() == 1));
            CHECK(world.bus.publish(small, {}) == gossip::PublishStatus::accepted);
            world.settle();
            CHECK(world.runs == 1);
            CHECK(*owned == (refused ? 0 : 1));
        }
        CHECK(owned.use_count() == 1);
        nothing_lives();
        return felt;
    });
}

TEST_CASE("a publish that there is no memory for tells its caller, and is not accepted", "[exhaustion]") {
    using Status = gossip::PublishStatus;
    struct Kind {
        const char* name;
        Status (*publish)(World&);
        bool full_buffer = false;
    };
    const Kind kind = GENERATE(values<Kind>({
        {"small data", [](World& world) { return world.bus.publish(small, {}); }},
        {"large data", [](World& world) { return world.bus.publish(large, {}); }},
        {"a key", [](World& world) { return world.bus.publish(small, {}, {.key = long_key}); }},
        {"metadata",
         [](World& world) {
             return world.bus.publish(large, {}, {.metadata = {{"first", long_name}, {"second", "short"}}});
         }},
        {"everything",
         [](World& world) {
             return world.bus.publish(
                 large, {},
                 {.key = long_key, .priority = gossip::Priority::high, .metadata = {{long_name, long_name}}});
         }},
        {"an event made by hand",
         [](World& world) {
             return world.bus.publish(gossip::Event{large, {}});
         }},
        {"a name never seen before",
         [](World& world) { return world.bus.publish(gossip::Event{gossip::EventType{"exhaustion." + long_name}}); }},
        {"a try", [](World& world) { return world.bus.try_publish(large, {}, {.key = long_key}); }},
        {"later",
         [](World& world) {
             static_cast<void>(world.bus.publish_after(1s, large, {}, {.key = long_key}));
             return Status::accepted;
         }},
        {"synchronously",
         [](World& world) {
             return world.bus.publish_sync(large, {}, {.key = long_key}).ok() ? Status::accepted : Status::closed;
         }},
        {"a full buffer, in place of the oldest",
         [](World& world) { return world.bus.publish(large, {}, {.key = long_key}); }, true},
    }));
    INFO(kind.name);
    each_allocation([&](int successes, int failures) {
        bool felt = false;
        {
            World world(gossip::Overflow::drop_oldest);
            world.subscriptions.push_back(
                world.bus.subscribe(gossip::Pattern{"exhaustion.*"}, [&](const gossip::Event&) { ++world.runs; }));
            std::uint64_t accepted = 0;
            for (int i = 0; kind.full_buffer && i < 16; ++i) {
                accepted += world.bus.publish(small, {}) == Status::accepted ? 1U : 0U;
            }
            Status status = Status::full;
            bool thrown = false;
            Shortage shortage(successes, failures);
            try {
                status = kind.publish(world);
            } catch (const std::bad_alloc&) {
                thrown = true;
            }
            felt = shortage.end();
            const bool sync_failed = status == Status::closed; // begun, and failed for want of memory
            accepted += status == Status::accepted || sync_failed ? 1U : 0U;
            CHECK((felt || (!thrown && status == Status::accepted)));
            world.settle();
            // What publish_sync has begun counts, also if there is no memory to say how it failed.
            const bool begun_unsaid = world.report.accepted == accepted + 1 && thrown && world.report.failed == 1;
            CHECK((world.report.accepted == accepted || begun_unsaid));
            CHECK(world.report.failed == (sync_failed || begun_unsaid ? 1 : 0));
            CHECK(world.runs == world.report.handled);
            CHECK(world.report.handled + world.report.failed + world.report.dropped == world.report.accepted);
            CHECK(world.report.dropped == world.drops);
            CHECK((world.drops == 0 || kind.full_buffer));
        }
        nothing_lives();
        return felt;
    });
}

TEST_CASE("what was accepted ends once, whatever there is no memory for while it is handled", "[exhaustion]") {
    using gossip::Context;
    using gossip::Event;
    using gossip::RetryableError;
    struct Kind {
        const char* name;
        void (*subscribe)(World&);
        bool keyed = false;
        bool told = true; // no publish of its own: the error hook is told of each failed event, once
    };
    static const gossip::Redelivery again{.attempts = 3, .first_delay = 1s, .growth = 1};
    static const auto fails = [](World& world) {
        return [&world]() -> Result {
            ++world.runs;
            return RetryableError{"by intention, in so many words that they don't fit into anything small"};
        };
    };
    const Kind kind = GENERATE(values<Kind>({
        {"a processor",
         [](World& world) {
             world.subscriptions.push_back(
                 world.bus.subscribe(gossip::Pattern{"exhaustion.*"}, [&](const Event&) { ++world.runs; }));
         }},
        {"a processor that throws",
         [](World& world) {
             world.subscriptions.push_back(world.bus.subscribe(
                 gossip::Pattern{"exhaustion.*"},
                 [&](const Event&) {
                     ++world.runs;
                     throw std::runtime_error("by intention, in so many words that they don't fit into anything small");
                 },
                 {.name = long_name}));
         }},
        {"redelivery",
         [](World& world) {
             world.subscriptions.push_back(world.bus.subscribe(gossip::Pattern{"exhaustion.*"}, fails(world),
                                                               {.name = long_name, .redelivery = again}));
         },
         true},
        {"two that fail, one of them again and again",
         [](World& world) {
             world.subscriptions.push_back(
                 world.bus.subscribe(gossip::Pattern{"exhaustion.*"}, fails(world), {.redelivery = again}));
             world.subscriptions.push_back(
                 world.bus.subscribe(gossip::Pattern{"**"}, fails(world), {.name = long_name}));
         }},
        {"deferral",
         [](World& world) {
             world.subscriptions.push_back(world.bus.subscribe(gossip::Pattern{"exhaustion.*"},
                                                               [&](Context& context, const Event&) {
                                                                   ++world.runs;
                                                                   world.open.push_back(context.defer());
                                                               },
                                                               {.name = long_name, .redelivery = again}));
         },
         true},
        {"a batch that fails as a whole",
         [](World& world) {
             world.subscriptions.push_back(world.bus.subscribe(
                 large,
                 gossip::batch<Large>({.size = 2, .split = true},
                                      [&](std::span<const Event> run) -> Result {
                                          world.runs += run.size();
                                          return RetryableError{
                                              "by intention, in so many words that they don't fit into anything small"};
                                      }),
                 {.name = long_name, .redelivery = again}));
             world.subscriptions.push_back(world.bus.subscribe(small, [&](const Small&) { ++world.runs; }));
         },
         true},
        {"a batch by key beside another processor",
         [](World& world) {
             world.subscriptions.push_back(world.bus.subscribe(
                 large, gossip::batch<Large>({.size = 2, .by_key = true},
                                             [&](std::span<const Event> run) { world.runs += run.size(); })));
             world.subscriptions.push_back(
                 world.bus.subscribe(gossip::Pattern{"exhaustion.*"}, fails(world), {.redelivery = again}));
         },
         true},
        {"publishes of its own into a full buffer",
         [](World& world) {
             world.subscriptions.push_back(
                 world.bus.subscribe(gossip::Pattern{"exhaustion.*"}, [&](const Event& event) {
                     ++world.runs;
                     if (event.type().name() == "exhaustion.small") {
                         for (int i = 0; i < 4; ++i) {
                             static_cast<void>(world.bus.publish(tick, {.key = long_key}));
                         }
                     }
                 }));
         },
         false, false},
    }));
    INFO(kind.name);
    each_allocation([&](int successes, int failures) {
        bool felt = false;
        {
            World world(gossip::Overflow::block, 4);
            world.subscriptions.push_back(world.bus.subscribe(gossip::dead_letter, [&] { ++world.letters; }));
            kind.subscribe(world);
            std::uint64_t accepted = 0;
            for (int i = 0; i < 4; ++i) {
                gossip::Event event = i == 1 ? gossip::Event{small, {}} : gossip::Event{large, {}};
                if (kind.keyed) {
                    event.with_key(long_key);
                }
                accepted += world.bus.publish(std::move(event)) == gossip::PublishStatus::accepted ? 1U : 0U;
            }
            REQUIRE(accepted == 4);

            Shortage shortage(successes, failures);
            world.go_on(16);
            world.bus.flush();
            felt = shortage.end();
            world.settle();

            const auto& report = world.report;
            CHECK((kind.told ? report.accepted == 4 : report.accepted >= 4));
            CHECK(report.handled + report.failed == report.accepted);
            CHECK(world.errors == report.failed);
            CHECK(world.runs + report.failed >= report.accepted); // none was passed over without a word
            CHECK(report.dead_letters <= report.failed);
            CHECK((felt || report.dead_letters == report.failed));
            // A letter that could not be made, or was failed by want of memory, is told of as well, or its event was
            // ended without memory for anything.
            CHECK(world.letters <= report.dead_letters);
            CHECK(world.letters + report.dead_letters_failed >= report.dead_letters);
            if (failures == 1) {
                CHECK(report.failed - report.dead_letters <= 1);
            }
        }
        nothing_lives();
        return felt;
    });
}

TEST_CASE("what was put off and can't be published is told of, as the event that it is", "[exhaustion]") {
    const bool again = GENERATE(false, true);
    INFO((again ? "again and again" : "once"));
    each_allocation([&](int successes, int failures) {
        bool felt = false;
        {
            World world(gossip::Overflow::reject);
            world.subscriptions.push_back(
                world.bus.subscribe(gossip::Pattern{"exhaustion.*"}, [&](const gossip::Event&) { ++world.runs; }));
            gossip::ScheduledId id;
            if (again) {
                id = world.bus.publish_every(1s, large, {}, {.key = long_key});
            } else {
                id = world.bus.publish_after(1s, large, {}, {.key = long_key});
            }
            world.clock.advance(1s);

            Shortage shortage(successes, failures);
            world.bus.poll();
            felt = shortage.end();

            CHECK(world.last_subject != 'n');
            world.bus.cancel(id);
            world.settle();
            CHECK(world.report.accepted == world.report.handled + world.report.failed);
            CHECK(world.runs == world.report.handled);
            CHECK((world.report.handled == 1 || world.errors != 0));
            CHECK((felt || world.errors == 0));
        }
        nothing_lives();
        return felt;
    });
}

TEST_CASE("a bus that ends without memory ends all that it has accepted", "[exhaustion]") {
    const bool patient = GENERATE(false, true);
    each_allocation([&](int successes, int failures) {
        bool felt = false;
        {
            World world;
            int batched = 0;
            world.subscriptions.push_back(world.bus.subscribe(gossip::dead_letter, [&] { ++world.letters; }));
            world.subscriptions.push_back(
                world.bus.subscribe(large, gossip::batch<Large>({.size = 8}, [&](std::span<const Large> run) {
                                        batched += static_cast<int>(run.size());
                                    })));
            world.subscriptions.push_back(world.bus.subscribe(small,
                                                              []() -> Result { return gossip::errors::retryable; },
                                                              {.redelivery = {.attempts = 3, .first_delay = 1h}}));
            world.subscriptions.push_back(
                world.bus.subscribe(tick, [&](gossip::Context& context) { world.open.push_back(context.defer()); }));
            for (int i = 0; i < 3; ++i) {
                world.bus.publish(large, {});
                world.bus.publish(small, {}, {.key = long_key});
            }
            if (!patient) {
                world.bus.publish(tick);
            }
            static_cast<void>(world.bus.publish_after(1h, large, {}));
            world.bus.poll(patient ? 3 : 7);

            Shortage shortage(successes, failures);
            gossip::ShutdownReport report = patient ? world.bus.shutdown() : world.bus.shutdown(0ns);
            felt = shortage.end();
            CHECK(report.complete);
            CHECK(report.adds_up());
            CHECK(report.accepted == (patient ? 6U : 7U));
            CHECK(report.cancelled == 1);
            CHECK((!patient || report.abandoned == 0));
            CHECK(report.abandoned == world.drops + (patient ? 0U : 2U)); // two had begun
            CHECK(report.failed == world.errors);
            world.open.clear();
            CHECK(world.bus.stats().adds_up());
            world.subscriptions.clear();
        }
        nothing_lives();
        return felt;
    });
}

TEST_CASE("the end of a subscription without memory ends what it had collected and put off", "[exhaustion]") {
    each_allocation([&](int successes, int failures) {
        bool felt = false;
        {
            World world;
            std::uint64_t batched = 0;
            auto collects = world.bus.subscribe(
                large, gossip::batch<Large>({.size = 8}, [&](std::span<const Large> run) { batched += run.size(); }),
                {.name = long_name});
            auto tries = world.bus.subscribe(small, []() -> Result { return gossip::errors::retryable; },
                                             {.name = long_name, .redelivery = {.attempts = 3, .first_delay = 1h}});
            for (int i = 0; i < 3; ++i) {
                world.bus.publish(large, {});
                world.bus.publish(small, {}, {.key = long_key});
            }
            world.bus.poll();

            Shortage shortage(successes, failures);
            collects.unsubscribe();
            tries.unsubscribe();
            felt = shortage.end();

            CHECK(batched == 3);
            CHECK(world.bus.stats().subscriptions == 0);
            CHECK(world.bus.stats().timers == 0);
            world.settle();
            // Two had still to wait for their key. Where there was no memory for a list without what has ended, they
            // count as handled by nobody.
            CHECK(world.report.handled + world.report.unrouted == 5);
            CHECK(world.report.failed == 1);
            CHECK(world.errors == world.report.failed);
        }
        nothing_lives();
        return felt;
    });
}

TEST_CASE("workers that run short of memory now and then lose nothing", "[exhaustion]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    GOSSIP_INFO_SEED();
    const Bounded bounded("workers without memory");
    constexpr std::uint64_t events = 2000;
    std::atomic<std::uint64_t> errors{0};
    std::atomic<std::uint64_t> letters{0};
    std::atomic<std::uint64_t> streams{0};
    {
        gossip::EventBus bus{
            gossip::Config{.workers = 2, .buffer_size = 64, .on_error = [&](const gossip::ErrorReport& report) {
                               errors += report.in_dead_letter ? 0 : 1;
                           }}};
        // On a worker's thread: some of the allocations that follow fail, those of the bus after this run included.
        const auto shorten = [&streams] {
            thread_local gossip_test::Random random(streams.fetch_add(1));
            if (random.one_in(3)) {
                support::fail_allocation_after(static_cast<int>(random.below(20)),
                                               1 + static_cast<int>(random.below(30)));
            }
            return !random.one_in(4);
        };
        auto tries = bus.subscribe(
            gossip::Pattern{"exhaustion.*"},
            [&](const gossip::Event&) { return shorten() ? Result{} : Result{gossip::errors::retryable}; },
            {.name = long_name, .redelivery = {.attempts = 3, .first_delay = 10us, .growth = 1}});
        auto collects =
            bus.subscribe(large,
                          gossip::batch<Large>({.size = 5, .period = 100us},
                                               [&](std::span<const gossip::Event>) {
                                                   return shorten() ? Result{} : Result{gossip::errors::retryable};
                                               }),
                          {.max_concurrency = 1, .redelivery = {.attempts = 2, .first_delay = 10us}});
        auto defers = bus.subscribe(small, [&](gossip::Context& context, const Small&) {
            gossip::Deferral deferral = context.defer();
            return shorten() ? Result{} : Result{gossip::errors::processing_failed};
        });
        auto hears = bus.subscribe(gossip::dead_letter, [&] { ++letters; });
        for (std::uint64_t i = 0; i < events; ++i) {
            gossip::Event event = i % 3 == 0 ? gossip::Event{small, {}} : gossip::Event{large, {}};
            if (i % 2 == 0) {
                event.with_key(long_key + std::to_string(i % 7));
            }
            REQUIRE(bus.publish(std::move(event)) == gossip::PublishStatus::accepted);
        }
        const auto report = bus.shutdown();
        CHECK(report.complete);
        CHECK(report.adds_up());
        CHECK(report.accepted == events);
        CHECK(report.handled + report.failed == events);
        CHECK(report.handled != 0);
        CHECK(report.failed == errors);
        CHECK(report.dead_letters <= report.failed); // where there was memory to make one
        CHECK(letters <= report.dead_letters);
        CHECK(letters + report.dead_letters_failed >= report.dead_letters);
    }
    nothing_lives();
}

TEST_CASE("a clock that jumps to its end makes everything due that is to come, and the bus ends", "[exhaustion]") {
    const Bounded bounded("a clock at its end");
    World world;
    std::uint64_t later = 0;
    std::uint64_t beats = 0;
    std::uint64_t batched = 0;
    world.subscriptions.push_back(world.bus.subscribe(tick, [&] { ++later; }));
    world.subscriptions.push_back(world.bus.subscribe(large, [&](const Large&) { ++beats; }));
    world.subscriptions.push_back(
        world.bus.subscribe(small, gossip::batch<Small>({.size = 8, .period = 1h},
                                                        [&](std::span<const Small> run) { batched += run.size(); })));
    world.subscriptions.push_back(world.bus.subscribe(
        small,
        [&](gossip::Context& context, const Small&) -> Result {
            ++world.runs;
            return context.attempt() < 3 ? Result{gossip::errors::retryable} : Result{};
        },
        {.redelivery = {.attempts = 3, .first_delay = 1h, .growth = 1000, .max_delay = std::chrono::hours{24 * 365}}}));
    static_cast<void>(world.bus.publish_after(std::chrono::hours{24 * 365 * 100}, tick));
    static_cast<void>(world.bus.publish_after(1s, tick));
    const auto beat = world.bus.publish_every(std::chrono::hours{24 * 365 * 90}, large, {});
    const auto fast = world.bus.publish_every(1ns, large, {});
    world.bus.publish(small, {}, {.key = long_key});
    CHECK(world.bus.poll() == 1);

    world.clock.advance(std::chrono::nanoseconds::max());
    for (int polls = 0; polls < 20; ++polls) { // a beat of 1 ns goes on at the end of time
        world.bus.poll();
    }
    CHECK(later == 2);
    CHECK(beats >= 2);
    CHECK(batched == 1);
    CHECK(world.runs == 3);                 // the third attempt is due at the very end
    static_cast<void>(world.bus.drain(1s)); // ends
    world.bus.cancel(beat);
    world.bus.cancel(fast);
    const auto report = world.bus.shutdown();
    CHECK(report.complete);
    CHECK(report.adds_up());
    CHECK(report.abandoned == 0);
}

} // namespace exhaustion_test
