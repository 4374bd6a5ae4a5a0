#pragma once

#include <gossip/core/error.hpp>
#include <gossip/dispatch/dead_letter.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// The ledger of a bus. When nothing is in flight, in one process,
/// `accepted == handled + failed + unrouted + dropped + abandoned`.
/// A bus that leaves the process has two laws: `accepted == sent + send_dropped + send_abandoned` for what leaves it,
/// and `received == handled + failed + unrouted + dropped + abandoned` for what arrives, wherever that was published.
struct Counters {
    std::uint64_t accepted = 0;  // publish said so
    std::uint64_t handled = 0;   // every processor that was called succeeded
    std::uint64_t failed = 0;    // at least one failed for good
    std::uint64_t unrouted = 0;  // nobody listened
    std::uint64_t dropped = 0;   // made room for a later one
    std::uint64_t abandoned = 0; // the shutdown's deadline came first
    std::uint64_t sent = 0;      // events that have left for the inbox, or for the transport
    std::uint64_t received = 0; // events that have begun here; on a bus that leaves the process: that have arrived here
    std::uint64_t send_dropped = 0;   // accepted, and refused by the transport for good
    std::uint64_t send_abandoned = 0; // accepted, and not confirmed when the bus was shut down
    bool leaves_process = false;

    std::uint64_t rejected = 0;     // refused: the buffer was full, the transport can't, or there was no memory when
                                    // its time had come; never accepted
    std::uint64_t redelivered = 0;  // further attempts that were scheduled
    std::uint64_t spilled = 0;      // published by processors into a full buffer
    std::uint64_t cancelled = 0;    // publishes to come that were taken back (from the transport: they are in `sent` as
                                    // well), and timers that were still waiting at shutdown
    std::uint64_t dead_letters = 0; // published on `dead_letter`
    std::uint64_t dead_letters_failed = 0; // of these, a processor failed
    std::uint64_t dead_letters_abandoned = 0;

    /// The law, or both.
    [[nodiscard]] bool adds_up() const noexcept {
        const std::uint64_t ended = handled + failed + unrouted + dropped + abandoned;
        return leaves_process ? accepted == sent + send_dropped + send_abandoned && received == ended
                              : accepted == ended;
    }
};

/// A look at a running bus. The counters are read one after another; they add up when nothing is in flight.
struct Stats : Counters {
    std::uint64_t unconfirmed = 0; // events that the transport has not confirmed
    std::uint64_t waiting = 0;     // events that have not begun
    std::size_t subscriptions = 0;
    std::size_t timers = 0;      // publishes to come, redeliveries, batch periods, deadlines
    std::size_t buffer_size = 0; // as rounded up
};

/// What became of everything that was accepted. A second shutdown returns the same.
struct ShutdownReport : Counters {
    bool complete = true; // false from inside a processor: the shutdown goes on without it
    Result transport{};   // how the transport ended
};

/// What publish_sync hands back.
class [[nodiscard]] SyncResult {
public:
    SyncResult() = default;
    /// For the library: null is success.
    SyncResult(std::unique_ptr<std::vector<Failure>> failures, std::size_t processors) : processors_(processors) {
        if (failures != nullptr) [[unlikely]] {
            failed_ = std::make_unique<Failed>();
            failed_->failures = std::move(*failures);
            failed_->errors.reserve(failed_->failures.size());
            for (const Failure& failure : failed_->failures) {
                failed_->errors.push_back(failure.error);
            }
        }
    }

    /// No processor failed.
    [[nodiscard]] bool ok() const noexcept { return failed_ == nullptr; }
    explicit operator bool() const noexcept { return ok(); }
    /// How many processors were called.
    [[nodiscard]] std::size_t processors() const noexcept { return processors_; }
    /// One for each processor that failed, in the order in which they ran.
    [[nodiscard]] const std::vector<Error>& errors() const noexcept {
        static const std::vector<Error> none;
        return failed_ == nullptr ? none : failed_->errors;
    }
    /// The same with the subscriptions that they came from.
    [[nodiscard]] const std::vector<Failure>& failures() const noexcept {
        static const std::vector<Failure> none;
        return failed_ == nullptr ? none : failed_->failures;
    }

private:
    struct Failed {
        std::vector<Failure> failures;
        std::vector<Error> errors;
    };
    std::size_t processors_ = 0;
    std::unique_ptr<Failed> failed_; // null: all is well
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
