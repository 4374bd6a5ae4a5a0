#include <gossip/gossip.hpp>
#include <gossip/testing.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace reentrancy_test {

// Everything that can be asked of a bus, from inside everything that a bus calls: each call returns, with its outcome.

using namespace std::chrono_literals;

namespace reentrancy_test {

using gossip_test::Bounded;

inline constexpr gossip::Topic<int> number{"test.number"};
inline constexpr gossip::Topic<> tick{"test.tick"};
inline constexpr gossip::Topic<> quiet{"test.quiet"};
inline constexpr gossip::Topic<int> hoarded{"test.hoarded"};

enum class Place { processor, batch, filter, middleware, dead_letter, error_hook, drop_hook, helper };
enum class Call {
    publish,
    try_publish,
    publish_sync,
    publish_after,
    subscribe,
    unsubscribe_self,
    unsubscribe_other,
    drain,
    flush,
    shutdown,
    shutdown_in_time,
    cancel
};

constexpr std::array calls{Call::publish,   Call::try_publish,      Call::publish_sync,      Call::publish_after,
                           Call::subscribe, Call::unsubscribe_self, Call::unsubscribe_other, Call::drain,
                           Call::flush,     Call::shutdown,         Call::shutdown_in_time,  Call::cancel};
constexpr std::array call_names{"publish",
                                "try_publish",
                                "publish_sync",
                                "publish_after",
                                "subscribe",
                                "unsubscribe of itself",
                                "unsubscribe of another",
                                "drain with a deadline",
                                "flush",
                                "a shutdown request",
                                "a shutdown request with a deadline",
                                "cancel"};
static_assert(calls.size() == call_names.size());

/// A bus that gets into the place once, and there makes the two calls.
class Scene {
public:
    Scene(Place place, unsigned workers, std::vector<Call> wanted)
        : place_(place),
          wanted_(std::move(wanted)),
          workers_(workers),
          bus_(gossip::Config{.workers = workers,
                              .buffer_size = 2,
                              .overflow =
                                  place == Place::drop_hook ? gossip::Overflow::drop_oldest : gossip::Overflow::block,
                              .on_error = [this](const gossip::ErrorReport&) { at(Place::error_hook); },
                              .on_drop = [this](const gossip::Event&, gossip::DropReason) { at(Place::drop_hook); },
                              .middleware = place == Place::middleware ? gossip::BusMiddleware(Visiting{this})
                                                                       : gossip::BusMiddleware()}) {
        later_ = bus_.publish_after(1h, quiet);
        other_ = bus_.subscribe(quiet, [this] { ++quiet_runs; });
        switch (place) {
        case Place::processor:
            self_ = bus_.subscribe(number, [this](int) { at(Place::processor); });
            break;
        case Place::helper:
            self_ =
                bus_.subscribe(number, gossip::middleware::timeout_detached(1h)([this](int) { at(Place::helper); }));
            break;
        case Place::batch:
            self_ = bus_.subscribe(number,
                                   gossip::batch<int>({.size = 1}, [this](std::span<const int>) { at(Place::batch); }));
            break;
        case Place::middleware:
            self_ = bus_.subscribe(number, [this](int) { ++self_runs; });
            break;
        case Place::filter:
            self_ = bus_.subscribe(number, [this](int) { ++self_runs; }, {.filter = [this](const gossip::Event&) {
                                       at(Place::filter);
                                       return true;
                                   }});
            break;
        case Place::dead_letter:
            failing_ = bus_.subscribe(number, []() -> gossip::Result { return gossip::ProcessingError{"no"}; });
            self_ = bus_.subscribe(gossip::dead_letter, [this] { at(Place::dead_letter); });
            break;
        case Place::error_hook:
            self_ = bus_.subscribe(number, []() -> gossip::Result { return gossip::ProcessingError{"no"}; });
            break;
        case Place::drop_hook:
            self_ = bus_.subscribe(
                number, [this](int) { static_cast<void>(gossip_test::eventually([this] { return visited.load(); })); });
            break;
        }
    }

    /// From now on a batch has one event of a hundred.
    void hoard() {
        const auto count = [this](std::span<const gossip::Event> events) {
            flushed += static_cast<int>(events.size());
        };
        hoarder_ = bus_.subscribe(hoarded, gossip::batch<int>({.size = 100, .period = 1h}, count));
        static_cast<void>(bus_.publish_sync(hoarded, 0));
        hoards_ = true;
    }

