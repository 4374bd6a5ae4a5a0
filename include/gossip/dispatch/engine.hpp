#pragma once

#include <gossip/concurrency/published.hpp>
#include <gossip/concurrency/timer_queue.hpp>
#include <gossip/concurrency/wait_queue.hpp>
#include <gossip/concurrency/worker_pool.hpp>
#include <gossip/core/clock.hpp>
#include <gossip/core/context.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/core/helper_threads.hpp>
#include <gossip/dispatch/collector.hpp>
#include <gossip/dispatch/dead_letter.hpp>
#include <gossip/dispatch/giving_up.hpp>
#include <gossip/dispatch/inbox.hpp>
#include <gossip/dispatch/seat.hpp>
#include <gossip/dispatch/settlement.hpp>
#include <gossip/dispatch/subscription_registry.hpp>
#include <gossip/dispatch/task.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// What became of a publish. Only `accepted` takes the event.
enum class PublishStatus : std::uint8_t {
    accepted,
    full,
    closed,
    // On a bus that leaves the process
    unavailable,   // the transport is away, and as much waits for it as may
    too_large,     // for the transport
    not_encodable, // the data has no known codec, or its codec has failed; the error hook is told why
};

namespace detail {

struct EngineSettings {
    unsigned workers = 1;
    std::size_t buffer_size = 1024;
    Overflow overflow = Overflow::block;
    Clock* clock = nullptr; // null: the operating system's
    Idle idle = Idle::sleep;
    ErrorHook on_error{};
    DropHook on_drop{};
};

class Run;
using TimerList = TimerQueue<std::unique_ptr<Task>>;

/// What publish_sync hands back.
struct SyncOutcome {
    void fail(SubscriptionId id, const std::string& name, const Error& error) noexcept {
        const Result kept = guard([&] {
            if (failures == nullptr) {
                failures = std::make_unique<std::vector<Failure>>();
            }
            failures->push_back(Failure{error, id, name});
        });
        out_of_memory = out_of_memory || !kept;
    }
    [[nodiscard]] bool ok() const noexcept { return failures == nullptr && !out_of_memory; }

    std::unique_ptr<std::vector<Failure>> failures; // null: none
    std::size_t processors = 0;
    bool out_of_memory = false; // a failure is not among them
};

/// The sum of all counters at some moment.
struct Totals {
    std::array<std::uint64_t, static_cast<std::size_t>(Tally::count_)> of{};
    std::uint64_t spilled = 0;
    std::uint64_t operator[](Tally what) const noexcept { return of[static_cast<std::size_t>(what)]; }
    [[nodiscard]] std::uint64_t ended() const noexcept {
        const Totals& t = *this;
        return t[Tally::handled] + t[Tally::failed] + t[Tally::unrouted] + t[Tally::dropped] + t[Tally::abandoned];
    }
};

// Edges: each name stands at both of its ends in the code, here or in the files that make up the engine
//   [running]    a run's store of `current` (release), the light half of a fence, and its look at what forbids it
//                (the subscription's tenure, a closed intake, `giving_up_`) are ordered with the setting of that, the
//                heavy half, and a look at `current` (acquire): at least one sees the other. What a run does happens
//                before whoever sees `current` changed goes on
//   [returned]   a run's next store of `current` (release), the light half, and its look at the enders' bit are ordered
//                with the bit's raising, the heavy half, and the ender's look at `current`: at least one sees the other
//   [ended]      whoever ends a subscription says that it is over (release) after the last run of its batches, which
//                happens before whoever sees that (acquire) goes on
//   [drained]    an end's counting (release), the light half, and the look for drainers are ordered with a drainer's
//                joining, the heavy half, and its look at the counters: at least one sees the other. Ends on workers
//                are told of when the worker has nothing to do
//   [letters]    a dead letter is open before the end of the event that it is about is counted; its closing (release),
//                after its own counter, happens before the count (acquire) of whoever reads the ends before that, and
//                the beginnings after it
//   [to_come]    a publish to come is counted as one, then the light half, and a look whether the intake is closed, are
//                ordered with its closing, the heavy half, and shutdown's look at the number: at least one sees the
//                other. It is taken off (release) after the counter of what became of it, and before shutdown's look
//                (acquire) that misses it
//   [giving_up]  shutdown's setting of the flag (seq_cst), followed by the raising of the tasks' bit, is ordered with a
//                worker's lowering of the bit (seq_cst), followed by its look at the flag: while it is set the bit is
//                up, and the workers look at it before they take anything, others when they have waited for a while
//   [complete]   shutdown's saying so, after the last counter, happens before complete()'s seeing it

/// The delivering half of a bus, whatever brings the events: inbox, workers, dispatcher, settlement, ledger, timers.
///
/// Threads: every member from any thread. No lock is held while user code runs.
/// Owns:    the subscriptions, the events in flight and the threads. Kept alive by the bus, by subscriptions and by
///          open deferrals; after `shutdown` it is inert.
class Engine final : public SubscriptionHome, public ClockListener, public std::enable_shared_from_this<Engine> {
public:
    explicit Engine(EngineSettings settings);
    ~Engine();

