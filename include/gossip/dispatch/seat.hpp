#pragma once

#include <gossip/concurrency/reclaim.hpp>
#include <gossip/core/awaited.hpp>
#include <gossip/dispatch/ledger.hpp>
#include <gossip/dispatch/presence.hpp>
#include <gossip/platform.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <thread>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

struct TopicEntry;
class Subscriber;

// Edges: each name stands at both of its ends in the code
//   [seated]   stand_up's store(release)  happens before  sit_down's CAS(acquire): seats change hands whole
//   [grown]    the new block's publication (release)  happens before  a walker's load(acquire)

/// One thread's place while it runs processors: what it is looking at, and its counters.
///
/// Threads: written by the thread that sits on it; `hazard`, `current` and the counters are read by anybody.
struct alignas(platform::cache_line) Seat {
    BasicHazard<> hazard{};                   // the list of processors in use
    BasicPresence<> current{};                // the Subscriber whose processor runs
    std::atomic<const void*> thread{nullptr}; // who sits here
    std::atomic<bool> taken{false};
    std::atomic<bool> helps{false};     // it is a helper's, and whoever waits for its run sits on another
    const TopicEntry* latest = nullptr; // the name looked up last
    std::array<std::atomic<std::uint8_t>, 4> skipped{}; // how often each lane was passed over
    std::uint8_t tasks_in_a_row = 0;
    std::uint8_t turns = 0;                   // since the last look at what others have claimed,
    std::uint64_t oldest = ~std::uint64_t{0}; // and the oldest ticket there
    alignas(platform::cache_line) LedgerShard ledger;
};

/// The runs that are under way on this thread, innermost first.
struct Frame {
    const void* engine;
    Seat* seat;
    std::uint32_t events;  // accepted events that this run has begun and not ended
    std::uint32_t letters; // and dead letters
    Frame* outer;
    bool dropping = false; // user code here is a drop hook
};
[[gnu::visibility("default")]] inline constinit thread_local Frame* innermost = nullptr;

class FrameScope {
public:
    FrameScope(const void* engine, Seat& seat) noexcept : frame_{engine, &seat, 0, 0, innermost} {
        innermost = &frame_;
    }
    FrameScope(const FrameScope&) = delete;
    FrameScope& operator=(const FrameScope&) = delete;
    ~FrameScope() { innermost = frame_.outer; }

    [[nodiscard]] Frame& frame() noexcept { return frame_; }

private:
    Frame frame_;
};

/// While it lives the innermost run counts one more event as its own: a hook that drains does not wait for it.
class OwnScope {
public:
    explicit OwnScope(bool letter = false) noexcept : count_(letter ? innermost->letters : innermost->events) {
        ++count_;
    }
    OwnScope(const OwnScope&) = delete;
    OwnScope& operator=(const OwnScope&) = delete;
    ~OwnScope() { --count_; }

private:
    std::uint32_t& count_;
};

/// Whether this thread is inside user code called by `engine`.
inline bool inside(const void* engine) noexcept {
    for (const Frame* frame = innermost; frame != nullptr; frame = frame->outer) {
        if (frame->engine == engine) {
            return true;
        }
    }
    return false;
}

/// Whether this thread is inside a drop hook of `engine`: what that publishes doesn't drop in turn.
inline bool inside_drop_hook(const void* engine) noexcept {
    for (const Frame* frame = innermost; frame != nullptr; frame = frame->outer) {
        if (frame->engine == engine && frame->dropping) {
            return true;
        }
    }
    return false;
}

/// All seats of a bus: as many as threads have run processors at once. Seats are never given back to the system.
///
/// Threads: every member from any thread.
/// Cost:    sitting down is one compare-exchange; a new block of seats is made when all are taken.
template <class Seat, template <class> class Atom = std::atomic, std::size_t block_size = 8>
class BasicSeatTable {
public:
    BasicSeatTable() = default;
    BasicSeatTable(const BasicSeatTable&) = delete;
    BasicSeatTable& operator=(const BasicSeatTable&) = delete;
    ~BasicSeatTable() {
        Block* block = first_.next.load(std::memory_order_relaxed); // relaxed: nobody else is left
        while (block != nullptr) {
            Block* const next = block->next.load(std::memory_order_relaxed); // relaxed: nobody else is left
            delete block;
            block = next;
        }
    }

    /// A free seat, this thread's until `stand_up`. Without memory for another it waits until one is free.
    [[nodiscard]] Seat& sit_down() noexcept {
        Seat* const usual = usual_.load(std::memory_order_acquire); // [grown] its block has been built
        bool free = false;
        if (usual != nullptr &&
            usual->taken.compare_exchange_strong(free, true, std::memory_order_acquire, // [seated] as it was left
                                                 std::memory_order_relaxed)) {          // relaxed: taken
            usual->thread.store(this_thread(), std::memory_order_relaxed); // relaxed: a run shows it with `current`
            return *usual;
        }
        return find_seat();
    }
    static void stand_up(Seat& seat) noexcept {
        seat.taken.store(false, std::memory_order_release); // [seated] whoever is next goes on from here
    }

    template <class F>
    void for_each(F&& visit) const {
        for (const Block* block = &first_; block != nullptr;
             block = block->next.load(std::memory_order_acquire)) { // [grown] its seats are built
            for (const Seat& seat : block->seats) {
                visit(seat);
            }
        }
    }

private:
    [[gnu::noinline]] Seat& find_seat() noexcept {
        for (Block* block = &first_;;) {
            for (Seat& seat : block->seats) {
                bool free = false;
                if (!seat.taken.load(std::memory_order_relaxed) &&                            // relaxed: a guess
                    seat.taken.compare_exchange_strong(free, true, std::memory_order_acquire, // [seated] as it was left
                                                       std::memory_order_relaxed)) {          // relaxed: taken
                    seat.thread.store(this_thread(),
                                      std::memory_order_relaxed);   // relaxed: a run shows it with `current`
                    usual_.store(&seat, std::memory_order_release); // [grown] the next one's first guess
                    return seat;
                }
            }
            Block* next = block->next.load(std::memory_order_acquire); // [grown] its seats are built
            if (next == nullptr) {
                std::unique_ptr<Block> fresh(new (std::nothrow) Block);
                if (fresh == nullptr) {
                    std::this_thread::yield();
                    block = &first_;
                    continue;
                }
                if (block->next.compare_exchange_strong(next, fresh.get(),
                                                        std::memory_order_release,    // [grown] seats built
                                                        std::memory_order_acquire)) { // [grown] somebody else's
                    next = fresh.release();
                }
            }
            block = next;
        }
    }

    struct Block {
        std::array<Seat, block_size> seats;
        Atom<Block*> next{nullptr};
    };
    Block first_;
    Atom<Seat*> usual_{nullptr};
};

using SeatTable = BasicSeatTable<Seat>;

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
