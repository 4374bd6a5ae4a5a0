#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/socket.hpp>
#include <gossip/provider/redis/stream_entry.hpp>
#include <gossip/provider/redis/stream_settler.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

struct Settling {
    enum class What : std::uint8_t { ack, leave, bury, tried };
    What what;
    EntryId id;
    std::string reason{};
    std::int64_t attempts = 0; // with `tried`
    std::uint64_t turn = 0;    // with `leave`: see StreamEntry
};

/// What the threads of a StreamReader's users and the one that reads tell each other.
///
/// Threads: every member from any thread; those below "the one that reads" from that one.
class StreamState {
public:
    using Names = std::span<const std::string_view>;

    Interrupt interrupt;

    Result subscribe(Names names, Deadline until, std::chrono::milliseconds patience) {
        std::unique_lock lock(mutex_);
        if (closed_) {
            return errors::closed;
        }
        const std::uint64_t attempts = attempts_;
        for (const std::string_view name : names) {
            Wanted& wanted = wanted_.try_emplace(std::string{name}).first->second;
            ++wanted.users;
            if (!wanted.is_ready) {
                wanted.refusal.reset();
                wish_change();
            }
        }
        std::optional<Error> refusal;
        const auto settled = [&] {
            bool all = true;
            for (const std::string_view name : names) {
                const Wanted& wanted = wanted_.find(name)->second;
                all &= wanted.is_ready;
                if (wanted.refusal) {
                    refusal = wanted.refusal;
                }
            }
            return all || refusal || closed_ || login_refused_at_ > attempts;
        };
        const bool in_time = changed_.wait_until(lock, until, settled);
        Result result = verdict(in_time, refusal, attempts, patience, "the subscription to a stream");
        if (!result) {
            remove(names);
        }
        return result;
    }

    void unsubscribe(Names names) {
        const std::lock_guard lock(mutex_);
        remove(names);
    }

    Result refresh(Deadline until, std::chrono::milliseconds patience) {
        std::unique_lock lock(mutex_);
        if (closed_) {
            return errors::closed;
        }
        const std::uint64_t attempts = attempts_;
        const std::uint64_t mine = ++refreshes_asked_;
        wish();
        const bool in_time = changed_.wait_until(
            lock, until, [&] { return refreshes_done_ >= mine || closed_ || login_refused_at_ > attempts; });
        if (refreshes_done_ >= mine) {
            return refresh_refusal_ ? Result{*refresh_refusal_} : Result{};
        }
        return verdict(in_time, std::nullopt, attempts, patience, "the list of streams");
    }

    /// The end of what has its place (see `reserve`) allocates nothing.
    void settle(Settling settling) {
        const std::lock_guard lock(mutex_);
        const bool is_leave = settling.what == Settling::What::leave;
        if (settling.what == Settling::What::tried) {
            make_places(held_, tried_ + 1); // it takes nobody's
            ++tried_;
        }
        const bool is_first = settled_.empty();
        settled_.push_back(std::move(settling));
        if (is_first) {
            first_settled_ = SteadyClock::now();
        }
        counts_.left += is_leave ? 1U : 0U;
        if (asleep_) {
            wake();
        }
    }

    void resume() noexcept {
        const std::lock_guard lock(mutex_);
        if (asleep_) {
            wake();
        }
    }

    /// False if who reads has not come round to it by then.
    bool stop_reading(Deadline until) {
        std::unique_lock lock(mutex_);
        reads_ = false;
        wish();
        return changed_.wait_until(lock, until, [this] { return !reading_ || !connected_ || ended_; });
    }

