#pragma once

#include <gossip/platform.hpp>

#include <atomic>
#include <chrono>
#include <thread>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: each name stands at both of its ends in the code
//   [handed]  unlock's store(release)  happens before  the next lock's exchange(acquire)

/// What a thread does the longer, the more often it has looked in vain for the end of something brief.
struct BriefWait {
    void operator()(unsigned round) const noexcept {
        constexpr unsigned pauses = 32;
        constexpr unsigned yields = 256;
        if (round < pauses) {
            platform::cpu_pause();
        } else if (round < pauses + yields) {
            std::this_thread::yield();
        } else {
            std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
    }
};

/// A lock for a few dozen instructions: no user code under it, and no system call but that of a rare allocation.
///
/// Threads: as a mutex; not recursive, not fair.
/// Cost:    one read-modify-write for lock and unlock together, where a mutex has two.
/// Stalls:  while the operating system halts the holder the others pause, yield, then sleep for 50 µs at a time.
template <template <class> class Atom = std::atomic, class Wait = BriefWait>
class BasicBriefLock {
public:
    BasicBriefLock() = default;
    BasicBriefLock(const BasicBriefLock&) = delete;
    BasicBriefLock& operator=(const BasicBriefLock&) = delete;

    void lock() noexcept {
        if (held_.exchange(true, std::memory_order_acquire)) [[unlikely]] { // [handed] what the holder did is seen
            lock_slowly();
        }
    }
    void unlock() noexcept { held_.store(false, std::memory_order_release); } // [handed] with what we did

private:
    [[gnu::cold, gnu::noinline]] void lock_slowly() noexcept {
        for (unsigned round = 0;; ++round) {
            Wait{}(round);
            if (!held_.load(std::memory_order_relaxed) &&           // relaxed: a guess
                !held_.exchange(true, std::memory_order_acquire)) { // [handed] what the holder did is seen
                return;
            }
        }
    }

    Atom<bool> held_{false};
};

using BriefLock = BasicBriefLock<>;

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
