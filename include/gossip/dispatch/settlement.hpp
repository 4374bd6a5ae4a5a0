#pragma once

#include <gossip/core/deferral.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/dispatch/dead_letter.hpp>
#include <gossip/dispatch/open_ends.hpp>
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

/// An event that ends later: its run is one open end, and so is each part, one subscription's attempt at it. When the
/// last one is closed the event is handled or failed, and the block is gone. Most events end at once and never have one
/// of these.
///
/// A part has shares: its run, each deferral of that, and each batch that has collected the event. When the last one is
/// closed the part is delivered again, once, if one of them failed and each failure may be tried again; the part is
/// then the next attempt, and waits for it. Otherwise it is closed.
///
/// States, as in tests/models/settlement.pml, which shows that each event ends once, lets its key go once, after all
/// that hold it, and that its block is freed once:
///   `open`   somebody holds an open end
///   `ended`  counted: by whoever closed the last open end (as abandoned if it is left to others), or as abandoned,
///            while others hold open ends still
///   `freed`  by whoever closed the last open end
///
/// Threads: `open`, `fail`, `resolve`, `settle` and `close` from any thread that holds an open end, or a share in it.
/// Owns:    the event, until its end.
class Settlement final : public OpenEnd {
public:
    /// One subscription's attempt at the event. Starts with one share: that of the run.
    struct Part {
        Part(Settlement& settlement, Ref<Subscriber> who, int number, bool keyed) noexcept
            : home(&settlement), subscriber(std::move(who)), attempt(number), holds_key(keyed) {}

        /// One share more; the caller has one.
        void defer() noexcept {
            deferrals.add(); // the run has a share, and goes on
        }
        void collect() noexcept {
            shares.add(); // as above
        }
        /// An attempt begins, and nothing of the one before counts any more.
        void begin() noexcept {
            last = {};
            others.clear();
            asks_filter = false;
        }

        Settlement* const home;
        const Ref<Subscriber> subscriber;
        int attempt;              // these two change while nobody has a share, or one has the only one
        bool holds_key;           // the event's key waits for it
        bool asks_filter = false; // it was the filter that failed: the next attempt asks it again
        bool final = false;       // no further attempt: some failure was lost. Under the home's lock, as what follows
        Result last{};            // the first failure of the latest attempt
        std::vector<Error> others{};
        BasicShares<> deferrals{}; // that are open, and the run: together they have one share, and the key
        BasicShares<> shares{};
        Part* next_of_run = nullptr; // for the run that has a share in it
    };

    /// Starts with one open end: that of the run that makes it.
    Settlement(std::shared_ptr<Engine> engine, Event event, Kind kind);
    ~Settlement() = default;

    [[nodiscard]] const Event& event() const noexcept override { return event_; }
    [[nodiscard]] Event& event() noexcept { return event_; }
    [[nodiscard]] Kind kind() const noexcept { return kind_; }
    [[nodiscard]] Engine& engine() const noexcept { return *engine_; }

    /// One more open end. May throw std::bad_alloc.
    [[nodiscard]] Part& open(Subscriber& subscriber, int attempt, bool holds_key);

    /// A deferral of that part is resolved, on any thread.
    inline void resolve(void* who,
                        Result result) noexcept override; // inline, or every file that includes this gets the code
    /// The same by a thread that has a seat; also closes the share of the run.
    void settle(Seat& seat, Part& part, Result result) noexcept;
    /// Closes the share of a batch.
    void settle_collected(Seat& seat, Part& part, Result result) noexcept;
    /// A share of that part has failed; the caller closes it later.
    void fail(Part& part, const Error& error) noexcept;
    /// Tries a failed part, in which nobody else has a share, again; closes it if that can't be.
    void try_again(Seat& seat, Part& part) noexcept;
    /// Closes a part whose attempt will not be made, with what the one before ended with.
    void give_up(Seat& seat, Part& part) noexcept;
    void add_failure(const Subscriber& subscriber, int attempt, const Error& error) noexcept;
    void add_failure(Failure failure) noexcept;
    /// Closes one open end; the last one ends the event and deletes the block.
    void close(Seat& seat, bool holds_key) noexcept;

    /// The bus ends before a redelivery of that part is due, or that may not begin. What came from elsewhere, and whose
    /// sender would like to know, is not failed by that: it is abandoned, and left to be delivered again as a whole.
    void leave_to_others(Part& part) noexcept;

    /// Takes the end away from whoever still holds an open one; false if nobody does, as it is being ended then. Under
    /// the engine's lock of the list; then, without it, the caller ends the event as abandoned.
    [[nodiscard]] bool abandon() noexcept { return ends_.join() && ends_.end(); }
    void end_abandoned(Seat& seat) noexcept;

    /// It was abandoned, or its last open end is closed. Under the engine's lock of the list: it stays as it is there.
    [[nodiscard]] bool has_ended() const noexcept { return ends_.has_ended(); }

    Settlement* previous = nullptr; // in the engine's list, under its lock
    Settlement* next = nullptr;
    bool listed = false;

private:
    void end(Seat& seat) noexcept;
    void report_failures() noexcept;
    void close_share(Seat& seat, Part& part) noexcept;
    [[nodiscard]] bool has_failed(const Part& part) noexcept;
    [[nodiscard]] bool wants_another(Seat& seat, const Part& part) const noexcept;
    void add_failures(const Part& part) noexcept;
    void note_failure(std::int64_t now) noexcept;
    void let_go_of_key() noexcept;

    const std::shared_ptr<Engine> engine_;
    Event event_;
    const Kind kind_;
    BasicOpenEnds<> ends_{};
    std::mutex mutex_;
    std::vector<std::unique_ptr<Part>> parts_;
    std::vector<Failure> failures_;
    std::int64_t first_failed_ns_ = 0; // 0: nothing has
    bool failed_without_memory_ = false;
    std::atomic<bool> left_to_others_{false};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
