// Where a batch keeps what it has collected.
#pragma once

#include <gossip/concurrency/published.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/dispatch/collector.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <thread>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: each name stands at both of its ends in the code
//   [placed]  put's saying so, after the event was built  happens before  await's seeing it

struct BatchGroup;

/// What the callable needs for its runs besides the events: made with the chunk, so that no run finds no memory.
class BatchBuffer {
public:
    BatchBuffer() = default;
    BatchBuffer(const BatchBuffer&) = delete;
    BatchBuffer& operator=(const BatchBuffer&) = delete;
    virtual ~BatchBuffer() = default;
};

/// The events of one run: side by side, each with its mark.
///
/// Plain events with nothing to mark come first in most chunks, and are all there is in nearly all: they are copied
/// under the collector's lock, have no slot, and are not awaited.
///
/// Threads: any other place is claimed under the collector's lock, filled without it, and awaited by whoever runs the
///          chunk.
/// Cost:    136 bytes for each event that it has room for. The memory is used again and again.
class BatchChunk {
public:
    explicit BatchChunk(std::size_t room, std::unique_ptr<BatchBuffer> for_runs = nullptr)
        : buffer(std::move(for_runs)),
          slots_(new Slot[room]),
          events_(std::allocator<Event>{}.allocate(room)),
          room_(room) {}
    BatchChunk(const BatchChunk&) = delete;
    BatchChunk& operator=(const BatchChunk&) = delete;
    ~BatchChunk() {
        clear();
        std::allocator<Event>{}.deallocate(events_, room_);
    }

    [[nodiscard]] std::size_t room() const noexcept { return room_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// Whether there is nothing to know of an event but what stands in its 120 bytes.
    [[nodiscard]] static bool is_plain(const Event& event, const Collector::Mark& mark) noexcept {
        return EventAccess::is_plain(event) && mark.attempt == 1 && mark.kind == Kind::event && mark.part == nullptr;
    }
    [[nodiscard]] bool takes_plain() const noexcept { return first_marked_ == none; }
    /// A plain event into the next place, under the lock. Preconditions: there is room, and takes_plain().
    void put_plain(Event& event) noexcept {
        ::new (static_cast<void*>(events_ + size_)) Event(std::move(event));
        ++size_;
    }
    /// The next place, for `put`. Precondition: there is room.
    [[nodiscard]] std::size_t claim() noexcept {
        if (first_marked_ == none) {
            first_marked_ = size_;
        }
        slots_[size_].there.set(false); // whoever awaits it has the lock after us
        return size_++;
    }
    void put(std::size_t place, Event& event, const Collector::Mark& mark) noexcept {
        ::new (static_cast<void*>(events_ + place)) Event(std::move(event));
        set_mark(place, mark);
        slots_[place].there.set(true); // [placed] event and mark
    }

    /// What `await` has seen.
    struct Contents {
        std::size_t letters = 0;
        int attempt = 1;    // the highest
        bool simple = true; // plain events of a first attempt: nothing else to do with their ends and destructors
    };
    /// Returns once every claimed place is filled. Nothing fails or waits between claim and put.
    [[nodiscard]] Contents await() const noexcept {
        Contents contents;
        for (std::size_t i = first_marked_; i < size_; ++i) {
            const Slot& slot = slots_[i];
            while (!slot.there.get()) { // [placed] what was put there
                std::this_thread::yield();
            }
            contents.letters += slot.kind == Kind::letter ? 1 : 0;
            contents.attempt = slot.attempt > contents.attempt ? slot.attempt : contents.attempt;
            contents.simple = contents.simple && slot.part == nullptr && slot.kind != Kind::letter &&
                              EventAccess::is_plain(events_[i]);
        }
        return contents;
    }

    [[nodiscard]] Event& event(std::size_t place) noexcept { return events_[place]; }
    [[nodiscard]] std::span<const Event> events(std::size_t first, std::size_t count) const noexcept {
        return {events_ + first, count};
    }
    [[nodiscard]] Collector::Mark mark(std::size_t place) const noexcept {
        if (place < first_marked_) {
            return {};
        }
        const Slot& slot = slots_[place];
        return {slot.part, slot.attempt, slot.kind};
    }

    /// Precondition: every place is filled.
    void exchange(std::size_t a, std::size_t b) noexcept {
        std::swap(events_[a], events_[b]);
        if (first_marked_ != none) {
            const Collector::Mark of_a = mark(a);
            const Collector::Mark of_b = mark(b);
            while (first_marked_ > a || first_marked_ > b) {
                set_mark(--first_marked_, {});
            }
            set_mark(a, of_b);
            set_mark(b, of_a);
        }
    }
    /// Moves all that is in `smaller`, where every place is filled and remains so, to this one, which is empty.
    void take_over(BatchChunk& smaller) noexcept {
        for (std::size_t i = 0; i < smaller.size_; ++i) {
            Event& event = smaller.events_[i];
            if (const Collector::Mark mark = smaller.mark(i); takes_plain() && is_plain(event, mark)) {
                put_plain(event);
            } else {
                put(claim(), event, mark);
            }
        }
    }
    void swap_memory(BatchChunk& other) noexcept {
        slots_.swap(other.slots_);
        std::swap(events_, other.events_);
        std::swap(room_, other.room_);
        std::swap(size_, other.size_);
        std::swap(first_marked_, other.first_marked_);
        buffer.swap(other.buffer);
    }

    /// `simple`: as `await` has seen it.
    void clear(bool simple = false) noexcept {
        for (std::size_t i = 0; i < size_ && !simple; ++i) {
            events_[i].~Event();
        }
        size_ = 0;
        first_marked_ = none;
    }

    // Under the collector's lock, but for the buffer, which belongs to whoever runs the chunk.
    BatchChunk* next = nullptr;  // where it is listed
    BatchChunk* older = nullptr; // the one that the collector made before
    BatchGroup* group = nullptr; // whose events it has
    std::uint64_t serial = 1;    // another for every use
    std::int64_t first_at_ns = 0;
    bool due = false; // is to run although there is room
    bool growing = false;
    std::unique_ptr<BatchBuffer> buffer;

private:
    struct Slot {
        Settlement::Part* part;
        int attempt;
        Kind kind;
        Published<bool> there;
    };
    static constexpr std::size_t none = static_cast<std::size_t>(-1);

    void set_mark(std::size_t place, const Collector::Mark& mark) noexcept {
        Slot& slot = slots_[place];
        slot.part = mark.part;
        slot.attempt = mark.attempt;
        slot.kind = mark.kind;
    }

    std::unique_ptr<Slot[]> slots_;
    Event* events_;
    std::size_t room_;
    std::size_t size_ = 0;
    std::size_t first_marked_ = none; // it, and those after it, have slots
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
