#pragma once

#include <gossip/platform.hpp>

#include <atomic>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: those of gossip/dispatch/engine.hpp

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
