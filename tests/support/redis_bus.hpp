#pragma once

// Buses on a real Redis server, and what their tests keep saying.

#include <gossip/bus/event_bus.hpp>
#include <gossip/redis.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/redis_server.hpp"

#include <chrono>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace gossip_test {

struct Order {
    std::string id;
    int amount = 0;
    friend bool operator==(const Order&, const Order&) = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Order, id, amount)

/// These options, patient with a busy machine: where the timeout is not what the test is about.
[[nodiscard]] inline gossip::RedisOptions patient(gossip::RedisOptions options) {
    options.command_timeout = std::chrono::seconds(60);
    return options;
}

using RedisBus = gossip::EventBus<gossip::RedisProvider>;

inline constexpr gossip::Topic<Order> ordered{"shop.ordered"};
inline constexpr gossip::Topic<int> counted{"shop.counted"};

/// What an error hook was told, from any thread.
class Heard {
public:
    struct Report {
        std::string event;
        std::string raw;
        std::string error;
    };
    [[nodiscard]] gossip::ErrorHook hook() {
        return [this](const gossip::ErrorReport& report) {
            const std::lock_guard lock(mutex_);
            reports_.push_back({std::string(report.event.type().name()), std::string(report.event.raw_text()),
                                std::string(report.error.what())});
        };
    }
    [[nodiscard]] std::vector<Report> reports() const {
        const std::lock_guard lock(mutex_);
        return reports_;
    }
    [[nodiscard]] std::size_t size() const { return reports().size(); }

private:
    mutable std::mutex mutex_;
    std::vector<Report> reports_;
};

} // namespace gossip_test
