#pragma once

#include <gossip/core/clock.hpp>
#include <gossip/core/helper_threads.hpp>
#include <gossip/core/outgoing.hpp>
#include <gossip/core/shared_count.hpp>
#include <gossip/core/waiter.hpp>
#include <gossip/middleware/middleware.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

struct DetachedOptions {
    int helpers = 4; // threads, at most, for each processor
};

/// How runs on helper threads ended that nobody waited for any more.
struct DetachedCounts {
    detail::SharedCount<> late;    // ended after their time
    detail::SharedCount<> unbegun; // no helper was free in time
};

/// One run on a helper thread: its copy of the event, and the context's host there.
///
/// Threads: made, waited for and given up by the caller; run by one helper.
class DetachedRun final : public detail::ContextHost {
public:
    enum class State : std::uint8_t { waiting, running, finished, abandoned };

    DetachedRun(Event event, Context& context, std::chrono::nanoseconds end)
        : bus_(context.host() == nullptr ? nullptr : context.host()->helper_run()),
          event_(std::move(event)),
          clock_(context.host() == nullptr ? nullptr : context.host()->clock()),
          helpers_(context.host() == nullptr ? nullptr : context.host()->helpers()),
          attempt_(context.attempt()),
          end_(end) {}

    /// On the helper. False if the caller had gone before the end.
    template <class Next>
    bool run(Next& next) {
        if (!begin()) {
            return true;
        }
        Result result;
        {
            Context whole(*this, attempt_);
            Context limited(whole, end_);
            result = guard([&] { return outgoing_.apply([&] { return next(limited, event_); }); });
        }
        if (bus_ != nullptr) {
            bus_->end();
        }
        {
            const std::lock_guard lock(mutex_);
            if (state_ == State::abandoned) {
                return false;
            }
            state_ = State::finished;
            result_ = std::move(result);
        }
        done_.fire();
        return true;
    }

    /// On the caller: waits for the end of the run, the time or a stop, and says how far the run has come. If it has
    /// not finished it is abandoned, and asked to stop.
    [[nodiscard]] State await(Context& context) {
        static_cast<void>(done_.wait(context, end_)); // `state_` knows more
        State reached;
        {
            const std::lock_guard lock(mutex_);
            reached = state_;
            if (state_ != State::finished) {
                state_ = State::abandoned;
            }
        }
        if (reached != State::finished) {
            stop_.request_stop();
        }
        return reached;
    }
    /// On the caller, which waits no more.
    void leave() noexcept {
        if (bus_ != nullptr) {
            bus_->leave();
        }
    }
    [[nodiscard]] const Result& result() const noexcept { return result_; } // once finished

    Deferral defer() override {
        GOSSIP_THROW(ProcessingError{"a run in timeout_detached() cannot be deferred: its caller may be gone"});
    }
    [[nodiscard]] std::shared_ptr<void> stop_at(std::int64_t due_ns, std::stop_source source) override {
        if (bus_ == nullptr || due_ns >= end_.count()) {
            return nullptr; // the caller fires stop_ at the end
        }
        return bus_->stop_at(due_ns, std::move(source));
    }
    [[nodiscard]] std::stop_token stop_token() const override { return stop_.get_token(); }
    [[nodiscard]] bool stop_requested() const noexcept override { return stop_.stop_requested(); }
    [[nodiscard]] Clock* clock() const noexcept override { return clock_; }
    [[nodiscard]] std::shared_ptr<detail::HelperThreads> helpers() const noexcept override { return helpers_; }
    [[nodiscard]] detail::Ended ended() const noexcept override {
        return bus_ == nullptr ? detail::Ended::no : bus_->ended();
    }
    [[nodiscard]] std::unique_ptr<detail::ListedWait> list_wait(detail::Awaited& awaited, bool has_end) override {
        return bus_ == nullptr ? nullptr : bus_->list_wait(awaited, has_end);
    }

private:
    /// In the processor from here on, and seen there before the caller may leave. False if it has left already, or is
    /// free to go, as the subscription has ended while the run was in line.
    bool begin() noexcept {
        const bool ended = bus_ != nullptr && bus_->ended() == detail::Ended::itself;
        if (bus_ != nullptr && !ended) {
            bus_->begin();
        }
        bool begun = false;
        {
            const std::lock_guard lock(mutex_);
            begun = state_ == State::waiting && !ended;
            if (state_ == State::waiting) {
                state_ = begun ? State::running : State::finished;
                result_ = begun || attempt_ == 1 ? Result{} : Result{errors::cancelled};
            }
        }
        if (ended) {
            done_.fire();
        } else if (bus_ != nullptr && !begun) {
            bus_->end();
        }
        return begun;
    }

