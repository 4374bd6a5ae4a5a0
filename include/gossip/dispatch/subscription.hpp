#pragma once

#include <gossip/core/error.hpp>
#include <gossip/core/event.hpp>

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// Names one subscription of one bus; never used again for another, nor by another bus of the process.
class SubscriptionId {
public:
    constexpr SubscriptionId() noexcept = default;
    constexpr explicit SubscriptionId(std::uint64_t value) noexcept : value_(value) {}
    [[nodiscard]] constexpr std::uint64_t value() const noexcept { return value_; }
    friend constexpr auto operator<=>(SubscriptionId, SubscriptionId) noexcept = default;

private:
    std::uint64_t value_ = 0;
};

/// When a failed event is tried again, by the bus, later, without holding a worker. Off unless attempts is above 1.
struct Redelivery {
    int attempts = 1; // runs in all, the first included; a run and what it has deferred are one attempt
    std::chrono::nanoseconds first_delay = std::chrono::milliseconds{100};
    double growth = 2.0; // each delay is that many times the one before
    double jitter = 0.5; // the part of a delay that is drawn at random: 0 none, 1 all of it
    std::chrono::nanoseconds max_delay = std::chrono::minutes{5}; // no delay grows above it, or above first_delay
    std::function<bool(const Error&)> when{}; // which errors; fatal and validation errors are never tried again
    std::size_t max_waiting = 100'000; // how many events may wait for another attempt at once; a further one has failed
};

/// Options of one subscription.
struct SubscribeOptions {
    std::string name{};              // for dead letters, logs and statistics
    int priority = 0;                // higher ones run first among the processors of an event
    std::size_t max_concurrency = 0; // how many workers may be in the processor at once; 0: any number
    Redelivery redelivery{};
    std::function<bool(const Event&)> filter{}; // an event that it refuses is handled as far as this subscription goes
};

namespace detail {

class Subscriber;

/// What a Subscription asks of its bus.
class SubscriptionHome {
public:
    SubscriptionHome(const SubscriptionHome&) = delete;
    SubscriptionHome& operator=(const SubscriptionHome&) = delete;
    virtual bool unsubscribe(SubscriptionId id) noexcept = 0;
    [[nodiscard]] virtual bool subscribed(SubscriptionId id) const noexcept = 0;

protected:
    SubscriptionHome() = default;
    ~SubscriptionHome() = default;
};

} // namespace detail

/// A processor's membership in a bus, ended by the destructor. When `unsubscribe` or the destructor returns, the
/// processor is not running on any other thread and never runs again.
///
/// Threads: one at a time. Called from inside its own processor it does not wait for itself, nor where waiting would
///          close a cycle of processors that end each other.
/// Stalls:  ending waits for runs on other threads.
/// Owns:    the membership. May outlive the bus; it is inert then.
class [[nodiscard]] Subscription {
public:
    Subscription() noexcept = default;
    /// For the library.
    Subscription(std::shared_ptr<detail::SubscriptionHome> home, SubscriptionId id) noexcept
        : home_(std::move(home)), id_(id) {}

    Subscription(Subscription&& other) noexcept : home_(std::move(other.home_)), id_(std::exchange(other.id_, {})) {}
    Subscription& operator=(Subscription&& other) noexcept {
        if (this != &other) {
            unsubscribe();
            home_ = std::move(other.home_);
            id_ = std::exchange(other.id_, {});
        }
        return *this;
    }
    ~Subscription() { unsubscribe(); }

    [[nodiscard]] SubscriptionId id() const noexcept { return id_; }

    /// Whether the bus still calls the processor.
    [[nodiscard]] bool active() const noexcept { return home_ != nullptr && home_->subscribed(id_); }

    /// Ends it. A second call does nothing.
    void unsubscribe() noexcept {
        if (const auto home = std::exchange(home_, nullptr)) {
            home->unsubscribe(id_);
        }
    }

    /// Leaves the processor with the bus until `bus.unsubscribe(id)` or the bus's end.
    SubscriptionId detach() noexcept {
        home_.reset();
        return id_;
    }

private:
    std::shared_ptr<detail::SubscriptionHome> home_;
    SubscriptionId id_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
