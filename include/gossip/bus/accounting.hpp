// What the engine counts and hands back, as the user reads it.
#pragma once

#include <gossip/bus/report.hpp>
#include <gossip/core/errors.hpp>
#include <gossip/dispatch/engine.hpp>

#include <new>
#include <utility>

namespace gossip::detail {

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

[[nodiscard]] inline Stats stats_of(const Engine& engine, const Counters& counters) noexcept {
    Stats stats;
    static_cast<Counters&>(stats) = counters;
    stats.waiting = engine.waiting();
    stats.subscriptions = engine.subscriptions();
    stats.timers = engine.timers();
    stats.buffer_size = engine.capacity();
    return stats;
}

/// Errors: std::bad_alloc if a failure could not be kept.
[[nodiscard]] inline SyncResult sync_result(SyncOutcome& outcome) {
    if (outcome.out_of_memory) [[unlikely]] {
        throw std::bad_alloc{};
    }
    return SyncResult{std::move(outcome.failures), outcome.processors};
}

/// What publish_sync says once the bus has been shut down.
[[nodiscard]] inline SyncResult closed_sync_result() {
    SyncOutcome outcome;
    outcome.fail({}, {}, errors::closed);
    return sync_result(outcome);
}

} // namespace gossip::detail
