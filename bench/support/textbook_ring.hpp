#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

/// The baseline: the bounded queue with a sequence number a cell, as the textbooks have it after Dmitry Vyukov. Values
/// are assigned, cells are packed, nothing is refused but for being full.
template <class T>
class TextbookRing {
public:
    explicit TextbookRing(std::size_t capacity)
        : mask_(std::bit_ceil(capacity < 2 ? 2 : capacity) - 1), cells_(new Cell[mask_ + 1]) {
        for (std::size_t i = 0; i <= mask_; ++i) {
            cells_[i].sequence.store(i, std::memory_order_relaxed); // relaxed: nobody else knows the ring yet
        }
    }

    [[nodiscard]] bool try_push(T&& value) {
        std::size_t position = push_at_.load(std::memory_order_relaxed); // relaxed: a guess, checked by the CAS
        for (;;) {
            Cell& cell = cells_[position & mask_];
            const auto lag = distance(cell.sequence.load(std::memory_order_acquire), position); // the old value is gone
            if (lag < 0) {
                return false;
            }
            if (lag > 0) {
                position = push_at_.load(std::memory_order_relaxed); // relaxed: another guess
            } else if (push_at_.compare_exchange_weak(position, position + 1,
                                                      std::memory_order_relaxed)) { // relaxed: orders nothing
                cell.value = std::move(value);
                cell.sequence.store(position + 1, std::memory_order_release); // publishes the value
                return true;
            }
        }
    }

    [[nodiscard]] std::optional<T> try_pop() {
        std::size_t position = pop_at_.load(std::memory_order_relaxed); // relaxed: a guess, checked by the CAS
        for (;;) {
            Cell& cell = cells_[position & mask_];
            const auto lag =
                distance(cell.sequence.load(std::memory_order_acquire), position + 1); // the value is there
            if (lag < 0) {
                return std::nullopt;
            }
            if (lag > 0) {
                position = pop_at_.load(std::memory_order_relaxed); // relaxed: another guess
            } else if (pop_at_.compare_exchange_weak(position, position + 1,
                                                     std::memory_order_relaxed)) { // relaxed: orders nothing
                std::optional<T> value(std::move(cell.value));
                cell.sequence.store(position + mask_ + 1, std::memory_order_release); // gives the cell back
                return value;
            }
        }
    }

private:
    struct Cell {
        std::atomic<std::size_t> sequence{0};
        T value{};
    };

    static std::ptrdiff_t distance(std::size_t from, std::size_t to) { return static_cast<std::ptrdiff_t>(from - to); }

    const std::size_t mask_;
    const std::unique_ptr<Cell[]> cells_;
    alignas(64) std::atomic<std::size_t> push_at_{0};
    alignas(64) std::atomic<std::size_t> pop_at_{0};
};
