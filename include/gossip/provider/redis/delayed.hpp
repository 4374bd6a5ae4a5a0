// Events to come that the server keeps: a sorted set by the time at which each is due. Whoever is there moves what is
// due to its stream, in one step of the server's: it is moved once, whatever process has sent it, and whether or not
// that is still there.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/core/random.hpp>
#include <gossip/provider/redis/backoff.hpp>
#include <gossip/provider/redis/connection.hpp>
#include <gossip/provider/redis/connection_news.hpp>
#include <gossip/provider/redis/io_thread.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/server_error.hpp>
#include <gossip/provider/redis/stream_entry.hpp>
#include <gossip/provider/redis/url.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis {

/// The sorted set of the events to come. Its scores are milliseconds since 1970 by the server's clock.
[[nodiscard]] inline std::string delayed_set(const RedisOptions& options) { return options.prefix + "gossip.delayed"; }

namespace detail {

/// A member of the set: `<due><number><sender>:<size of the stream's name>:<stream><message>`, the first three as 16
/// hex digits each. Members of one score are moved in their own order: by due time to the nanosecond, then as sent.
[[nodiscard]] inline std::string delayed_member(std::int64_t due_ns, std::uint64_t number, std::uint64_t sender,
                                                std::string_view stream, std::string_view message) {
    std::string member;
    member.reserve(64 + stream.size() + message.size());
    for (const std::uint64_t part : {static_cast<std::uint64_t>(due_ns), number, sender}) {
        for (unsigned shift = 64; shift > 0; shift -= 4) {
            member.push_back("0123456789abcdef"[part >> (shift - 4) & 15U]);
        }
    }
    member.append(":").append(std::to_string(stream.size())).append(":").append(stream).append(message);
    return member;
}

/// Its score: the first millisecond in which it is due.
[[nodiscard]] constexpr std::int64_t delayed_score(std::int64_t due_ns) noexcept {
    return due_ns / 1'000'000 + (due_ns % 1'000'000 > 0 ? 1 : 0);
}

/// KEYS: the set, the registry of streams, the dead-letter stream. ARGV: how many to move at most, the entry's field,
/// after how many milliseconds to look again at what could not be moved. Answers with the milliseconds until the next
/// is due (-1: none), how many of those that were due are so no more, and why not all of them were moved. What is no
/// member of ours, and what is for a key that is no stream, goes to the dead-letter stream. What this user may not
/// write is put off, so that it stands in nobody's way; what the server can't take for now, or put off, is left. The
/// keys of streams are the members' own, which the server's cluster mode would not allow.
inline constexpr std::string_view move_delayed = R"(
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = string.format('%.0f', now)
local most, moved, left, why = tonumber(ARGV[1]), 0, 0, ''
while moved + left < most do
  local member = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', due, 'LIMIT', left, 1)[1]
  if not member then break end
  local stream, message, reason = '', member, 'no event to come'
  local head, size = string.match(member, '^(%x+:(%d+):)')
  if head then
    stream = string.sub(member, #head + 1, #head + size)
    message = string.sub(member, #head + size + 1)
    redis.pcall('SADD', KEYS[2], stream)
    local added = redis.pcall('XADD', stream, '*', ARGV[2], message)
    reason = type(added) == 'table' and added.err or nil
  end
  local gone = not reason
  if reason then
    why = reason
    if not head or string.find(reason, 'WRONGTYPE', 1, true) then
      local buried = redis.pcall('XADD', KEYS[3], '*', ARGV[2], message,
                                 'gossip.reason', reason, 'gossip.stream', stream)
      gone = type(buried) ~= 'table'
    end
  end
  if gone then
    redis.call('ZREM', KEYS[1], member)
    moved = moved + 1
  elseif type(redis.pcall('ZADD', KEYS[1], 'XX', string.format('%.0f', now + ARGV[3]), member)) ~= 'table' then
    moved = moved + 1
  else
    left = left + 1
  end
end
local after = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. due, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return {after[2] and after[2] - now or -1, moved, why}
)";

} // namespace detail

/// Moves what is due: at the due times of this process's own events, some time after those of others, for which their
/// own process is first if it is still there, and every StreamOptions::refresh to learn of new ones.
///
/// Threads: every member from any thread.
/// Cost:    one round trip each time; idle: one each StreamOptions::refresh.
/// Stalls:  nothing waits for the server; the destructor for the thread, a millisecond.
/// Owns:    its thread and one connection, "delayed" in the client's name.
/// Errors:  the constructor throws what threads and descriptors throw. What the server refuses reaches the connection
///          hook.
class DelayedMover {
public:
    explicit DelayedMover(const RedisOptions& options, std::string_view field)
        : options_(detail::checked(options)),
          endpoint_(parse_url(options_.url)),
          set_(delayed_set(options_)),
          registry_(stream_registry(options_)),
          graves_(dead_letter_stream(options_)),
          field_(field),
          connection_(endpoint_, options_, "delayed", interrupt_),
          news_(options_.on_connection, "delayed"),
          backoff_(options_.backoff_first, options_.backoff_max) {
        thread_.start([this] { run(); });
    }
    DelayedMover(const DelayedMover&) = delete;
    DelayedMover& operator=(const DelayedMover&) = delete;
    ~DelayedMover() { stop(); }

