#pragma once

#include <gossip/version.hpp>

#include <atomic>
#include <thread>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: each name stands at both of its ends in the code
//   [done]  the store(release) of whoever has done it  happens before  the load(acquire) of who goes on, as it is done

struct YieldingWait {
    void operator()() const noexcept { std::this_thread::yield(); }
};

/// Something brief that is done once, by whoever comes first; the others go on when it is done.
///
/// Threads: every member from any thread.
/// Cost:    one load once it is done.
/// Stalls:  while the operating system halts the one who does it, the others yield.
template <template <class> class Atom = std::atomic, class Wait = YieldingWait>
class BasicOnce {
public:
    constexpr BasicOnce() noexcept = default;
    BasicOnce(const BasicOnce&) = delete;
    BasicOnce& operator=(const BasicOnce&) = delete;

    /// `f` throws nothing.
    template <class F>
    void call(F&& f) noexcept {
        State state = state_.load(std::memory_order_acquire); // [done] what was done is seen
        if (state == done) [[likely]] {
            return;
        }
        if (state == not_yet && state_.compare_exchange_strong(state, under_way,
                                                               std::memory_order_relaxed,    // relaxed: one of us alone
                                                               std::memory_order_relaxed)) { // relaxed: waits below
            f();
            state_.store(done, std::memory_order_release); // [done] by us
            return;
        }
        while (state_.load(std::memory_order_acquire) != done) { // [done] by another
            Wait{}();
        }
    }

private:
    enum State : unsigned { not_yet, under_way, done };

    Atom<State> state_{not_yet};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
