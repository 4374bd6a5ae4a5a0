// What a run waits for that another one has, as the bus sees it.
#pragma once

#include <gossip/version.hpp>

#include <cstddef>
#include <cstdint>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// An address that tells this thread from all others.
[[gnu::visibility("default")]] inline constinit thread_local char this_thread_mark = 0;
inline const void* this_thread() noexcept { return &this_thread_mark; }

/// What a run waits for, and who has it.
///
/// Threads: asked from any thread, under the lock of all waits: it calls nothing of theirs.
class Awaited {
public:
    Awaited(const Awaited&) = delete;
    Awaited& operator=(const Awaited&) = delete;

    /// One of the threads that have it; null: there are no more, or the wait is over, though its thread may not know it
    /// yet. Who waits for something itself stays in its place.
    [[nodiscard]] virtual const void* holder(std::size_t place) const noexcept = 0;
    /// Has the thread that waits look whether it is to go on waiting.
    virtual void look_again() noexcept = 0;

protected:
    Awaited() = default;
    ~Awaited() = default;
};

/// The wait, for as long as this lives.
class ListedWait {
public:
    ListedWait() = default;
    ListedWait(const ListedWait&) = delete;
    ListedWait& operator=(const ListedWait&) = delete;
    virtual ~ListedWait() = default;

    /// How often it has been asked to look again.
    [[nodiscard]] virtual std::uint64_t asked() noexcept = 0;
    /// Whether all who have it wait, over however many others, for this thread. By the thread that waits, which has
    /// looked since it was asked so often: until then it counts as one that will not go on waiting.
    [[nodiscard]] virtual bool is_hopeless(std::uint64_t answered) noexcept = 0;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