    /// The server has an event of this process that is due then.
    void expect(detail::Deadline due) {
        const std::lock_guard lock(mutex_);
        expected_.push(due);
        if (due < asleep_until_) {
            interrupt_.wake();
        }
    }

    /// Ends the thread; from its hook it asks for the end, and another call must finish.
    void stop() noexcept {
        interrupt_.stop();
        thread_.join();
    }

private:
    using Deadline = detail::Deadline;
    static constexpr std::int64_t most = 128;

    void run() {
        while (!interrupt_.stopped()) {
            const Result result = gossip::guard([this] {
                Result opened = connection_.open();
                return opened ? serve() : opened;
            });
            connection_.close();
            if (!result && !interrupt_.stopped()) {
                news_.lost(result.error());
                detail::sleep_until(detail::SteadyClock::now() + backoff_.next(), interrupt_);
            }
        }
    }

    Result serve() {
        news_.restored();
        Deadline next{};
        while (sleep(next)) {
            if (Result asked = move(next); !asked) {
                return asked;
            }
        }
        return {};
    }

    /// Until then, or until an event of this process is due; false if it was stopped.
    bool sleep(Deadline next) {
        while (!interrupt_.stopped()) {
            Deadline until = next;
            {
                const std::lock_guard lock(mutex_);
                until = expected_.empty() ? next : std::min(next, expected_.top());
                asleep_until_ = until;
            }
            if (until <= detail::SteadyClock::now()) {
                break;
            }
            detail::wait_for(-1, 0, until, interrupt_);
        }
        const std::lock_guard lock(mutex_);
        asleep_until_ = Deadline{};
        return !interrupt_.stopped();
    }

    Result move(Deadline& next) {
        const bool is_own = take_expected(detail::SteadyClock::now());
        const detail::Number count{most};
        const detail::Number pause{std::int64_t{options_.stream.refresh.count()}};
        if (Result asked =
                connection_.ask({"EVAL", detail::move_delayed, "3", set_, registry_, graves_, count, field_, pause},
                                detail::SteadyClock::now() + options_.command_timeout);
            !asked) {
            return asked;
        }
        const auto now = detail::SteadyClock::now();
        next = now + options_.stream.refresh;
        if (connection_.reply().failed()) {
            news_.refused(server_error(connection_.reply().line()));
            next = now + std::max<std::chrono::nanoseconds>(backoff_.next(), options_.stream.refresh);
            return {};
        }
        detail::ReplyCursor at{connection_.reply()};
        at.array();
        const std::int64_t wait_ms = at.integer();
        const std::int64_t moved = at.integer();
        if (const std::string_view why = at.text(); why.empty()) {
            backoff_.reset();
            news_.taken();
        } else {
            news_.refused(server_error(why));
        }
        if (moved == most) {
            next = now; // there may be more
        } else if (wait_ms >= 0 && wait_ms < options_.stream.refresh.count()) {
            // Nothing where the clocks differ a little, else what leaves it to its own process.
            const double patience = is_own ? 0 : 20 + 80 * gossip::detail::random_fraction();
            next = std::min(next, now + std::chrono::milliseconds{wait_ms + static_cast<std::int64_t>(patience)});
        }
        return {};
    }

    /// Forgets the times that have come; whether there were any.
    bool take_expected(Deadline now) {
        const std::lock_guard lock(mutex_);
        bool any = false;
        for (; !expected_.empty() && expected_.top() <= now; expected_.pop()) {
            any = true;
        }
        return any;
    }

    const RedisOptions options_;
    const Endpoint endpoint_;
    const std::string set_;
    const std::string registry_;
    const std::string graves_;
    const std::string field_;
    detail::Interrupt interrupt_;
    std::mutex mutex_;
    std::priority_queue<Deadline, std::vector<Deadline>, std::greater<>> expected_; // these two under mutex_
    Deadline asleep_until_{};

    // The thread's own.
    detail::Connection connection_;
    detail::ConnectionNews news_;
    detail::Backoff backoff_;
    detail::IoThread thread_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis
