#pragma once

#include <chrono>
#include <cstdint>

/// Ends a wait for what never comes: a lost event is to fail the run, not to hang it. A wait that ends soon costs a
/// count a turn, and no look at the clock.
class Patience {
public:
    /// True for half a minute, asked at each turn.
    [[nodiscard]] bool lasts() noexcept {
        if (++turns_ % 4096 != 0) {
            return true;
        }
        const auto now = std::chrono::steady_clock::now();
        if (turns_ == 4096) {
            end_ = now + std::chrono::seconds(30);
        }
        return now < end_;
    }

private:
    std::uint64_t turns_ = 0;
    std::chrono::steady_clock::time_point end_{};
};
