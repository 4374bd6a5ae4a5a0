#pragma once

#include <gossip/core/clock.hpp>
#include <gossip/core/context.hpp>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// One thread's waiting for something that another thread says, or for the end of its run, on the bus's clock.
///
/// Threads: `wait` by its one owner, `fire` by anybody, while the waiter lives.
class Waiter final : public ClockListener {
public:
    Waiter() = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    ~Waiter() = default;

    enum class Unless : bool { stopped, ended }; // `ended`: also unless somebody ends a subscription, and waits for us

    /// True once it was fired; false if `until`, the context's deadline or a stop came first.
    bool wait(Context& context, std::chrono::nanoseconds until, Unless unless = Unless::stopped) {
        constexpr std::int64_t look_again_ns = 10'000'000; // nobody says that a subscription is being ended
        Clock* const clock = context.host() == nullptr ? nullptr : context.host()->clock();
        if (context.deadline() < until) {
            until = context.deadline();
        }
        const Attached attached(clock, *this);
        const auto wake = [this]() noexcept { clock_moved(); };
        const std::stop_callback<decltype(wake)> stop(context.stop_token(), wake);
        std::unique_lock lock(mutex_);
        while (!fired_ && !context.stop_requested() && (unless != Unless::ended || context.ended() == Ended::no)) {
            const auto left = until - context.now();
            if (left.count() <= 0) {
                break;
            }
            context.wait_on(changed_, lock, left.count(), unless == Unless::ended ? look_again_ns : far_future);
        }
        return fired_;
    }

    void fire() noexcept {
        const std::lock_guard lock(mutex_);
        fired_ = true;
        changed_.notify_all(); // under the lock: the owner may be gone as soon as it can see `fired_`
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
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
