// Threads that processors have for themselves, and the bus that waits for them when it ends.
#pragma once

#include <gossip/version.hpp>

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

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

    /// Whether this thread is one of them, and in a processor.
    [[nodiscard]] bool run_here() const noexcept { return running_here == this; }

    /// While it lives this thread is in a processor, for that bus (null: for none).
    class Scope {
    public:
        explicit Scope(const HelperThreads* bus) noexcept : outer_(std::exchange(running_here, bus)) {}
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;
        ~Scope() { running_here = outer_; }

    private:
        const HelperThreads* outer_;
    };

private:
    [[gnu::visibility("default")]] inline static constinit thread_local const HelperThreads* running_here = nullptr;

    std::mutex mutex_;
    std::vector<std::weak_ptr<HelperGroup>> groups_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
