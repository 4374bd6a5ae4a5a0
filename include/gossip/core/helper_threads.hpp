// Threads that processors have for themselves, and the bus that waits for them when it ends.
#pragma once

#include <gossip/core/awaited.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// Whether somebody ends a subscription, and waits for this very run.
enum class Ended : std::uint8_t { no, itself, around_it }; // its own; that of a run around it on this thread

/// A run that a worker hands to a thread of the processor's, as the bus sees it. From its making on the caller waits.
class HelperRun {
public:
    HelperRun(const HelperRun&) = delete;
    HelperRun& operator=(const HelperRun&) = delete;

    /// By the caller, once: it waits no more.
    virtual void leave() noexcept = 0;
    /// By the helper: the thread is in the processor from `begin` to `end`. It has begun before the caller can leave a
    /// run that goes on.
    virtual void begin() noexcept = 0;
    virtual void end() noexcept = 0;
    /// As a context's host.
    [[nodiscard]] virtual std::shared_ptr<void> stop_at(std::int64_t due_ns, std::stop_source source) = 0;
    [[nodiscard]] virtual Ended ended() const noexcept = 0;
    [[nodiscard]] virtual std::unique_ptr<ListedWait> list_wait(Awaited& awaited, bool has_end) = 0;

protected:
    HelperRun() = default;
    ~HelperRun() = default;
};

/// The threads of one processor.
class HelperGroup {
public:
    HelperGroup(const HelperGroup&) = delete;
    HelperGroup& operator=(const HelperGroup&) = delete;

    /// Takes no more work and returns when all its threads have ended. From any thread but its own, more than once.
    virtual void join() noexcept = 0;

protected:
    HelperGroup() = default;
    ~HelperGroup() = default;
};

/// The helper threads of one bus, whatever becomes of the processors that made them.
///
/// Threads: every member from any thread. Owns: nothing; groups that are gone are forgotten.
class HelperThreads {
public:
    HelperThreads() = default;
    HelperThreads(const HelperThreads&) = delete;
    HelperThreads& operator=(const HelperThreads&) = delete;
    ~HelperThreads() = default;

    void add(const std::shared_ptr<HelperGroup>& group) {
        const std::lock_guard lock(mutex_);
        std::erase_if(groups_, [](const std::weak_ptr<HelperGroup>& old) { return old.expired(); });
        groups_.push_back(group);
    }

    /// Returns when all threads of all groups have ended. Not from one of them.
    void join() noexcept {
        std::vector<std::weak_ptr<HelperGroup>> groups;
        {
            const std::lock_guard lock(mutex_);
            groups.swap(groups_);
        }
        for (const std::weak_ptr<HelperGroup>& known : groups) {
            if (const std::shared_ptr<HelperGroup> group = known.lock()) {
                group->join();
            }
        }
    }

private:
    std::mutex mutex_;
    std::vector<std::weak_ptr<HelperGroup>> groups_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
