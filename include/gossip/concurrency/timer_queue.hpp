#pragma once

#include <gossip/platform.hpp>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

// Edges: each name stands at both of its ends in the code
//   [armed]  adder's next_due_.store(seq_cst)  comes before  next_due_.load(seq_cst) of a worker about to sleep,
//            in the one order of all seq_cst operations, unless the adder, asking afterwards, finds it sleeping
//
// Why a stale answer is never a late one. An adder stores the new earliest time, and only then asks whether somebody
// sleeps too long; a worker says that it sleeps, and only then loads the earliest time. If saying and asking are
// seq_cst operations too (or stand behind seq_cst fences), all four have one order, in which either the question comes
// after the saying, and the adder wakes the worker, or the load comes after the store, and the worker sleeps no longer
// than to the new time. Both cannot miss. Release and acquire would let each thread's load pass its own store, and lose
// the timer. Pops and cancels move the time the other way: who reads the old, earlier one looks once for nothing.

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// The name of one timer of one queue; a default-made one names none.
///
/// Never reused: the number that says which timer it is counts the additions of a queue in 64 bits; where it is stored
/// may be used again.
class TimerId {
public:
    constexpr TimerId() noexcept = default;

    /// Whether a timer was ever given this name; it may be gone since.
    [[nodiscard]] constexpr explicit operator bool() const noexcept { return sequence_ != 0; }

    [[nodiscard]] friend constexpr bool operator==(const TimerId&, const TimerId&) noexcept = default;

private:
    template <class, template <class> class, class>
    friend class TimerQueue;

    constexpr TimerId(std::uint64_t sequence, std::uint32_t slot) noexcept : sequence_(sequence), slot_(slot) {}

    std::uint64_t sequence_ = 0;
    std::uint32_t slot_ = 0;
};

namespace detail {

/// Values at numbers that never move, each with a number of its user's beside it; freed numbers are used again first.
///
/// Threads: none of its own; TimerQueue calls it under its lock.
/// Owns:    the memory. The values belong to whoever emplaced them: those not released are not destroyed.
template <class T>
class TimerSlots {
public:
    /// Makes sure that the next emplace() needs no memory. Errors: std::bad_alloc, with nothing changed.
    void ensure_free() {
        if (free_ != none) {
            return;
        }
        if (chunks_.size() == max_chunks) {
            GOSSIP_THROW(std::bad_alloc());
        }
        chunks_.push_back(std::unique_ptr<Chunk>(new Chunk)); // not make_unique: it would clear the bytes
        const auto first = static_cast<std::uint32_t>(chunks_.size() - 1) * chunk_size;
        for (std::uint32_t slot = first + chunk_size; slot-- != first;) {
            link(slot) = std::exchange(free_, slot);
        }
    }

    /// Moves `value` into a free slot and returns its number. Precondition: ensure_free().
    [[nodiscard]] std::uint32_t emplace(T&& value) noexcept {
        const std::uint32_t slot = free_;
        free_ = link(slot);
        ::new (address(slot)) T(std::move(value));
        return slot;
    }

    void release(std::uint32_t slot) noexcept {
        std::destroy_at(&value(slot));
        link(slot) = std::exchange(free_, slot);
    }

    [[nodiscard]] bool contains(std::uint32_t slot) const noexcept { return slot / chunk_size < chunks_.size(); }

    [[nodiscard]] T& value(std::uint32_t slot) noexcept { return *std::launder(static_cast<T*>(address(slot))); }

    /// Of a slot in use: the user's number, not set by emplace(). Of a free one: the next free slot.
    [[nodiscard]] std::uint32_t& link(std::uint32_t slot) noexcept {
        return chunks_[slot / chunk_size]->links[slot % chunk_size];
    }

    void swap(TimerSlots& other) noexcept {
        chunks_.swap(other.chunks_);
        std::swap(free_, other.free_);
    }

private:
    static constexpr std::uint32_t chunk_size = 64;
    static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();
    static constexpr std::size_t max_chunks = none / chunk_size; // keeps every number below `none`

