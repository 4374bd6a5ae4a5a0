#pragma once

#include <gossip/core/tick_anchor.hpp>
#include <gossip/platform.hpp>

#include <chrono>
#include <cstdint>
#include <limits>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// Told when a clock has jumped, so that those who wait for a time look again.
class ClockListener {
public:
    virtual void clock_moved() noexcept = 0;

protected:
    ClockListener() = default;
    ClockListener(const ClockListener&) = default;
    ClockListener& operator=(const ClockListener&) = default;
    ~ClockListener() = default;
};

/// Where a bus has its time from. A clock has two faces: a steady one for delays, and a wall one for timestamps.
///
/// Threads: every member from any thread.
/// Order:   steady never goes backwards.
class Clock {
public:
    Clock() = default;
    Clock(const Clock&) = delete;
    Clock& operator=(const Clock&) = delete;
    virtual ~Clock() = default;

    [[nodiscard]] virtual std::chrono::nanoseconds steady() const noexcept = 0;
    [[nodiscard]] virtual std::chrono::system_clock::time_point wall() const noexcept = 0;

    /// Whether time stands still until somebody moves it. Whoever waits on such a clock is woken by its listeners.
    [[nodiscard]] virtual bool manual() const noexcept { return false; }
    virtual void attach(ClockListener& listener) { static_cast<void>(listener); }
    /// After it returned the listener is not called any more.
    virtual void detach(ClockListener& listener) noexcept { static_cast<void>(listener); }
    /// Called by a thread that is about to sleep until `until`: a test's clock may go there at once, and then says so.
    virtual bool skip_to(std::chrono::nanoseconds until) { return static_cast<void>(until), false; }
};

namespace detail {

/// The wall clock from the processor's tick counter: half the price of asking the operating system.
/// It is anchored to the operating system's clock, and again whenever the anchor is older than a second, so that it
/// follows corrections; between anchors it is off by the error of the measured rate, some microseconds.
///
/// Threads: every member from any thread. Cost: one reading of the counter (10 ns here) and about 2 ns; renewing 60 ns.
class TickClock {
public:
    [[nodiscard]] std::int64_t now() noexcept {
        std::int64_t time = 0;
        if (anchor_.read(platform::ticks(), time)) [[likely]] {
            return time;
        }
        return renew();
    }

private:
    std::int64_t renew() noexcept {
        const std::int64_t wall = platform::realtime_ns();
        if (!platform::has_ticks() || !renewal_.begin()) {
            return wall;
        }
        const std::int64_t steady = platform::monotonic_ns();
        const std::uint64_t at = platform::ticks();
        if (first_ticks_ == 0) {
            first_ticks_ = at;
            first_steady_ = steady;
        }
        const std::int64_t span = steady - first_steady_;
        if (span >= 500'000) { // the two clocks are read some 50 ns apart: the rate is off by 1e-4 at most, then less
            const double rate = static_cast<double>(span) / static_cast<double>(at - first_ticks_);
            const double scale = rate * (1U << BasicTickAnchor<>::scale_bits);
            const auto former = static_cast<double>(anchor_.scale());
            if (rate > 30.0 || rate < 0.02 || (former > 0 && (scale > former * 1.001 || scale < former * 0.999))) {
                // The machine was asleep, or moved: measure anew, and ask the operating system meanwhile.
                first_ticks_ = at;
                first_steady_ = steady;
                anchor_.drop();
            } else {
                // As the measured span grows the rate gets exact, and anchors live longer.
                const std::int64_t life = span < 1'000'000'000 ? span : 1'000'000'000;
                anchor_.write(at, wall, static_cast<std::uint64_t>(scale),
                              static_cast<std::uint64_t>(static_cast<double>(life) / rate));
            }
        }
        renewal_.end();
        return wall;
    }

    BasicTickAnchor<> anchor_{};
    BasicRenewal<> renewal_{};
    std::uint64_t first_ticks_ = 0; // these two of whoever renews
    std::int64_t first_steady_ = 0;
};

[[gnu::visibility("default")]] inline constinit TickClock tick_clock;
[[gnu::visibility("default")]] inline constinit thread_local std::int64_t latest_stamp = 0;

/// Nanoseconds since 1970, correct within a millisecond. On one thread they go back only where the operating system's
/// clock is set back by that much or more: then they follow it.
inline std::int64_t wall_now_ns() noexcept {
    const std::int64_t now = tick_clock.now();
    if (now < latest_stamp) [[unlikely]] {
        // Anchors differ by microseconds; what is more is the operating system's clock having been set back.
        if (latest_stamp - now < 1'000'000) {
            return latest_stamp;
        }
    }
    latest_stamp = now;
    return now;
}

inline constexpr std::int64_t far_future = std::numeric_limits<std::int64_t>::max();

/// `time + delay`, or the far future where that can't be said.
constexpr std::int64_t saturated_add(std::int64_t time, std::int64_t delay) noexcept {
    if (delay > 0 && time > far_future - delay) {
        return far_future;
    }
    return delay < 0 && time < std::numeric_limits<std::int64_t>::min() - delay
               ? std::numeric_limits<std::int64_t>::min()
               : time + delay;
}

} // namespace detail

/// The operating system's time, the default of every bus.
class SystemClock final : public Clock {
public:
    [[nodiscard]] std::chrono::nanoseconds steady() const noexcept override {
        return std::chrono::nanoseconds(platform::monotonic_ns());
    }
    [[nodiscard]] std::chrono::system_clock::time_point wall() const noexcept override {
        return std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(
            std::chrono::nanoseconds(detail::wall_now_ns())));
    }
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
