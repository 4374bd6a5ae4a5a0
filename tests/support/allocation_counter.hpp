#pragma once

#include <cstddef>

namespace support {

/// How often this thread has called operator new since the program's start; link support/allocation_counter.cpp.
[[nodiscard]] std::size_t allocations_of_this_thread() noexcept;

/// The same of all threads, living or ended.
[[nodiscard]] std::size_t allocations_of_all_threads() noexcept;

/// False where a sanitizer does not let operator new be replaced: every count is zero then.
[[nodiscard]] bool allocations_are_counted() noexcept;

/// Lets so many allocations of this thread fail: those after `successes` more have succeeded. Negative: none.
void fail_allocation_after(int successes, int failures = 1) noexcept;

/// Counts the allocations of this thread in a scope.
class AllocationCounter {
public:
    [[nodiscard]] std::size_t count() const noexcept { return allocations_of_this_thread() - before_; }

private:
    std::size_t before_ = allocations_of_this_thread();
};

} // namespace support
