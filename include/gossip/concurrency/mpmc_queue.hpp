#pragma once

#include <gossip/concurrency/ticket_ring.hpp>
#include <gossip/platform.hpp>

#include <algorithm>
#include <atomic>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// A bounded queue for many producers and many consumers: a ring of slots that hold the values in place.
///
/// Threads: every member from any thread, but for the destructor: by then every other call has returned.
/// Order:   first in, first out, in the order in which the pushes drew their places. What one producer pushes, one
///          consumer pops in the same order.
/// Cost:    push and pop are one compare-exchange each when uncontended, a run of n pops costs one as well; no member
///          allocates. A slot is sizeof(T) + 8 bytes, rounded up to whole cache lines.
/// Stalls:  no member waits, and a compare-exchange is repeated only when another thread's succeeded or it failed for
///          no reason, as the weak one may. But a producer halted inside a push hides the values behind its own, so
///          pops find nothing; a consumer halted inside a pop keeps its slot, so pushes find the queue full one lap
///          later. Every call still returns; in the strict sense that is not lock-free.
/// Owns:    its values; the destructor destroys what nobody has popped.
/// Errors:  the constructor throws std::invalid_argument for 0, std::length_error above `max_capacity`, or
///          std::bad_alloc. Later only T's own constructors throw, and only out of `try_push(const T&)` and
///          `try_emplace`, which then have added nothing.
template <class T, template <class> class Atom = std::atomic>
class MpmcQueue {
    static_assert(std::is_object_v<T> && !std::is_array_v<T> && std::is_same_v<T, std::remove_cv_t<T>>,
                  "gossip: MpmcQueue<T> holds values: T is an object type, not const, not volatile and not an array");
    static_assert(std::is_nothrow_move_constructible_v<T>,
                  "gossip: MpmcQueue<T> moves a value into a slot that others already count on: T needs a move "
                  "constructor that is noexcept");
    static_assert(std::is_nothrow_destructible_v<T>,
                  "gossip: MpmcQueue<T> destroys what it has moved out: T needs a destructor that is noexcept");

public:
    using value_type = T;

