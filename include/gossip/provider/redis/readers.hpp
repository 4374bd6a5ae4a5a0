// The threads that read a connection.
#pragma once

#include <gossip/provider/redis/reading_turn.hpp>
#include <gossip/version.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis {

/// Where a single event may run that has just been read, while everybody who could run it sleeps: in the place of a
/// sleeper, on the thread that has read it, once that has left the reading to another.
class InPlace {
public:
    /// Asked before the event is handed on. False: whoever takes it wakes somebody.
    [[nodiscard]] virtual bool borrow_place() noexcept { return false; }
    /// Asked afterwards, if that was true. None: there was no room for the event, and the place has been given back.
    [[nodiscard]] virtual std::optional<unsigned> borrowed_place() noexcept { return std::nullopt; }
    /// Called then, once for each place; user code runs in here, and may take its time.
    virtual void work_in(unsigned /*place*/) noexcept {}

protected:
    InPlace() = default;
    InPlace(const InPlace&) = default;
    InPlace& operator=(const InPlace&) = default;
    ~InPlace() = default;
};

namespace detail {

/// Two threads that read by turns, as ReadingTurn says: so nobody is woken for an event that is handled soon, and
/// reading waits for no processor longer than stands there.
///
/// Threads: `may_step_out` and `run_outside` by the one that reads; the rest by anybody.
/// Stalls:  await_end until nobody reads any more: for as long as `read` takes to end, and as ReadingTurn says where
///          the one who read has stepped out. join also for what runs outside.
/// Owns:    the two threads.
class Readers {
public:
    /// `read()` reads. It returns when reading is over for good, or when `run_outside` has said that the other one
    /// reads, and touches nothing of the reader's after that. Throws what threads throw.
    template <class Read>
    void start(Read read) {
        struct Undo { // where the system refuses a thread
            ~Undo() {
                if (readers != nullptr) {
                    readers->open(true);
                    readers->join();
                }
            }
            Readers* readers;
        } undo{this};
        for (unsigned i = 0; i < threads_.size(); ++i) {
            threads_[i] = std::thread{[this, read, i] { serve(i, read); }};
            ids_[i] = threads_[i].get_id();
        }
        undo.readers = nullptr;
        open(false);
    }

    /// Whether the other one stands by.
    [[nodiscard]] bool may_step_out() noexcept { return turn_.may_step_out(); }
    /// Runs it while this thread is not the one that reads. False if the other one reads now, or it is over: what the
    /// caller knew of the reader's is the other's.
    template <class Run>
    [[nodiscard]] bool run_outside(Run run) noexcept {
        reader_.store({}, std::memory_order_relaxed); // relaxed: each looks for itself alone
        turn_.step_out();
        run();
        const bool is_mine = turn_.step_in();
        if (is_mine) {
            reader_.store(std::this_thread::get_id(), std::memory_order_relaxed); // relaxed: as above
        }
        return is_mine;
    }
    /// Works outside in the place that the listener has borrowed, if it has; the place is none afterwards.
    [[nodiscard]] bool work_outside(std::optional<unsigned>& place, InPlace& listener) noexcept {
        const std::optional<unsigned> borrowed = std::exchange(place, std::nullopt);
        return !borrowed || run_outside([&] { listener.work_in(*borrowed); });
    }
    /// Whether this thread is the one that reads.
    [[nodiscard]] bool read_here() const noexcept {
        return reader_.load(std::memory_order_relaxed) == std::this_thread::get_id(); // relaxed: as above
    }

    /// After `read` was told to end: until nobody reads, nor ever will. On the thread that reads it does not wait.
    void await_end() noexcept {
        if (!read_here()) {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return over_; });
        }
    }
    /// The same until both threads have ended. On one of them it returns at once, and another call must wait.
    void join() noexcept {
        if (std::find(ids_.begin(), ids_.end(), std::this_thread::get_id()) != ids_.end()) {
            return;
        }
        const std::lock_guard lock(joining_);
        for (std::thread& thread : threads_) {
            if (thread.joinable()) {
                thread.join();
            }
        }
    }

private:
    template <class Read>
    void serve(unsigned me, Read& read) {
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return open_; }); // both are there
        }
        while (turn_.await(me)) {
            reader_.store(std::this_thread::get_id(),
                          std::memory_order_relaxed); // relaxed: each looks for itself alone
            read();
            if (read_here()) {
                reader_.store({}, std::memory_order_relaxed); // relaxed: as above
                turn_.end();
                const std::lock_guard lock(mutex_);
                over_ = true;
                changed_.notify_all();
            }
        }
    }
    void open(bool over) noexcept {
        if (over) {
            turn_.end();
        }
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }

    ReadingTurn<> turn_;
    std::atomic<std::thread::id> reader_{};
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false; // under mutex_
    bool over_ = false; // under mutex_
    std::mutex joining_;
    std::array<std::thread, 2> threads_; // under joining_, once started
    std::array<std::thread::id, 2> ids_; // constant once started
};

} // namespace detail
} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis
