// How one waits for what others end, who see that by no more than a load.
#pragma once

#include <gossip/platform.hpp>

#include <cstdint>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: those of gossip/dispatch/engine.hpp
// Edges: those of gossip/concurrency/reclaim.hpp

/// Gets in line. Whoever ends something from here on sees that `waiter` waits, and what was set before the call; what
/// others have ended until then is seen by the look that the caller takes next.
template <class Line, class Fence>
void get_in_line(Line& line, typename Line::Waiter& waiter, const Fence& fence) noexcept {
    line.join(waiter);
    fence.heavy(); // [drained] [running] before the caller's look
}
/// The same where those who end something look at a bit alone, which is up while somebody is in line.
template <class Line, class Bits, class Fence>
void get_in_line(Line& line, typename Line::Waiter& waiter, Bits& bits, std::uint32_t bit,
                 const Fence& fence) noexcept {
    line.join(waiter);
    bits.raise(bit); // not before: others lower it while nobody is in line
    fence.heavy();   // [returned] [running] before the caller's look
}
template <class Line, class Bits>
void get_out_of_line(Line& line, typename Line::Waiter& waiter, Bits& bits, std::uint32_t bit) noexcept {
    line.leave(waiter);
    if (!line.any()) {
        bits.lower(bit);
        if (line.any()) { // who came between may have missed an end while the bit was down
            bits.raise(bit);
            line.wake_all();
        }
    }
}

/// After something has ended: those in line look again.
template <class Line, class Fence>
void tell_line(Line& line, const Fence& fence) noexcept {
    fence.light(); // [drained] what has ended is counted
    if (line.any()) {
        line.wake_all();
    }
}
template <class Line, class Bits, class Fence>
void tell_line(Line& line, const Bits& bits, std::uint32_t bit, const Fence& fence) noexcept {
    fence.light(); // [returned] `current` is another
    if ((bits.raised() & bit) != 0) [[unlikely]] {
        line.wake_all();
    }
}

/// Visits all seats, after a fence in every thread: what a thread shows from here on it has shown before it looks at
/// what the caller has set or replaced.
template <class Seats, class Fence, class F>
void look_at_seats(const Seats& seats, const Fence& fence, F&& visit) {
    fence.heavy(); // [hazard] [running] after the caller's change
    seats.for_each(visit);
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