    // Coming in (publishing.hpp)

    /// The plain way of an event: stamped, and built in its slot.
    template <class T>
    PublishStatus publish_data(const EventType& type, T&& data) {
        const std::int64_t now = stamp();
        if constexpr (fits_in_place<T>) {
            const auto refusal = inbox_.offer_plain([&](void* slot) noexcept {
                ::new (slot) Event(EventAccess::make<T>(type, now, Priority::normal, std::forward<T>(data)));
            });
            if (refusal == EventRing::Refusal::none) [[likely]] {
                pool_.notify();
                return PublishStatus::accepted;
            }
        }
        Event event = EventAccess::make<T>(type, now, Priority::normal, std::forward<T>(data));
        return publish(event, true);
    }
    /// Any event. Moves from it if it is accepted. `may_wait`: block if the buffer is full and the policy says so.
    PublishStatus publish(Event& event, bool may_wait);
    /// Runs the processors on this thread. False if the bus is closed.
    bool publish_sync(Event& event, SyncOutcome& outcome) noexcept;
    enum class Sync : std::uint8_t { done, closed, wants_event };
    /// The same for data that no event has been made of; `wants_event` if some processor would see one.
    Sync publish_sync(const EventType& type, const PayloadOps* ops, const void* data, SyncOutcome& outcome) noexcept;
    /// An event from elsewhere: waits for room for at most `patience`, whatever the policy says but `drop_oldest`, so
    /// that a reader can look now and then whether it is to stop. From here on its receipt is the engine's. A `place`
    /// that the caller has borrowed is given back, and is none any more, before anything that takes its time: where
    /// there is no room, and so also before a drop hook.
    PublishStatus receive(Event& event, std::chrono::nanoseconds patience, std::optional<unsigned>* place = nullptr);
    /// For a thread that reads, and is about to `receive` a single event: where all workers sleep it takes the place of
    /// one, and runs the event by `work_in`, so that it need not wait for a thread to wake up. At most `workers`
    /// threads run processors as before. None if that can't be: then `receive` wakes a worker.
    /// Stalls: `work_in` for as long as a worker's turn takes, user code included.
    [[nodiscard]] std::optional<unsigned> borrow_place() noexcept { return pool_.borrow_place(); }
    void work_in(unsigned place) { pool_.work_in(place); }
    /// Instead of `work_in`: a worker goes on there. None is none afterwards.
    void give_back(std::optional<unsigned>& place) noexcept {
        if (const std::optional<unsigned> borrowed = std::exchange(place, std::nullopt)) {
            pool_.give_back(*borrowed);
        }
    }
    /// One that was read and can't be received any more: it counts as accepted and as abandoned.
    void lose(Event& event) noexcept;
    /// Accepts an event that nobody can be told to come back with, such as one whose time has come.
    bool publish_spilling(Event& event);

    [[nodiscard]] std::int64_t stamp() const noexcept {
        if (settings_.clock == nullptr) [[likely]] {
            return wall_now_ns();
        }
        return std::chrono::duration_cast<std::chrono::nanoseconds>(settings_.clock->wall().time_since_epoch()).count();
    }
    [[nodiscard]] std::int64_t now() const noexcept {
        return settings_.clock == nullptr ? platform::monotonic_ns() : settings_.clock->steady().count();
    }

    /// One more of something, counted on a thread that need not be a worker.
    void count(Tally what) noexcept {
        Seat& seat = seats_.sit_down();
        seat.ledger.add(what);
        SeatTable::stand_up(seat);
    }

