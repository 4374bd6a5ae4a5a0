#pragma once

// Listeners for the parts of the Redis provider, which write down what they hear.

#include "support/eventually.hpp"

#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/publisher_listener.hpp>
#include <gossip/provider/redis/socket.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace gossip_test {

inline gossip::redis::detail::Deadline in(std::chrono::milliseconds time) {
    return gossip::redis::detail::SteadyClock::now() + time;
}

/// How long `f` takes.
template <class F>
std::chrono::milliseconds time_of(F f) {
    const auto start = std::chrono::steady_clock::now();
    f();
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
}

/// Whether `f` takes less than that, not counting what the machine keeps threads waiting meanwhile: a probe measures by
/// how much it lets a thread that slept a millisecond oversleep, and a stop is worth a few such waits.
template <class F>
bool takes_less_than(std::chrono::milliseconds limit, F f) {
    using Clock = std::chrono::steady_clock;
    std::mutex mutex;
    std::condition_variable changed;
    bool over = false;
    bool measures = false;
    Clock::duration lag{};
    std::thread probe{[&] {
        std::unique_lock lock(mutex);
        while (!over) {
            const auto start = Clock::now();
            changed.wait_for(lock, std::chrono::milliseconds{1});
            lag = std::max(lag, Clock::now() - start - std::chrono::milliseconds{1});
            measures = true;
            changed.notify_all();
        }
    }};
    {
        std::unique_lock lock(mutex); // a probe that has not begun yet would miss what `f` meets
        changed.wait(lock, [&] { return measures; });
    }
    const auto time = gossip_test::time_of(f);
    {
        const std::lock_guard lock(mutex);
        over = true;
    }
    changed.notify_all();
    probe.join();
    return time < limit + 4 * lag;
}

/// What connections told, in order.
class News {
public:
    using Kind = gossip::ConnectionEvent::Kind;

    gossip::ConnectionHook hook() {
        return [this](const gossip::ConnectionEvent& event) {
            const std::lock_guard lock(mutex_);
            events_.push_back(event);
        };
    }
    [[nodiscard]] std::vector<gossip::ConnectionEvent> all() const {
        const std::lock_guard lock(mutex_);
        return events_;
    }
    [[nodiscard]] std::size_t count(Kind kind) const {
        const std::lock_guard lock(mutex_);
        return static_cast<std::size_t>(
            std::count_if(events_.begin(), events_.end(), [kind](const auto& event) { return event.kind == kind; }));
    }
    [[nodiscard]] std::string line() const {
        constexpr const char* names[] = {"lost", "restored", "gap", "refused"};
        std::string text;
        for (const auto& event : all()) {
            text += (text.empty() ? "" : " ") + std::string{names[static_cast<int>(event.kind)]};
        }
        return text;
    }

private:
    mutable std::mutex mutex_;
    std::vector<gossip::ConnectionEvent> events_;
};

/// The ends of commands.
class Ends : public gossip::redis::PublisherListener {
public:
    void confirmed(std::uint64_t tag, const gossip::redis::Confirmation& confirmation) noexcept override {
        const std::lock_guard lock(mutex_);
        ++ends_[tag];
        last_id_ = confirmation.id;
        last_integer_ = confirmation.integer;
        ++confirmed_;
    }
    void failed(std::uint64_t tag, const gossip::Error& error) noexcept override {
        const std::lock_guard lock(mutex_);
        ++ends_[tag];
        errors_.emplace_back(tag, error);
    }
    [[nodiscard]] std::size_t confirmed_count() const {
        const std::lock_guard lock(mutex_);
        return confirmed_;
    }
    [[nodiscard]] std::vector<std::pair<std::uint64_t, gossip::Error>> errors() const {
        const std::lock_guard lock(mutex_);
        return errors_;
    }
    [[nodiscard]] std::string last_id() const {
        const std::lock_guard lock(mutex_);
        return last_id_;
    }
    [[nodiscard]] std::int64_t last_integer() const {
        const std::lock_guard lock(mutex_);
        return last_integer_;
    }
    /// Tags from 0 to `count` - 1 have had one end each, and no other has had any.
    [[nodiscard]] bool are_exactly_one_each(std::size_t count) const {
        const std::lock_guard lock(mutex_);
        return ends_.size() == count && (count == 0 || ends_.rbegin()->first == count - 1) &&
               std::all_of(ends_.begin(), ends_.end(), [](const auto& end) { return end.second == 1; });
    }

private:
    mutable std::mutex mutex_;
    std::map<std::uint64_t, int> ends_;
    std::vector<std::pair<std::uint64_t, gossip::Error>> errors_;
    std::size_t confirmed_ = 0;
    std::string last_id_;
    std::int64_t last_integer_ = 0;
};

/// Impatient with everything but the machine.
inline gossip::RedisOptions quick(const std::string& url) {
    using namespace std::chrono_literals;
    gossip::RedisOptions options{.url = url};
    options.command_timeout = 60s;
    options.backoff_first = 2ms;
    options.backoff_max = 50ms;
    return options;
}

} // namespace gossip_test
