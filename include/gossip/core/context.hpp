#pragma once

#include <gossip/core/awaited.hpp>
#include <gossip/core/clock.hpp>
#include <gossip/core/deferral.hpp>
#include <gossip/core/errors.hpp>
#include <gossip/core/helper_threads.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

namespace detail {

class Run;

/// What a context asks of whoever runs the processor.
class ContextHost {
public:
    ContextHost(const ContextHost&) = delete;
    ContextHost& operator=(const ContextHost&) = delete;

    virtual Deferral defer() = 0;
    /// Fires `source` when the steady clock reaches `due_ns`, if somebody serves the timers, as long as the result
    /// lives.
    [[nodiscard]] virtual std::shared_ptr<void> stop_at(std::int64_t due_ns, std::stop_source source) = 0;
    [[nodiscard]] virtual std::stop_token stop_token() const = 0;
    [[nodiscard]] virtual bool stop_requested() const noexcept = 0;
    [[nodiscard]] virtual Clock* clock() const noexcept = 0; // null: the operating system's
    /// How long, in real time, until the shutdown that this thread is in asks this run to stop, unless another one with
    /// less patience comes; far_future if it is in none.
    [[nodiscard]] virtual std::int64_t patience_ns() const noexcept { return far_future; }
    /// How often processors of this run have put its end off so far: deferred it, or collected its event.
    [[nodiscard]] virtual std::size_t put_off() const noexcept { return 0; }
    [[nodiscard]] virtual Ended ended() const noexcept { return Ended::no; }
    /// The event's run on a bus that may be collected by a batch; null for every other host.
    [[nodiscard]] virtual Run* bus_run() noexcept { return nullptr; }
    /// Who waits for the threads that a processor makes for itself; null: nobody.
    [[nodiscard]] virtual std::shared_ptr<HelperThreads> helpers() const noexcept { return nullptr; }
    /// To be made by who hands the run to such a thread, and then waits; null outside of a bus.
    [[nodiscard]] virtual std::shared_ptr<HelperRun> helper_run() { return nullptr; }
    /// To be made by who is about to wait for `awaited`, which is told to look again whenever a subscription ends;
    /// `has_end`: time will end the wait. Null outside of a bus.
    [[nodiscard]] virtual std::unique_ptr<ListedWait> list_wait(Awaited& /*awaited*/, bool /*has_end*/) {
        return nullptr;
    }

protected:
    ContextHost() = default;
    ~ContextHost() = default;
};

} // namespace detail

/// What a processor knows about its run: how often it was tried, how long it may take, whether it should stop.
///
/// Threads: used by the thread that runs the processor; `stop_token` hands out what other threads may use.
/// Cost:    nothing per event. A real stop token for a deadline is made when it is asked for (two allocations).
class Context {
public:
    static constexpr std::chrono::nanoseconds no_deadline = std::chrono::nanoseconds::max();

    /// A context outside of any bus, for tests of processors and middleware: first attempt, no deadline, never stops.
    Context() noexcept = default;
    /// For the library: a run of a processor.
    Context(detail::ContextHost& host, int attempt) noexcept : host_(&host), attempt_(attempt) {}
    /// The same run with an earlier end: `deadline` on the steady clock. For middleware.
    Context(Context& outer, std::chrono::nanoseconds deadline) noexcept
        : host_(outer.host_),
          outer_(&outer),
          attempt_(outer.attempt_),
          deadline_(deadline < outer.deadline_ ? deadline : outer.deadline_) {}
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    ~Context() = default;

    /// 1 for the first delivery; one more for each redelivery.
    [[nodiscard]] int attempt() const noexcept { return attempt_; }

    /// When the run should be over, on the bus's steady clock; `no_deadline` if there is none.
    [[nodiscard]] std::chrono::nanoseconds deadline() const noexcept { return deadline_; }
    /// The time that is left: never negative, `no_deadline` if there is no end.
    [[nodiscard]] std::chrono::nanoseconds remaining() const noexcept {
        if (deadline_ == no_deadline) {
            return no_deadline;
        }
        const auto left = deadline_ - now();
        return left.count() < 0 ? std::chrono::nanoseconds{0} : left;
    }
    [[nodiscard]] bool expired() const noexcept { return deadline_ != no_deadline && now() >= deadline_; }

    /// Whether the bus asks running processors to stop, or the deadline has passed.
    [[nodiscard]] bool stop_requested() const noexcept {
        return (host_ != nullptr && host_->stop_requested()) || expired() ||
               (stop_ && stop_->source.stop_requested()) ||
               (outer_ != nullptr && outer_->stop_ && outer_->stop_->source.stop_requested());
    }

    /// The same as a token, for calls that take one. At a deadline it is fired by whoever serves the timers; with no
    /// worker free nobody may, so prefer `stop_requested` where you can ask.
    [[nodiscard]] std::stop_token stop_token() {
        if (deadline_ == no_deadline) {
            return host_ == nullptr ? std::stop_token{} : host_->stop_token();
        }
        if (!stop_) {
            stop_ = std::make_unique<Link>(host_, outer_token(), deadline_);
        }
        return stop_->source.get_token();
    }

    /// Sleeps on the bus's clock; false if a stop or the deadline came first. Zero and less return at once.
    bool sleep_for(std::chrono::nanoseconds duration) {
        if (duration.count() > 0) {
            Sleeper sleeper;
            sleeper.sleep(*this, detail::saturated_add(now().count(), duration.count()));
        }
        return !stop_requested();
    }

    /// Keeps the event open after the processor has returned; see `Deferral`. May be called more than once.
    /// Cost: the first one copies the event into a block of its own.
    /// Errors: ProcessingError outside of a bus; what copying the event's data throws.
    Deferral defer() {
        if (host_ == nullptr) {
            GOSSIP_THROW(ProcessingError{"this context belongs to no bus: nothing can be deferred"});
        }
        return host_->defer();
    }

    /// The steady clock of the bus.
    [[nodiscard]] std::chrono::nanoseconds now() const noexcept {
        Clock* clock = host_ == nullptr ? nullptr : host_->clock();
        return clock == nullptr ? std::chrono::nanoseconds(platform::monotonic_ns()) : clock->steady();
    }

    /// For the library.
    [[nodiscard]] detail::ContextHost* host() const noexcept { return host_; }
    /// For the library, as the next.
    [[nodiscard]] std::size_t put_off() const noexcept { return host_ == nullptr ? 0 : host_->put_off(); }
    [[nodiscard]] detail::Ended ended() const noexcept { return host_ == nullptr ? detail::Ended::no : host_->ended(); }
    /// For the library: waits for a notification, at most `left_ns` of the clock, and not beyond the patience of a
    /// shutdown, which may be waiting on this very thread; it looks now and then whether another one has less.
    void wait_on(std::condition_variable& changed, std::unique_lock<std::mutex>& lock, std::int64_t left_ns) const {
        constexpr std::int64_t longest = 3'600'000'000'000; // an hour: no overflow in anybody's arithmetic
        constexpr std::int64_t look_again_ns = 10'000'000;
        const Clock* const clock = host_ == nullptr ? nullptr : host_->clock();
        const bool manual = clock != nullptr && clock->manual();
        const std::int64_t patience = host_ == nullptr ? detail::far_future : host_->patience_ns();
        if (manual && patience == detail::far_future) {
            changed.wait(lock);
        } else {
            const std::int64_t most = patience == detail::far_future ? longest : std::min(patience, look_again_ns);
            changed.wait_for(lock, std::chrono::nanoseconds(std::min(manual ? longest : left_ns, most)));
        }
    }

private:
    struct Forward {
        std::stop_source* source;
        void operator()() const noexcept { source->request_stop(); }
    };
    /// A real token for a deadline: fired by the outer one, or by whoever serves the timers.
    struct Link {
        std::stop_source source;
        std::shared_ptr<void> timer;
        std::stop_callback<Forward> outer;

        Link(detail::ContextHost* host, std::stop_token parent, std::chrono::nanoseconds deadline)
            : timer(host == nullptr ? nullptr : host->stop_at(deadline.count(), source)),
              outer(std::move(parent), Forward{&source}) {}
    };

    /// Waits on the bus's clock, for its moving, or for a stop.
    class Sleeper final : public ClockListener {
    public:
        void sleep(Context& context, std::int64_t until) {
            Clock* clock = context.host_ == nullptr ? nullptr : context.host_->clock();
            if (context.deadline_.count() < until) {
                until = context.deadline_.count();
            }
            if (clock != nullptr && clock->skip_to(std::chrono::nanoseconds(until))) {
                return;
            }
            if (clock != nullptr) {
                clock->attach(*this);
            }
            {
                const auto wake = [this]() noexcept { clock_moved(); };
                const std::stop_callback<decltype(wake)> stop(context.outer_token(), wake);
                std::unique_lock lock(mutex_);
                while (!context.stop_requested()) {
                    const std::int64_t left = until - context.now().count();
                    if (left <= 0) {
                        break;
                    }
                    context.wait_on(changed_, lock, left);
                }
            }
            if (clock != nullptr) {
                clock->detach(*this);
            }
        }
        void clock_moved() noexcept override {
            const std::lock_guard lock(mutex_);
            changed_.notify_all();
        }

    private:
        std::mutex mutex_;
        std::condition_variable changed_;
    };

    /// What stops this run besides its deadline.
    [[nodiscard]] std::stop_token outer_token() {
        if (outer_ != nullptr) {
            return outer_->stop_ ? outer_->stop_->source.get_token() : outer_->outer_token();
        }
        return host_ == nullptr ? std::stop_token{} : host_->stop_token();
    }

    detail::ContextHost* host_ = nullptr;
    Context* outer_ = nullptr;
    int attempt_ = 1;
    std::chrono::nanoseconds deadline_ = no_deadline;
    std::unique_ptr<Link> stop_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
