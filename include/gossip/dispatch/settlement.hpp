#pragma once

#include <gossip/core/deferral.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/dispatch/dead_letter.hpp>
#include <gossip/dispatch/seat.hpp>
#include <gossip/dispatch/subscriber.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

class Engine;

/// What an event is to the ledger.
enum class Kind : std::uint8_t {
    event,  // accepted into the inbox
    sync,   // published with publish_sync: its errors go to the caller
    letter, // a dead letter: outside the law, with counters of its own
};

// Edges: those of gossip/dispatch/engine.hpp

/// An event that ends later: its run is one open end, and so is each deferral, each redelivery that waits, and each
/// batch that has collected it. When the last one is closed the event is handled or failed, and the block is gone.
/// Most events end at once and never have one of these.
///
/// States, as in tests/models/settlement.pml, which shows that each event ends once and its block is freed once:
///   `open`   somebody holds an open end
///   `ended`  counted: by whoever closed the last open end, or as abandoned, while others hold open ends still
///   `freed`  by whoever closed the last open end
///
/// Threads: `open`, `resolve` and `close` from any thread that holds an open end.
/// Owns:    the event, until its end.
class Settlement final : public OpenEnd {
public:
    /// One subscription's share in the open end.
    struct Part {
        Settlement* home;
        Ref<Subscriber> subscriber;
        int attempt;
        bool holds_key; // the event's key waits for it
        Result last{};  // what the latest attempt ended with
    };

    /// Starts with one open end: that of the run that makes it.
    Settlement(std::shared_ptr<Engine> engine, Event event, Kind kind, std::int64_t begun_ns);
    ~Settlement() = default;

    [[nodiscard]] const Event& event() const noexcept override { return event_; }
    [[nodiscard]] Event& event() noexcept { return event_; }
    [[nodiscard]] Kind kind() const noexcept { return kind_; }
    [[nodiscard]] Engine& engine() const noexcept { return *engine_; }

    /// One more open end. May throw std::bad_alloc.
    [[nodiscard]] Part& open(Subscriber& subscriber, int attempt, bool holds_key);

    /// A deferral is resolved, on any thread.
    inline void resolve(void* who,
                        Result result) noexcept override; // inline, or every file that includes this gets the code
    /// The same by a thread that has a seat. The part is delivered again if its subscription wants that.
    void settle(Seat& seat, Part& part, Result result) noexcept;
    void add_failure(const Subscriber& subscriber, int attempt, const Error& error) noexcept;
    void add_failure(Failure failure) noexcept;
    /// Closes one open end; the last one ends the event and deletes the block.
    void close(Seat& seat, bool holds_key) noexcept;

    /// The bus ends before a redelivery is due. What came from elsewhere, and whose sender would like to know, is not
    /// failed by that: it is abandoned, and left to be delivered again.
    void leave_to_others() noexcept {
        if (EventAccess::has_receipt(event_)) {
            left_to_others_.store(true, std::memory_order_relaxed); // relaxed: the closing of an open end follows
        }
    }

    /// Takes the end away from whoever still holds an open one: the event is counted as abandoned, once.
    [[nodiscard]] bool abandon() noexcept {
        return !ended_.exchange(true, std::memory_order_acq_rel); // [closed] one of us ends it
    }

    /// It was abandoned, or its last open end is closed. Under the engine's lock of the list: it stays as it is there.
    [[nodiscard]] bool has_ended() const noexcept {
        return ended_.load(
            std::memory_order_relaxed); // relaxed: who asks holds an open end, or the list's lock decides
    }

    Settlement* previous = nullptr; // in the engine's list, under its lock
    Settlement* next = nullptr;

private:
    void end(Seat& seat) noexcept;

    const std::shared_ptr<Engine> engine_;
    Event event_;
    const Kind kind_;
    const std::int64_t begun_ns_;
    std::atomic<bool> ended_{false};
    std::atomic<int> open_{1};
    std::atomic<int> open_for_key_{1};
    std::mutex mutex_;
    std::vector<std::unique_ptr<Part>> parts_;
    std::vector<Failure> failures_;
    bool failed_without_memory_ = false;
    std::atomic<bool> left_to_others_{false};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
