#pragma once

#include <gossip/platform.hpp>
#include <gossip/version.hpp>

#include <algorithm>
#include <cstdint>
#include <thread>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// When a reader that has handed on a lone event lets the worker that this has woken go first: on few processors the
/// system may queue it behind the reader, and it would wait until that has asked for the next and sleeps. A yield that
/// took long was for the benefit of strangers: for a good many events after that it does without.
/// bench/redis_latency_bench.cpp shows what comes of it; where the processors are idle that is nothing.
///
/// Threads: belongs to one reader.
/// Cost:    for a lone event a system call, and two readings of the clock; nothing for several.
/// Stalls:  as long as the system lets others run; where that is over `long_us`, once in `least_wary` lone events at
///          most.
class Courtesy {
public:
    static constexpr std::int64_t long_us = 500; // a stranger's slice is longer, a worker's search for more is not
    static constexpr unsigned least_wary = 256;
    static constexpr unsigned most_wary = 1U << 14;

    /// After so many events have been handed on at once.
    void handed_on(std::uint64_t events) noexcept {
        if (wants_to_yield(events)) {
            const std::int64_t begin = platform::monotonic_ns();
            std::this_thread::yield();
            yielded((platform::monotonic_ns() - begin) / 1000);
        }
    }

    [[nodiscard]] bool wants_to_yield(std::uint64_t events) noexcept {
        if (events != 1) {
            return false;
        }
        if (wary_ != 0) {
            --wary_;
            return false;
        }
        return true;
    }
    /// What it took.
    void yielded(std::int64_t microseconds) noexcept {
        if (microseconds <= long_us) {
            caution_ = least_wary;
            return;
        }
        wary_ = caution_;
        caution_ = std::min(caution_ * 2, most_wary);
    }

private:
    unsigned wary_ = 0; // lone events to come without
    unsigned caution_ = least_wary;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
