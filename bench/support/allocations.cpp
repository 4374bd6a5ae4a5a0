#include "support/allocations.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

// Edges: each name stands at both of its ends in the code
//   [handed on]  the end of a thread's Seat  happens before  a new thread's taking of the same cell

// clang's thread sanitizer links its own operators, which must win: there nothing is counted.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define REPLACED [[gnu::weak]]
#endif
#endif
#if !defined(REPLACED)
#define REPLACED
#endif

namespace {

/// One thread's count at a time, so that threads do not meet where they count.
struct alignas(64) Cell {
    std::atomic<std::uint64_t> count{0};
    std::atomic<bool> taken{false};
};
constexpr std::size_t most_threads = 1024;

constinit Cell cells[most_threads];
constinit Cell common; // for what threads allocate while they end, and for threads beyond so many
constinit std::atomic<std::size_t> used{0};
constinit thread_local Cell* mine = nullptr;

/// Gives the thread's cell, and the count in it, to the next that begins.
struct Seat {
    ~Seat() {
        Cell* const left = mine;
        mine = &common;
        if (left != &common) {
            left->taken.store(false, std::memory_order_release); // [handed on] with its count
        }
    }
};

[[gnu::noinline]] void take_cell() noexcept {
    mine = &common; // should what follows allocate
    for (std::size_t i = 0; i < most_threads; ++i) {
        if (!cells[i].taken.load(std::memory_order_relaxed) &&           // relaxed: a guess, checked by the exchange
            !cells[i].taken.exchange(true, std::memory_order_acquire)) { // [handed on] its count is whole
            std::size_t now = used.load(std::memory_order_relaxed);      // relaxed: a bound, checked by the CAS
            while (now <= i && !used.compare_exchange_weak(now, i + 1, std::memory_order_relaxed)) {
            } // relaxed: it only grows
            static thread_local const Seat seat;
            static_cast<void>(seat);
            mine = &cells[i];
            return;
        }
    }
}

void count_one() noexcept {
    if (mine == nullptr) [[unlikely]] {
        take_cell();
    }
    if (mine == &common) [[unlikely]] {
        common.count.fetch_add(1, std::memory_order_relaxed); // relaxed: a count
        return;
    }
    mine->count.store(mine->count.load(std::memory_order_relaxed) + 1, // relaxed: nobody else writes it
                      std::memory_order_relaxed);                      // relaxed: a count
}

void* allocate_or_null(std::size_t size, std::size_t align) noexcept {
    count_one();
    const std::size_t rounded = (size + align - 1) / align * align;
    return align <= alignof(std::max_align_t) ? std::malloc(size == 0 ? 1 : size)
                                              : std::aligned_alloc(align, rounded == 0 ? align : rounded);
}

void* allocate(std::size_t size, std::size_t align) {
    void* const memory = allocate_or_null(size, align);
    if (memory == nullptr) {
        throw std::bad_alloc{};
    }
    return memory;
}

} // namespace

std::uint64_t allocations_so_far() noexcept {
    std::uint64_t sum = common.count.load(std::memory_order_relaxed); // relaxed: a count
    const std::size_t all = used.load(std::memory_order_relaxed);     // relaxed: a thread too new to be seen
    for (std::size_t i = 0; i < all; ++i) {
        sum += cells[i].count.load(std::memory_order_relaxed); // relaxed: a count
    }
    return sum;
}

bool allocations_are_counted() noexcept {
    const std::uint64_t before = allocations_so_far();
    void* volatile memory = ::operator new(1);
    ::operator delete(memory);
    return allocations_so_far() != before;
}

// Every form that is called, for a sanitizer brings its own for each that is left out.
REPLACED void* operator new(std::size_t size) { return allocate(size, 1); }
REPLACED void* operator new(std::size_t size, std::align_val_t align) {
    return allocate(size, static_cast<std::size_t>(align));
}
REPLACED void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate_or_null(size, 1); }
REPLACED void* operator new(std::size_t size, std::align_val_t align, const std::nothrow_t&) noexcept {
    return allocate_or_null(size, static_cast<std::size_t>(align));
}
REPLACED void operator delete(void* memory) noexcept { std::free(memory); }
REPLACED void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
REPLACED void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
REPLACED void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
REPLACED void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
REPLACED void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept { std::free(memory); }
REPLACED void* operator new[](std::size_t size) { return allocate(size, 1); }
REPLACED void* operator new[](std::size_t size, std::align_val_t align) {
    return allocate(size, static_cast<std::size_t>(align));
}
REPLACED void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate_or_null(size, 1); }
REPLACED void* operator new[](std::size_t size, std::align_val_t align, const std::nothrow_t&) noexcept {
    return allocate_or_null(size, static_cast<std::size_t>(align));
}
REPLACED void operator delete[](void* memory) noexcept { std::free(memory); }
REPLACED void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
REPLACED void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
REPLACED void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
REPLACED void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
REPLACED void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept { std::free(memory); }