    const std::shared_ptr<detail::HelperRun> bus_; // null outside of one
    const Event event_;
    const detail::OutgoingCopy outgoing_;
    Clock* const clock_;
    const std::shared_ptr<detail::HelperThreads> helpers_; // of the bus; null outside of one
    const int attempt_;
    const std::chrono::nanoseconds end_;
    std::stop_source stop_;
    detail::Waiter done_;
    std::mutex mutex_; // state_, and result_ until it is finished
    State state_ = State::waiting;
    Result result_;
};

/// The helper threads of one processor, and the processor: threads are made when they are first needed, and kept.
///
/// Threads: every member from any thread; the helpers share it until their end.
template <class Next>
class DetachedHelpers final : public detail::HelperGroup, public std::enable_shared_from_this<DetachedHelpers<Next>> {
public:
    DetachedHelpers(Next next, int most, std::shared_ptr<DetachedCounts> counts)
        : next_(std::move(next)), most_(static_cast<std::size_t>(most)), counts_(std::move(counts)) {}
    ~DetachedHelpers() {
        for (std::thread& thread : threads_) {
            thread.detach(); // nobody has joined them, and this is the last one, at its end
        }
    }

    void submit(const std::shared_ptr<DetachedRun>& run) {
        const std::lock_guard lock(mutex_);
        if (idle_ <= line_.size() && threads_.size() < most_) {
            if (const auto bus = run->helpers(); bus != nullptr && threads_.empty()) {
                bus->add(this->shared_from_this());
            }
            threads_.reserve(threads_.size() + 1);
            threads_.emplace_back([self = this->shared_from_this()] { self->work(); });
        }
        line_.push_back(run);
        work_.notify_one();
    }

    void withdraw(const std::shared_ptr<DetachedRun>& run) {
        const std::lock_guard lock(mutex_);
        line_.erase(std::remove(line_.begin(), line_.end(), run), line_.end());
    }

    /// Waits for what still runs; but not for itself, when a processor's own run ends its subscription.
    void close() noexcept {
        if (working_for != this) {
            join();
            return;
        }
        std::unique_lock lock(mutex_);
        closed_ = true;
        work_.notify_all();
        ended_.wait(lock, [this] { return running_ <= 1; }); // their threads are joined at the end of the bus
    }

    void join() noexcept override {
        const std::lock_guard one_at_a_time(join_mutex_);
        std::vector<std::thread> threads;
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
            threads.swap(threads_);
        }
        work_.notify_all();
        for (std::thread& thread : threads) {
            thread.join();
        }
    }

private:
    void work() {
        working_for = this;
        std::unique_lock lock(mutex_);
        for (;;) {
            ++idle_;
            work_.wait(lock, [this] { return closed_ || !line_.empty(); });
            --idle_;
            if (line_.empty()) {
                return;
            }
            std::shared_ptr<DetachedRun> run = std::move(line_.front());
            line_.pop_front();
            ++running_;
            lock.unlock();
            if (!run->run(next_)) {
                counts_->late.add();
            }
            run.reset(); // the event's data goes outside of the lock
            lock.lock();
            --running_;
            ended_.notify_all();
        }
    }

    // The group whose helper this thread is.
    [[gnu::visibility("default")]] inline static constinit thread_local const void* working_for = nullptr;

    detail::Guarded<Next> next_;
    const std::size_t most_;
    const std::shared_ptr<DetachedCounts> counts_;
    std::mutex join_mutex_;
    std::mutex mutex_; // what follows
    std::condition_variable work_;
    std::condition_variable ended_;
    std::deque<std::shared_ptr<DetachedRun>> line_;
    std::vector<std::thread> threads_;
    std::size_t idle_ = 0;
    std::size_t running_ = 0;
    bool closed_ = false;
};

/// A processor that runs on helper threads. Destroyed, it waits for them.
template <class Next>
class DetachedProcessor {
public:
    DetachedProcessor(Next next, std::chrono::nanoseconds timeout, int helpers, std::shared_ptr<DetachedCounts> counts)
        : helpers_(std::make_shared<DetachedHelpers<Next>>(std::move(next), helpers, counts)),
          counts_(std::move(counts)),
          timeout_(timeout) {}
    DetachedProcessor(DetachedProcessor&&) noexcept = default;
    DetachedProcessor& operator=(DetachedProcessor&&) = delete;
    ~DetachedProcessor() {
        if (helpers_ != nullptr) {
            helpers_->close();
        }
    }

