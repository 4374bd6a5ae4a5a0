#pragma once

#include <gossip/platform.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

class Engine;
class Subscriber;
struct Seat;

/// Something the workers have to do besides new events: a redelivery, a dead letter, a batch that is due.
class Task {
public:
    Task() = default;
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    virtual ~Task() = default;

    virtual void run(Engine& engine, Seat& seat) noexcept = 0;
    /// Instead of `run` when there is no time left, or nobody to run for.
    virtual void give_up(Engine& engine, Seat& seat) noexcept = 0;
    /// Whether it is a later run of that subscription.
    [[nodiscard]] virtual bool belongs_to(const Subscriber& subscriber) const noexcept {
        static_cast<void>(subscriber);
        return false;
    }
    /// What waits for it.
    enum class Waiting : std::uint8_t {
        event,   // an accepted one: the bus is not quiet before this has run
        publish, // an event that is not accepted yet
        nothing,
    };
    [[nodiscard]] virtual Waiting waits() const noexcept { return Waiting::event; }

private:
    template <template <class> class Atom, class Mutex>
    friend class BasicTaskQueue;
    std::unique_ptr<Task> next_;
};

// Edges: each name stands at both of its ends in the code
//   [queued]  push's count (seq_cst), followed by the look whether somebody sleeps, is ordered with a worker's
//             announcement that it will sleep, followed by its look at the count

/// Tasks that are due, first in, first out.
///
/// Threads: every member from any thread. Cost: a mutex; allocates nothing.
template <template <class> class Atom = std::atomic, class Mutex = std::mutex>
class BasicTaskQueue {
public:
    BasicTaskQueue() = default;
    BasicTaskQueue(const BasicTaskQueue&) = delete;
    BasicTaskQueue& operator=(const BasicTaskQueue&) = delete;
    ~BasicTaskQueue() {
        while (pop() != nullptr) {}
    }

    void push(std::unique_ptr<Task> task) noexcept {
        const std::lock_guard lock(mutex_);
        Task* const added = task.get();
        (last_ == nullptr ? first_ : last_->next_) = std::move(task);
        last_ = added;
        size_.fetch_add(1, std::memory_order_seq_cst); // [queued] before the caller looks whether somebody sleeps
    }
    [[nodiscard]] std::unique_ptr<Task> pop() noexcept {
        const std::lock_guard lock(mutex_);
        std::unique_ptr<Task> task = std::move(first_);
        if (task != nullptr) {
            first_ = std::move(task->next_);
            if (first_ == nullptr) {
                last_ = nullptr;
            }
            size_.fetch_sub(1, std::memory_order_relaxed); // relaxed: who sees it too late looks once more
        }
        return task;
    }
    [[nodiscard]] std::size_t size() const noexcept {
        return size_.load(std::memory_order_seq_cst); // [queued] sees what was pushed before the caller's announcement
    }

private:
    Mutex mutex_;
    std::unique_ptr<Task> first_;
    Task* last_ = nullptr;
    Atom<std::size_t> size_{0};
};

using TaskQueue = BasicTaskQueue<>;

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
