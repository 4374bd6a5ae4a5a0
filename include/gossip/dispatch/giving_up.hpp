#pragma once

#include <gossip/core/clock.hpp>
#include <gossip/platform.hpp>

#include <atomic>
#include <cstdint>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: those of gossip/dispatch/engine.hpp

/// Until when shutdowns wait: whoever has the least patience ends it for all.
///
/// Threads: every member from any thread, which looks now and then.
template <template <class> class Atom = std::atomic>
class BasicLeastPatience {
public:
    void shorten(std::int64_t until) noexcept {
        std::int64_t now = until_.load(std::memory_order_relaxed); // relaxed: a guess, checked by the exchange
        while (until < now && !until_.compare_exchange_weak(now, until,
                                                            std::memory_order_relaxed,    // relaxed: a number by itself
                                                            std::memory_order_relaxed)) { // relaxed: another guess
        }
    }
    [[nodiscard]] std::int64_t until() const noexcept {
        return until_.load(std::memory_order_relaxed); // relaxed: a number by itself
    }

private:
    Atom<std::int64_t> until_{far_future}; // on the machine's steady clock
};

/// Whether a shutdown has run out of patience: from then on nothing is begun that is not under way.
///
/// Threads: every member from any thread.
template <template <class> class Atom = std::atomic>
class BasicGivingUp {
public:
    /// The caller then raises the bit that calls the workers, or finds it up.
    void begin() noexcept {
        begun_.store(true, std::memory_order_seq_cst); // [giving_up] before the bit is looked at
    }
    /// Asked before anything is taken, and by whoever has lowered the bit after that.
    [[nodiscard]] bool begun() const noexcept {
        return begun_.load(std::memory_order_seq_cst); // [giving_up] [running] after the bit was lowered
    }

private:
    Atom<bool> begun_{false};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
