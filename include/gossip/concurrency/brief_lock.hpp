#pragma once

#include <gossip/platform.hpp>

#include <atomic>
#include <chrono>
#include <thread>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: each name stands at both of its ends in the code
//   [handed]  unlock's store(release)  happens before  the next lock's exchange(acquire)

/// A lock for a few dozen instructions: no user code under it, and no system call but that of a rare allocation.
///
/// Threads: as a mutex; not recursive, not fair.
/// Cost:    one read-modify-write for lock and unlock together, where a mutex has two.
/// Stalls:  while the operating system halts the holder the others pause, yield, then sleep for 50 µs at a time.
class BriefLock {
public:
    BriefLock() = default;
    BriefLock(const BriefLock&) = delete;
    BriefLock& operator=(const BriefLock&) = delete;

    void lock() noexcept {
        if (held_.exchange(true, std::memory_order_acquire)) [[unlikely]] { // [handed] what the holder did is seen
            lock_slowly();
        }
    }
    void unlock() noexcept { held_.store(false, std::memory_order_release); } // [handed] with what we did

private:
    [[gnu::cold, gnu::noinline]] void lock_slowly() noexcept {
        constexpr unsigned pauses = 32;
        constexpr unsigned yields = 256;
        for (unsigned round = 0;; ++round) {
            if (round < pauses) {
                platform::cpu_pause();
            } else if (round < pauses + yields) {
                std::this_thread::yield();
            } else {
                std::this_thread::sleep_for(std::chrono::microseconds(50));
            }
            if (!held_.load(std::memory_order_relaxed) &&           // relaxed: a guess
                !held_.exchange(true, std::memory_order_acquire)) { // [handed] what the holder did is seen
                return;
            }
        }
    }

    std::atomic<bool> held_{false};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
