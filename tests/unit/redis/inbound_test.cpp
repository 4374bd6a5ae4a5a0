#include <gossip/provider/redis/inbound.hpp>

#include <gossip/provider/redis/fast_codec.hpp>
#include <gossip/provider/wire_type.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/engine_of.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace inbound_test {

inline namespace parts {

struct Line {
    std::string item;
    std::string to;
    double price = 0;
    int amount = 0;
};

} // namespace parts

} // namespace inbound_test

template <>
inline constexpr auto gossip::members<inbound_test::Line> = gossip::member_list("item", &inbound_test::Line::item, "to",
                                                                                &inbound_test::Line::to, "price",
                                                                                &inbound_test::Line::price, "amount",
                                                                                &inbound_test::Line::amount);

namespace inbound_test {

inline namespace parts {

using gossip::detail::Inbound;
using gossip_test::EngineOf;

const std::string message = R"({"Type":"order.created","Timestamp":"2024-01-01T00:00:00Z","Data":{"text":")" +
                            std::string(500, 'x') + R"("},"Metadata":{"request":"of some length, too"}})";

struct Rig {
    Inbound::Taken take(const std::string& text) {
        return inbound.take(bus.engine(), "order.created", text, nullptr, 1, before);
    }
    EngineOf bus;
    gossip::detail::LateReports reports;
    Inbound inbound{gossip::RedisOptions{}, nullptr, reports};
    std::int64_t before = 0;
};

} // namespace parts

TEST_CASE("a message that finds no memory is not its sender's mistake: the same one is taken when there is some",
          "[inbound]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    int shortages = 0;
    for (int n = 0; n < 40; ++n) {
        Rig rig;
        support::fail_allocation_after(n);
        Inbound::Taken taken = rig.take(message);
        support::fail_allocation_after(-1);
        if (taken == Inbound::Taken::no_memory) {
            ++shortages;
            taken = rig.take(message);
        } else if (taken == Inbound::Taken::no) {
            taken = rig.inbound.retry(rig.bus.engine());
        }

        CAPTURE(n);
        CHECK(taken == Inbound::Taken::yes);
        CHECK(rig.inbound.malformed() == 0);
        CHECK(rig.inbound.unread() == 0);
        CHECK(rig.bus.received() == 1);
    }
    CHECK(shortages >= 3);
}

TEST_CASE("a message for which there is no memory for long is given up, counted and told of", "[inbound]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    Rig rig;
    int tries = 0;
    Inbound::Taken taken = Inbound::Taken::no_memory;
    while (taken == Inbound::Taken::no_memory && tries < 100'000) {
        ++tries;
        support::fail_allocation_after(0);
        taken = rig.take(message);
        support::fail_allocation_after(-1);
    }

    CHECK(taken == Inbound::Taken::given_up);
    CHECK(tries >= 500);
    CHECK(rig.inbound.unread() == 1);
    CHECK(rig.inbound.malformed() == 0);
    rig.bus.poll();
    CHECK(rig.bus.errors() == 1);
    CHECK(rig.take(message) == Inbound::Taken::yes);
}

TEST_CASE("an event costs two allocations from its message to its processor: what came with it, and its data",
          "[inbound]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    using gossip::detail::codec_tag;
    gossip::detail::list_wire_type(gossip::detail::wire_type_of<gossip::FastCodec, Line>());
    EngineOf bus;
    gossip::detail::LateReports reports;
    Inbound inbound{gossip::RedisOptions{}, &codec_tag<gossip::FastCodec>, reports};
    constexpr gossip::Topic<Line> lines{"order.line"};
    int sum = 0;
    auto s = bus.subscribe(lines, [&](const Line& line) { sum += line.amount; });
    const std::string text = R"({"Type":"order.line","Timestamp":"2024-01-01T00:00:00Z","Data":{"item":"i","to":"t",)"
                             R"("price":1.5,"amount":1},"Metadata":{},"Id":"5ff1d33a492d8bc857bd5cc21ea8a9be"})";
    const auto receive = [&](int count) {
        std::int64_t before = 0;
        int taken = 0;
        for (int n = 0; n < count; ++n) {
            taken += inbound.take(bus.engine(), "order.line", text, nullptr, 1, before) == Inbound::Taken::yes ? 1 : 0;
            bus.poll();
        }
        return taken;
    };
    CHECK(receive(100) == 100);

    const support::AllocationCounter counter;
    const int taken = receive(1'000);
    const std::size_t allocations = counter.count();

    CHECK(taken == 1'000);
    CHECK(sum == 1'100);
    CHECK(allocations <= 2'100);
}

TEST_CASE("what is no event is malformed at once, however much memory there is", "[inbound]") {
    Rig rig;

    CHECK(rig.take("{") == Inbound::Taken::malformed);
    CHECK(rig.take(R"({"Type":"other.name"})") == Inbound::Taken::malformed);

    CHECK(rig.inbound.malformed() == 2);
    CHECK(rig.inbound.unread() == 0);
}

} // namespace inbound_test
