#include <gossip/provider/redis/stream_lease.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

namespace stream_lease_test {

inline namespace parts {

using namespace std::chrono_literals;
using gossip::redis::detail::Deadline;
using gossip::redis::detail::StreamLease;
using Step = StreamLease::Step;

constexpr std::int64_t extended = 1;
constexpr std::int64_t taken = 2;
constexpr Deadline start{1h};

/// A lease of three seconds, and a member that wants the stream.
struct Rig {
    explicit Rig(std::chrono::milliseconds time = 3s) : lease(time) {}

    StreamLease lease;
    bool wanted = true;
    bool settled = true;

    Step step(Deadline now) {
        return lease.step(now, wanted, [this] { return settled; });
    }
    /// Asks, and is answered after `way`.
    Step ask(Deadline now, std::int64_t answer, std::chrono::milliseconds way = 1ms, std::size_t others = 0) {
        REQUIRE(step(now) == Step::ask);
        lease.asked(now);
        CHECK(step(now) == Step::nothing); // one question at a time
        return lease.answered(answer, now + way, others);
    }
    Deadline due() const { return lease.due(wanted); }
};

} // namespace parts

TEST_CASE("a lease that is free is taken over at once, and renewed at each third of it", "[stream_lease]") {
    Rig rig;
    CHECK_FALSE(rig.lease.is_active());
    CHECK(rig.ask(start, taken) == Step::take_over);
    CHECK(rig.lease.is_active());
    CHECK(rig.lease.until() == start + 2700ms);
    CHECK(rig.due() == start + 1s);
    CHECK(rig.step(start + 999ms) == Step::nothing);

    CHECK(rig.ask(start + 1s, extended) == Step::nothing);
    CHECK(rig.lease.is_active());
    CHECK(rig.lease.until() == start + 3700ms);
    CHECK(rig.due() == start + 2s);
}

TEST_CASE("a lease is lost a tenth before it ends, counted from when the question was sent", "[stream_lease]") {
    Rig rig;
    CHECK(rig.ask(start, taken, 2s) == Step::take_over); // the answer was late
    CHECK(rig.step(start + 2s) == Step::ask);
    rig.lease.asked(start + 2s); // no answer
    CHECK(rig.due() == start + 2700ms);
    CHECK(rig.step(start + 2699ms) == Step::nothing);
    CHECK(rig.step(start + 2700ms) == Step::lose);
    CHECK_FALSE(rig.lease.is_ours());
    CHECK(rig.step(start + 2700ms) == Step::nothing); // the question is still out

    CHECK(rig.lease.answered(extended, start + 2800ms, 0) == Step::take_over); // what was held before counts no more
    CHECK(rig.lease.until() == start + 4700ms);
}

TEST_CASE("an answer that is older than what it says takes nothing over", "[stream_lease]") {
    Rig rig;
    CHECK(rig.ask(start, taken, 2700ms) == Step::nothing);
    CHECK_FALSE(rig.lease.is_ours());
    CHECK(rig.ask(start + 2700ms, extended) == Step::take_over); // the key is ours still
    CHECK(rig.ask(start + 3700ms, extended, 2699ms) == Step::nothing);
    CHECK(rig.ask(start + 6399ms, extended, 2700ms) == Step::lose);
}

TEST_CASE("who finds another's lease asks again each tenth of it, and when it ends", "[stream_lease]") {
    Rig rig;
    CHECK(rig.ask(start, -3000) == Step::nothing);
    CHECK(rig.due() == start + 301ms);
    CHECK(rig.ask(start + 301ms, -20) == Step::nothing);
    CHECK(rig.due() == start + 323ms);
    CHECK(rig.ask(start + 323ms, 0) == Step::nothing);
    CHECK(rig.due() == start + 325ms);

    Rig slow{1h};
    CHECK(slow.ask(start, -3'600'000) == Step::nothing);
    CHECK(slow.due() == start + 501ms);
}

TEST_CASE("who has other leases waits longer for a free one, twice as long at most", "[stream_lease]") {
    for (const auto& [others, wait] : {std::pair{0U, 301ms}, {1U, 376ms}, {2U, 451ms}, {4U, 601ms}, {100U, 601ms}}) {
        Rig rig;
        CHECK(rig.ask(start, -3000, 1ms, others) == Step::nothing);
        CHECK(rig.due() == start + wait);
    }
}

TEST_CASE("a lease that another has is lost, and one that the server forgot begins anew", "[stream_lease]") {
    Rig rig;
    CHECK(rig.ask(start, taken) == Step::take_over);
    CHECK(rig.ask(start + 1s, taken) == Step::take_over);
    CHECK(rig.lease.is_active());
    CHECK(rig.ask(start + 2s, -500) == Step::lose);
    CHECK_FALSE(rig.lease.is_ours());
    CHECK(rig.due() == start + 2s + 301ms);
}

TEST_CASE("where the server refuses to answer a lease is held until its end, and asked for now and then",
          "[stream_lease]") {
    Rig rig;
    CHECK(rig.ask(start, taken) == Step::take_over);
    Deadline now = start + 1s;
    for (; now < start + 2500ms; now = rig.due()) {
        REQUIRE(rig.step(now) == Step::ask);
        rig.lease.asked(now);
        CHECK(rig.lease.answered(std::nullopt, now, 0) == Step::nothing);
        CHECK(rig.lease.is_active());
        CHECK(rig.due() == now + 300ms);
    }
    CHECK(rig.step(start + 2700ms) == Step::lose);
}

TEST_CASE("a lease of what is not wanted any more is given up when all has ended", "[stream_lease]") {
    Rig rig;
    CHECK(rig.ask(start, taken) == Step::take_over);
    rig.wanted = rig.settled = false;
    CHECK(rig.step(start + 1ms) == Step::nothing);
    CHECK(rig.lease.is_active()); // what is there is handed on
    CHECK(rig.ask(start + 1s, extended) == Step::nothing);
    CHECK(rig.lease.until() == start + 3700ms);

    rig.settled = true;
    CHECK(rig.step(start + 1500ms) == Step::release);
    CHECK_FALSE(rig.lease.is_ours());
    CHECK(rig.step(start + 1500ms) == Step::nothing);
    CHECK(rig.due() == Deadline::max());
    rig.wanted = true;
    CHECK(rig.step(start + 1500ms) == Step::ask);
}

TEST_CASE("after an entry was left nothing is read, and the lease goes to others first", "[stream_lease]") {
    Rig rig;
    CHECK(rig.ask(start, taken) == Step::take_over);
    rig.settled = false;
    rig.lease.left();
    CHECK_FALSE(rig.lease.is_active());
    CHECK(rig.lease.is_ours());
    CHECK(rig.ask(start + 1s, extended) == Step::nothing); // something is held still
    CHECK_FALSE(rig.lease.is_active());

    rig.settled = true;
    CHECK(rig.step(start + 1100ms) == Step::release);
    CHECK(rig.due() == start + 4100ms);
    CHECK(rig.ask(start + 4100ms, taken) == Step::take_over);
    CHECK(rig.lease.is_active());
}

TEST_CASE("an answer that comes after the lease was given up, or after its connection, says nothing",
          "[stream_lease]") {
    Rig rig;
    CHECK(rig.ask(start, taken) == Step::take_over);
    CHECK(rig.step(start + 1s) == Step::ask);
    rig.lease.asked(start + 1s);
    rig.wanted = false;
    CHECK(rig.step(start + 1s) == Step::release);
    CHECK(rig.lease.answered(extended, start + 1s, 0) == Step::nothing);
    CHECK_FALSE(rig.lease.is_ours());

    rig.wanted = true;
    CHECK(rig.step(start + 2s) == Step::ask);
    rig.lease.asked(start + 2s);
    CHECK(rig.step(start + 3s) == Step::nothing);
    rig.lease.disconnected(start + 3s);
    CHECK(rig.lease.answered(taken, start + 3s, 0) == Step::nothing);
    CHECK(rig.step(start + 3s) == Step::ask);
}

TEST_CASE("each group has a lease of its own for each stream", "[stream_lease]") {
    const gossip::RedisOptions options{.group = "g", .prefix = "p:"};
    CHECK(gossip::redis::detail::lease_key(options, "p:order.created") == "p:gossip.active:g:p:order.created");
}

} // namespace stream_lease_test
