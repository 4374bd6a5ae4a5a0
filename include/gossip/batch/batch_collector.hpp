#pragma once

#include <gossip/core/context.hpp>
#include <gossip/core/errors.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/core/value_text.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/dispatch/run.hpp>
#include <gossip/dispatch/settlement.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace gossip {

struct BatchOptions {
    std::size_t size = 100;                                    // how many make a run
    std::chrono::nanoseconds period = std::chrono::seconds{1}; // how long the first of them waits at most
};

/// What a batch processor says of each item: all is well but for those that it fails.
class BatchResult {
public:
    BatchResult() = default;

    void fail(std::size_t index, const Error& error) { failures_.emplace_back(index, error); }
    [[nodiscard]] bool ok() const noexcept { return failures_.empty(); }
    [[nodiscard]] Result of(std::size_t index) const noexcept {
        for (const auto& [failed, error] : failures_) {
            if (failed == index) {
                return error;
            }
        }
        return {};
    }

private:
    std::vector<std::pair<std::size_t, Error>> failures_;
};

namespace detail {

// Edges: those of gossip/dispatch/engine.hpp

inline void check(const BatchOptions& options) {
    constexpr std::size_t largest = 1'000'000;
    if (options.size == 0 || options.size > largest) {
        throw ValidationError{"size", options.size, "must be between 1 and 1000000"};
    }
    if (options.period.count() < 0) {
        throw ValidationError{"period", options.period, "must not be negative"};
    }
}

template <class R>
inline constexpr bool is_batch_answer =
    std::is_void_v<R> || std::convertible_to<R, Result> || std::same_as<R, BatchResult>;

template <class F, class Span>
concept answers_batch = (std::invocable<F&, Context&, Span> &&
                         is_batch_answer<std::invoke_result_t<F&, Context&, Span>>) ||
                        (std::invocable<F&, Span> && is_batch_answer<std::invoke_result_t<F&, Span>>);

/// Tells the run that `host` belongs to that its event goes to this collector; false if it is no run of a bus's worker.
[[nodiscard]] inline bool collect_in(ContextHost* host, const std::shared_ptr<Collector>& collector) {
    Run* const run = host == nullptr ? nullptr : host->run();
    if (run != nullptr) {
        run->collect(collector);
    }
    return run != nullptr;
}

/// What waits in a batch, and when it runs.
///
/// Threads: every member from any thread. The batch processor runs without a lock, once at a time.
/// Order:   a run takes all that is there, in the order in which it was added.
template <class T, class F>
class BatchCollector final : public Collector, public std::enable_shared_from_this<BatchCollector<T, F>> {
    static constexpr bool wants_events = answers_batch<F, std::span<const Event>>;

public:
    BatchCollector(const BatchOptions& options, F f) : options_(options), f_(std::move(f)) {
        waiting_.reserve(options.size < 1024 ? options.size : 1024);
    }

    bool add(Engine& engine, Seat& seat, Subscriber& subscriber, Item&& item) override {
        std::unique_lock lock(mutex_);
        if (engine_ == nullptr) {
            attach(lock, engine, subscriber);
        }
        while (!closed_ && waiting_.size() + running_items_ >= options_.size * 2 && running_by_ != this_thread() &&
               !engine_->giving_up() &&
               subscriber.active.load(std::memory_order_acquire)) { // [running] ended meanwhile
            changed_.wait_for(lock,
                              std::chrono::milliseconds(10)); // awake now and then to see a shutdown out of patience
        }
        if (closed_ || !subscriber.active.load(std::memory_order_acquire)) { // [running] ended: not called any more
            return false;
        }
        waiting_.push_back(std::move(item.event), Mark{item.part, item.attempt, item.kind});
        if (waiting_.size() == 1) {
            first_at_ns_ = options_.period.count() == 0 ? 0 : engine_->now();
        }
        if (waiting_.size() >= options_.size || options_.period.count() == 0) {
            if (running_by_ == nullptr && !engine_->giving_up()) {
                run(lock, seat, 1);
            }
        } else if (waiting_.size() == 1) {
            arm();
        }
        return true;
    }