    bool drain(Deadline until) {
        std::unique_lock lock(mutex_);
        return changed_.wait_until(lock, until, [this] { return is_settled(); });
    }

    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        changed_.notify_all();
    }

    /// Waits for who reads to take its leave; not for a connection to say it on, if nothing else needs one.
    void farewell(Deadline until) {
        std::unique_lock lock(mutex_);
        farewell_ = true;
        wish();
        changed_.wait_until(lock, until, [this] { return ended_ || (!connected_ && is_settled()); });
    }

    [[nodiscard]] StreamStats stats() const {
        const std::lock_guard lock(mutex_);
        StreamStats stats = counts_;
        stats.connected = connected_;
        return stats;
    }

    // Of the one that reads.

    struct Wishes {
        bool reads;
        bool changes;   // of what is wanted
        bool refreshes; // of the list of streams
        bool farewell;
    };

    /// A place for the end of each entry that is held; before they are handed on.
    void reserve(std::size_t held) {
        const std::lock_guard lock(mutex_);
        make_places(held, tried_);
        held_ = held;
    }

    /// What was settled comes a millisecond after the first of it, to come together; at once if it is much, or all
    /// there is.
    Wishes take(std::vector<Settling>& settled, std::size_t held, Deadline now) {
        const std::lock_guard lock(mutex_);
        if (settled_.size() >= many || settled_.size() >= held || now >= first_settled_ + gathering || farewell_) {
            settled.reserve(std::max(held_, held)); // the places are these from now on
            settled.swap(settled_);
            tried_ = 0;
            unconfirmed_ += settled.size();
        }
        const Wishes wishes{reads_, std::exchange(changes_, false), refreshes_asked_ > refreshes_taken_, farewell_};
        refreshes_taken_ = refreshes_asked_;
        wished_ = false;
        return wishes;
    }

    /// All names, and whether they are still wanted; those that are not are named once.
    std::vector<std::pair<std::string, bool>> streams() {
        const std::lock_guard lock(mutex_);
        std::vector<std::pair<std::string, bool>> streams;
        for (auto at = wanted_.begin(); at != wanted_.end();) {
            const bool is_wanted = at->second.users != 0 || at->second.by_pattern;
            streams.emplace_back(at->first, is_wanted);
            at = is_wanted ? std::next(at) : wanted_.erase(at);
        }
        return streams;
    }

    void answer(std::string_view name, const std::optional<Error>& refusal) {
        const std::lock_guard lock(mutex_);
        if (const auto at = wanted_.find(name); at != wanted_.end()) {
            at->second.is_ready = !refusal;
            at->second.refusal = refusal;
            changed_.notify_all();
        }
    }

    /// Takes in the registry; whether anything changed. `wants` is called without the lock.
    template <class Wants>
    bool found(const std::vector<std::string>& names, Wants wants) {
        std::set<std::string, std::less<>> matching;
        for (const std::string& name : names) {
            if (wants(name)) {
                matching.insert(name);
            }
        }
        const std::lock_guard lock(mutex_);
        bool changed = false;
        for (auto& [name, wanted] : wanted_) {
            changed |= wanted.by_pattern && !matching.contains(name);
            wanted.by_pattern = matching.contains(name);
        }
        for (const std::string& name : matching) {
            Wanted& wanted = wanted_.try_emplace(name).first->second;
            changed |= !wanted.is_ready;
            wanted.by_pattern = true;
        }
        return changed;
    }

    [[nodiscard]] bool wants_refresh() const {
        const std::lock_guard lock(mutex_);
        return refreshes_asked_ != 0;
    }
    void refreshed(const std::optional<Error>& refusal) {
        const std::lock_guard lock(mutex_);
        refreshes_done_ = refreshes_taken_;
        refresh_refusal_ = refusal;
        changed_.notify_all();
    }

    template <class F>
    void count(F f) {
        const std::lock_guard lock(mutex_);
        f(counts_);
    }

    void report(const StreamSettler& settler, std::size_t burials, std::uint64_t entries, std::uint64_t claimed) {
        const std::lock_guard lock(mutex_);
        counts_.entries = entries;
        counts_.claimed = claimed;
        counts_.acked = settler.acked();
        counts_.held = settler.held();
        const std::size_t before = std::exchange(unconfirmed_, settler.unconfirmed() + burials);
        if (before != 0 && is_settled()) {
            changed_.notify_all();
        }
    }

    /// Whoever settles from now on wakes it; what was settled meanwhile is taken when it has gathered.
    void fall_asleep(Deadline& until) {
        const std::lock_guard lock(mutex_);
        asleep_ = settled_.empty() && !wished_;
        if (wished_) {
            until = {}; // a wake-up that came while it waited for an answer is gone
        } else if (!asleep_) {
            until = std::min(until, first_settled_ + gathering);
        }
    }
    void wake_up() {
        const std::lock_guard lock(mutex_);
        asleep_ = false;
    }

    void reading_stopped() {
        const std::lock_guard lock(mutex_);
        if (std::exchange(reading_, false)) {
            changed_.notify_all();
        }
    }

    void came_up() {
        const std::lock_guard lock(mutex_);
        ++attempts_;
        ++counts_.connects;
        connected_ = true;
        failure_.reset();
    }
    void came_down(const Error& error) {
        const std::lock_guard lock(mutex_);
        ++attempts_;
        connected_ = false;
        failure_ = error;
        login_refused_at_ = is_fatal(error) ? attempts_ : 0;
        changed_.notify_all();
    }
    void ended() {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        connected_ = false;
        changed_.notify_all();
    }
    /// Nothing is left that would need a connection.
    [[nodiscard]] bool gives_up() const {
        const std::lock_guard lock(mutex_);
        return farewell_ && is_settled();
    }

