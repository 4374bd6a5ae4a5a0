#pragma once

#include <gossip/platform.hpp>

#include <atomic>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// A run that was handed to a thread of the processor's: whether the caller waits for it still, and who is in it.
///
/// Threads: `leave` by the caller, once; `begin` and `end` by the helper; `awaited` by the helper as well, `thread`
///          under the lock of the graph of waits.
template <template <class> class Atom = std::atomic>
class BasicHandedRun {
public:
    /// Before the event of the caller ends.
    void leave() noexcept {
        awaited_.store(false, std::memory_order_relaxed); // relaxed: whoever has seen the event's end counted sees this
    }
    /// If it isn't, its event may have ended.
    [[nodiscard]] bool awaited() const noexcept {
        return awaited_.load(std::memory_order_relaxed); // relaxed: asked again after the ends were read
    }

    /// Before the helper waits for anything in the run, and after it has.
    void begin(const void* by) noexcept {
        thread_.store(by, std::memory_order_relaxed); // relaxed: whoever waits takes the graph's lock after it
    }
    void end() noexcept { thread_.store(this, std::memory_order_relaxed); } // relaxed: as above
    /// Null: it has not begun. Once it has ended, nobody who could wait for anything.
    [[nodiscard]] const void* thread() const noexcept {
        return thread_.load(std::memory_order_relaxed); // relaxed: the lock shows it with what that one waits for
    }

private:
    Atom<bool> awaited_{true};
    Atom<const void*> thread_{nullptr}; // or this
};

using HandedRun = BasicHandedRun<>;

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