    // Listening (subscribing.hpp)
    SubscriptionId subscribe(Processor processor, SubscribeOptions options, std::vector<EventType> names,
                             std::vector<Pattern> patterns, std::shared_ptr<void> listening = nullptr);
    inline bool
    unsubscribe(SubscriptionId id) noexcept override; // inline, or every file that includes this gets the code
    [[nodiscard]] bool subscribed(SubscriptionId id) const noexcept override {
        return !complete() && registry_.contains(id);
    }

    /// Shutdown waits for those that are to come and not yet counted as anything else, wherever they are: among the
    /// timers, the tasks, or in the hands of a thread that adds one, cancels it or has just found it due.
    void publish_to_come() noexcept {
        to_come_.open(registry_.fence()); // [to_come] before the look whether the bus is closed
    }
    void publish_came() noexcept {
        to_come_.close(registry_.fence()); // [to_come] after its counter
        if (closed()) {
            tell_drainers();
        }
    }

    // Timers (working.hpp)
    TimerId schedule(std::int64_t due_ns, std::unique_ptr<Task> task);
    bool cancel(TimerId id) noexcept;
    [[nodiscard]] std::unique_ptr<Task> withdraw(TimerId id) noexcept;
    /// Something for the workers to do now.
    void enqueue(std::unique_ptr<Task> task) noexcept;
    [[nodiscard]] std::shared_ptr<void> stop_at(std::int64_t due_ns, std::stop_source source);

    // Running (dispatcher.hpp)
    std::size_t poll(std::size_t most);
    void run_event(Seat& seat, Frame& frame, Event& event, Kind kind, SyncOutcome* outcome = nullptr) noexcept;
    /// One subscription's run of an event that is open: a redelivery, or one that has waited for its turn.
    void run_part(Seat& seat, Settlement::Part& part, bool has_turn) noexcept;
    /// Passes the turn of a subscription with a limit to the event that has waited longest for one.
    void hand_on(Subscriber& subscriber) noexcept;
    /// Ends what a batch has collected.
    void settle_item(Seat& seat, Event& event, Settlement::Part* share, Kind kind, int attempt, Subscriber& subscriber,
                     Result result) noexcept;
    /// Whether another attempt is due to a subscription whose run has failed like that.
    [[nodiscard]] bool wants_redelivery(Seat& seat, const Subscriber& subscriber, int attempt,
                                        const Error& error) noexcept;
    /// Sees to it that a failed part, in which nobody has a share, is tried again; false if it can't be.
    bool redeliver(Settlement::Part& part) noexcept;
    /// The end of an event that nothing holds open.
    void end(Seat& seat, Event& event, Kind kind, std::vector<Failure>& failures,
             std::int64_t first_failed_ns = 0) noexcept;
    void abandon(Seat& seat, Event& event, Kind kind) noexcept;
    void abandon_own(Seat& seat, Event& event, Kind kind) noexcept; // one that this thread counts as its own by now
    void count_as_abandoned(Seat& seat, Kind kind) noexcept;
    void drop(Seat& seat, Event& event) noexcept;
    static void settle_receipt(Event& event, Ending ending, const Error* error) noexcept;
    /// Tells who sent the event, if it wants to know, that it is tried again.
    void tell_attempt(Settlement& settlement, int attempt) noexcept;
    void tell_leaving(Settlement& settlement) noexcept;
    /// Whether who sent the event lets it be tried now. What has ended is nobody's to ask about.
    [[nodiscard]] bool may_begin(Settlement& settlement) noexcept;
    /// The end of an event that must not begin.
    void leave_unbegun(Seat& seat, Event& event) noexcept;
    void end_without_memory(Seat& seat, Event& event, Kind kind, const Error& error) noexcept;
    void fail_alone(Seat& seat, Event& event, Kind kind, int attempt, const Subscriber& subscriber,
                    const Error& error) noexcept;
    void let_go_of_key(const Event& event) noexcept {
        if (inbox_.pass_key_on(event)) {
            pool_.notify();
        }
    }
    /// After an end on a thread that is no worker: whoever waits for quiet looks again.
    void tell_drainers() noexcept {
        tell_line(drainers_, registry_.fence()); // [drained] what has ended here is counted
    }
    /// Whether somebody has ended a subscription, in whatever bus, whose processor this thread is in.
    [[nodiscard]] static bool ended_around_here() noexcept;
    /// After a run has ended: whoever waits for that looks again.
    void tell_enders() noexcept {
        tell_line(enders_, inbox_, Inbox::enders_bit, registry_.fence()); // [returned] `current` is another
    }
    void report(const Error& error, const Event& event, SubscriptionId id, std::string_view name, bool letter) noexcept;

