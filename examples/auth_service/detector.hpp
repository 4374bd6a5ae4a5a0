// When an address has failed too often.
#pragma once

#include "events.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <unordered_map>

namespace auth {

/// A sliding window for each address, by the log's own times: says yes once when `limit` failures lie within `window`,
/// and again only after the address has kept quiet for that long.
///
/// Threads: any number, one at a time for each address: that, and their order, is what the events' keys are for. The
///          lock guards the map.
/// Owns:    `limit` times for each address that it has seen.
class Detector {
public:
    Detector(std::size_t limit, std::chrono::seconds window) : limit_(limit), window_(window) {}

    bool failure(const std::string& address, Time time) {
        const std::lock_guard lock(mutex_);
        Recent& recent = by_address_[address];
        if (!recent.times.empty()) {
            time = std::max(time, recent.times.back()); // clocks are set back now and then
        }
        while (!recent.times.empty() && (recent.times.front() <= time - window_ || recent.times.size() == limit_)) {
            recent.times.pop_front();
        }
        recent.alerted = recent.alerted && !recent.times.empty();
        recent.times.push_back(time);
        const bool alert = recent.times.size() == limit_ && !recent.alerted;
        recent.alerted = recent.alerted || alert;
        return alert;
    }

    [[nodiscard]] std::size_t limit() const noexcept { return limit_; }

private:
    struct Recent {
        std::deque<Time> times; // the last few, oldest first
        bool alerted = false;
    };

    const std::size_t limit_;
    const std::chrono::seconds window_;
    std::mutex mutex_;
    std::unordered_map<std::string, Recent> by_address_;
};

} // namespace auth
