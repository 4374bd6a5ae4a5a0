#include <gossip/core/waiter.hpp>

#include "support/catch.hpp"
#include "support/fake_host.hpp"

#include <chrono>
#include <thread>

namespace waiter_test {

using namespace std::chrono_literals;
using gossip::Context;
using gossip::detail::Waiter;
using support::FakeClock;
using support::FakeHost;

TEST_CASE("a waiter that was fired does not wait", "[waiter]") {
    FakeClock clock;
    FakeHost host(clock);
    Context context(host, 1);
    Waiter waiter;

    waiter.fire();

    CHECK(waiter.wait(context, Context::no_deadline));
}

TEST_CASE("a time that has passed ends the wait at once", "[waiter]") {
    FakeClock clock;
    FakeHost host(clock);
    Context context(host, 1);
    Waiter waiter;

    CHECK_FALSE(waiter.wait(context, context.now()));
}

TEST_CASE("a waiter is woken by who fires it, by time, by a deadline and by a stop", "[waiter]") {
    FakeClock clock;
    FakeHost host(clock);
    const auto wait = [&](std::chrono::nanoseconds deadline, std::chrono::nanoseconds until, auto wake) {
        const int waits = ++host.deferred; // a number at hand
        Waiter waiter;
        bool fired = false;
        {
            const std::jthread waits_there([&] {
                Context whole(host, 1);
                Context context(whole, deadline);
                fired = waiter.wait(context, until);
            });
            clock.await_waits(waits);
            wake(waiter);
        }
        return fired;
    };

    CHECK(wait(Context::no_deadline, Context::no_deadline, [](Waiter& waiter) { waiter.fire(); }));
    CHECK_FALSE(wait(Context::no_deadline, clock.steady() + 5s, [&](Waiter&) { clock.advance(5s); }));
    CHECK_FALSE(wait(clock.steady() + 5s, Context::no_deadline, [&](Waiter&) { clock.advance(5s); }));
    CHECK_FALSE(wait(Context::no_deadline, Context::no_deadline, [&](Waiter&) { host.stop(); }));
}

} // namespace waiter_test
