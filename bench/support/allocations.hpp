#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>

/// How often all threads of this process, living or ended, have called operator new; support/allocations.cpp is linked
/// into every benchmark. What C libraries take from malloc is not in it.
///
/// Threads: any; of threads that allocate meanwhile it sees what they had counted a moment ago.
[[nodiscard]] std::uint64_t allocations_so_far() noexcept;

/// False where a sanitizer does not let operator new be replaced: every count is zero then.
[[nodiscard]] bool allocations_are_counted() noexcept;

/// Counts the allocations of the process from when it was made.
class Allocations {
public:
    [[nodiscard]] std::uint64_t count() const noexcept { return allocations_so_far() - before_; }

    /// Shows them for each of so many events.
    void show(benchmark::State& state, std::int64_t events) const {
        state.counters["allocations"] = events == 0 ? 0.0 : static_cast<double>(count()) / static_cast<double>(events);
    }

private:
    std::uint64_t before_ = allocations_so_far();
};