    void play() {
        if (place_ == Place::drop_hook) {
            for (int i = 0; !visited; ++i) {
                static_cast<void>(bus_.publish(number, i));
            }
        } else {
            static_cast<void>(bus_.publish(number, 0));
        }
        drained = bus_.drain(20s);
        report = bus_.shutdown();
    }

    std::vector<std::string> wrong;
    std::atomic<int> quiet_runs{0};
    std::atomic<int> self_runs{0};
    std::atomic<int> flushed{0};
    std::atomic<bool> visited{false};
    bool drained = false;
    gossip::ShutdownReport report;

    std::uint64_t put_off = 1; // publishes that are still to come at the end, or were cancelled

private:
    /// Middleware that looks in before it runs the processor of a number.
    struct Visiting {
        Scene* scene;
        auto operator()(gossip::event_processor auto next) const {
            return [scene = scene, next = std::move(next)](gossip::Context& context,
                                                           const gossip::Event& event) mutable -> gossip::Result {
                if (event.type() == number.type()) {
                    scene->at(Place::middleware);
                }
                return next(context, event);
            };
        }
    };

    void at(Place place) {
        if (place != place_ || visited.exchange(true)) {
            return;
        }
        for (const Call call : wanted_) {
            make(call);
        }
    }
    void expect(bool as_documented, const char* what) {
        if (!as_documented) {
            wrong.emplace_back(what);
        }
    }

    void make(Call call) {
        switch (call) {
        case Call::publish:
        case Call::try_publish: {
            const auto status = call == Call::publish ? bus_.publish(quiet) : bus_.try_publish(quiet);
            published_ = published_ || status == gossip::PublishStatus::accepted;
            expect(place_ == Place::drop_hook && status == gossip::PublishStatus::full
                       ? !shut_
                       : status == (shut_ ? gossip::PublishStatus::closed : gossip::PublishStatus::accepted),
                   "publish");
            break;
        }
        case Call::publish_after: {
            const gossip::ScheduledId id = bus_.publish_after(1h, quiet);
            expect((id.scheduled() != nullptr) == !shut_, "publish_after");
            put_off += id.scheduled() != nullptr ? 1U : 0U;
            break;
        }
        case Call::publish_sync: {
            const int before = quiet_runs;
            const auto result = bus_.publish_sync(quiet);
            if (shut_) {
                expect(result.errors().size() == 1 && gossip::is(result.errors()[0], gossip::errors::closed),
                       "publish_sync closed");
            } else {
                expect(result.ok() && result.processors() == (other_gone_ ? 0U : 1U), "publish_sync");
                expect(other_gone_ || quiet_runs > before, "publish_sync has run");
            }
            break;
        }
        case Call::subscribe: {
            auto added = bus_.subscribe(gossip::Pattern{"nobody.publishes.this"}, [](const gossip::Event&) {});
            expect(added.active() == !shut_, "subscribe");
            added.unsubscribe();
            expect(!added.active(), "unsubscribe what was just subscribed");
            break;
        }
        case Call::unsubscribe_self:
            self_.unsubscribe();
            expect(!self_.active(), "unsubscribe self");
            break;
        case Call::unsubscribe_other:
            other_.unsubscribe();
            other_gone_ = true;
            expect(!other_.active(), "unsubscribe other");
            break;
        case Call::drain:
            // Only what waits for the one worker that we are on is still in flight.
            if (workers_ == 1 && published_ && place_ != Place::drop_hook) {
                expect(!bus_.drain(1ms), "drain gives up");
            } else {
                expect(bus_.drain(20s), "drain");
            }
            break;
        case Call::flush:
            bus_.flush();
            published_ = published_ || hoards_; // a run of the batch is in flight, like an event
            break;
        case Call::shutdown:
        case Call::shutdown_in_time: {
            const auto inner = call == Call::shutdown ? bus_.shutdown() : bus_.shutdown(1ms);
            shut_ = true;
            expect(!inner.complete, "shutdown is incomplete");
            expect(bus_.publish(quiet) == gossip::PublishStatus::closed, "shutdown closes the intake");
            break;
        }
        case Call::cancel:
            expect(bus_.cancel(later_) == !cancelled_, "cancel");
            cancelled_ = true;
            break;
        }
    }