private:
    struct Wanted {
        std::size_t users = 0;
        bool by_pattern = false;
        bool is_ready = false;
        std::optional<Error> refusal{};
    };
    static constexpr std::size_t many = 64;
    static constexpr std::chrono::milliseconds gathering{1};

    void make_places(std::size_t held, std::size_t tried) {
        if (const std::size_t needed = held + tried; settled_.capacity() < needed) {
            settled_.reserve(std::max(needed, settled_.capacity() * 2));
        }
    }
    void wake() noexcept {
        asleep_ = false;
        interrupt.wake();
    }
    void wish() noexcept {
        wished_ = true;
        wake();
    }
    void wish_change() noexcept {
        changes_ = true;
        wish();
    }
    void remove(Names names) {
        for (const std::string_view name : names) {
            const auto at = wanted_.find(name);
            if (at != wanted_.end() && at->second.users != 0 && --at->second.users == 0) {
                wish_change();
            }
        }
    }
    [[nodiscard]] bool is_settled() const noexcept { return settled_.empty() && unconfirmed_ == 0; }

    [[nodiscard]] Result verdict(bool in_time, const std::optional<Error>& refusal, std::uint64_t attempts,
                                 std::chrono::milliseconds patience, std::string_view what) const {
        if (closed_) {
            return errors::closed;
        }
        if (refusal) {
            return *refusal;
        }
        if (login_refused_at_ > attempts) {
            return *failure_;
        }
        if (in_time) {
            return {};
        }
        const std::string text = "no answer from the server about " + std::string{what};
        return failure_ ? TimeoutError{patience, text, *failure_} : TimeoutError{patience, text};
    }

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, Wanted, std::less<>> wanted_;
    std::vector<Settling> settled_;
    std::size_t held_ = 0;  // entries that have their place there
    std::size_t tried_ = 0; // of those there that end nothing
    Deadline first_settled_{};
    std::size_t unconfirmed_ = 0; // taken from there, and not yet confirmed
    std::uint64_t refreshes_asked_ = 0;
    std::uint64_t refreshes_taken_ = 0;
    std::uint64_t refreshes_done_ = 0;
    std::optional<Error> refresh_refusal_; // of the last that was done
    std::uint64_t attempts_ = 0;
    std::uint64_t login_refused_at_ = 0;
    std::optional<Error> failure_;
    StreamStats counts_{};
    bool wished_ = false; // for anything but settling
    bool changes_ = false;
    bool reads_ = true;   // wanted
    bool reading_ = true; // as it is
    bool asleep_ = false;
    bool connected_ = false;
    bool closed_ = false;
    bool farewell_ = false;
    bool ended_ = false;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
