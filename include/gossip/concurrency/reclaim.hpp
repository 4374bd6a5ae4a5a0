// Snapshots that are read without a lock, and freed when nobody reads them any more.
#pragma once

#include <gossip/platform.hpp>

#include <atomic>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: each name stands at both of its ends in the code
//   [listed]  a value's publication (release)  happens before  protect's second load(acquire) of it
//   [hazard]  protect's store(release), the light half of a fence, and its second look at the value are ordered with
//             the value's replacement, the heavy half, and a look at what the readers show (acquire): at least one sees
//             the other. What a reader has read it has read before whoever sees that it shows something else

/// A pointer to an immutable value, which is replaced whole.
///
/// Threads: `replace` by one at a time, all else from any thread.
/// Owns:    nothing. Who has replaced a value frees it when no hazard shows it after the heavy half of the fence.
template <class T, template <class> class Atom = std::atomic>
class BasicSnapshot {
public:
    /// Returns what it replaces.
    T* replace(T* by) noexcept {
        T* const before = current_.load(std::memory_order_relaxed); // relaxed: only who replaces it writes
        current_.store(by, std::memory_order_release); // [listed] [hazard] built; replaced before the caller's fence
        return before;
    }
    /// Whether there is a value now.
    [[nodiscard]] bool empty() const noexcept {
        return current_.load(std::memory_order_relaxed) == nullptr; // relaxed: nothing is read from it
    }
    /// For those who need no protection: they are alone with it.
    [[nodiscard]] T* alone() const noexcept {
        return current_.load(std::memory_order_relaxed); // relaxed: nobody else is left
    }

private:
    template <template <class> class>
    friend class BasicHazard;
    Atom<T*> current_{nullptr};
};

/// What one thread reads, shown to those who would free it.
///
/// Threads: `shown` from any thread, all else by the one who reads.
/// Cost:    protect is two loads and a store.
template <template <class> class Atom = std::atomic>
class BasicHazard {
public:
    /// The newest value, which nobody frees until `clear` or the next `protect`; null if there is none.
    template <class T, class Fence>
    [[nodiscard]] T* protect(const BasicSnapshot<T, Atom>& snapshot, const Fence& fence) noexcept {
        T* value = snapshot.current_.load(std::memory_order_relaxed); // relaxed: a guess until it is protected
        while (value != nullptr) {
            keep(value);
            fence.light();                                                      // [hazard] shown before the second look
            T* const again = snapshot.current_.load(std::memory_order_acquire); // [listed] [hazard] still in use?
            if (again == value) {
                break;
            }
            value = again;
            if (value == nullptr) {
                clear(); // or what was replaced would be kept for nobody
            }
        }
        return value;
    }
    /// Protects what nobody can free before he has the lock that the caller holds.
    void keep(const void* value) noexcept {
        shown_.store(value, std::memory_order_release); // [hazard] the one before has been read
    }
    void clear() noexcept {
        shown_.store(nullptr, std::memory_order_release); // [hazard] it has been read
    }
    [[nodiscard]] const void* shown() const noexcept {
        return shown_.load(std::memory_order_acquire); // [hazard] if it is another, that one has been read
    }

private:
    Atom<const void*> shown_{nullptr};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