    bool flush() noexcept override {
        const std::lock_guard lock(mutex_);
        if (waiting_.size() == 0 || closed_) {
            return false;
        }
        flush_wanted_ = true;
        if (running_by_ == nullptr) {
            return succeeds([&] { engine_->enqueue(std::make_unique<RunTask>(this->shared_from_this())); });
        }
        return true;
    }

    void finish(Seat& seat, bool may_wait) noexcept override {
        Ref<Subscriber> released; // after the lock: it may be the last, and destroys the processor
        std::unique_lock lock(mutex_);
        closed_ = true; // a run that goes on takes what is left
        while (may_wait && running_by_ != nullptr && running_by_ != this_thread()) {
            changed_.wait(lock);
        }
        if (running_by_ == nullptr) {
            if (waiting_.size() != 0) {
                run(lock, seat, 0);
            }
            std::swap(released, subscriber_);
        }
        changed_.notify_all();
        lock.unlock();
    }

    void give_up(Seat& seat) noexcept override {
        Items left;
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
            left.swap(waiting_);
            changed_.notify_all();
        }
        for (std::size_t i = 0; i < left.size(); ++i) {
            if (left.marks[i].part == nullptr) {
                engine_->abandon(seat, left.events[i], left.marks[i].kind);
            } else {
                left.marks[i].part->home->close(seat, left.marks[i].part->holds_key); // abandoned as a whole before
            }
        }
    }

private:
    struct Mark {
        Settlement::Part* part;
        int attempt;
        Kind kind;
    };
    struct Items {
        std::vector<Event> events;
        std::vector<Mark> marks;

        [[nodiscard]] std::size_t size() const noexcept { return events.size(); }
        void reserve(std::size_t n) {
            events.reserve(n);
            marks.reserve(n);
        }
        void push_back(Event&& event, const Mark& mark) {
            marks.push_back(mark);
            if (events.size() == events.capacity()) {
                grow();
            }
            events.push_back(std::move(event));
        }
        void swap(Items& other) noexcept {
            events.swap(other.events);
            marks.swap(other.marks);
        }
        void clear() noexcept {
            events.clear();
            marks.clear();
        }

    private:
        void grow() {
            const Result grown = guard([this] { events.reserve(events.size() * 2 + 1); });
            if (!grown) {
                marks.pop_back();
                grown.error().rethrow();
            }
        }
    };

    /// The batch's time may have come, or somebody has asked for a run.
    class RunTask final : public Task {
    public:
        explicit RunTask(std::shared_ptr<BatchCollector> batch) noexcept : batch_(std::move(batch)) {}
        void run(Engine&, Seat& seat) noexcept override { batch_->due(seat); }
        void give_up(Engine&, Seat&) noexcept override {}
        [[nodiscard]] Waiting waits() const noexcept override { return Waiting::nothing; }

    private:
        std::shared_ptr<BatchCollector> batch_;
    };

    /// The first event tells which subscription this is, and whose bus.
    void attach(std::unique_lock<std::mutex>& lock, Engine& engine, Subscriber& subscriber) {
        lock.unlock(); // theirs and ours are never held together
        const bool enlisted = subscriber.enlist(this->shared_from_this());
        lock.lock();
        closed_ = closed_ || !enlisted;
        if (engine_ == nullptr) {
            subscriber_ = Ref<Subscriber>::share(&subscriber);
            engine_ = &engine;
        }
    }

    /// One timer at a time: when it fires too early for what waits by then, it is set anew.
    void arm() noexcept {
        if (!armed_) {
            const std::int64_t due = saturated_add(first_at_ns_, options_.period.count());
            armed_ = succeeds([&] { engine_->schedule(due, std::make_unique<RunTask>(this->shared_from_this())); });
        }
    }

    void due(Seat& seat) noexcept {
        std::unique_lock lock(mutex_);
        const bool flushing = std::exchange(flush_wanted_, false);
        if (!flushing) {
            armed_ = false;
        }
        if (waiting_.size() == 0) {
            return;
        }
        if (flushing || engine_->now() >= saturated_add(first_at_ns_, options_.period.count())) {
            if (running_by_ == nullptr) {
                run(lock, seat, 0);
            } else {
                flush_wanted_ = true;
            }
        } else {
            arm();
        }
    }

    /// Runs what waits, again and again while there is enough for another run. `counted`: how many of the events the
    /// frame knows already.
    void run(std::unique_lock<std::mutex>& lock, Seat& seat, std::uint32_t counted) noexcept {
        Items batch;
        batch.swap(spare_);
        do {
            flush_wanted_ = false;
            batch.swap(waiting_);
            running_items_ = batch.size();
            running_by_ = this_thread();
            lock.unlock();
            run_one(seat, batch, counted);
            counted = 0;
            batch.clear();
            lock.lock();
            running_items_ = 0;
            changed_.notify_all();
        } while (!engine_->giving_up() &&
                 (waiting_.size() >= options_.size ||
                  (waiting_.size() != 0 && (flush_wanted_ || closed_ || options_.period.count() == 0))));
        running_by_ = nullptr;
        spare_.swap(batch);
        if (waiting_.size() != 0) {
            arm();
        }
        changed_.notify_all();
    }

    void run_one(Seat& seat, Items& batch, std::uint32_t counted) noexcept {
        const void* const before = seat.current.load(std::memory_order_relaxed); // relaxed: this thread's own seat
        seat.current.store(subscriber_.get(), std::memory_order_release); // [running] the one before has returned
        const auto more = static_cast<std::uint32_t>(batch.size()) - counted;
        innermost->events += more;

        Run run(*engine_, seat, batch.events.front(), Kind::event);
        Context context(run, batch.marks.front().attempt);
        Result whole;
        BatchResult each;
        if constexpr (wants_events) {
            whole = guard([&]() -> Result { return call(context, std::span<const Event>(batch.events), each); });
        } else {
            whole = guard([&]() -> Result {
                std::vector<T> data;
                data.reserve(batch.size());
                for (const Event& event : batch.events) {
                    data.push_back(*event.data_if<T>()); // it was when it was collected
                }
                return call(context, std::span<const T>(data), each);
            });
        }
        std::uint64_t handled = 0;
        for (std::size_t i = 0; i < batch.size(); ++i) {
            const Mark& mark = batch.marks[i];
            Result result = whole && !each.ok() ? each.of(i) : whole;
            if (result && mark.part == nullptr && mark.kind != Kind::letter) {
                Engine::settle_receipt(batch.events[i], Ending::handled, nullptr);
                ++handled;
                continue;
            }
            engine_->settle_item(seat, batch.events[i], mark.part, mark.kind, mark.attempt, *subscriber_,
                                 std::move(result));
        }
        if (handled != 0) {
            seat.ledger.add(Tally::handled, handled);
        }
        innermost->events -= more;
        seat.current.store(before, std::memory_order_release); // [running] it has returned
        engine_->tell_enders();
    }

    template <class Span>
    Result call(Context& context, Span span, BatchResult& each) {
        const auto invoke = [&]() -> decltype(auto) {
            if constexpr (std::invocable<F&, Context&, Span>) {
                return std::invoke(f_, context, span);
            } else {
                return std::invoke(f_, span);
            }
        };
        using Answer = decltype(invoke());
        if constexpr (std::is_void_v<Answer>) {
            invoke();
            return {};
        } else if constexpr (std::same_as<std::remove_cvref_t<Answer>, BatchResult>) {
            each = invoke();
            return {};
        } else {
            return invoke();
        }
    }

    const BatchOptions options_;
    F f_; // called by one thread at a time
    std::mutex mutex_;
    std::condition_variable changed_;
    Engine* engine_ = nullptr; // with the first event; kept alive by whoever runs the batch
    Ref<Subscriber> subscriber_;
    Items waiting_;
    Items spare_; // memory for the next run
    std::size_t running_items_ = 0;
    const void* running_by_ = nullptr;
    std::int64_t first_at_ns_ = 0;
    bool armed_ = false;
    bool flush_wanted_ = false;
    bool closed_ = false;
};

} // namespace detail
} // namespace gossip
