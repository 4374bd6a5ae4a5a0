// What a user's tests want.
#pragma once

#include <gossip/core/clock.hpp>
#include <gossip/core/require.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::testing {

namespace detail {

// Edges: each name stands at both of its ends in the code
//   [moved]  an advance (release)  happens before  the load (acquire) of whoever reads a time that it has led to

/// How far a clock has been moved. Those who wait for a time say so under a lock, which is taken by who tells them.
///
/// Threads: every member from any thread. Order: whoever reads a time has seen what was done before the clock was moved
///          there.
template <template <class> class Atom = std::atomic>
class BasicElapsed {
public:
    /// The caller then tells those who wait. It stops where it can't count further.
    void advance(std::int64_t by) noexcept {
        std::int64_t before = elapsed_.load(std::memory_order_relaxed); // relaxed: a guess, checked by the exchange
        while (!elapsed_.compare_exchange_weak(before, gossip::detail::saturated_add(before, by),
                                               std::memory_order_release,    // [moved] after what came before
                                               std::memory_order_relaxed)) { // relaxed: another guess
        }
    }
    [[nodiscard]] std::int64_t get() const noexcept {
        return elapsed_.load(std::memory_order_acquire); // [moved] so that is seen
    }

private:
    Atom<std::int64_t> elapsed_{0};
};

} // namespace detail

/// A clock that stands still until it is told otherwise: timers, retries and batches without a single sleep.
///
/// Threads: every member from any thread. Order: what `advance` has made due is served by the bus's workers, or by the
///          next
/// `poll` or `drain`.
class ManualClock final : public Clock {
public:
    /// The wall clock starts at `start`, the steady one at an hour.
    explicit ManualClock(std::chrono::system_clock::time_point start =
                             std::chrono::system_clock::time_point{std::chrono::hours{24 * 365 * 50}})
        : wall_start_(nanoseconds_of(start)) {}

    /// Errors: ValidationError for a negative duration: a clock goes forwards. It stops where it can't count further.
    void advance(std::chrono::nanoseconds by) {
        gossip::detail::require(by.count() >= 0, "by", by, "must not be negative");
        elapsed_.advance(by.count());
        const std::lock_guard lock(mutex_);
        for (ClockListener* const listener : listeners_) {
            listener->clock_moved(); // under the lock: detach waits for it
        }
    }

    /// As if somebody had set the wall clock, forwards or back: the steady one, and what is due by it, goes on.
    void set_wall(std::chrono::system_clock::time_point now) noexcept {
        wall_start_.store(gossip::detail::saturated_add(nanoseconds_of(now), -elapsed().count()),
                          std::memory_order_relaxed); // relaxed: a number by itself
    }

    [[nodiscard]] std::chrono::nanoseconds steady() const noexcept override {
        constexpr std::chrono::nanoseconds start = std::chrono::hours{1};
        return std::chrono::nanoseconds(gossip::detail::saturated_add(start.count(), elapsed().count()));
    }
    [[nodiscard]] std::chrono::system_clock::time_point wall() const noexcept override {
        const std::int64_t start = wall_start_.load(std::memory_order_relaxed); // relaxed: a number by itself
        return std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(
            std::chrono::nanoseconds(gossip::detail::saturated_add(start, elapsed().count()))));
    }
    [[nodiscard]] bool manual() const noexcept override { return true; }

    /// From now on whoever sleeps on this clock moves it instead (`Context::sleep_for`, the delays of
    /// `middleware::retry`): for tests on one thread, where nobody else could.
    void let_sleepers_advance(bool on = true) noexcept {
        sleepers_advance_.store(on, std::memory_order_relaxed); // relaxed: a switch, set before anybody sleeps
    }
    bool skip_to(std::chrono::nanoseconds until) override {
        if (!sleepers_advance_.load(std::memory_order_relaxed)) { // relaxed: nothing is read through it
            return false;
        }
        const std::chrono::nanoseconds left = until - steady();
        if (left.count() > 0) {
            advance(left);
        }
        return true;
    }

    void attach(ClockListener& listener) override {
        const std::lock_guard lock(mutex_);
        listeners_.push_back(&listener);
    }
    void detach(ClockListener& listener) noexcept override {
        const std::lock_guard lock(mutex_);
        listeners_.erase(std::remove(listeners_.begin(), listeners_.end(), &listener), listeners_.end());
    }

private:
    [[nodiscard]] static std::int64_t nanoseconds_of(std::chrono::system_clock::time_point time) noexcept {
        return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
    }
    [[nodiscard]] std::chrono::nanoseconds elapsed() const noexcept { return std::chrono::nanoseconds(elapsed_.get()); }

    std::atomic<std::int64_t> wall_start_;
    detail::BasicElapsed<> elapsed_{};
    std::atomic<bool> sleepers_advance_{false};
    std::mutex mutex_;
    std::vector<ClockListener*> listeners_; // under mutex_
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::testing
