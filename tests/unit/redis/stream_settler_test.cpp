#include <gossip/provider/redis/stream_settler.hpp>

#include <gossip/provider/redis/url.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"

#include <cstdint>
#include <new>
#include <string>
#include <string_view>

namespace stream_settler_test {

inline namespace parts {

using gossip::redis::EntryId;
using gossip::redis::detail::Deadline;
using gossip::redis::detail::StreamSettler;

constexpr int plenty = 1'000'000;

/// What is queued goes nowhere: its connection is never opened.
struct Rig {
    static std::string_view name(const void*, std::uint32_t) { return "s"; }
    static EntryId id(std::uint64_t n) { return {n, 0, 0}; }

    gossip::RedisOptions options{.url = "unix:///nowhere/redis.sock", .group = "g"};
    gossip::redis::Endpoint endpoint = gossip::redis::parse_url(options.url);
    gossip::redis::detail::Interrupt interrupt;
    gossip::redis::detail::Connection connection{endpoint, options, "settler", interrupt};
    std::string consumer = "c";
    StreamSettler settler{options, consumer, connection, nullptr, &name};
};

} // namespace parts

TEST_CASE("what has its place is acknowledged without memory, and again after a lost connection", "[stream_settler]") {
    constexpr std::uint64_t count = 2'000;
    const Deadline now = gossip::redis::detail::SteadyClock::now();
    Rig rig;
    for (std::uint64_t n = 0; n < count; ++n) {
        rig.settler.hold(Rig::id(n), 1, now);
    }
    rig.settler.reserve();

    support::fail_allocation_after(0, plenty);
    for (std::uint64_t n = 0; n < count / 2; ++n) {
        rig.settler.ack(Rig::id(n));
    }
    support::fail_allocation_after(-1);
    CHECK(rig.settler.unconfirmed() == count / 2);
    CHECK(rig.settler.held() == count / 2);

    rig.settler.send(now);
    CHECK_FALSE(rig.settler.is_quiet());
    rig.settler.reserve();
    support::fail_allocation_after(0, plenty);
    for (std::uint64_t n = count / 2; n < count; ++n) {
        rig.settler.ack(Rig::id(n));
    }
    rig.settler.lost();
    support::fail_allocation_after(-1);
    CHECK(rig.settler.is_quiet());
    CHECK(rig.settler.unconfirmed() == count);
    CHECK(rig.settler.held() == 0);
}

TEST_CASE("acknowledgements for whose sending there is no memory are sent later, each once", "[stream_settler]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    constexpr std::uint64_t count = 2'000; // more than one command takes
    int failures = 0;
    for (bool failed = true; failed; failures += failed ? 1 : 0) {
        const Deadline now = gossip::redis::detail::SteadyClock::now();
        Rig rig;
        for (std::uint64_t n = 0; n < count; ++n) {
            rig.settler.hold(Rig::id(n), 1, now);
        }
        rig.settler.reserve();
        for (std::uint64_t n = 0; n < count; ++n) {
            rig.settler.ack(Rig::id(n));
        }

        support::fail_allocation_after(failures, plenty);
        try {
            rig.settler.send(now);
            failed = false;
        } catch (const std::bad_alloc&) {}
        support::fail_allocation_after(-1);

        CHECK(rig.settler.unconfirmed() == count);
        rig.settler.lost();
        CHECK(rig.settler.unconfirmed() == count);
    }
    CHECK(failures > 4);
}

TEST_CASE("a stream is done with when all that was held of it is confirmed", "[stream_settler]") {
    const Deadline now = gossip::redis::detail::SteadyClock::now();
    Rig rig;
    const EntryId mine{1, 0, 1};
    rig.settler.hold(Rig::id(1), 1, now);
    rig.settler.hold(mine, 1, now);
    CHECK(rig.settler.is_done_with(2));
    CHECK_FALSE(rig.settler.is_done_with(1));
    rig.settler.ack(mine);
    CHECK_FALSE(rig.settler.is_done_with(1)); // not sent
    rig.settler.send(now);
    CHECK_FALSE(rig.settler.is_done_with(1)); // not confirmed
    CHECK(rig.settler.is_done_with(2));

    rig.settler.forget_stream(0);
    CHECK(rig.settler.is_done_with(0));
    CHECK(rig.settler.held() == 0);
    CHECK_FALSE(rig.settler.is_done_with(1));
}

} // namespace stream_settler_test