    void link(Settlement& settlement) noexcept;
    void unlink(Settlement& settlement) noexcept;
    void take_off(Settlement& settlement) noexcept;

    // Ending (stopping.hpp)
    bool drain(std::chrono::nanoseconds timeout);
    std::size_t flush(Seat* here = nullptr) noexcept;
    /// True if it is complete; from inside a processor it only closes the intake.
    bool shutdown(std::optional<std::chrono::nanoseconds> timeout);
    [[nodiscard]] bool closed() const noexcept { return inbox_.closed(); }
    /// Whether redeliveries that wait are given up, as the bus ends.
    [[nodiscard]] bool ending() const noexcept {
        return no_more_redeliveries_.load(std::memory_order_relaxed); // relaxed: stored before they are
    }
    [[nodiscard]] bool complete() const noexcept {
        return complete_.get(); // [complete] with the final counters
    }
    [[nodiscard]] bool giving_up() const noexcept {
        return giving_up_.begun(); // [giving_up] [running] asked before anything is taken
    }

    /// How long, in real time, the shutdown that this thread is in will wait yet, unless another one has less patience;
    /// far_future if there is none. It runs processors where it pumps, and then nobody else can tell them that it is
    /// over.
    [[nodiscard]] std::int64_t patience_ns() const noexcept {
        if (shutting_down_.load(std::memory_order_relaxed) != this_thread()) { // relaxed: only its own thread finds it
            return far_future;
        }
        return std::max<std::int64_t>(patience_.until() - platform::monotonic_ns(), 0);
    }

    // What the worker pool asks.
    static constexpr bool attends_itself = true;
    bool work(unsigned worker);
    [[nodiscard]] bool has_work() const noexcept { return inbox_.has_work() || tasks_.size() != 0; }
    [[nodiscard]] std::int64_t until_due() const noexcept;
    void clock_moved() noexcept override { pool_.notify_timer(); }

    [[nodiscard]] Totals totals() const noexcept;
    [[nodiscard]] const EngineSettings& settings() const noexcept { return settings_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return inbox_.capacity(); }
    [[nodiscard]] std::uint64_t waiting() const noexcept { return inbox_.waiting(); }
    [[nodiscard]] std::size_t subscriptions() const noexcept { return registry_.size(); }
    [[nodiscard]] std::size_t timers() const noexcept { return timers_.size(); }
    [[nodiscard]] const std::stop_source& stop() const noexcept { return stop_; }
    [[nodiscard]] SeatTable& seats() noexcept { return seats_; }
    [[nodiscard]] SubscriptionRegistry& registry() noexcept { return registry_; }
    [[nodiscard]] CollectorList& collectors() noexcept { return collectors_; }

private:
    friend class Run;

    struct alignas(platform::cache_line) WorkerState {
        Seat* seat = nullptr;
        bool brief = false; // its items have been taking less time than waking somebody does
        unsigned streak = 0;
        unsigned pauses = 0;
        std::uint64_t help_called = 0;
    };

    EventRing::Refusal offer(Event& event);
    PublishStatus wait_for_room(Event& event, std::size_t lane, std::int64_t until);
    PublishStatus refuse(Event& event);
    bool take_place(std::size_t lane, Event& event, EventRing::Refusal& refusal);

