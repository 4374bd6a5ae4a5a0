#pragma once

#include <gossip/platform.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

namespace detail {
/// Where this thread sleeps, wherever it waits. Permits left over from an earlier wait only make it look once more.
template <class Parker = platform::Parker>
Parker& this_parker() noexcept {
    static thread_local Parker parker;
    return parker;
}
} // namespace detail

// Edges: each name stands at both of its ends in the code
//   [enlisted]  join's count (seq_cst), followed by the waiter's look at its condition, is ordered with
//               a change of that condition by a seq_cst operation, followed by any(): at least one sees the other

/// Threads that wait for something to change, first come, first served.
///
/// Threads: every member from any thread. A waiter joins, looks at its condition, parks, and leaves.
/// Cost:    `any` is one load. Waking is a lock and a system call.
template <template <class> class Atom = std::atomic, class Parker = platform::Parker, class Mutex = std::mutex>
class BasicWaitQueue {
public:
    class Waiter {
    public:
        explicit Waiter(Parker& parker = detail::this_parker<Parker>()) noexcept : parker_(parker) {}
        Waiter(const Waiter&) = delete;
        Waiter& operator=(const Waiter&) = delete;
        ~Waiter() {
            if (queue_ != nullptr) {
                queue_->leave(*this); // also where the wait has ended with an exception
            }
        }

    private:
        friend class BasicWaitQueue;
        Parker& parker_;
        BasicWaitQueue* queue_ = nullptr; // the one joined last
        Waiter* next_ = nullptr;
        bool queued_ = false;
    };

    /// Gets in line, unless the waiter is in it. After that the waiter has to look at its condition before it parks.
    void join(Waiter& waiter) noexcept {
        const std::lock_guard lock(mutex_);
        if (waiter.queued_) {
            return;
        }
        waiter.queue_ = this;
        waiter.queued_ = true;
        waiter.next_ = nullptr;
        (last_ == nullptr ? first_ : last_->next_) = &waiter;
        last_ = &waiter;
        count_.fetch_add(1, std::memory_order_seq_cst); // [enlisted] before the waiter looks at its condition
    }
    /// Sleeps until woken or for that long (negative: without end). May return early.
    void park(Waiter& waiter, std::int64_t timeout_ns) noexcept { waiter.parker_.park(timeout_ns); }

    /// Gets out of line. False if it had been woken: then somebody else may have to be in its place.
    bool leave(Waiter& waiter) noexcept {
        const std::lock_guard lock(mutex_);
        if (!waiter.queued_) {
            return false;
        }
        Waiter** link = &first_;
        Waiter* before = nullptr;
        while (*link != &waiter) {
            before = *link;
            link = &before->next_;
        }
        *link = waiter.next_;
        if (last_ == &waiter) {
            last_ = before;
        }
        waiter.queued_ = false;
        count_.fetch_sub(1, std::memory_order_relaxed); // relaxed: only a hint gets stale
        return true;
    }

    [[nodiscard]] bool any() const noexcept {
        return count_.load(std::memory_order_seq_cst) != 0; // [enlisted] after the caller's change
    }
    void wake_one() noexcept {
        const std::lock_guard lock(
            mutex_); // until it is unparked: the waiter leaves under it, and may take its parker along
        if (Parker* const parker = pop()) {
            parker->unpark();
        }
    }
    void wake_all() noexcept {
        const std::lock_guard lock(mutex_);
        while (Parker* const parker = pop()) {
            parker->unpark();
        }
    }

private:
    Parker* pop() noexcept {
        if (first_ == nullptr) {
            return nullptr;
        }
        Waiter& waiter = *first_;
        first_ = waiter.next_;
        if (first_ == nullptr) {
            last_ = nullptr;
        }
        waiter.queued_ = false;
        count_.fetch_sub(1, std::memory_order_relaxed); // relaxed: only a hint gets stale
        return &waiter.parker_;
    }

    Atom<std::uint32_t> count_{0};
    Mutex mutex_;
    Waiter* first_ = nullptr;
    Waiter* last_ = nullptr;
};

using WaitQueue = BasicWaitQueue<>;

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
