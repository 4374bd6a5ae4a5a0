#pragma once

#include <gossip/core/error.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/topic.hpp>
#include <gossip/dispatch/subscription.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// What one subscription made of an event.
struct Failure {
    Error error;
    SubscriptionId subscription{};
    std::string name{}; // the subscription's, if it has one
    int attempts = 1;
};

/// An event that has failed for good. It is published, once, on `dead_letter`.
struct DeadLetter {
    Event event;
    Error error;                     // the first one, with its chain of causes
    int attempts = 1;                // how often the subscription that failed first has run
    std::string subscription{};      // its name
    std::vector<Failure> failures{}; // one for each run, deferral and batch that failed in a last attempt
    std::chrono::system_clock::time_point first_time{}; // when the run, deferral or batch that failed first was over
    std::chrono::system_clock::time_point last_time{};  // when the event had failed for good
};

/// Subscribe to it to see what failed for good. Publishing `letter.event` again is the way to replay it.
inline constexpr Topic<DeadLetter> dead_letter{"gossip.dead_letter"};

/// What the error hook is told.
struct ErrorReport {
    const Error& error;
    const Event& event;
    SubscriptionId subscription{};
    std::string_view name{};     // the subscription's, if it has one
    bool in_dead_letter = false; // the event is itself a dead letter
};

/// Why an event was dropped.
enum class DropReason : std::uint8_t { overflow, abandoned };

/// Called for each event that ends failed, and for failures that make no dead letter: those of dead-letter processors,
/// and what some subscriptions have failed for good of an event that a bus which ends leaves to others, as another of
/// them would have tried it again, or had not ended it at the deadline.
using ErrorHook = std::function<void(const ErrorReport&)>;
/// Called for each event that was accepted and never given to a processor. Under `drop_oldest` on the thread that makes
/// room, a publisher's or, through Redis, the one that reads, which waits for it: be brief.
using DropHook = std::function<void(const Event&, DropReason)>;

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