    struct Chunk {
        std::uint32_t links[chunk_size]; // together, because a heap operation visits many links and one value
        alignas(T) std::byte values[chunk_size * sizeof(T)];
    };

    [[nodiscard]] void* address(std::uint32_t slot) noexcept {
        return chunks_[slot / chunk_size]->values + (slot % chunk_size) * sizeof(T);
    }

    std::vector<std::unique_ptr<Chunk>> chunks_;
    std::uint32_t free_ = none;
};

} // namespace detail

/// Values that are due at a time, handed to whoever asks once it has come; no thread and no clock of its own.
///
/// A 4-ary heap of keys over slots that know their place in it: one allocation in 64 additions, siblings side by side
/// in memory and half the depth of a binary heap, and a cancel needs no search; a pairing heap or a multimap pays a
/// node and scattered reads per timer, a radix heap cannot take a time before the last one popped.
///
/// Times are nanoseconds of the bus's steady clock. Every std::int64_t is a valid time: one that is negative or past is
/// due at once, and `never` is a timer like others, due when `now` is `never`, that nobody is woken for.
///
/// Threads: every member from any thread, but the destructor. Values move under the lock, so T's move constructor (and
///          the destructor of a T moved from) must not call the queue: T is a type of ours. No value is destroyed under
///          it: what leaves the queue leaves through a return value. An id belongs to the queue that gave it.
/// Order:   by due time; equal times in the order of their adding.
/// Cost:    next_due one atomic load; pop_due the same while nothing is due; add, cancel, pop_due O(log n); take_some
///          O(n); take_if and take_all O(n) and a sort of what they take. A timer takes sizeof(T) + 28 bytes, and up to
///          24 more while the heap's vector has room to grow; take_all and the destructor alone give memory back.
/// Stalls:  next_due never waits. The others wait for a mutex, held as long as the costs above say; an add that
///          outgrows the heap's vector copies it under the lock, 24 bytes a timer.
/// Owns:    the values; those still pending are destroyed with the queue.
/// Errors:  add, take_if and take_all may throw std::bad_alloc and leave everything as it was. The others cannot fail.
template <class T, template <class> class Atom = std::atomic, class Mutex = std::mutex>
class TimerQueue {
    static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                  "gossip: TimerQueue<T> needs a T that moves and is destroyed without throwing");

