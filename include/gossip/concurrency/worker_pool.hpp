#pragma once

#include <gossip/concurrency/parking_lot.hpp>
#include <gossip/platform.hpp>

#include <atomic>
#include <concepts>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// What a worker does while it has nothing to do.
enum class Idle : std::uint8_t {
    sleep, // search for at most some 25 µs, then sleep: costs no CPU
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

namespace detail {

/// How a worker on duty looks for work before it sleeps: with pauses, for some 3 µs, as the next item is often only
/// nanoseconds away. While items come so fast that its sleeps are cut short, it then yields for some 20 µs more:
/// waking it would take them longer, and on few processors they may be waiting for this one. A yield that took long
/// and brought next to nothing was for the benefit of strangers, and all the while publishers took this worker for
/// awake: for a good many searches after that it does without.
///
/// Threads: belongs to one worker.
class Search {
public:
    explicit Search(Idle idle) noexcept : idle_(idle) {}

    /// There was work.
    void found() noexcept {
        round_ = 0;
        ++items_;
    }
    /// Whether to look again, after a `wait`.
    [[nodiscard]] bool go_on() noexcept {
        if (idle_ == Idle::spin) {
            return true;
        }
        if (round_ == 0) {
            judge_yields();
        }
        const bool yields = keen_ != 0 && wary_ == 0 && !long_yield_;
        return round_ < paused_rounds + (yields ? yielding_rounds : 0);
    }
    void wait() noexcept {
        const bool yields = idle_ == Idle::spin ? round_ % spins_a_yield == spins_a_yield - 1 : round_ >= paused_rounds;
        if (yields) {
            const std::uint64_t begin = platform::ticks();
            std::this_thread::yield();
            long_yield_ = long_yield_ || microseconds_since(begin) > long_yield_us;
        } else {
            for (unsigned i = 0; i <= round_ && i < longest_pause; ++i) {
                platform::cpu_pause();
            }
        }
        ++round_;
    }
    /// About to sleep.
    void lie_down() noexcept { asleep_since_ = platform::ticks(); }
    void get_up() noexcept {
        judge_yields();
        round_ = 0;
        wary_ -= wary_ == 0 ? 0 : 1;
        const bool brief = microseconds_since(asleep_since_) < short_sleep_us;
        keen_ = brief && brief_before_ ? searches_after_short_sleeps : 0;
        brief_before_ = brief;
    }

private:
    static constexpr unsigned paused_rounds = 16;
    static constexpr unsigned longest_pause = 6;
    static constexpr unsigned yielding_rounds = 64;
    static constexpr unsigned spins_a_yield = 256;
    static constexpr std::uint64_t long_yield_us = 50;
    static constexpr std::uint64_t short_sleep_us = 100;
    static constexpr unsigned searches_after_short_sleeps = 64;
    static constexpr unsigned worth_it = 2; // runs of work after a long yield
    static constexpr unsigned least_wary = 256;
    static constexpr unsigned most_wary = 1U << 14;

    /// 0 where time can't be told cheaply.
    [[nodiscard]] static std::uint64_t microseconds_since(std::uint64_t begin) noexcept {
        return platform::has_ticks() ? (platform::ticks() - begin) / platform::ticks_per_microsecond() : 0;
    }

    void judge_yields() noexcept {
        keen_ -= keen_ == 0 ? 0 : 1;
        if (long_yield_) {
            if (items_ < worth_it) {
                caution_ = caution_ < most_wary ? caution_ * 2 : most_wary;
                wary_ = caution_;
            } else {
                caution_ = least_wary / 2;
            }
        }
        long_yield_ = false;
        items_ = 0;
    }

    const Idle idle_;
    unsigned round_ = 0;
    unsigned items_ = 0; // runs of work since the last search
    bool long_yield_ = false;
    bool brief_before_ = false; // the last sleep
    unsigned keen_ = 0;         // searches to come with yields, unless
    unsigned wary_ = 0;         // so many to come are without
    unsigned caution_ = least_wary / 2;
    std::uint64_t asleep_since_ = 0;
};

} // namespace detail

/// Threads that empty a source of work, and sleep when there is none.
///
/// Threads: `notify` from any thread, after the work it announces can be seen by `has_work`; `start` and `stop` by the
///          owner.
/// Cost:    notify is one load unless somebody must be woken.
/// Stalls:  a worker whose `work` blocks by surprise while it is on duty is noticed within two periods of the parking
///          lot's lookout (1 ms); one that keeps to `attend` strands nothing.
/// Owns:    the threads; they are joined by `stop` or the destructor.
/// Errors:  the constructor throws std::invalid_argument for more than 65,535 workers.
///          start throws std::system_error when a thread can't be made; those already made are joined.
template <class Source, template <class> class Atom = std::atomic, class Parker = platform::Parker,
          class Mutex = std::mutex, class Search = detail::Search>
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
        struct Undo {
            ~Undo() {
                if (pool != nullptr) {
                    pool->stop();
                }
            }
            WorkerPool* pool;
        } undo{this}; // where the operating system refuses a thread
        for (unsigned i = 0; i < workers_; ++i) {
            threads_.emplace_back([this, i] { run(i); });
        }
        undo.pool = nullptr;
    }

    /// Ends the workers when each has returned from `work`, and joins them. Work that is left stays in the source.
    void stop() noexcept {
        tell_to_stop();
        while (!threads_.empty()) {
            threads_.back().join();
            threads_.pop_back();
        }
    }
    /// The first half of that, by any thread.
    void tell_to_stop() noexcept {
        stopping_.store(true,
                        std::memory_order_relaxed); // relaxed: the lock of wake_all orders it before every later sleep
        lot_.wake_all();
    }
    /// What each thread of the pool does; returns when it is told to stop.
    void run(unsigned worker) {
        Search search(idle_);
        while (!stopping_.load(std::memory_order_relaxed)) { // relaxed: asked again after every sleep
            if (leaves_for_work(worker) && source_.work(worker)) {
                search.found();
                continue;
            }
            if (lot_.take_duty(worker) && search.go_on()) {
                progressed(worker);
                search.wait();
                continue;
            }
            search.lie_down();
            lot_.sleep(worker, *this);
            search.get_up();
        }
        lot_.resign(worker);
    }

    [[nodiscard]] unsigned size() const noexcept { return workers_; }

    /// Something has been added to the source.
    void notify() noexcept {
        if (lot_.unattended()) [[unlikely]] {
            lot_.wake_one();
        }
    }
    /// The next timer is due earlier than it was, in `within_ns`.
    void notify_timer(std::int64_t within_ns = 0) noexcept { lot_.timer_moved(within_ns); }
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
    /// For somebody who is no worker, is awake and is about to add a single item: the place of a worker that sleeps, on
    /// duty, so that nobody is woken for the item. None if some worker is awake. `work_in` gives it back.
    [[nodiscard]] std::optional<unsigned> borrow_place() noexcept {
        if (!lot_.unattended()) {
            return std::nullopt;
        }
        const unsigned place = lot_.borrow(*this);
        return place == lot_.nobody ? std::nullopt : std::optional<unsigned>(place);
    }
    /// Instead of `work_in`, by who has something else to do after all: what there is wakes the worker.
    void give_back(unsigned place) noexcept { lot_.give_back(place, *this); }
    /// Does what the worker would do that it has the place of. What came meanwhile, and is left, wakes that one.
    void work_in(unsigned place) {
        // The last turn finds nothing, like that of a worker before it sleeps.
        while (leaves_for_work(place) && source_.work(place) && !source_.has_work()) {}
        lot_.give_back(place, *this);
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
    // true`. For any other the worker goes off duty before each item, and wakes somebody who looks for the next.
    static constexpr bool attends_itself = requires { requires Source::attends_itself; };

    /// Whether to ask the source for work. One that does not attend itself is asked only when it says that it has some,
    /// and by who has left: how long it will take is not known, and what comes meanwhile is for somebody else.
    [[nodiscard]] bool leaves_for_work(unsigned worker) noexcept {
        if constexpr (!attends_itself) {
            if (!source_.has_work() && source_.until_due() > 0) {
                return false;
            }
            leaving(worker);
        }
        return true;
    }

    Source& source_;
    const unsigned workers_;
    const Idle idle_;
    ParkingLot<Atom, Parker, Mutex> lot_;
    const std::unique_ptr<Seat[]> seats_;
    Atom<bool> stopping_{false};
    std::vector<std::thread> threads_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
