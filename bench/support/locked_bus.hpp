#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

/// The baseline: the bus that one writes in an afternoon. A deque under a mutex, two condition variables, one list of
/// subscribers that is complete before the first publish, and a precise timestamp per event.
///
/// Threads: publish from any thread; subscribe and shutdown from one.
/// Order:   first in, first out.
/// Stalls:  publish waits, and try_publish says false, while `buffer_size` events are in the deque.
/// Owns:    the workers; with none of them `poll` runs what waits.
template <class T>
class LockedBus {
public:
    using Processor = std::function<void(const T&)>;

    struct Counters {
        std::uint64_t accepted = 0;
        std::uint64_t handled = 0;
    };

    LockedBus(unsigned workers, std::size_t buffer_size) : most_(buffer_size) {
        for (unsigned i = 0; i < workers; ++i) {
            threads_.emplace_back([this] { work(); });
        }
    }
    LockedBus(const LockedBus&) = delete;
    LockedBus& operator=(const LockedBus&) = delete;
    ~LockedBus() { shutdown(); }

    void subscribe(Processor processor) {
        const std::lock_guard lock(mutex_);
        processors_.push_back(std::move(processor));
    }

    void publish(T&& data) {
        const std::chrono::system_clock::time_point now = std::chrono::system_clock::now();
        {
            std::unique_lock lock(mutex_);
            room_.wait(lock, [this] { return waiting_.size() < most_; });
            waiting_.push_back(Event{now, std::move(data)});
            ++counters_.accepted;
        }
        work_.notify_one();
    }

    /// False, and `data` is untouched, while `buffer_size` events wait.
    bool try_publish(T&& data) {
        const std::chrono::system_clock::time_point now = std::chrono::system_clock::now();
        {
            const std::lock_guard lock(mutex_);
            if (waiting_.size() >= most_) {
                return false;
            }
            waiting_.push_back(Event{now, std::move(data)});
            ++counters_.accepted;
        }
        work_.notify_one();
        return true;
    }

    /// Runs what waits on the calling thread; how many that were.
    std::uint64_t poll() {
        std::unique_lock lock(mutex_);
        std::uint64_t ran = 0;
        for (; !waiting_.empty(); ++ran) {
            run_first(lock);
        }
        return ran;
    }

    /// Waits until the workers have handled all that was accepted.
    void drain() {
        std::unique_lock lock(mutex_);
        while (counters_.handled != counters_.accepted) {
            lock.unlock();
            std::this_thread::yield();
            lock.lock();
        }
    }

    /// Handles what was accepted and joins the workers.
    Counters shutdown() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        work_.notify_all();
        for (std::thread& thread : threads_) {
            thread.join();
        }
        threads_.clear();
        return counters_;
    }

private:
    struct Event {
        std::chrono::system_clock::time_point time;
        T data;
    };

    void work() {
        std::unique_lock lock(mutex_);
        for (;;) {
            work_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
            if (waiting_.empty()) {
                return;
            }
            run_first(lock);
        }
    }

    void run_first(std::unique_lock<std::mutex>& lock) {
        const Event event = std::move(waiting_.front());
        waiting_.pop_front();
        lock.unlock();
        room_.notify_one();
        for (const Processor& processor : processors_) {
            processor(event.data);
        }
        lock.lock();
        ++counters_.handled;
    }

    std::mutex mutex_;
    std::condition_variable work_;
    std::condition_variable room_;
    std::deque<Event> waiting_;
    std::vector<Processor> processors_;
    Counters counters_;
    bool stopping_ = false;
    const std::size_t most_;
    std::vector<std::thread> threads_;
};
