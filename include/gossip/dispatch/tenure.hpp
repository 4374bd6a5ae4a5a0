#pragma once

#include <gossip/platform.hpp>

#include <atomic>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: those of gossip/dispatch/engine.hpp

/// Whether a subscription goes on, and which thread ends it, until it has done that.
///
/// Threads: `end` by one, under the registry's lock; `over` by the same one; all else by anybody.
template <template <class> class Atom = std::atomic>
class BasicTenure {
public:
    /// Whoever asks before a run shows that run before; whoever asks elsewhere looks again, or a lock orders the two.
    [[nodiscard]] bool goes_on() const noexcept {
        return active_.load(std::memory_order_relaxed); // relaxed: [running] is ordered by the two halves of the fence
    }
    /// From the caller's fence on no run begins.
    void end(const void* by) noexcept {
        ended_by_.store(by, std::memory_order_relaxed);  // relaxed: who waits for the end has had the lock after us
        active_.store(false, std::memory_order_relaxed); // relaxed: as above
    }
    /// Nothing of it is left to run: others who wait for that need not wait for its end any more.
    void over() noexcept {
        ended_by_.store(nullptr, std::memory_order_release); // [ended] what its batches had collected has been run
    }
    /// The thread that is ending it; null: none.
    [[nodiscard]] const void* ended_by() const noexcept {
        return ended_by_.load(std::memory_order_acquire); // [ended] if it is over, all that it ran has been seen
    }

private:
    Atom<bool> active_{true};
    Atom<const void*> ended_by_{nullptr};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