public:
    /// next_due() of a queue that nobody need wake up for: an empty one, or one whose timers are all due at `never`.
    static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

    TimerQueue() = default;
    TimerQueue(const TimerQueue&) = delete;
    TimerQueue& operator=(const TimerQueue&) = delete;

    ~TimerQueue() {
        for (const Entry& entry : heap_) {
            slots_.release(entry.slot);
        }
    }

    /// `now + delay`, or the end of time on that side where the sum would leave it.
    [[nodiscard]] static constexpr std::int64_t due_after(std::int64_t now, std::int64_t delay) noexcept {
        constexpr std::int64_t first = std::numeric_limits<std::int64_t>::min();
        if (delay > 0) {
            return now > never - delay ? never : now + delay;
        }
        return now < first - delay ? first : now + delay;
    }

    /// Adds a timer. `*became_earliest` tells whether next_due() is earlier than before, so that a sleeper may have to
    /// be woken; next_due() says the new time by then. When this throws, `value` is untouched and so is
    /// `*became_earliest`.
    TimerId add(std::int64_t due_ns, T&& value, bool* became_earliest = nullptr) {
        const std::lock_guard lock(mutex_);
        slots_.ensure_free(); // a spare slot is no change that anybody can see
        heap_.emplace_back(); // the last step that can throw
        const Entry entry{due_ns, ++last_sequence_, slots_.emplace(std::move(value))};
        sift_up(heap_.size() - 1, entry);
        const bool earlier = publish();
        if (became_earliest != nullptr) {
            *became_earliest = earlier;
        }
        return TimerId(entry.sequence, entry.slot);
    }

    /// Takes a timer back. Of all calls of cancel, pop_due, take_if and take_all exactly one gets its value.
    [[nodiscard]] std::optional<T> cancel(TimerId id) noexcept {
        std::optional<T> value;
        const std::lock_guard lock(mutex_);
        if (!slots_.contains(id.slot_)) {
            return value;
        }
        // A free slot links to some other number: no entry of the heap names a free slot, so the comparison tells.
        const std::size_t position = slots_.link(id.slot_);
        if (position < heap_.size() && heap_[position].slot == id.slot_ && heap_[position].sequence == id.sequence_) {
            remove(position, value);
        }
        return value;
    }

    /// Takes the earliest timer if it is due, that is, if its time is not after `now_ns`. A loop until there is none
    /// also gets what is added meanwhile.
    [[nodiscard]] std::optional<T> pop_due(std::int64_t now_ns) noexcept {
        std::optional<T> value;
        if (next_due() > now_ns) {
            return value;
        }
        const std::lock_guard lock(mutex_);
        if (!heap_.empty() && heap_.front().due <= now_ns) {
            remove(0, value);
        }
        return value;
    }

    /// When the earliest timer is due, `never` if there is none. It may already be gone when this returns.
    ///
    /// A worker that says "I sleep" (seq_cst) before it calls this, against an adder that asks "does anybody sleep?"
    /// (seq_cst) after add(), misses no timer: see the head of this file. On x86-64 and AArch64 the load costs what an
    /// acquire load costs.
    [[nodiscard]] std::int64_t next_due() const noexcept {
        return next_due_.load(std::memory_order_seq_cst); // [armed] not passed by this thread's earlier "I sleep"
    }

    [[nodiscard]] std::size_t size() const noexcept {
        const std::lock_guard lock(mutex_);
        return heap_.size();
    }

    [[nodiscard]] bool empty() const noexcept { return size() == 0; }

    /// Takes every timer, whatever its time, in the order in which they would have been due. A caller that cannot get
    /// the memory for this can still call pop_due(never) until there is none.
    [[nodiscard]] std::vector<T> take_all() {
        std::vector<T> values;
        std::vector<Entry> entries;
        detail::TimerSlots<T> slots;
        {
            const std::lock_guard lock(mutex_);
            values.reserve(heap_.size());
            entries.swap(heap_);
            slots.swap(slots_);
            publish();
        }
        std::sort(entries.begin(), entries.end(), earlier);
        for (const Entry& entry : entries) {
            values.push_back(std::move(slots.value(entry.slot)));
            slots.release(entry.slot);
        }
        return values;
    }

    /// Takes every timer whose value `predicate` is true for, in the order in which they would have been due. It is
    /// asked once per timer in no certain order and runs under the lock: library code that does not call the queue.
    /// What it throws leaves every timer where it was.
    template <std::predicate<const T&> Predicate>
    [[nodiscard]] std::vector<T> take_if(Predicate predicate) {
        std::vector<T> values;
        const std::lock_guard lock(mutex_);
        const Rebuild rebuild{*this};
        std::size_t kept = 0;
        for (std::size_t i = 0; i < heap_.size(); ++i) { // swaps only: whatever throws, the heap has all its entries
            if (!std::invoke(predicate, std::as_const(slots_.value(heap_[i].slot)))) {
                std::swap(heap_[kept++], heap_[i]);
            }
        }
        values.reserve(heap_.size() - kept); // the last step that can throw
        const auto taken = heap_.begin() + static_cast<std::ptrdiff_t>(kept);
        std::sort(taken, heap_.end(), earlier);
        for (auto entry = taken; entry != heap_.end(); ++entry) {
            values.push_back(std::move(slots_.value(entry->slot)));
            slots_.release(entry->slot);
        }
        heap_.erase(taken, heap_.end());
        return values;
    }

    /// Takes such timers until `room` is full, in no certain order, and needs no memory: for whoever is short of it.
    /// Says how many it has taken. The predicate throws nothing.
    template <std::predicate<const T&> Predicate>
    [[nodiscard]] std::size_t take_some(Predicate predicate, std::span<T> room) noexcept {
        const std::lock_guard lock(mutex_);
        const Rebuild rebuild{*this};
        std::size_t taken = 0;
        std::size_t kept = 0;
        for (const Entry entry : heap_) {
            if (taken < room.size() && std::invoke(predicate, std::as_const(slots_.value(entry.slot)))) {
                room[taken++] = std::move(slots_.value(entry.slot));
                slots_.release(entry.slot);
            } else {
                heap_[kept++] = entry;
            }
        }
        heap_.erase(heap_.begin() + static_cast<std::ptrdiff_t>(kept), heap_.end());
        return taken;
    }

