#pragma once

#include <gossip/core/errors.hpp>

#include <chrono>
#include <cstddef>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// When a batch runs, how many run at once, and what is done about a run that fails.
struct BatchOptions {
    std::size_t size = 100;                                    // how many events make a run; none has more
    std::chrono::nanoseconds period = std::chrono::seconds{1}; // how long the first of them waits; 0: not at all
    std::size_t concurrency = 1; // runs at a time. Above 1 events of one key may be in two of them, unless by_key
    bool by_key = false;         // a run has events of one key, one run of a key at a time; no key counts as a key
    std::size_t capacity = 0; // by_key: how many are collected for all keys, running ones included; 0: chosen from size
    int attempts = 1;         // calls for a batch that fails as a whole, and for what a BatchResult fails; 1: no other
    std::chrono::nanoseconds retry_delay{0}; // between these; holds the worker
    bool split = false; // what has failed as a whole is tried in halves, and these again, down to the events that fail
};

namespace detail {

inline void check(const BatchOptions& options) {
    constexpr std::size_t largest = 1'000'000;
    if (options.size == 0 || options.size > largest) {
        GOSSIP_THROW(ValidationError{"size", options.size, "must be between 1 and 1000000"});
    }
    if (options.period.count() < 0) {
        GOSSIP_THROW(ValidationError{"period", options.period, "must not be negative"});
    }
    constexpr std::size_t most_runs = 1024;
    if (options.concurrency == 0 || options.concurrency > most_runs) {
        GOSSIP_THROW(ValidationError{"concurrency", options.concurrency, "must be between 1 and 1024"});
    }
    if (options.capacity != 0 && !options.by_key) {
        GOSSIP_THROW(ValidationError{"capacity", options.capacity, "must be 0 unless by_key is set"});
    }
    constexpr std::size_t most_collected = 1'000'000'000;
    if (options.capacity != 0 && (options.capacity < 2 * options.size || options.capacity > most_collected)) {
        GOSSIP_THROW(ValidationError{"capacity", options.capacity, "must be between twice the size and 1000000000"});
    }
    if (options.attempts < 1) {
        GOSSIP_THROW(ValidationError{"attempts", options.attempts, "must be at least 1"});
    }
    if (options.retry_delay.count() < 0) {
        GOSSIP_THROW(ValidationError{"retry_delay", options.retry_delay, "must not be negative"});
    }
}

/// How many events a batch collects in all, those that run included.
[[nodiscard]] inline std::size_t capacity_of(const BatchOptions& options) noexcept {
    constexpr std::size_t batches_by_key = 16;
    if (options.capacity != 0) {
        return options.capacity;
    }
    const std::size_t runs = options.concurrency + 1;
    return options.size * (options.by_key && runs < batches_by_key ? batches_by_key : runs);
}

} // namespace detail
} // namespace gossip::GOSSIP_VERSION_NAMESPACE