    const Place place_;
    const std::vector<Call> wanted_;
    const unsigned workers_;
    std::atomic<bool> shut_{false};
    bool published_ = false;
    bool other_gone_ = false;
    bool cancelled_ = false;
    bool hoards_ = false;
    gossip::ScheduledId later_;
    gossip::EventBus<> bus_;
    gossip::Subscription other_;
    gossip::Subscription failing_;
    gossip::Subscription self_;
    gossip::Subscription hoarder_;
};

void play_all(Place place, const char* name, unsigned workers) {
    for (std::size_t i = 0; i < calls.size(); ++i) {
        for (std::size_t j = 0; j < calls.size(); ++j) {
            const std::string what = std::string(call_names[i]) + ", then " + call_names[j] + ", inside " + name;
            const Bounded bounded(what.c_str());
            INFO(what << ", workers " << workers);
            Scene scene(place, workers, {calls[i], calls[j]});
            scene.play();
            CHECK(scene.visited);
            CHECK(scene.wrong == std::vector<std::string>{});
            CHECK(scene.drained);
            CHECK(scene.report.complete);
            CHECK(scene.report.adds_up());
            CHECK(scene.report.abandoned == 0);
            const bool ended_by_filter =
                place == Place::filter && (calls[i] == Call::unsubscribe_self || calls[j] == Call::unsubscribe_self);
            const bool runs = place == Place::middleware || (place == Place::filter && !ended_by_filter);
            CHECK(scene.self_runs == (runs ? 1 : 0));
            CHECK(scene.report.cancelled == scene.put_off);
        }
    }
}

} // namespace reentrancy_test

using namespace reentrancy_test;

TEST_CASE("every pair of calls from inside a processor returns, with its outcome", "[reentrancy]") {
    play_all(Place::processor, "a processor", GENERATE(0U, 1U, 2U));
}
TEST_CASE("every pair of calls from inside a batch's run returns, with its outcome", "[reentrancy]") {
    play_all(Place::batch, "a batch's run", GENERATE(0U, 1U, 2U));
}
TEST_CASE("every pair of calls from inside middleware returns, with its outcome", "[reentrancy]") {
    play_all(Place::middleware, "middleware", GENERATE(0U, 1U, 2U));
}
TEST_CASE("every pair of calls from inside a dead-letter processor returns, with its outcome", "[reentrancy]") {
    play_all(Place::dead_letter, "a dead-letter processor", GENERATE(0U, 1U, 2U));
}
TEST_CASE("every pair of calls from inside an error hook returns, with its outcome", "[reentrancy]") {
    play_all(Place::error_hook, "an error hook", GENERATE(0U, 1U, 2U));
}
TEST_CASE("every pair of calls from inside a drop hook returns, with its outcome", "[reentrancy]") {
    play_all(Place::drop_hook, "a drop hook", GENERATE(0U, 1U, 2U));
}
TEST_CASE("every pair of calls from a helper thread returns, with its outcome", "[reentrancy]") {
    play_all(Place::helper, "a helper's run", GENERATE(0U, 1U, 2U));
}
TEST_CASE("every pair of calls from inside a filter returns, with its outcome", "[reentrancy]") {
    play_all(Place::filter, "a filter", GENERATE(0U, 1U, 2U));
}

TEST_CASE("after a flush from inside anything batches run with what they have, and what is asked next has its outcome",
          "[reentrancy]") {
    const unsigned workers = GENERATE(0U, 1U, 2U);
    for (const Place place : {Place::processor, Place::batch, Place::middleware, Place::dead_letter, Place::error_hook,
                              Place::drop_hook, Place::filter}) {
        for (const Call next : calls) {
            const std::string what = std::string("flush, then ") + call_names[static_cast<std::size_t>(next)] +
                                     ", at place " + std::to_string(static_cast<int>(place));
            const Bounded bounded(what.c_str());
            INFO(what << ", workers " << workers);
            Scene scene(place, workers, {Call::flush, next});
            scene.hoard();
            scene.play();
            CHECK(scene.wrong == std::vector<std::string>{});
            CHECK(scene.drained); // false while something is collected and no run is asked for
            CHECK(scene.flushed == 1);
            CHECK(scene.report.adds_up());
            CHECK(scene.report.abandoned == 0);
        }
    }
}

