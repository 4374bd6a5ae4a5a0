#pragma once

#include <gossip/platform.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

// Edges: each name stands at both of its ends in the code
//   [announced]  a worker's change of state_ (seq_cst), followed by its look for work, is ordered with
//                a publisher's ticket (seq_cst), followed by its load of state_: at least one sees the other

/// Who sleeps, who is on duty, whom to wake.
///
/// At most one worker is *on duty*: it is searching, or it runs processors that are known to be short and will look for
/// work again at once. While somebody is on duty nobody needs to be woken, and a publisher learns that with one load.
/// The worker on duty resigns before it does anything that may take long. Should it be wrong about that, the *lookout*
/// notices: one of the sleepers, which looks up every period while the bus is active and takes over the duty of
/// whoever has made no progress for a whole period. The *timekeeper* is the sleeper that gets up for the next timer; it
/// may be the lookout as well, whose looks no timer puts off.
///
/// States of a worker, as in tests/models/parking.pml, which shows that no wake-up is lost:
///   `working`    runs something, or looks for it; it may be on duty
///   `searching`  on duty, and looks once more before it lies down
///   `listed`     on the list and off duty; unless somebody else is on duty it looks for work again
///   `parked`     asleep, or about to be, until its permit comes; the lookout also gets up each period
///   `lent`       asleep and off the list: somebody who is awake anyway is on duty in its place, and works there
///   `gone`       told to stop
/// Only `sleep` and `give_back` list, only a waker, a borrower or who has listed (on cancelling) takes off the list,
/// all under the lock; `state_` changes with it. On duty is taken and left outside of the lock, too.
///
/// Threads: `unattended`, `wake_one`, `wake_helper`, `wake_all`, `timer_moved`, `borrow` from any thread; the rest by
///          worker `me`, or whoever has its place.
/// Cost:    unattended is one load. Waking takes a lock for some 20 ns, and then the system call; borrowing and giving
///          back a place take the lock three times, and no system call unless there is something to wake for.
/// Stalls:  wakers and sleepers hold a mutex for a few instructions; no user code runs under it.
/// Errors:  std::invalid_argument for more than `most_workers`.
template <template <class> class Atom = std::atomic, class Parker = platform::Parker, class Mutex = std::mutex>
class ParkingLot {
public:
    static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
    static constexpr std::int64_t lookout_period_ns = 500'000;

    static constexpr unsigned most_workers = 0xffff;
    static constexpr unsigned nobody = std::numeric_limits<unsigned>::max();

    explicit ParkingLot(unsigned workers) : places_(new Place[places_for(workers)]), workers_(workers) {
        listed_.reserve(workers);
    }

    /// Whether something published now would be seen by nobody before `wake_one`: somebody sleeps, nobody is on duty.
    [[nodiscard]] bool unattended() const noexcept {
        const std::uint64_t state = state_.load(std::memory_order_seq_cst); // [announced] after the caller's ticket
        return (state & owner_mask) == 0 && (state & sleepers_mask) != 0;
    }

    /// Whether a worker that blocks by surprise would be noticed within two periods, or everybody is awake.
    [[nodiscard]] bool watched() const noexcept {
        const std::uint64_t state = state_.load(std::memory_order_relaxed); // relaxed: a hint; taking the duty decides
        return (state & lookout_flag) != 0 || (state & sleepers_mask) == 0;
    }
    [[nodiscard]] bool has_owner() const noexcept {
        return (state_.load(std::memory_order_relaxed) & owner_mask) != 0; // relaxed: a hint
    }
    [[nodiscard]] bool has_sleepers() const noexcept {
        return (state_.load(std::memory_order_relaxed) & sleepers_mask) != 0; // relaxed: a hint
    }
    [[nodiscard]] bool on_duty(unsigned me) const noexcept {
        return (state_.load(std::memory_order_relaxed) & owner_mask) == me + 1; // relaxed: only others can end it
    }

