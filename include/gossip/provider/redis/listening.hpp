// What a bus listens for, in its own words and in the server's.
#pragma once

#include <gossip/core/error.hpp>
#include <gossip/core/errors.hpp>
#include <gossip/core/event_type.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/provider/redis/pub_sub.hpp>
#include <gossip/provider/redis/publisher.hpp>
#include <gossip/provider/redis/stream_entry.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// A look at a running Redis provider.
struct RedisStats {
    redis::PublisherStats publisher{};
    redis::PubSubStats pub_sub{};
    redis::StreamStats stream{};
    std::uint64_t malformed = 0; // messages that were no event, or of no known kind; the error hook has seen them
    std::uint64_t unread = 0;    // messages for which there was no memory for seconds; streams deliver them again
    std::uint64_t untold = 0;    // errors that came faster than the error hook could be told
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// A deadline of that much patience on the machine's steady clock; the largest there is for what would be later.
[[nodiscard]] inline std::chrono::steady_clock::time_point deadline_in(std::chrono::nanoseconds timeout) noexcept {
    const auto now = std::chrono::steady_clock::now();
    return timeout > std::chrono::steady_clock::time_point::max() - now ? std::chrono::steady_clock::time_point::max()
                                                                        : now + timeout;
}

/// The server's pattern for all names in a set, and perhaps more: its `*` knows no segments.
[[nodiscard]] inline std::string server_pattern(std::string_view prefix, const Pattern& pattern) {
    std::string out;
    const auto append = [&out](std::string_view text) {
        for (const char c : text) {
            if (c == '?' || c == '[' || c == ']' || c == '\\') {
                out.push_back('\\');
            }
            out.push_back(c);
        }
    };
    for (const char c : prefix) {
        if (c == '*') {
            out.push_back('\\');
        }
        append({&c, 1});
    }
    std::string_view text = pattern.text();
    if (text.ends_with("**")) {
        text.remove_suffix(1);
    }
    append(text);
    return out;
}

/// The same names as the server knows them.
struct ServerNames {
    ServerNames(std::string_view prefix, const std::vector<EventType>& types, const std::vector<Pattern>& sets) {
        texts.reserve(types.size() + sets.size());
        for (const EventType& type : types) {
            channels.emplace_back(texts.emplace_back(std::string(prefix).append(type.name())));
        }
        for (const Pattern& set : sets) {
            if (set.has_wildcard()) {
                patterns.emplace_back(texts.emplace_back(server_pattern(prefix, set)));
            } else {
                channels.emplace_back(texts.emplace_back(std::string(prefix).append(set.text())));
            }
        }
    }
    ServerNames(const ServerNames&) = delete;
    ServerNames& operator=(const ServerNames&) = delete;

    std::vector<std::string> texts;
    std::vector<std::string_view> channels;
    std::vector<std::string_view> patterns;
};

/// What is no name for an event matches nothing.
[[nodiscard]] inline bool matches_any(const std::vector<Pattern>& patterns, std::string_view name) noexcept {
    return std::any_of(patterns.begin(), patterns.end(), [&](const Pattern& set) { return set.matches(name); });
}

/// The patterns that a bus listens for, each as often as it was asked for.
///
/// Threads: every member from any thread. `wanted` is a snapshot, replaced whole.
class WantedPatterns {
public:
    using List = std::vector<Pattern>;

    void add(const std::vector<Pattern>& patterns) {
        const std::lock_guard lock(mutex_);
        auto fresh = std::make_shared<List>(*list_);
        fresh->insert(fresh->end(), patterns.begin(), patterns.end());
        list_ = std::move(fresh);
        ever_ |= !patterns.empty();
    }
    void remove(const std::vector<Pattern>& patterns) {
        const std::lock_guard lock(mutex_);
        auto fresh = std::make_shared<List>(*list_);
        for (const Pattern& pattern : patterns) {
            if (const auto at = std::find(fresh->begin(), fresh->end(), pattern); at != fresh->end()) {
                fresh->erase(at);
            }
        }
        list_ = std::move(fresh);
    }
    struct Snapshot {
        std::shared_ptr<const List> list;
        bool ever; // one was wanted, now or before: the server may still send its messages
    };
    [[nodiscard]] Snapshot wanted() const {
        const std::lock_guard lock(mutex_);
        return {list_, ever_};
    }

private:
    mutable std::mutex mutex_;
    bool ever_ = false;
    std::shared_ptr<const List> list_ = std::make_shared<List>();
};

/// The server sends a message once for its channel and once for each pattern that matches, one right after another.
/// The first copy counts.
///
/// Threads: one.
/// Cost:    a copy of the message; no allocation once it has seen ones as long and as many patterns for one.
class CopyFilter {
public:
    /// Whether this is a further copy of the message before.
    [[nodiscard]] bool is_copy(std::string_view channel, std::string_view message, std::string_view pattern) {
        const auto end = seen_.begin() + static_cast<std::ptrdiff_t>(count_);
        const bool same =
            count_ != 0 && std::find(seen_.begin(), end, pattern) == end && channel == channel_ && message == message_;
        if (!same) {
            count_ = 0;
            channel_ = channel;
            message_ = message;
        }
        if (count_ == seen_.size()) {
            seen_.emplace_back();
        }
        seen_[count_] = pattern;
        ++count_;
        return same;
    }

private:
    std::string channel_;
    std::string message_;
    std::vector<std::string> seen_; // the patterns, or nothing for the channel itself; then what has room for more
    std::size_t count_ = 0;         // of them
};

/// The listening half of a Redis provider, in one mode or the other.
class RedisListening {
public:
    using Deadline = std::chrono::steady_clock::time_point;

    RedisListening() = default;
    RedisListening(const RedisListening&) = delete;
    RedisListening& operator=(const RedisListening&) = delete;
    virtual ~RedisListening() = default;

    virtual Result listen(Engine& engine, const std::vector<EventType>& names,
                          const std::vector<Pattern>& patterns) = 0;
    virtual void unlisten(const std::vector<EventType>& names, const std::vector<Pattern>& patterns) = 0;
    /// Sends the group back to that place.
    virtual Result replay(const EventType&, std::string_view /*from*/) {
        return ValidationError{"mode", "pub_sub", "must be streams: Pub/Sub keeps nothing"};
    }
    virtual void close() noexcept = 0;
    /// Until the server knows of all ends.
    virtual bool drain(Deadline until) = 0;
    virtual void shutdown(Deadline until) noexcept = 0;
    virtual void stats(RedisStats& stats) const = 0;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
