#pragma once

#include <gossip/bus/bus_middleware.hpp>
#include <gossip/concurrency/worker_pool.hpp>
#include <gossip/core/clock.hpp>
#include <gossip/core/errors.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/event_type.hpp>
#include <gossip/core/metadata.hpp>
#include <gossip/core/value_text.hpp>
#include <gossip/dispatch/dead_letter.hpp>
#include <gossip/dispatch/inbox.hpp>
#include <gossip/dispatch/subscription.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// How a bus is made. What is out of bounds is refused with a ValidationError that names the field, the value and the
/// rule.
struct Config {
    unsigned workers = 2;                // threads; 0: none, the caller polls. At most 1,024
    std::size_t buffer_size = 1024;      // events that may wait, for each priority; rounded up to a power of two
    Overflow overflow = Overflow::block; // what publish does when the buffer is full
    Clock* clock = nullptr;              // not owned, outlives the bus; null: the operating system's
    Idle idle = Idle::sleep;             // what workers do while there is nothing to do
    ErrorHook on_error{};                // told of each event that ends failed
    DropHook on_drop{};                  // told of each event that was accepted and will not run
    BusMiddleware middleware{};          // around every processor; see gossip/bus/bus_middleware.hpp
};

/// What one publish may say besides the data.
struct PublishOptions {
    std::string_view key{}; // events with one key are handled in order, one at a time
    Priority priority = Priority::normal;
    Metadata metadata{};
};

namespace detail {

inline constexpr unsigned most_workers = 1024;
inline constexpr std::size_t largest_buffer = std::size_t{1} << 30;
/// No delay, period or deadline is longer: 100 years, far from what the clocks can't count.
inline constexpr std::chrono::nanoseconds longest_duration = std::chrono::hours{24 * 365 * 100};

inline void check(const Config& config) {
    if (config.workers > most_workers) {
        GOSSIP_THROW(ValidationError{"workers", config.workers, "must be at most 1024"});
    }
    if (config.buffer_size == 0 || config.buffer_size > largest_buffer) {
        GOSSIP_THROW(ValidationError{"buffer_size", config.buffer_size, "must be between 1 and 1073741824"});
    }
    if (config.overflow != Overflow::block && config.overflow != Overflow::reject &&
        config.overflow != Overflow::drop_oldest) {
        GOSSIP_THROW(
            ValidationError{"overflow", static_cast<int>(config.overflow), "must be block, reject or drop_oldest"});
    }
    if (config.idle != Idle::sleep && config.idle != Idle::spin) {
        GOSSIP_THROW(ValidationError{"idle", static_cast<int>(config.idle), "must be sleep or spin"});
    }
}

inline void check_duration(std::string_view field, std::chrono::nanoseconds duration) {
    if (duration.count() < 0) {
        GOSSIP_THROW(ValidationError{field, duration, "must not be negative"});
    }
    if (duration > longest_duration) {
        GOSSIP_THROW(ValidationError{field, duration, "must be at most 100 years"});
    }
}

inline void check(const SubscribeOptions& options) {
    const Redelivery& again = options.redelivery;
    if (again.attempts < 1) {
        GOSSIP_THROW(ValidationError{"redelivery.attempts", again.attempts, "must be at least 1"});
    }
    check_duration("redelivery.first_delay", again.first_delay);
    check_duration("redelivery.max_delay", again.max_delay);
    if (!(again.growth >= 1.0 && again.growth <= 1000.0)) {
        GOSSIP_THROW(ValidationError{"redelivery.growth", again.growth, "must be between 1 and 1000"});
    }
    if (!(again.jitter >= 0.0 && again.jitter <= 1.0)) {
        GOSSIP_THROW(ValidationError{"redelivery.jitter", again.jitter, "must be between 0 and 1"});
    }
    if (again.max_waiting == 0) {
        GOSSIP_THROW(ValidationError{"redelivery.max_waiting", again.max_waiting, "must be at least 1"});
    }
}

/// An event that was moved from, or made of a type that was, has no name.
inline void check(const Event& event) {
    if (EventAccess::name(event).empty()) [[unlikely]] {
        throw_bad_name("event type", {}, rule_of(NameFault::empty));
    }
}

/// What a subscription listens to, where some of it may have been moved from.
inline void check(const std::vector<EventType>& names, const std::vector<Pattern>& patterns) {
    if (names.empty() && patterns.empty()) {
        GOSSIP_THROW(ValidationError{"types", "", "must name at least one"});
    }
    for (const EventType& name : names) {
        if (name.name().empty()) {
            throw_bad_name("event type", {}, rule_of(NameFault::empty));
        }
    }
    for (const Pattern& pattern : patterns) {
        if (pattern.text().empty()) {
            throw_bad_name("pattern", {}, rule_of(NameFault::empty));
        }
    }
}

/// The event with what the options say.
[[nodiscard]] inline Event with(Event event, PublishOptions options) {
    if (!options.key.empty()) {
        event.with_key(options.key);
    }
    if (options.priority != Priority::normal) {
        event.with_priority(options.priority);
    }
    if (!options.metadata.empty()) {
        event.with_metadata(std::move(options.metadata));
    }
    return event;
}

} // namespace detail
} // namespace gossip::GOSSIP_VERSION_NAMESPACE
