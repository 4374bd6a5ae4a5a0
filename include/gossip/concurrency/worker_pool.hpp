#pragma once

#include <gossip/concurrency/parking_lot.hpp>
#include <gossip/platform.hpp>

#include <atomic>
#include <concepts>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace gossip {

/// What a worker does while it has nothing to do.
enum class Idle : std::uint8_t {
    sleep, // search for some 50 µs, then sleep: costs no CPU
    spin,  // search for ever: starts within 0.1 µs, costs a core per bus
};

/// Where workers get work. `work(worker)` does some and returns whether it did; `has_work` tells, without side effects,
/// whether something waits that nobody has begun; `until_due` is the time to the next timer in nanoseconds.
template <class S>
concept work_source = requires(S& source, const S& look, unsigned worker) {
    { source.work(worker) } -> std::same_as<bool>;
    { look.has_work() } -> std::same_as<bool>;
    { look.until_due() } -> std::same_as<std::int64_t>;
};

/// Threads that empty a source of work, and sleep when there is none.
///
/// Threads: `notify` from any thread, after the work it announces can be seen by `has_work`; `start` and `stop` by the
///          owner.
/// Cost:    notify is one load unless somebody must be woken.
/// Stalls:  a worker whose `work` blocks by surprise while it is on duty is noticed within two periods of the parking
///          lot's lookout (1 ms); one that keeps to `attend` strands nothing.
/// Owns:    the threads; they are joined by `stop` or the destructor.
/// Errors:  start throws std::system_error when a thread can't be made; those already made are joined.
template <class Source, template <class> class Atom = std::atomic>
class WorkerPool {
public:
    WorkerPool(Source& source, unsigned workers, Idle idle = Idle::sleep)
        : source_(source), workers_(workers), idle_(idle), lot_(workers), seats_(new Seat[workers == 0 ? 1 : workers]) {
        threads_.reserve(workers);
    }
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;
    ~WorkerPool() { stop(); }

    void start() {
        static_assert(work_source<Source>, "gossip: a source of work needs `bool work(unsigned worker)`, `bool has_work() "
                                           "const` and `std::int64_t until_due() const`; see gossip/concurrency/worker_pool.hpp");
        try {
            for (unsigned i = 0; i < workers_; ++i) {
                threads_.emplace_back([this, i] { run(i); });
            }
        } catch (const std::exception&) {
            stop();
            throw;
        }
    }

    /// Ends the workers when each has returned from `work`, and joins them. Work that is left stays in the source.
    void stop() noexcept {
        stopping_.store(true, std::memory_order_relaxed); // relaxed: the lock of wake_all orders it before every later sleep
        while (!threads_.empty()) {
            lot_.wake_all();
            threads_.back().join();
            threads_.pop_back();
        }
    }

    [[nodiscard]] unsigned size() const noexcept { return workers_; }

    /// Something has been added to the source.
    void notify() noexcept {
        if (lot_.unattended()) [[unlikely]] {
            lot_.wake_one();
        }
    }
    /// The next timer is due earlier than it was.
    void notify_timer() noexcept { lot_.timer_moved(); }
    void wake_all() noexcept { lot_.wake_all(); }

    /// Asked by a worker before it takes work: may it claim several items ahead? `brief` says that items have been
    /// taking less time than waking somebody does. If not, it takes one, and calls `leaving` before it begins it.
    [[nodiscard]] bool attend(unsigned worker, bool brief) noexcept {
        if (workers_ == 1) {
            return true;
        }
        if (brief && lot_.watched() && (lot_.has_owner() || lot_.take_duty(worker))) {
            return true;
        }
        return false;
    }
    /// The worker is about to begin something that may take long: somebody else has to see what is still waiting.
    void leaving(unsigned worker) noexcept {
        if (workers_ == 1) {
            return;
        }
        if (lot_.on_duty(worker)) {
            lot_.resign(worker);
        }
        if (lot_.unattended() && source_.has_work()) {
            lot_.wake_one();
        }
    }
    /// There is more to do than this worker can in the time it takes to wake another.
    void call_for_help() noexcept {
        if (lot_.has_sleepers()) {
            lot_.wake_helper();
        }
    }
    /// Called by a worker for each item that it begins, so that the lookout sees it move.
    void progressed(unsigned worker) noexcept {
        Atom<std::uint64_t>& steps = seats_[worker].steps;
        steps.store(steps.load(std::memory_order_relaxed) + 1, // relaxed: written by this worker alone
                    std::memory_order_relaxed);                // relaxed: read as a hint, a period later
    }

    // What the parking lot asks.
    [[nodiscard]] bool has_work() const noexcept { return source_.has_work(); }
    [[nodiscard]] bool stopping() const noexcept {
        return stopping_.load(std::memory_order_relaxed); // relaxed: stop() takes the lock that the caller holds or has held
    }
    [[nodiscard]] std::int64_t until_due() const noexcept { return source_.until_due(); }
    [[nodiscard]] std::uint64_t progress(unsigned worker) const noexcept {
        return seats_[worker].steps.load(std::memory_order_relaxed); // relaxed: compared with itself a period later
    }

private:
    struct alignas(platform::cache_line) Seat {
        Atom<std::uint64_t> steps{0};
        std::uint64_t steps_at_search = 0; // this worker's own
        unsigned fruitless = 0;
    };

    static constexpr int pauses = 64;
    static constexpr int yields = 64;

    void run(unsigned worker) {
        while (!stopping_.load(std::memory_order_relaxed)) { // relaxed: asked again after every sleep
            if (source_.work(worker)) {
                continue;
            }
            if (lot_.take_duty(worker) && search(worker)) {
                continue;
            }
            lot_.sleep(worker, *this);
        }
        lot_.resign(worker);
    }

    /// Looks for work for a while; false if there was none.
    bool search(unsigned worker) noexcept {
        for (int i = 0; i < pauses; ++i) {
            if (has_work()) {
                yield_if_stuck(worker);
                return true;
            }
            platform::cpu_pause();
        }
        for (int i = 0; i < yields || idle_ == Idle::spin; ++i) {
            if (has_work() || source_.until_due() <= 0) {
                return true;
            }
            progressed(worker);
            std::this_thread::yield();
        }
        return false;
    }

    /// `has_work` with nothing to take means that a producer was halted between its ticket and its value.
    void yield_if_stuck(unsigned worker) noexcept {
        Seat& seat = seats_[worker];
        const std::uint64_t steps = seat.steps.load(std::memory_order_relaxed); // relaxed: written by this worker alone
        if (seat.steps_at_search == steps && ++seat.fruitless > 16) {
            std::this_thread::yield();
        } else if (seat.steps_at_search != steps) {
            seat.steps_at_search = steps;
            seat.fruitless = 0;
        }
    }

    Source& source_;
    const unsigned workers_;
    const Idle idle_;
    ParkingLot<Atom> lot_;
    const std::unique_ptr<Seat[]> seats_;
    std::atomic<bool> stopping_{false};
    std::vector<std::thread> threads_;
};

} // namespace gossip
