#pragma once

#include <gossip/core/clock.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/middleware/middleware.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::errors {

namespace blocks {
[[gnu::visibility("default")]] inline constinit const detail::ErrorBlock circuit_open =
    detail::immortal_error(ErrorKind::retryable, "circuit is open");
} // namespace blocks

/// What an open circuit breaker answers.
inline constexpr ReadyMade<RetryableError> circuit_open{blocks::circuit_open};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::errors

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

struct CircuitBreakerOptions {
    int failures = 5;                                             // so many in a row open it
    std::chrono::nanoseconds open_for = std::chrono::seconds(30); // then nothing passes for so long
    int trials = 1;                         // then so many pass; if all succeed it closes, the first failure opens it
    bool (*counts)(const Error&) = nullptr; // what is a failure; null: all but validation errors, the data's own fault
};

enum class CircuitState : std::uint8_t { closed, open, half_open };

/// The state of one circuit breaker, shared by all that it protects.
class Circuit {
public:
    explicit Circuit(const CircuitBreakerOptions& options) : options_(options) {
        detail::require(options.failures >= 1, "failures", options.failures, "must be at least 1");
        detail::require(options.open_for.count() > 0, "open_for", options.open_for, "must be positive");
        detail::require(options.trials >= 1, "trials", options.trials, "must be at least 1");
    }

    [[nodiscard]] CircuitState state() const noexcept { return state_.load(); }

    /// How a run was let in; of another number than the circuit's, it is none of its business any more.
    struct Ticket {
        std::uint64_t epoch = 0;
        bool admitted = true;
    };

    [[nodiscard]] Ticket enter(Context& context) {
        Ticket ticket;
        if (state_.load() != CircuitState::closed) [[unlikely]] {
            ticket = enter_slowly(context.now());
        }
        return ticket;
    }

    void leave(const Ticket& ticket, Context& context, const Result& result) {
        const bool failed = !result && counts(result.error());
        if (ticket.epoch != 0) [[unlikely]] {
            end_trial(ticket, context.now(), result.ok(), failed);
        } else if (failed) [[unlikely]] {
            count_failure(context.now());
        } else if (result && in_a_row_.load(std::memory_order_relaxed) != 0) { // relaxed: a count, no order
            in_a_row_.store(0, std::memory_order_relaxed);                     // relaxed: as above
        }
    }

private:
    /// Never throws: a trial has to end whatever the predicate does.
    bool counts(const Error& error) const noexcept {
        if (options_.counts == nullptr) {
            return !is_validation(error);
        }
        bool counted = true;
        return !detail::succeeds([&] { counted = options_.counts(error); }) || counted;
    }

    Ticket enter_slowly(std::chrono::nanoseconds now) {
        const std::lock_guard lock(mutex_);
        if (state_.load() == CircuitState::open && now >= open_until_) {
            state_.store(CircuitState::half_open);
            ++epoch_;
            begun_ = 0;
            succeeded_ = 0;
        }
        if (state_.load() == CircuitState::closed) {
            return {};
        }
        if (state_.load() == CircuitState::open || begun_ == options_.trials) {
            return {0, false};
        }
        ++begun_;
        return {epoch_, true};
    }

    void end_trial(const Ticket& ticket, std::chrono::nanoseconds now, bool succeeded, bool failed) {
        const std::lock_guard lock(mutex_);
        if (ticket.epoch != epoch_ || state_.load() != CircuitState::half_open) {
            return;
        }
        if (failed) {
            open(now);
        } else if (!succeeded) {
            --begun_; // said nothing about the other side
        } else if (++succeeded_ == options_.trials) {
            in_a_row_.store(0, std::memory_order_relaxed); // relaxed: a count, no order
            state_.store(CircuitState::closed);
        }
    }

    void count_failure(std::chrono::nanoseconds now) {
        const std::lock_guard lock(mutex_);
        if (state_.load() == CircuitState::closed) {
            const int failures = in_a_row_.load(std::memory_order_relaxed) + 1; // relaxed: a count, no order
            in_a_row_.store(failures, std::memory_order_relaxed);               // relaxed: as above
            if (failures >= options_.failures) {
                open(now);
            }
        }
    }

    void open(std::chrono::nanoseconds now) {
        open_until_ = std::chrono::nanoseconds{detail::saturated_add(now.count(), options_.open_for.count())};
        state_.store(CircuitState::open);
    }

    const CircuitBreakerOptions options_;
    std::atomic<CircuitState> state_{CircuitState::closed};
    std::atomic<int> in_a_row_{0};
    std::mutex mutex_; // every change of state_, and what follows
    std::chrono::nanoseconds open_until_{0};
    std::uint64_t epoch_ = 0; // of the latest half-open time
    int begun_ = 0;
    int succeeded_ = 0;
};

/// The policy of circuit_breaker().
class BreakCircuit {
public:
    explicit BreakCircuit(std::shared_ptr<Circuit> circuit) : circuit_(std::move(circuit)) {}

    template <class T, class Next>
    auto around(Next next) const {
        static_assert(!detail::never_fails<Next>,
                      "gossip: circuit_breaker() around what never fails, such as a noexcept processor that returns "
                      "nothing, ignore_errors() or a batch, never opens; put it inside");
        return detail::Bound<BreakCircuit, Next>(*this, std::move(next));
    }

    template <class Next>
    Result operator()(Next& next, Context& context, const Event& event) const {
        const Circuit::Ticket ticket = circuit_->enter(context);
        if (!ticket.admitted) {
            return errors::circuit_open;
        }
        Result result = next(context, event);
        circuit_->leave(ticket, context, result);
        return result;
    }

private:
    std::shared_ptr<Circuit> circuit_;
};

class CircuitBreaker : public Middleware<BreakCircuit> {
public:
    explicit CircuitBreaker(std::shared_ptr<Circuit> circuit)
        : Middleware(BreakCircuit(circuit)), circuit_(std::move(circuit)) {}
    /// An open circuit whose time is over says open until the next event tries it.
    [[nodiscard]] CircuitState state() const noexcept { return circuit_->state(); }

private:
    std::shared_ptr<Circuit> circuit_;
};

/// Stops calling what keeps failing: after some failures in a row it is open and answers `errors::circuit_open`, a
/// RetryableError, without calling; after a while it lets some trials through and closes if they succeed.
///
/// Threads: one circuit for all that is wrapped by it or its copies: make one for each thing that may be down.
/// Cost:    closed, one load and compare more than the call; opening and trials take a lock.
/// Errors:  bad options are ValidationErrors. Put it inside of retry and outside of timeout. A deferral counts as
///          success when the processor returns. A trial that never returns keeps the circuit half open. A failure at
///          which `counts` throws counts.
[[nodiscard]] inline CircuitBreaker circuit_breaker(const CircuitBreakerOptions& options = {}) {
    return CircuitBreaker(std::make_shared<Circuit>(options));
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware
