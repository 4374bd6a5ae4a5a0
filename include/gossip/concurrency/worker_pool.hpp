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
    sleep, // search for some 25 µs, then sleep: costs no CPU
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
        static_assert(work_source<Source>,
                      "gossip: a source of work needs `bool work(unsigned worker)`, `bool has_work() "
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
        stopping_.store(true,
                        std::memory_order_relaxed); // relaxed: the lock of wake_all orders it before every later sleep
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
        if (brief && lot_.watched() && (lot_.has_owner() || lot_.take_watched_duty(worker))) {
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
        return stopping_.load(
            std::memory_order_relaxed); // relaxed: stop() takes the lock that the caller holds or has held
    }
    [[nodiscard]] std::int64_t until_due() const noexcept { return source_.until_due(); }
    [[nodiscard]] std::uint64_t progress(unsigned worker) const noexcept {
        return seats_[worker].steps.load(std::memory_order_relaxed); // relaxed: compared with itself a period later
    }

private:
    struct alignas(platform::cache_line) Seat {
        Atom<std::uint64_t> steps{0};
    };

    // Whether the source calls `attend` and `leaving`, which it says with `static constexpr bool attends_itself =
    // true`. For any other the worker goes off duty before each item.
    static constexpr bool attends_itself = requires { requires Source::attends_itself; };

    // How long the worker on duty goes on looking before it sleeps: some 25 µs when nobody else wants the processor.
    // Short pauses first, as the next item is often only nanoseconds away; then yields, for those who are to bring it.
    static constexpr unsigned paused_rounds = 6;
    static constexpr unsigned search_rounds = 70;

    void run(unsigned worker) {
        unsigned round = 0;
        while (!stopping_.load(std::memory_order_relaxed)) { // relaxed: asked again after every sleep
            if constexpr (!attends_itself) {
                if (lot_.on_duty(worker) && source_.has_work()) {
                    leaving(worker); // we can't know how long it will take
                }
            }
            if (source_.work(worker)) {
                round = 0;
                continue;
            }
            if (lot_.take_duty(worker) && (round < search_rounds || idle_ == Idle::spin)) {
                progressed(worker);
                wait_a_moment(round);
                ++round;
                continue;
            }
            lot_.sleep(worker, *this);
            round = 0;
        }
        lot_.resign(worker);
    }

    static void wait_a_moment(unsigned round) noexcept {
        if (round < paused_rounds) {
            for (unsigned i = 0; i <= round; ++i) {
                platform::cpu_pause();
            }
        } else {
            std::this_thread::yield();
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