    /// Goes on duty unless somebody else is. True if `me` is on duty afterwards.
    bool take_duty(unsigned me) noexcept {
        std::uint64_t state = state_.load(std::memory_order_relaxed); // relaxed: checked by the CAS
        while ((state & owner_mask) == 0) {
            if (state_.compare_exchange_weak(state, state | (me + 1),
                                             std::memory_order_seq_cst,    // [announced] then we look
                                             std::memory_order_relaxed)) { // relaxed: a guess
                return true;
            }
        }
        return (state & owner_mask) == me + 1;
    }
    /// The same, but only while a worker that blocks by surprise would be noticed: there is a lookout, or nobody sleeps
    /// (whoever lies down later finds somebody on duty, and becomes the lookout).
    bool take_watched_duty(unsigned me) noexcept {
        std::uint64_t state = state_.load(std::memory_order_relaxed); // relaxed: checked by the CAS
        while ((state & owner_mask) == 0 && ((state & lookout_flag) != 0 || (state & sleepers_mask) == 0)) {
            if (state_.compare_exchange_weak(state, state | (me + 1),
                                             std::memory_order_seq_cst,    // [announced] then we look
                                             std::memory_order_relaxed)) { // relaxed: a guess
                return true;
            }
        }
        return (state & owner_mask) == me + 1;
    }
    /// Goes off duty. The caller then looks whether there is more to do, and if so wakes the next.
    void resign(unsigned me) noexcept { change_owner(me + 1, 0); }

    /// Wakes one sleeper, and puts it on duty, unless somebody is.
    void wake_one() noexcept {
        Parker* parker = nullptr;
        {
            const std::lock_guard lock(mutex_);
            if (!listed_.empty()) {
                const unsigned next = pick();
                if (change_owner(0, next + 1)) {
                    parker = &take_off(next);
                }
            }
        }
        if (parker != nullptr) {
            parker->unpark();
        }
    }

    /// Wakes one sleeper whoever is on duty.
    void wake_helper() noexcept {
        Parker* parker = nullptr;
        {
            const std::lock_guard lock(mutex_);
            if (!listed_.empty()) {
                parker = &take_off(pick());
            }
        }
        if (parker != nullptr) {
            parker->unpark();
        }
    }

    void wake_all() noexcept {
        for (unsigned i = 0; i < workers_; ++i) {
            wake_helper();
        }
    }

    /// A timer has become the earliest, due in `within_ns`: somebody must sleep no longer than that.
    void timer_moved(std::int64_t within_ns = 0) noexcept {
        Parker* parker = nullptr;
        {
            const std::lock_guard lock(mutex_);
            if (timekeeper_ == nobody && !listed_.empty()) {
                keep_time(listed_.front());
            }
            if (timekeeper_ != nobody && (up_at_ == never || up_at_ - Parker::now_ns() > within_ns)) {
                parker = &places_[timekeeper_].parker;
            }
        }
        if (parker != nullptr) {
            parker->unpark(); // still listed: it only looks at the clock again
        }
    }

    /// Instead of wake_one, by somebody who is no worker and has something to do at once: puts a sleeper on duty and
    /// lets it sleep on, while the caller works in its place until it gives that back. `nobody` if somebody is on duty,
    /// if nobody sleeps, or where workers are to stop.
    template <class Source>
    [[nodiscard]] unsigned borrow(const Source& source) noexcept {
        const std::lock_guard lock(mutex_);
        if (listed_.empty() || source.stopping()) {
            return nobody;
        }
        const unsigned place = pick();
        if (!change_owner(0, place + 1)) {
            return nobody;
        }
        const bool kept_time = timekeeper_ == place;
        const std::int64_t up_at = up_at_;
        leave(place);
        places_[place].lent = true;
        if (kept_time && timekeeper_ == nobody) { // nor does anybody else sleep: its time is for when it is back
            timekeeper_ = place;
            up_at_ = up_at;
        }
        return place;
    }
    /// The sleeper is listed again. It gets up if there is something to do for it.
    template <class Source>
    void give_back(unsigned place, const Source& source) noexcept {
        const bool sleeps_on = list(place, source);
        if (!sleeps_on || gets_up(place, source)) {
            places_[place].parker.unpark();
        }
    }

    /// Sleeps until there is something to do for `me`. `source.has_work()` tells whether something waits that nobody
    /// has begun, `source.stopping()` that nobody may sleep any more, `source.progress(i)` a number that changes
    /// whenever worker i does anything, `source.until_due()` the nanoseconds to the next timer (0: due now, `never`).
    template <class Source>
    void sleep(unsigned me, const Source& source) noexcept {
        if (!list(me, source)) {
            return;
        }
        for (;;) {
            const std::int64_t timeout = timeout_of(me, source);
            const bool unparked = timeout == 0 ? false : places_[me].parker.park(timeout == never ? -1 : timeout);
            const bool due = !unparked && keeps_time(me) && source.until_due() <= 0;
            const std::unique_lock lock(mutex_);
            if (places_[me].lent) {
                continue;
            }
            if (!places_[me].listed) {
                return; // a waker took us off the list; its unpark, if it is still to come, only cancels a later park
            }
            if (due && timekeeper_ == me) {
                leave(me);
                return;
            }
            if (lookout_ == me && look_at_ <= Parker::now_ns() && look_around(me, source)) {
                return;
            }
        }
    }

private:
    static constexpr std::uint64_t owner_mask = most_workers; // the owner's number plus one
    static constexpr std::uint64_t one_sleeper = 0x10000;
    static constexpr std::uint64_t sleepers_mask = 0xffff0000;
    static constexpr std::uint64_t lookout_flag = std::uint64_t{1} << 32;

    struct alignas(platform::cache_line) Place {
        Parker parker;
        bool listed = false;
        bool lent = false;
    };

    static unsigned places_for(unsigned workers) {
        if (workers > most_workers) {
            GOSSIP_THROW(std::invalid_argument{"gossip: at most 65535 workers share a parking lot"});
        }
        return workers == 0 ? 1 : workers;
    }

    bool change_owner(std::uint64_t from, std::uint64_t to) noexcept {
        std::uint64_t state = state_.load(std::memory_order_relaxed); // relaxed: checked by the CAS
        while ((state & owner_mask) == from) {
            if (state_.compare_exchange_weak(state, (state & ~owner_mask) | to,
                                             std::memory_order_seq_cst,    // [announced] then somebody looks for work
                                             std::memory_order_relaxed)) { // relaxed: another guess
                return true;
            }
        }
        return false;
    }

    /// Lists `me`, off duty; false if there was work after all, and it does not sleep.
    template <class Source>
    bool list(unsigned me, const Source& source) noexcept {
        bool attended = false;
        bool stopping = false;
        {
            const std::lock_guard lock(mutex_);
            stopping = source.stopping();
            places_[me].listed = true;
            places_[me].lent = false;
            listed_.push_back(me);
            std::uint64_t state = state_.load(std::memory_order_relaxed); // relaxed: checked by the CAS
            std::uint64_t next = 0;
            do {
                next = state + one_sleeper;
                if ((next & owner_mask) == me + 1) {
                    next &= ~owner_mask;
                }
                attended = (next & owner_mask) != 0;
                if (attended && lookout_ == nobody) {
                    next |= lookout_flag;
                }
            } while (!state_.compare_exchange_weak(state, next, std::memory_order_seq_cst, // [announced] then has_work
                                                   std::memory_order_relaxed));            // relaxed: another guess
            if (attended && lookout_ == nobody) {
                look_out(me);
            }
            if (timekeeper_ == nobody || places_[timekeeper_].lent) {
                keep_time(me);
            }
        }
        if (!stopping && (attended || !source.has_work())) {
            return true;
        }
        const std::lock_guard lock(mutex_);
        if (places_[me].listed) {
            leave(me);
        }
        return places_[me].lent; // by now: what there is to do is that one's
    }

    void look_out(unsigned who) noexcept {
        lookout_ = who;
        look_at_ = Parker::now_ns() + lookout_period_ns;
        seen_owner_ = 0;
    }
    void keep_time(unsigned who) noexcept {
        timekeeper_ = who;
        up_at_ = never;
    }

    [[nodiscard]] bool keeps_time(unsigned me) noexcept {
        const std::lock_guard lock(mutex_);
        return timekeeper_ == me;
    }

    /// Whether `who`, listed by another, is to get up for what it does not know of: looks, or a timer.
    template <class Source>
    [[nodiscard]] bool gets_up(unsigned who, const Source& source) noexcept {
        {
            const std::lock_guard lock(mutex_);
            if (lookout_ == who) {
                return true;
            }
            if (timekeeper_ != who || up_at_ != never) {
                return false;
            }
        }
        return source.until_due() != never; // which may ask a clock of the user's
    }

    /// The source is asked for its timers, and so may ask a clock of the user's, after the lock: whoever makes `me` the
    /// timekeeper meanwhile, or moves a timer, unparks it.
    template <class Source>
    std::int64_t timeout_of(unsigned me, const Source& source) noexcept {
        std::int64_t timeout = never;
        {
            const std::lock_guard lock(mutex_);
            if (lookout_ == me) {
                timeout = look_at_ - Parker::now_ns();
            }
            if (timekeeper_ != me) {
                return timeout < 0 ? 0 : timeout;
            }
            up_at_ = never; // not known yet
            if (places_[me].lent) {
                return never; // whoever gives the place back looks whether a timer waits
            }
        }
        const std::int64_t due = source.until_due();
        timeout = due < timeout ? due : timeout;
        if (timeout <= 0) {
            return 0;
        }
        if (timeout != never) {
            const std::lock_guard lock(mutex_);
            if (timekeeper_ == me) {
                const std::int64_t now = Parker::now_ns();
                up_at_ = timeout < never - now ? now + timeout : never;
            }
        }
        return timeout;
    }

    /// The lookout's turn, under the lock. True if `me` got up, on duty.
    template <class Source>
    bool look_around(unsigned me, const Source& source) noexcept {
        std::uint64_t state = state_.load(std::memory_order_relaxed); // relaxed: checked by the CAS
        do {
            const std::uint64_t owner = state & owner_mask;
            if (owner != 0) {
                const std::uint64_t progress = source.progress(static_cast<unsigned>(owner - 1));
                if (owner != seen_owner_ || progress != seen_progress_) {
                    seen_owner_ = owner;
                    seen_progress_ = progress;
                    look_at_ = Parker::now_ns() + lookout_period_ns;
                    return false;
                }
            }
        } while (!state_.compare_exchange_weak(state, state & ~(owner_mask | lookout_flag),
                                               std::memory_order_seq_cst,   // [announced] nobody claims a run unwatched
                                               std::memory_order_relaxed)); // relaxed: who came on duty is watched
        lookout_ = nobody;
        // Nobody is on duty now: publishers wake somebody themselves. What they left to the former owner is ours.
        if (source.has_work() && change_owner(0, me + 1)) {
            leave(me);
            return true;
        }
        return false;
    }

    void stand_down() noexcept {
        lookout_ = nobody;
        state_.fetch_and(~lookout_flag, std::memory_order_seq_cst); // [announced] no run is claimed unwatched from here
    }

    /// Whom to wake: the last to lie down, but not the lookout or the timekeeper while there is another.
    [[nodiscard]] unsigned pick() const noexcept {
        for (std::size_t i = listed_.size(); i-- > 0;) {
            if (listed_[i] != lookout_ && listed_[i] != timekeeper_) {
                return listed_[i];
            }
        }
        for (std::size_t i = listed_.size(); i-- > 0;) {
            if (listed_[i] != lookout_) {
                return listed_[i];
            }
        }
        return listed_.back();
    }

    Parker& take_off(unsigned who) noexcept {
        leave(who);
        return places_[who].parker;
    }

    void leave(unsigned who) noexcept {
        for (std::size_t i = 0; i < listed_.size(); ++i) {
            if (listed_[i] == who) {
                listed_.erase(listed_.begin() + static_cast<std::ptrdiff_t>(i));
                break;
            }
        }
        places_[who].listed = false;
        state_.fetch_sub(one_sleeper, std::memory_order_seq_cst); // [announced] whoever gets up looks for work
        if (lookout_ == who) {
            stand_down();
            if (!listed_.empty() &&
                (state_.load(std::memory_order_relaxed) & owner_mask) != 0) { // relaxed: who goes off duty later looks
                look_out(listed_.front());
                state_.fetch_or(lookout_flag, std::memory_order_seq_cst); // [announced] runs are watched again
                places_[lookout_].parker.unpark();
            }
        }
        if (timekeeper_ == who) {
            keep_time(listed_.empty() ? nobody : listed_.front());
            if (timekeeper_ != nobody) {
                places_[timekeeper_].parker.unpark();
            }
        }
    }

    const std::unique_ptr<Place[]> places_;
    const unsigned workers_;
    alignas(platform::cache_line) Atom<std::uint64_t> state_{0};
    alignas(platform::cache_line) Mutex mutex_;
    std::vector<unsigned> listed_;
    unsigned lookout_ = nobody;
    std::int64_t look_at_ = 0; // when the lookout looks next, whatever it gets up for meanwhile
    unsigned timekeeper_ = nobody;
    std::int64_t up_at_ = never; // when the timekeeper looks at the timers by itself; never: unknown
    std::uint64_t seen_owner_ = 0;
    std::uint64_t seen_progress_ = 0;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