    Result operator()(Context& context, const Event& event) {
        using State = DetachedRun::State;
        const std::chrono::nanoseconds end{detail::saturated_add(context.now().count(), timeout_.count())};
        const auto run = std::make_shared<DetachedRun>(event, context, end);
        struct Waiting {
            DetachedRun& whose;
            explicit Waiting(DetachedRun& run_there) noexcept : whose(run_there) {}
            Waiting(const Waiting&) = delete;
            Waiting& operator=(const Waiting&) = delete;
            ~Waiting() { whose.leave(); }
        } const waiting(*run);
        helpers_->submit(run);
        const State reached = run->await(context);
        const bool expired = end != Context::no_deadline && context.now() >= end;
        if (reached == State::finished) {
            if (!expired) {
                return run->result();
            }
            counts_->late.add();
            return run->result() ? TimeoutError{timeout_, "the processor succeeded, but too late"}
                                 : TimeoutError{timeout_, Cause{run->result().error()}};
        }
        if (reached == State::waiting) {
            helpers_->withdraw(run);
            counts_->unbegun.add();
        }
        if (!expired) {
            return errors::cancelled; // stopped, or out of the time that something further out gave
        }
        return TimeoutError{timeout_, reached == State::waiting ? "no helper thread was free" : ""};
    }

private:
    std::shared_ptr<DetachedHelpers<Next>> helpers_;
    std::shared_ptr<DetachedCounts> counts_;
    std::chrono::nanoseconds timeout_;
};

/// The policy of timeout_detached().
class Detach {
public:
    Detach(std::chrono::nanoseconds timeout, const DetachedOptions& options, std::shared_ptr<DetachedCounts> counts)
        : timeout_(timeout), helpers_(options.helpers), counts_(std::move(counts)) {
        detail::require(timeout.count() > 0, "timeout", timeout, "must be positive");
        detail::require(options.helpers >= 1, "helpers", options.helpers, "must be at least 1");
    }

    template <class T, class Next>
    auto around(Next next) const {
        static_assert(!detail::collects<Next>,
                      "gossip: timeout_detached() around a batch would collect on a helper thread, where the bus's "
                      "event is not; let the batch's callable look at its context instead");
        return DetachedProcessor<Next>(std::move(next), timeout_, helpers_, counts_);
    }

private:
    std::chrono::nanoseconds timeout_;
    int helpers_;
    std::shared_ptr<DetachedCounts> counts_;
};

class TimeoutDetached : public Middleware<Detach> {
public:
    TimeoutDetached(std::chrono::nanoseconds timeout, const DetachedOptions& options,
                    const std::shared_ptr<DetachedCounts>& counts)
        : Middleware(Detach(timeout, options, counts)), counts_(counts) {}

    /// Runs whose outcome came too late and was dropped, and runs that never began, over all that was wrapped.
    [[nodiscard]] std::uint64_t late() const noexcept { return counts_->late.get(); }
    [[nodiscard]] std::uint64_t unbegun() const noexcept { return counts_->unbegun.get(); }

private:
    std::shared_ptr<DetachedCounts> counts_;
};

/// Like timeout, for code that cannot be asked to stop: the processor runs on a helper thread with a copy of the event,
/// and the worker goes on after `timeout` with a TimeoutError, whatever the processor does. Its late outcome is counted
/// and dropped.
///
/// Threads: runs for one event can overlap: a retry or redelivery may begin while a late run goes on, and the event's
///          key is free by then. That is the price; prefer timeout where the processor can look at its context.
///          To the bus the helper is inside of the processor, late or not: its publishes into a full buffer are
///          spilled; it may end any subscription, its own included; a shutdown closes the intake and returns; a drain
///          ignores the run's own event as long as the worker waits for it, and knows none when the run is late. A
///          drain elsewhere, and the counters, ask for events alone: a late run is none.
/// Cost:    two thread switches, a lock of the process and an allocation or two for each event.
/// Stalls:  a helper that is stuck is not replaced: when all of them are, events wait for their time and fail unbegun.
///          The end of its subscription waits for its helpers, as for any run, and so does the shutdown of its bus,
///          even past its deadline: a run that never returns keeps them waiting.
/// Owns:    up to `helpers` threads for each processor, joined then.
/// Errors:  bad arguments are ValidationErrors; no thread to be had fails the event. A run cannot be deferred. When the
///          bus asks processors to stop, or an outer deadline passes, the caller returns `errors::cancelled` at once.
///          An event in line whose subscription ends counts as handled, unrun, or as failed if it has failed before.
template <class Rep, class Period>
[[nodiscard]] TimeoutDetached timeout_detached(std::chrono::duration<Rep, Period> timeout,
                                               const DetachedOptions& options = {}) {
    return {detail::clamped_nanoseconds(timeout), options, std::make_shared<DetachedCounts>()};
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware
