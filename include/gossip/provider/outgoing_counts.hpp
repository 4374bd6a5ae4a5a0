#pragma once

#include <gossip/provider/provider.hpp>

#include <atomic>
#include <cstdint>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: each name stands at both of its ends in the code
//   [ended]  an end's count (release) happens before the load(acquire) of who reads it: its beginning is seen

/// What has become of the events that a provider takes out of the process.
///
/// Threads: every member from any thread; an event's end is counted after its beginning, by a thread that has it from
///          there.
template <template <class> class Atom = std::atomic>
class BasicOutgoingCounts {
public:
    /// Before anything can end it.
    void accepted() noexcept { accepted_.fetch_add(1, std::memory_order_relaxed); } // relaxed: as said above
    /// It turns out that it was not.
    void not_accepted() noexcept { accepted_.fetch_sub(1, std::memory_order_relaxed); } // relaxed: it has no end
    void rejected() noexcept { rejected_.fetch_add(1, std::memory_order_relaxed); }     // relaxed: a count
    void sent() noexcept { sent_.fetch_add(1, std::memory_order_release); }             // [ended] after it was accepted
    void dropped() noexcept { dropped_.fetch_add(1, std::memory_order_release); }       // [ended] as above
    void abandoned() noexcept { abandoned_.fetch_add(1, std::memory_order_release); }   // [ended] as above

    /// No end without its beginning.
    [[nodiscard]] Outgoing read() const noexcept {
        Outgoing out;
        out.sent = sent_.load(std::memory_order_acquire);           // [ended] with its beginning
        out.dropped = dropped_.load(std::memory_order_acquire);     // [ended] with its beginning
        out.abandoned = abandoned_.load(std::memory_order_acquire); // [ended] with its beginning
        out.accepted = accepted_.load(std::memory_order_relaxed);   // relaxed: after the ends
        out.rejected = rejected_.load(std::memory_order_relaxed);   // relaxed: a count
        return out;
    }

private:
    Atom<std::uint64_t> accepted_{0};
    Atom<std::uint64_t> sent_{0};
    Atom<std::uint64_t> dropped_{0};
    Atom<std::uint64_t> abandoned_{0};
    Atom<std::uint64_t> rejected_{0};
};

using OutgoingCounts = BasicOutgoingCounts<>;

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