    bool run_data(Seat& seat, Frame& frame, const EventType& type, const PayloadOps* ops, const void* data,
                  SyncOutcome& outcome) noexcept;
    [[nodiscard]] bool enter(Seat& seat, const Subscriber& subscriber) noexcept;
    void leave(Seat& seat) noexcept;
    template <class Fail>
    std::size_t call_blind(Seat& seat, const ProcessorList& list, const void* data, Fail&& fail) noexcept;
    std::size_t call_all(Seat& seat, const ProcessorList& list, Run& run) noexcept;
    void end_well(Seat& seat, Event& event, Kind kind) noexcept;
    void count_as_handled(Seat& seat, Kind kind) noexcept;
    void finish(Run& run, SyncOutcome* outcome) noexcept;
    void finish_slowly(Run& run, SyncOutcome* outcome) noexcept;
    void share_with_batches(Run& run) noexcept;
    void end_unroutable(Seat& seat, Event& event, Kind kind, const Error& error, SyncOutcome* outcome) noexcept;
    void finish_collected(Run& run) noexcept;
    void finish_collecting(Run& run, bool keyed) noexcept;
    Result collect_keyed(Seat& seat, Run& run) noexcept;
    static Result collect(Seat& seat, Collecting& to, Event& event, const Collector::Mark& mark) noexcept;
    void proceed(Seat& seat, const Collecting& to, Kind kind) noexcept;
    [[nodiscard]] static bool passes_filter(const Event& event, const Subscriber& subscriber, Result& asked) noexcept;
    Result run_special(Run& run, Context& context, Subscriber& subscriber) noexcept;
    Result take_turn(Run& run, Subscriber& subscriber, bool& has_turn) noexcept;
    [[nodiscard]] static bool runs_on_this_thread(const Engine& engine, const Subscriber& subscriber,
                                                  const Seat* but) noexcept;

    bool work_attentively(unsigned worker, Frame& frame);
    bool run_task(Seat& seat) noexcept;
    static void calm_down(WorkerState& state, std::uint32_t items) noexcept;
    void measure(WorkerState& state, std::uint64_t ticks, std::uint32_t items) noexcept;
    bool serve_timers() noexcept;
    void rest() noexcept;
    bool pump(std::size_t most = ~std::size_t{0});

    /// Events and dead letters.
    struct Own {
        std::uint64_t events = 0;
        std::uint64_t letters = 0;
        bool operator==(const Own&) const = default;
    };
    [[nodiscard]] Own own_here() const noexcept;
    [[nodiscard]] bool is_quiet(const Own& own) const noexcept;
    [[nodiscard]] bool somebody_runs() const noexcept;
    bool end_subscription(SubscriptionId id, Seat& seat) noexcept;
    void abandon_open(Seat& seat) noexcept;
    void give_up_everything(Seat& seat) noexcept;
    void give_up_tasks(Seat& seat) noexcept;
    [[nodiscard]] bool publishes_to_come() const noexcept {
        return to_come_.any(); // [to_come] after the intake was closed
    }
    template <class Wanted>
    std::size_t give_up_timers(Seat& seat, Wanted wanted) noexcept;
    bool end_redeliveries(Seat& seat) noexcept;
    bool await_end_of_runs(const Subscriber& subscriber) noexcept;

    const EngineSettings settings_;
    const bool pumped_; // without workers of its own, or on a clock that others move
    SeatTable seats_;
    SubscriptionRegistry registry_;
    Inbox inbox_;
    WaitQueue drainers_; // these two outlive the tasks and the timers
    BasicPublishesToCome<> to_come_{};
    TaskQueue tasks_;
    TimerList timers_;
    const std::shared_ptr<HelperThreads> helpers_ = std::make_shared<HelperThreads>();
    std::stop_source stop_;
    const std::stop_token stop_token_{stop_.get_token()};
    WaitQueue enders_; // those who wait for the runs of a subscription to end
    CollectorList collectors_;
    BasicOpenLetters<> open_letters_{};
    std::atomic<bool> no_more_redeliveries_{false}; // set, then the timers are looked through under their lock; one is
                                                    // scheduled under it, then looks at this: one sees the other
    BasicGivingUp<> giving_up_{};
    Published<bool> complete_;
    std::mutex open_mutex_;
    Settlement* open_ = nullptr; // under open_mutex_
    std::mutex shutdown_mutex_;
    BasicLeastPatience<> patience_{};
    std::atomic<const void*> shutting_down_{nullptr}; // the thread that is at it
    std::unique_ptr<WorkerState[]> workers_;
    WorkerPool<Engine> pool_;
};

} // namespace detail
} // namespace gossip::GOSSIP_VERSION_NAMESPACE

#include <gossip/dispatch/closing.hpp>
#include <gossip/dispatch/dispatcher.hpp>
#include <gossip/dispatch/helping.hpp>
#include <gossip/dispatch/limiting.hpp>
#include <gossip/dispatch/publishing.hpp>
#include <gossip/dispatch/settling.hpp>
#include <gossip/dispatch/stopping.hpp>
#include <gossip/dispatch/subscribing.hpp>
#include <gossip/dispatch/working.hpp>