    /// The largest capacity that can be asked for: above it the slots would not fit into the address space.
    static constexpr std::size_t max_capacity =
        std::bit_floor(static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max()) /
                       (sizeof(T) + 2 * std::max(platform::cache_line, alignof(T))));

    /// Capacity is rounded up to a power of two, and is at least 2.
    explicit MpmcQueue(std::size_t capacity) : ring_(checked(capacity)) {}

    ~MpmcQueue() {
        while (try_pop_run(std::numeric_limits<std::size_t>::max(), [](T&&) noexcept {}) != 0) {}
    }

    MpmcQueue(const MpmcQueue&) = delete;
    MpmcQueue& operator=(const MpmcQueue&) = delete;

    /// Moves `value` in and returns true; on false the queue was full and `value` is untouched.
    [[nodiscard]] bool try_push(T&& value) noexcept { return emplace_nothrow(std::move(value)); }

    /// Copies `value` in and returns true; on false the queue was full. A copy that may throw is made before a place is
    /// drawn, and not at all when the queue is seen to be full.
    [[nodiscard]] bool
    try_push(const T& value) noexcept(std::is_nothrow_copy_constructible_v<T>) requires std::copy_constructible<T> {
        return try_emplace(value);
    }

    /// Builds a value from `args` and returns true; on false the queue was full. Then `args` are untouched if T's
    /// constructor from them is noexcept; if it may throw, the value is built first, and may have taken them with it.
    template <class... Args>
    requires std::constructible_from<T, Args...>
    [[nodiscard]] bool try_emplace(Args&&... args) noexcept(std::is_nothrow_constructible_v<T, Args...>) {
        if constexpr (std::is_nothrow_constructible_v<T, Args...>) {
            return emplace_nothrow(std::forward<Args>(args)...);
        } else {
            if (!ring_.has_room()) {
                return false;
            }
            T value(std::forward<Args>(args)...);
            return emplace_nothrow(std::move(value));
        }
    }

    /// The oldest value; nothing if the queue was empty.
    [[nodiscard]] std::optional<T> try_pop() noexcept {
        std::optional<T> value;
        if (const auto run = ring_.claim(1); run.count != 0) {
            hand_over(run.first, [&value](T&& taken) noexcept { value.emplace(std::move(taken)); });
        }
        return value;
    }

    /// Moves the oldest value to `into` and returns true; on false the queue was empty and `into` is untouched.
    [[nodiscard]] bool try_pop(T& into) noexcept {
        static_assert(std::is_nothrow_move_assignable_v<T>,
                      "gossip: try_pop(T&) would lose the value if its assignment threw: T needs a move assignment "
                      "that is noexcept; try_pop() needs none");
        const auto run = ring_.claim(1);
        if (run.count != 0) {
            hand_over(run.first, [&into](T&& taken) noexcept { into = std::move(taken); });
        }
        return run.count != 0;
    }

    /// Takes up to `most` of the oldest values off the queue at once and gives them to `sink`, in order; says how many.
    /// No other consumer gets a value from between them. Each slot is free again once `sink` has returned from its
    /// value; what `sink` has not moved away is destroyed then. `sink` may push to the queue and pop from it.
    template <class Sink>
    std::size_t try_pop_run(std::size_t most, Sink&& sink) noexcept {
        static_assert(std::is_nothrow_invocable_v<Sink&, T&&>,
                      "gossip: try_pop_run(most, sink) has taken the run when it calls `sink(T&&)`: the call must be "
                      "noexcept, or an exception would lose the rest");
        constexpr std::size_t longest = std::numeric_limits<std::uint32_t>::max();
        const auto run = ring_.claim(static_cast<std::uint32_t>(std::min(most, longest)));
        for (std::uint32_t i = 0; i < run.count; ++i) {
            hand_over(run.first + i, sink);
        }
        return run.count;
    }

    /// The same, moving them to the front of `into`; the rest of `into` is untouched.
    [[nodiscard]] std::size_t try_pop_run(std::span<T> into) noexcept {
        static_assert(std::is_nothrow_move_assignable_v<T>,
                      "gossip: try_pop_run(std::span<T>) would lose values if their assignment threw: T needs a move "
                      "assignment that is noexcept; try_pop_run(most, sink) needs none");
        auto next = into.begin();
        return try_pop_run(into.size(), [&next](T&& taken) noexcept { *next++ = std::move(taken); });
    }

    /// The most values that the queue ever holds, those being pushed and popped included.
    [[nodiscard]] std::size_t capacity() const noexcept { return ring_.capacity(); }

    /// How many values were in the queue at about the time of the call, at most `capacity`; exact while nobody pushes
    /// or pops. A value counts from the moment its push has drawn a place to the moment a pop has claimed it.
    [[nodiscard]] std::size_t size_approx() const noexcept {
        const std::uint64_t head = ring_.head(); // before the tail, which then is not behind it
        return static_cast<std::size_t>(std::min<std::uint64_t>(ring_.tail() - head, capacity()));
    }
    [[nodiscard]] bool empty_approx() const noexcept { return size_approx() == 0; }

private:
    static std::size_t checked(std::size_t capacity) {
        if (capacity == 0) {
            GOSSIP_THROW(std::invalid_argument("gossip: the capacity of an MpmcQueue is at least 1, not 0"));
        }
        if (capacity > max_capacity) {
            GOSSIP_THROW(std::length_error("gossip: the capacity of an MpmcQueue is above its max_capacity"));
        }
        return capacity;
    }

    template <class... Args>
    bool emplace_nothrow(Args&&... args) noexcept {
        typename Ring::Ticket ticket = 0;
        if (ring_.reserve(ticket) != Ring::Refusal::none) {
            return false;
        }
        ::new (ring_.storage(ticket)) T(std::forward<Args>(args)...);
        ring_.commit(ticket);
        return true;
    }

    template <class Sink>
    void hand_over(typename TicketRing<T, Atom>::Ticket ticket, Sink&& sink) noexcept {
        T* const value = ring_.address(ticket);
        sink(std::move(*value));
        std::destroy_at(value);
        ring_.vacate(ticket);
    }

    using Ring = TicketRing<T, Atom>;
    Ring ring_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
