// What the engine counts and hands back, as the user reads it.
#pragma once

#include <gossip/bus/report.hpp>
#include <gossip/core/errors.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/provider/provider.hpp>

#include <new>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

[[nodiscard]] inline Counters counters_of(const Engine& engine) noexcept {
    const Totals t = engine.totals();
    Counters c;
    c.accepted = t[Tally::accepted];
    c.handled = t[Tally::handled];
    c.failed = t[Tally::failed];
    c.unrouted = t[Tally::unrouted];
    c.dropped = t[Tally::dropped];
    c.abandoned = t[Tally::abandoned];
    c.sent = c.received = c.accepted - c.dropped - c.abandoned;
    c.rejected = t[Tally::rejected];
    c.redelivered = t[Tally::redelivered];
    c.spilled = t.spilled;
    c.cancelled = t[Tally::cancelled];
    c.dead_letters = t[Tally::dead_letters];
    c.dead_letters_failed = t[Tally::dead_letters_failed];
    c.dead_letters_abandoned = t[Tally::dead_letters_abandoned];
    return c;
}

/// The same for a bus that leaves the process.
[[nodiscard]] inline Counters counters_of(const Engine& engine, const Outgoing& out) noexcept {
    Counters c = counters_of(engine);
    const std::uint64_t local = engine.totals()[Tally::local];
    c.leaves_process = true;
    c.received = c.accepted;
    c.accepted = out.accepted + local;
    c.sent = out.sent + local;
    c.send_dropped = out.dropped;
    c.send_abandoned = out.abandoned;
    c.rejected += out.rejected;
    return c;
}

[[nodiscard]] inline Stats stats_of(const Engine& engine, const Counters& counters) noexcept {
    Stats stats;
    static_cast<Counters&>(stats) = counters;
    if (counters.leaves_process) {
        const std::uint64_t confirmed = counters.sent + counters.send_dropped + counters.send_abandoned;
        stats.unconfirmed = counters.accepted > confirmed ? counters.accepted - confirmed : 0;
    }
    stats.waiting = engine.waiting();
    stats.subscriptions = engine.subscriptions();
    stats.timers = engine.timers();
    stats.buffer_size = engine.capacity();
    return stats;
}

/// Errors: std::bad_alloc if a failure could not be kept.
[[nodiscard]] inline SyncResult sync_result(SyncOutcome& outcome) {
    if (outcome.out_of_memory) [[unlikely]] {
        GOSSIP_THROW(std::bad_alloc{});
    }
    return SyncResult{std::move(outcome.failures), outcome.processors};
}

/// What publish_sync says of an event that no processor has failed.
[[nodiscard]] inline SyncResult sync_result(const Result& sent) {
    SyncOutcome outcome;
    if (!sent) {
        outcome.fail({}, {}, sent.error());
    }
    return sync_result(outcome);
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
