#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

/// Counts calls on many threads without making them meet: each thread of a run has a cell of its own.
///
/// Threads: `note` from any thread that began after `reset`; the others while no such thread runs.
class Heard {
public:
    static void note() {
        if (mine == nullptr) [[unlikely]] {
            mine = &cells[used.fetch_add(1, std::memory_order_relaxed)]; // relaxed: a ticket orders nothing
        }
        ++mine->count;
    }

    static void reset() {
        for (Cell& cell : cells) {
            cell.count = 0;
        }
        used.store(0, std::memory_order_relaxed); // relaxed: threads that begin later see it
    }

    [[nodiscard]] static std::uint64_t total() {
        std::uint64_t sum = 0;
        for (const Cell& cell : cells) {
            sum += cell.count;
        }
        return sum;
    }

private:
    struct alignas(64) Cell {
        std::uint64_t count;
    };
    static constexpr std::size_t most_threads = 64;

    static inline Cell cells[most_threads];
    static inline std::atomic<std::size_t> used{0};
    static inline constinit thread_local Cell* mine = nullptr;
};
