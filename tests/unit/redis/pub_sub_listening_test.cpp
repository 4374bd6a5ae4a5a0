#include <gossip/provider/redis/pub_sub_listening.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/engine_of.hpp"

#include <chrono>
#include <string>

namespace pub_sub_listening_test {

inline namespace parts {

using namespace std::chrono_literals;
using gossip::detail::PubSubListening;
using gossip_test::EngineOf;

/// Long, so that no copy of it is for nothing.
std::string message(const std::string& name) {
    return R"({"Type":")" + name + R"(","Data":")" + std::string(300, 'x') + R"("})";
}

/// Listens to a server that is not there: the test says what comes.
struct Rig {
    explicit Rig(std::size_t buffer_size = 1024) : bus(buffer_size) {
        CHECK_FALSE(
            listening.listen(bus.engine(), {gossip::EventType("order.created")}, {gossip::Pattern("order.**")}));
    }
    ~Rig() { listening.close(); }

    EngineOf bus;
    gossip::detail::LateReports reports;
    PubSubListening listening{gossip::RedisOptions{.url = "unix:///nowhere/redis.sock", .command_timeout = 1ms},
                              nullptr, reports};
};

} // namespace parts

TEST_CASE("a message that finds no memory anywhere on its way is offered again, and taken once",
          "[pub_sub_listening]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    const std::string name = "order.created.with.a.name.that.is.long";
    const std::string text = message(name);
    int shortages = 0;
    for (int n = 0; n < 40; ++n) {
        Rig rig;
        support::fail_allocation_after(n);
        bool taken = rig.listening.message(name, text, "");
        support::fail_allocation_after(-1);
        if (!taken) {
            ++shortages;
            taken = rig.listening.message(name, text, "");
        }

        CAPTURE(n);
        CHECK(taken);
        CHECK(rig.bus.received() == 1);
    }
    CHECK(shortages >= 3);
}

TEST_CASE("what waits for room is taken once, whatever finds no memory meanwhile", "[pub_sub_listening]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    const std::string name = "order.created.with.a.name.that.is.long";
    for (int n = 0; n < 40; ++n) {
        Rig rig{2};
        CHECK(rig.listening.message(name, message(name), ""));
        CHECK(rig.listening.message(name, message(name), ""));
        const std::string third = message(name) + " ";
        support::fail_allocation_after(n);
        CHECK_FALSE(rig.listening.message(name, third, ""));
        support::fail_allocation_after(-1);
        static_cast<void>(rig.listening.message(name, third, "")); // may find out only now that there is no room
        rig.bus.poll();
        rig.bus.poll();

        CAPTURE(n);
        CHECK(rig.listening.message(name, third, ""));
        CHECK(rig.listening.message(name, message(name), ""));
        rig.bus.poll();
        rig.bus.poll();
        CHECK(rig.bus.received() == 4);
    }
}

} // namespace pub_sub_listening_test
