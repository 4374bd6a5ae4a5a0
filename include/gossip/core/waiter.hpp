#pragma once

#include <gossip/core/clock.hpp>
#include <gossip/core/context.hpp>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// One thread's waiting for something that another thread says, or for the end of its run, on the bus's clock.
///
/// Threads: `wait` by its one owner, the others by anybody, while the waiter lives. No lock is held where the owner
///          asks whether to give up.
class Waiter final : public ClockListener {
public:
    Waiter() = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    ~Waiter() = default;

    /// True once it was fired; false if `until`, the context's deadline or a stop came first.
    bool wait(Context& context, std::chrono::nanoseconds until) {
        return wait(context, until, [] { return false; });
    }
    /// The same; also false if `gives_up` says so, which is asked first of all and again after each `look_again`.
    template <class GivesUp>
    bool wait(Context& context, std::chrono::nanoseconds until, GivesUp&& gives_up) {
        Clock* const clock = context.host() == nullptr ? nullptr : context.host()->clock();
        if (context.deadline() < until) {
            until = context.deadline();
        }
        const Attached attached(clock, *this);
        const auto wake = [this]() noexcept { clock_moved(); };
        const std::stop_callback<decltype(wake)> stop(context.stop_token(), wake);
        std::unique_lock lock(mutex_);
        while (!fired_ && !context.stop_requested()) {
            if (std::exchange(looks_, false)) {
                lock.unlock();
                const bool over = gives_up();
                lock.lock();
                if (over) {
                    break;
                }
                continue;
            }
            const auto left = until - context.now();
            if (left.count() <= 0) {
                break;
            }
            context.wait_on(changed_, lock, left.count());
        }
        return fired_;
    }

    void fire() noexcept {
        const std::lock_guard lock(mutex_);
        fired_ = true;
        changed_.notify_all(); // under the lock: the owner may be gone as soon as it can see `fired_`
    }

    void look_again() noexcept {
        const std::lock_guard lock(mutex_);
        looks_ = true;
        changed_.notify_all();
    }

    void clock_moved() noexcept override {
        const std::lock_guard lock(mutex_);
        changed_.notify_all();
    }

private:
    struct Attached {
        Clock* clock;
        Waiter& waiter;

        Attached(Clock* of, Waiter& listener) : clock(of), waiter(listener) {
            if (clock != nullptr) {
                clock->attach(waiter);
            }
        }
        Attached(const Attached&) = delete;
        Attached& operator=(const Attached&) = delete;
        ~Attached() {
            if (clock != nullptr) {
                clock->detach(waiter);
            }
        }
    };

    std::mutex mutex_;
    std::condition_variable changed_;
    bool fired_ = false;
    bool looks_ = true;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