private:
    static constexpr std::size_t arity = 4;

    struct Entry {
        std::int64_t due = 0;
        std::uint64_t sequence = 0;
        std::uint32_t slot = 0;
    };

    /// Makes a heap of the entries again, in whatever order they were left.
    struct Rebuild {
        TimerQueue& queue;

        ~Rebuild() {
            for (std::size_t i = queue.heap_.size(); i-- != 0;) {
                queue.sift_down(i, queue.heap_[i]);
            }
            queue.publish();
        }
    };

    [[nodiscard]] static bool earlier(const Entry& a, const Entry& b) noexcept {
        return a.due != b.due ? a.due < b.due : a.sequence < b.sequence;
    }

    /// Tells the time of the heap's front to all; true if it is earlier than what was told before.
    bool publish() noexcept {
        const std::int64_t due = heap_.empty() ? never : heap_.front().due;
        const std::int64_t told = next_due_.load(std::memory_order_relaxed); // relaxed: stored only under our lock
        if (due == told) {
            return false;
        }
        next_due_.store(due, std::memory_order_seq_cst); // [armed] before the adder asks whether anybody sleeps
        return due < told;
    }

    void place(std::size_t position, const Entry& entry) noexcept {
        heap_[position] = entry;
        slots_.link(entry.slot) = static_cast<std::uint32_t>(position);
    }

    void sift_up(std::size_t position, Entry entry) noexcept {
        while (position != 0) {
            const std::size_t parent = (position - 1) / arity;
            if (!earlier(entry, heap_[parent])) {
                break;
            }
            place(position, heap_[parent]);
            position = parent;
        }
        place(position, entry);
    }

    void sift_down(std::size_t position, Entry entry) noexcept {
        for (;;) {
            const std::size_t first = position * arity + 1;
            if (first >= heap_.size()) {
                break;
            }
            const std::size_t last = std::min(first + arity, heap_.size());
            std::size_t best = first;
            for (std::size_t child = first + 1; child < last; ++child) {
                best = earlier(heap_[child], heap_[best]) ? child : best;
            }
            if (!earlier(heap_[best], entry)) {
                break;
            }
            place(position, heap_[best]);
            position = best;
        }
        place(position, entry);
    }

    /// Moves the value at `position` of the heap to `value` and closes the gap.
    void remove(std::size_t position, std::optional<T>& value) noexcept {
        const std::uint32_t slot = heap_[position].slot;
        value.emplace(std::move(slots_.value(slot)));
        slots_.release(slot);
        const Entry moved = heap_.back();
        heap_.pop_back();
        if (position != heap_.size()) {
            if (position != 0 && earlier(moved, heap_[(position - 1) / arity])) {
                sift_up(position, moved);
            } else {
                sift_down(position, moved);
            }
        }
        publish();
    }

    alignas(platform::cache_line) Atom<std::int64_t> next_due_{never}; // read often: off the line that adds write
    alignas(platform::cache_line) mutable Mutex mutex_;
    std::vector<Entry> heap_;
    detail::TimerSlots<T> slots_;
    std::uint64_t last_sequence_ = 0;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
