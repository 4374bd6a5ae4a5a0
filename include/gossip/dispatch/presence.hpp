#pragma once

#include <gossip/platform.hpp>

#include <atomic>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: those of gossip/dispatch/engine.hpp

/// What one thread runs, shown to those who wait for its end: a Subscriber's processor, or the bus's own work (then the
/// seat of the thread stands for it), or nothing (null).
///
/// Threads: `seen` from any thread, all else by the one who is shown.
template <template <class> class Atom = std::atomic>
class BasicPresence {
public:
    /// From here on it is that; what was shown before is over.
    void show(const void* what) noexcept {
        what_.store(what, std::memory_order_release); // [running] [returned] the one before has returned
    }
    /// The same before a look at what forbids it: that look comes after.
    template <class Fence>
    void show(const void* what, const Fence& fence) noexcept {
        show(what);
        fence.light(); // [running] [returned] shown; now the looks
    }
    [[nodiscard]] const void* seen() const noexcept {
        return what_.load(std::memory_order_acquire); // [running] [returned] if it is another, that one has returned
    }
    /// For the one who is shown.
    [[nodiscard]] const void* own() const noexcept {
        return what_.load(std::memory_order_relaxed); // relaxed: this thread's own
    }

private:
    Atom<const void*> what_{nullptr};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
