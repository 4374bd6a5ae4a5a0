// The thread that serves a connection.
#pragma once

#include <gossip/version.hpp>

#include <atomic>
#include <mutex>
#include <thread>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// A thread that is waited for by whoever ends it, but not by itself: what it calls may ask for its end.
///
/// Threads: `is_this` and `join` by anybody; `start` once.
class IoThread {
public:
    /// Throws what threads throw.
    template <class Run>
    void start(Run run) {
        thread_ = std::thread{[this, run = std::move(run)] {
            id_.store(std::this_thread::get_id(), std::memory_order_relaxed); // relaxed: it looks for itself alone
            run();
        }};
    }

    [[nodiscard]] bool is_this() const noexcept {
        return id_.load(std::memory_order_relaxed) == std::this_thread::get_id(); // relaxed: as above
    }

    /// Waits for its end; from itself it returns at once, and another call must wait.
    void join() noexcept {
        if (is_this()) {
            return;
        }
        const std::lock_guard lock(mutex_);
        if (thread_.joinable()) {
            thread_.join();
        }
    }

private:
    std::atomic<std::thread::id> id_{};
    std::mutex mutex_;
    std::thread thread_; // under mutex_, once started
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
