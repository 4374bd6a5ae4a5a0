#include "support/allocation_counter.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

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

thread_local constinit std::size_t allocations = 0;
constinit std::atomic<std::size_t> everyones = 0;
thread_local constinit int until_failure = -1;
thread_local constinit int failures_left = 0;

void* allocate(std::size_t size, std::size_t align) {
    ++allocations;
    everyones.fetch_add(1, std::memory_order_relaxed); // relaxed: a count
    if (until_failure > 0) {
        --until_failure;
    } else if (until_failure == 0 && failures_left > 0) {
        --failures_left;
        throw std::bad_alloc{};
    }
    const std::size_t rounded = (size + align - 1) / align * align;
    void* const memory = align <= alignof(std::max_align_t) ? std::malloc(size == 0 ? 1 : size)
                                                            : std::aligned_alloc(align, rounded == 0 ? align : rounded);
    if (memory == nullptr) {
        throw std::bad_alloc{};
    }
    return memory;
}

void* allocate_or_null(std::size_t size, std::size_t align) noexcept {
    try {
        return allocate(size, align);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

} // namespace

std::size_t support::allocations_of_this_thread() noexcept { return allocations; }

std::size_t support::allocations_of_all_threads() noexcept {
    return everyones.load(std::memory_order_relaxed); // relaxed: a count
}

void support::fail_allocation_after(int successes, int failures) noexcept {
    until_failure = successes;
    failures_left = failures;
}

bool support::allocations_are_counted() noexcept {
    const std::size_t before = allocations;
    void* volatile memory = ::operator new(1);
    ::operator delete(memory);
    return allocations != before;
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
