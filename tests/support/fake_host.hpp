#pragma once

// A bus that is not there: time by hand, stops by hand, deferrals that are only counted.

#include <gossip/core/clock.hpp>
#include <gossip/core/context.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <utility>
#include <vector>

namespace support {

/// Stands still until advanced. In the mode `skip_sleeps` a thread that sleeps moves it, and never waits.
class FakeClock final : public gossip::Clock {
public:
    [[nodiscard]] std::chrono::nanoseconds steady() const noexcept override { return std::chrono::nanoseconds(now_); }
    [[nodiscard]] std::chrono::system_clock::time_point wall() const noexcept override {
        return std::chrono::system_clock::time_point(
            std::chrono::duration_cast<std::chrono::system_clock::duration>(steady()));
    }
    [[nodiscard]] bool manual() const noexcept override { return true; }

    void attach(gossip::ClockListener& listener) override {
        attach_quietly(listener);
        ++waits_;
        waits_.notify_all();
    }
    /// For who does not wait.
    void attach_quietly(gossip::ClockListener& listener) {
        const std::lock_guard lock(mutex_);
        listeners_.push_back(&listener);
    }
    void detach(gossip::ClockListener& listener) noexcept override {
        const std::lock_guard lock(mutex_);
        listeners_.erase(std::find(listeners_.begin(), listeners_.end(), &listener));
    }

    bool skip_to(std::chrono::nanoseconds until) override {
        if (!skip_sleeps) {
            return false;
        }
        slept.push_back(until - steady());
        advance(until - steady());
        return true;
    }

    void advance(std::chrono::nanoseconds by) {
        now_ += by.count();
        const std::lock_guard lock(mutex_);
        for (gossip::ClockListener* listener : listeners_) {
            listener->clock_moved();
        }
    }

    /// Returns once so many waits have ever begun on this clock.
    void await_waits(int count) {
        for (int seen = waits_; seen < count; seen = waits_) {
            waits_.wait(seen);
        }
    }

    std::atomic<bool> skip_sleeps{true};
    std::vector<std::chrono::nanoseconds> slept; // by skip_sleeps, on one thread

private:
    std::atomic<std::int64_t> now_{1'000'000'000};
    std::atomic<int> waits_{0};
    std::mutex mutex_;
    std::vector<gossip::ClockListener*> listeners_;
};

/// What a context asks of a bus. Stop tokens for deadlines are fired by the clock's moving.
class FakeHost final : public gossip::detail::ContextHost, private gossip::ClockListener, gossip::detail::OpenEnd {
public:
    explicit FakeHost(FakeClock& time) : clock_(&time) { time.attach_quietly(*this); }
    FakeHost(const FakeHost&) = delete;
    FakeHost& operator=(const FakeHost&) = delete;
    ~FakeHost() { clock_->detach(*this); }

    void stop() { stop_.request_stop(); }
    std::atomic<int> deferred{0};
    std::atomic<int> resolved{0};

    gossip::Deferral defer() override {
        ++deferred;
        return gossip::Deferral(static_cast<gossip::detail::OpenEnd&>(*this), nullptr);
    }
    [[nodiscard]] std::size_t put_off() const noexcept override { return static_cast<std::size_t>(deferred.load()); }
    std::shared_ptr<void> stop_at(std::int64_t due_ns, std::stop_source source) override {
        auto timer = std::make_shared<Timer>(Timer{due_ns, std::move(source)});
        const std::lock_guard lock(mutex_);
        timers_.push_back(timer);
        return timer;
    }
    [[nodiscard]] std::stop_token stop_token() const override { return stop_.get_token(); }
    [[nodiscard]] bool stop_requested() const noexcept override { return stop_.stop_requested(); }
    [[nodiscard]] gossip::Clock* clock() const noexcept override { return clock_; }

private:
    struct Timer {
        std::int64_t due_ns;
        std::stop_source source;
    };

    void clock_moved() noexcept override {
        std::vector<std::shared_ptr<Timer>> due;
        {
            const std::lock_guard lock(mutex_);
            for (const std::weak_ptr<Timer>& timer : timers_) {
                if (auto alive = timer.lock(); alive != nullptr && alive->due_ns <= clock_->steady().count()) {
                    due.push_back(std::move(alive));
                }
            }
        }
        for (const auto& timer : due) {
            timer->source.request_stop();
        }
    }

    void resolve(void*, gossip::Result) noexcept override { ++resolved; }
    [[nodiscard]] const gossip::Event& event() const noexcept override { return event_; }

    FakeClock* clock_;
    std::stop_source stop_;
    std::mutex mutex_;
    std::vector<std::weak_ptr<Timer>> timers_;
    gossip::Event event_{gossip::EventType::literal("fake.event")};
};

} // namespace support
