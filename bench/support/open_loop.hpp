#pragma once

#include <gossip/platform.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

/// Sends on a schedule that waits for no answer: each event has a time when it is due, and its latency counts from
/// then, even if the sender came late because something before it was slow (no coordinated omission).
///
/// Threads: `run` on one; `arrived` on any.
class OpenLoop {
public:
    using Clock = std::chrono::steady_clock;

    OpenLoop(std::int64_t rate, std::int64_t count)
        : period_(std::chrono::nanoseconds(std::chrono::seconds(1)) / rate),
          latencies_(static_cast<std::size_t>(count)) {}

    /// Calls `send(due)` for each event when it is due. Sleeps between them where there is time to sleep.
    template <class Send>
    void run(Send send) {
        Clock::time_point due = Clock::now() + std::chrono::milliseconds(1);
        for (std::size_t i = 0; i < latencies_.size(); ++i, due += period_) {
            if (due - Clock::now() > asleep) {
                std::this_thread::sleep_until(due - asleep);
            }
            while (Clock::now() < due) {
                gossip::platform::cpu_pause();
            }
            send(due.time_since_epoch().count());
        }
    }

    /// The first instruction of the processor of the event that was due then.
    void arrived(Clock::rep due) noexcept {
        const Clock::rep now = Clock::now().time_since_epoch().count();
        const std::size_t at = arrived_.fetch_add(1, std::memory_order_relaxed); // relaxed: a place of its own
        if (at < latencies_.size()) {
            latencies_[at] = static_cast<double>(now - due) * 1e-3;
        }
    }
    [[nodiscard]] bool complete() const noexcept {
        return arrived_.load(std::memory_order_acquire) == latencies_.size();
    }

    /// When all have arrived and their threads have ended or been waited for: percentiles in microseconds.
    void report(benchmark::State& state) {
        std::sort(latencies_.begin(), latencies_.end());
        const auto part = [&](double share) {
            return latencies_[static_cast<std::size_t>(share * static_cast<double>(latencies_.size() - 1))];
        };
        state.counters["p50"] = part(0.5);
        state.counters["p99"] = part(0.99);
        state.counters["p99.9"] = part(0.999);
        state.counters["max"] = latencies_.back();
        state.SetIterationTime(part(0.5) * 1e-6);
    }

private:
    static constexpr std::chrono::microseconds asleep{80}; // what a sleep may be late

    const std::chrono::nanoseconds period_;
    std::vector<double> latencies_;
    std::atomic<std::size_t> arrived_{0};
};