TEST_CASE("two processors on two threads make every pair of calls at the same time", "[reentrancy]") {
    // Each side works on the other's subscription, which is the worst that it can do.
    for (const Call left : calls) {
        for (const Call right : calls) {
            const std::string what = std::string(call_names[static_cast<std::size_t>(left)]) + " beside " +
                                     call_names[static_cast<std::size_t>(right)];
            const Bounded bounded(what.c_str());
            INFO(what);
            gossip::EventBus bus{gossip::Config{.workers = 2, .buffer_size = 4}};
            std::array<gossip::Subscription, 2> s;
            auto listener = bus.subscribe(quiet, [] {});
            std::array<gossip::ScheduledId, 2> later{bus.publish_after(1h, quiet), bus.publish_after(1h, quiet)};
            std::atomic<int> inside{0};
            std::array<gossip::SubscriptionId, 2> ids;
            // A Subscription is for one thread at a time: where both sides end the same one, itself does so by its id.
            const bool by_id = left == Call::unsubscribe_other || right == Call::unsubscribe_other;
            const auto act = [&](std::size_t me, Call call) {
                ++inside;
                static_cast<void>(gossip_test::eventually([&] { return inside >= 2; }));
                switch (call) {
                case Call::publish:
                    static_cast<void>(bus.publish(quiet));
                    break;
                case Call::try_publish:
                    static_cast<void>(bus.try_publish(quiet));
                    break;
                case Call::publish_sync:
                    static_cast<void>(bus.publish_sync(quiet));
                    break;
                case Call::publish_after:
                    static_cast<void>(bus.publish_after(1h, quiet));
                    break;
                case Call::subscribe: {
                    auto added = bus.subscribe(quiet, [] {});
                    break;
                }
                case Call::unsubscribe_self:
                    if (by_id) {
                        bus.unsubscribe(ids[me]);
                    } else {
                        s[me].unsubscribe();
                    }
                    break;
                case Call::unsubscribe_other:
                    s[1 - me].unsubscribe();
                    break;
                case Call::drain:
                    static_cast<void>(bus.drain(1ms));
                    break;
                case Call::flush:
                    bus.flush();
                    break;
                case Call::shutdown:
                    static_cast<void>(bus.shutdown());
                    break;
                case Call::shutdown_in_time:
                    static_cast<void>(bus.shutdown(1ms));
                    break;
                case Call::cancel:
                    bus.cancel(later[me]);
                    break;
                }
            };
            s[0] = bus.subscribe(number, [&] { act(0, left); });
            s[1] = bus.subscribe(tick, [&] { act(1, right); });
            ids = {s[0].id(), s[1].id()};
            bus.publish(number, 0);
            bus.publish(tick);
            CHECK(bus.drain(20s));
            const auto report = bus.shutdown();
            CHECK(report.adds_up());
            CHECK(report.abandoned == 0);
        }
    }
}

TEST_CASE("an error hook that a deferral's end calls may drain", "[reentrancy]") {
    const Bounded bounded("drain in a hook on a thread of the user's");
    int outcome = -1;
    std::optional<gossip::EventBus<>> bus;
    bus.emplace(gossip::Config{.workers = 1,
                               .on_error = [&](const gossip::ErrorReport&) { outcome = bus->drain(20s) ? 1 : 0; }});
    std::atomic<bool> deferred{false};
    std::optional<gossip::Deferral> open;
    auto s = bus->subscribe(tick, [&](gossip::Context& context) {
        open = context.defer();
        deferred = true;
    });
    bus->publish(tick);
    REQUIRE(gossip_test::eventually([&] { return deferred.load(); }));
    std::thread resolver([&] { open->fail(gossip::ProcessingError{"on a thread of its own"}); });
    resolver.join();
    CHECK(outcome == 1);
}

TEST_CASE("a drop hook that publishes each time ends", "[reentrancy]") {
    const Bounded bounded("a drop hook that publishes");
    std::optional<gossip::EventBus<>> bus;
    int hooks = 0;
    bus.emplace(gossip::Config{.workers = 0,
                               .buffer_size = 2,
                               .overflow = gossip::Overflow::drop_oldest,
                               .on_drop = [&](const gossip::Event&, gossip::DropReason) {
                                   ++hooks;
                                   static_cast<void>(bus->publish(quiet));
                               }});
    for (int i = 0; i < 10; ++i) {
        static_cast<void>(bus->publish(number, i));
    }
    CHECK(hooks <= 10);
    CHECK(bus->drain(20s));
    CHECK(bus->stats().adds_up());
}

} // namespace reentrancy_test
