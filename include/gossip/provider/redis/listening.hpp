// What a bus listens for on Pub/Sub, and which of a message's copies is the one that counts.
#pragma once

#include <gossip/core/event_type.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossip::detail {

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
    [[nodiscard]] std::shared_ptr<const List> wanted() const {
        const std::lock_guard lock(mutex_);
        return list_;
    }

private:
    mutable std::mutex mutex_;
    std::shared_ptr<const List> list_ = std::make_shared<List>();
};

/// The server sends a message once for its channel and once for each pattern that matches, one right after another.
/// The first copy counts.
///
/// Threads: one.
class CopyFilter {
public:
    /// Whether this is a further copy of the message before.
    [[nodiscard]] bool is_copy(std::string_view channel, std::string_view message, std::string_view pattern) {
        const bool same = !seen_.empty() && std::find(seen_.begin(), seen_.end(), pattern) == seen_.end() &&
                          channel == channel_ && message == message_;
        if (!same) {
            seen_.clear();
            channel_ = channel;
            message_ = message;
        }
        seen_.emplace_back(pattern);
        return same;
    }
    void forget() noexcept { seen_.clear(); }

private:
    std::string channel_;
    std::string message_;
    std::vector<std::string> seen_; // the patterns, or nothing for the channel itself
};

} // namespace gossip::detail
