#pragma once

#include <gossip/platform.hpp>
#include <gossip/version.hpp>

#include <array>
#include <cstdint>
#include <mutex>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// Whose turn it is to read, of two threads, 0 and 1. One reads, the other stands by. Before the one who reads runs
/// anything of the user's it steps out, and afterwards it steps in again, unless the other reads by then: that takes
/// over at once, if what ran outside has not been brief lately, and else when it has lasted for `patience`. For that it
/// looks up every `period`, as long as there are such events.
///
/// Threads: `step_out` by the one who has the turn, `step_in` by the one who has stepped out, `await` by whoever has
///          neither; the rest by anybody.
/// Cost:    stepping out and in: two short locks, and the waking of the other one if that is not looking up yet, or is
///          to take over at once (5 to 9 µs). Looking up: one wake-up each `period`, and none after
///          `quiet_periods` without an event, or as many as there were events since it has been called.
/// Stalls:  reading waits for what runs outside for at most `period` and `patience`, some 1.2 ms, and only where four
///          in a row have been brief before.
template <class Parker = platform::Parker, class Mutex = std::mutex>
class ReadingTurn {
public:
    static constexpr std::int64_t patience_ns = 200'000;
    static constexpr std::int64_t period_ns = 1'000'000;
    static constexpr std::int64_t brief_ns = 50'000;
    static constexpr unsigned convincing = 4; // brief ones in a row
    static constexpr unsigned quiet_periods = 8;

    /// Stands by until it is the turn of `me`; false when it is over.
    [[nodiscard]] bool await(unsigned me) noexcept {
        for (;;) {
            std::int64_t timeout = -1;
            {
                const std::lock_guard lock(mutex_);
                standby_ = over_ ? nobody : me;
                if (over_ || may_take(timeout)) {
                    standby_ = nobody;
                    free_ = false;
                    return !over_;
                }
            }
            parkers_[me].park(timeout);
        }
    }
    /// Whether somebody stands by.
    [[nodiscard]] bool may_step_out() noexcept {
        const std::lock_guard lock(mutex_);
        return standby_ != nobody;
    }
    void step_out() noexcept {
        Parker* parker = nullptr;
        {
            const std::lock_guard lock(mutex_);
            free_ = true;
            out_at_ = Parker::now_ns();
            at_once_ = brief_ < convincing;
            ++outs_;
            streak_ = looks_up_ ? streak_ + 1 : 1;
            if ((at_once_ || !looks_up_) && standby_ != nobody) {
                looks_up_ = true;
                parker = &parkers_[standby_];
            }
        }
        if (parker != nullptr) {
            parker->unpark();
        }
    }
    /// False: the other one reads now, or it is over.
    [[nodiscard]] bool step_in() noexcept {
        const std::lock_guard lock(mutex_);
        brief_ = Parker::now_ns() - out_at_ > brief_ns ? 0 : brief_ < convincing ? brief_ + 1 : brief_;
        const bool is_mine = free_ && !over_;
        free_ = false;
        return is_mine;
    }
    /// Nobody reads any more, nor will.
    void end() noexcept {
        {
            const std::lock_guard lock(mutex_);
            over_ = true;
        }
        for (Parker& parker : parkers_) {
            parker.unpark();
        }
    }

private:
    static constexpr unsigned nobody = 2;

    /// Under the lock: whether the one who stands by may read; if not, when it looks again.
    bool may_take(std::int64_t& timeout) noexcept {
        const std::int64_t left = free_ && !at_once_ ? out_at_ + patience_ns - Parker::now_ns() : 0;
        if (free_ && left <= 0) {
            return true;
        }
        quiet_ = outs_ == seen_ ? quiet_ + 1 : 0;
        seen_ = outs_;
        looks_up_ = looks_up_ && quiet_ < quiet_periods && quiet_ < streak_;
        timeout = free_ ? left : looks_up_ ? period_ns : -1;
        return false;
    }

    Mutex mutex_;
    std::array<Parker, 2> parkers_;
    unsigned standby_ = nobody;
    bool free_ = true;         // nobody reads, and somebody is to
    bool at_once_ = true;      // and need not wait
    bool looks_up_ = false;    // the one who stands by, each period
    std::int64_t out_at_ = 0;  // since when it is free
    unsigned brief_ = 0;       // so many in a row
    std::uint64_t outs_ = 0;   // how often somebody has stepped out
    std::uint64_t streak_ = 0; // the same, since the one who stands by has begun to look up
    std::uint64_t seen_ = 0;   // of them, by the one who stands by
    unsigned quiet_ = 0;       // periods without
    bool over_ = false;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
