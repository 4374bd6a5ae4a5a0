#pragma once

#include <gossip/provider/redis/socket.hpp>
#include <gossip/provider/redis/stream_entry.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// The turns of this member as the active one of a stream: what was read in one may begin while it goes on. Turns are
/// numbered from 1 on; 0 is none, and nothing may begin in it.
///
/// Threads: every member from any thread; those below "the one that reads" from that one.
/// Cost:    `may_begin` takes a lock and reads the clock, once an attempt.
class StreamTurns {
public:
    /// The turn goes on by the clock of this machine, and nothing that stood before the entry was left.
    [[nodiscard]] bool may_begin(const EntryId& id, std::uint64_t number) const noexcept {
        const std::lock_guard lock(mutex_);
        const Turn* const turn = find(id.stream, number);
        return turn != nullptr && SteadyClock::now() < turn->until && !(turn->left && is_before(*turn->left, id));
    }
    /// It is left, or will be soon: nothing behind it may begin in that turn any more.
    void leaving(const EntryId& id, std::uint64_t number) noexcept {
        const std::lock_guard lock(mutex_);
        if (find(id.stream, number) != nullptr) {
            std::optional<EntryId>& first = turns_[id.stream].left;
            first = first && is_before(*first, id) ? first : id;
        }
    }
    void read(StreamStats& stats) const noexcept {
        const std::lock_guard lock(mutex_);
        const auto now = SteadyClock::now();
        stats.takeovers = begun_;
        stats.losses = lost_;
        stats.active = static_cast<std::size_t>(
            std::count_if(turns_.begin(), turns_.end(), [now](const Turn& turn) { return now < turn.until; }));
    }

    // Of the one that reads.

    std::uint64_t begin(std::uint32_t stream, Deadline until) {
        const std::lock_guard lock(mutex_);
        if (turns_.size() <= stream) {
            turns_.resize(stream + std::size_t{1});
        }
        turns_[stream] = {++begun_, until, {}};
        return begun_;
    }
    /// False if it has run out meanwhile: somebody may have seen that.
    [[nodiscard]] bool extend(std::uint32_t stream, Deadline until) noexcept {
        const std::lock_guard lock(mutex_);
        const bool goes_on = SteadyClock::now() < turns_[stream].until;
        if (goes_on) {
            turns_[stream].until = until;
        }
        return goes_on;
    }
    void end(std::uint32_t stream, bool is_loss) noexcept {
        const std::lock_guard lock(mutex_);
        if (stream < turns_.size() && turns_[stream].number != 0) {
            turns_[stream] = {};
            lost_ += is_loss ? 1U : 0U;
        }
    }
    [[nodiscard]] std::uint64_t number(std::uint32_t stream) const noexcept {
        const std::lock_guard lock(mutex_);
        return stream < turns_.size() ? turns_[stream].number : 0;
    }

private:
    struct Turn {
        std::uint64_t number = 0;
        Deadline until{};
        std::optional<EntryId> left{}; // the first entry of it that was
    };

    [[nodiscard]] const Turn* find(std::uint32_t stream, std::uint64_t number) const noexcept {
        return number != 0 && stream < turns_.size() && turns_[stream].number == number ? &turns_[stream] : nullptr;
    }

    mutable std::mutex mutex_;
    std::vector<Turn> turns_; // by stream
    std::uint64_t begun_ = 0;
    std::uint64_t lost_ = 0;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
