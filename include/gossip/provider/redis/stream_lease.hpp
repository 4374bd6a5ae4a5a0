// Who of a group may read a stream, where one member at a time does (StreamOptions::single_active).
#pragma once

#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/socket.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// The key whose owner is the active member of the group for that stream.
[[nodiscard]] inline std::string lease_key(const RedisOptions& options, std::string_view stream) {
    return (options.prefix + "gossip.active:" + options.group + ":").append(stream);
}

/// Takes the lease if it is free, extends it if it is ours. KEYS: the lease. ARGV: our token, the milliseconds.
/// Answers 2 for taken, 1 for extended; a number below 1 is another's: 0 less the milliseconds that it has still.
/// Extending writes nothing that a server without memory would refuse.
inline constexpr std::string_view lease_script =
    "local owner = redis.call('GET', KEYS[1]) "
    "if owner == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) return 1 end "
    "if owner then local left = redis.call('PTTL', KEYS[1]) return left < 0 and -ARGV[2] or -left end "
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 2";

/// Gives it up, if it is ours.
inline constexpr std::string_view release_script =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// Reads new entries of those streams whose lease is ours, in one step: nobody else's can be taken by that, however
/// late the command arrives. KEYS: the streams, then their leases. ARGV: our token, the group, the consumer, how many.
/// Answers as XREADGROUP does; or, where there is nothing new, with the last id of each stream, to wait for more.
inline constexpr std::string_view leased_read_script =
    "local read, count = {'GROUP', ARGV[2], ARGV[3], 'COUNT', ARGV[4], 'STREAMS'}, #KEYS / 2 "
    "for i = 1, count do if redis.call('GET', KEYS[count + i]) == ARGV[1] then read[#read + 1] = KEYS[i] end end "
    "local ours = #read - 6 "
    "for i = 1, ours do read[#read + 1] = '>' end "
    "local found = ours > 0 and redis.pcall('XREADGROUP', unpack(read)) "
    "if found then return found end "
    "local last = {} "
    "for i = 1, count do local entry = redis.call('XREVRANGE', KEYS[i], '+', '-', 'COUNT', 1)[1] "
    "last[i] = entry and entry[1] or '0-0' end "
    "return last";

/// One stream's lease, as one member sees it: when to ask for it, how long it is surely ours, when it is given up. It
/// sends nothing: it says what to do, and is told what became of that.
///
/// It is ours from an answer that says so until `lease`, less a tenth, after the question was sent: the server counts
/// from a later moment on and longer, so by its clock nobody else has it before. It is renewed at each third of that.
/// Whoever does not have it asks again every tenth of `lease`, half a second at most, and when it would end. Who has
/// others already waits longer, up to twice that, so that a lease that is free goes to whoever has few.
///
/// An entry that is left to others ends the turn: nothing behind it may go first. When all that is held has ended the
/// lease is given up, and who had it stands back for as long as a lease, so that others come first if there are any.
///
/// Threads: one at a time.
class StreamLease {
public:
    enum class Step : std::uint8_t {
        nothing,
        ask,       // send the question, and call `asked`
        take_over, // it is ours, and all that is pending comes first; what was held of it before counts no more
        lose,      // it is not ours any more: what was held of it counts no more
        release,   // nothing of it is held any more, nor will be: give it up
    };

    explicit StreamLease(std::chrono::milliseconds lease) noexcept
        : lease_(lease), sure_(lease - lease / 10), poll_(std::clamp(lease / 10, least_poll, most_poll)) {}

    /// What is due; to be asked until it is nothing. `wanted`: this member would read the stream. `settled()`: all that
    /// it has had of it has ended, and the server has confirmed that.
    template <class Settled>
    Step step(Deadline now, bool wanted, Settled settled) {
        if (ours_ && now >= until_) {
            return lose(now);
        }
        if (ours_ && !(wanted && is_active()) && settled()) {
            sent_.reset(); // an answer that is still to come says what was
            ask_at_ = is_over_ ? now + lease_ : now;
            ours_ = is_over_ = false;
            return Step::release;
        }
        return !sent_ && (ours_ || wanted) && now >= ask_at_ ? Step::ask : Step::nothing;
    }

    void asked(Deadline now) noexcept { sent_ = now; }
    /// The server's number, or nothing where it refused to say one. `others`: leases that this member has.
    Step answered(std::optional<std::int64_t> answer, Deadline now, std::size_t others) noexcept {
        if (!sent_) {
            return Step::nothing;
        }
        const Deadline sent = *sent_;
        sent_.reset();
        if (!answer) {
            ask_at_ = now + poll_;
            return Step::nothing;
        }
        if (*answer < taken_or_extended) {
            ask_at_ = now + patience(std::chrono::milliseconds{-*answer}, others);
            return ours_ ? lose(ask_at_) : Step::nothing;
        }
        const Deadline until = sent + sure_;
        if (now >= until) { // the answer is older than what it says
            return ours_ ? lose(now) : Step::nothing;
        }
        ask_at_ = sent + lease_ / 3;
        until_ = until;
        if (ours_ && *answer == taken_or_extended) {
            return Step::nothing;
        }
        is_over_ = false; // the server had forgotten it, or we had
        ours_ = true;
        return Step::take_over;
    }
    /// No answer will come; and the server may have forgotten what it said.
    void disconnected(Deadline now) noexcept {
        sent_.reset();
        ask_at_ = std::min(ask_at_, now);
    }
    /// One of its entries was left.
    void left() noexcept { is_over_ = ours_; }
    /// Others have seen that it had run out before it was extended.
    Step lost(Deadline now) noexcept { return ours_ ? lose(now) : Step::nothing; }

    [[nodiscard]] bool is_ours() const noexcept { return ours_; }
    /// New entries may be read, and those read be handed on.
    [[nodiscard]] bool is_active() const noexcept { return ours_ && !is_over_; }
    [[nodiscard]] Deadline until() const noexcept { return until_; }
    /// When `step` has something to do again by itself.
    [[nodiscard]] Deadline due(bool wanted) const noexcept {
        const Deadline asks = sent_ || !(ours_ || wanted) ? Deadline::max() : ask_at_;
        return ours_ ? std::min(asks, until_) : asks;
    }

private:
    Step lose(Deadline ask_at) noexcept {
        ours_ = is_over_ = false;
        ask_at_ = ask_at;
        return Step::lose;
    }

    static constexpr std::int64_t taken_or_extended = 1;
    static constexpr std::chrono::milliseconds least_poll{10};
    static constexpr std::chrono::milliseconds most_poll{500};

    [[nodiscard]] std::chrono::milliseconds patience(std::chrono::milliseconds left,
                                                     std::size_t others) const noexcept {
        const auto grace = poll_ * static_cast<int>(std::min<std::size_t>(others, 4)) / 4;
        return std::min(poll_, left + std::chrono::milliseconds{1}) + grace;
    }

    const std::chrono::milliseconds lease_;
    const std::chrono::milliseconds sure_;
    const std::chrono::milliseconds poll_;
    bool ours_ = false;
    bool is_over_ = false;         // the turn
    std::optional<Deadline> sent_; // a question that has no answer yet
    Deadline ask_at_{};
    Deadline until_{};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
