#include <gossip/provider/redis/outbound.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/engine_of.hpp"

#include <chrono>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>

namespace outbound_test {

using namespace std::chrono_literals;
using gossip::PublishStatus;
using gossip::detail::Outbound;

TEST_CASE("an event that finds no memory on its way out counts as nothing, and the next one goes", "[outbound]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    const auto mode = GENERATE(gossip::RedisMode::pub_sub, gossip::RedisMode::streams);
    gossip_test::EngineOf bus;
    gossip::detail::LateReports reports;
    Outbound outbound(gossip::RedisOptions{.url = "unix:///nowhere/redis.sock",
                                           .mode = mode,
                                           .group = "g",
                                           .prefix = "a-prefix-that-is-as-long-as-this:"},
                      reports);
    outbound.start(bus.engine());
    const std::string data = '"' + std::string(2'000, 'x') + '"';
    const auto encode = [&](std::string& text) { text.append(data); };
    std::uint64_t accepted = 0;
    std::uint64_t failures = 0;
    for (int n = 0; n < 40; ++n) {
        gossip::Event event{gossip::EventType("order.created.with.a.long.name." + std::to_string(n)), 1};
        bool thrown = false;
        PublishStatus status = PublishStatus::closed;
        support::fail_allocation_after(n % 20);
        try {
            status = outbound.send(event, false, false, encode);
        } catch (const std::bad_alloc&) { // nothing else
            thrown = true;
        }
        support::fail_allocation_after(-1);
        failures += thrown ? 1U : 0U;
        CHECK(thrown != (status == PublishStatus::accepted));
        CHECK(outbound.outgoing().rejected == 0);
        accepted += status == PublishStatus::accepted ? 1U : 0U;
        CHECK(outbound.outgoing().accepted == accepted);
    }
    CHECK(failures >= 3);
    CHECK(accepted >= 3);
    static_cast<void>(outbound.shutdown(std::chrono::steady_clock::now()));
    CHECK(outbound.outgoing().abandoned == accepted);
}

TEST_CASE("a codec that finds no memory has refused nothing, one that fails otherwise has", "[outbound]") {
    gossip_test::EngineOf bus;
    gossip::detail::LateReports reports;
    Outbound outbound(gossip::RedisOptions{.url = "unix:///nowhere/redis.sock"}, reports);
    outbound.start(bus.engine());
    gossip::Event event{gossip::EventType::literal("order.created"), 1};

    CHECK_THROWS_AS(outbound.send(event, false, false, [](std::string&) { throw std::bad_alloc(); }), std::bad_alloc);
    CHECK_THROWS_AS(outbound.send_sync(event, false, [](std::string&) { throw std::bad_alloc(); }), std::bad_alloc);
    CHECK(outbound.outgoing().rejected == 0);
    CHECK(bus.errors() == 0);

    CHECK(outbound.send(event, false, false, [](std::string&) { throw std::runtime_error("no"); }) ==
          PublishStatus::not_encodable);
    CHECK(outbound.outgoing().rejected == 1);
    CHECK(bus.errors() == 1);
    CHECK(outbound.outgoing().accepted == 0);
}

} // namespace outbound_test
