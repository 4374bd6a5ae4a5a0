#pragma once

#include "support/seed.hpp"

#include <gossip/platform.hpp>

#include <atomic>
#include <cstdint>
#include <thread>

namespace gossip_test {

/// This thread's own random numbers; each thread is numbered when it first asks.
inline Random& thread_random() {
    static std::atomic<std::uint64_t> threads{0};
    thread_local Random random(threads.fetch_add(1));
    return random;
}

/// Nothing, a short spin, or a yield: moves this thread against the others.
inline void shake() {
    Random& random = thread_random();
    const std::uint64_t choice = random.below(32);
    if (choice == 0) {
        std::this_thread::yield();
    } else if (choice < 4) {
        for (std::uint64_t i = random.below(64); i != 0; --i) {
            gossip::platform::cpu_pause();
        }
    }
}

/// A std::atomic that shakes the schedule before and after each operation, and whose weak compare-exchange really fails
/// now and then for no reason, as on processors without one instruction for it. Adds no ordering of its own.
template <class T>
class ShakenAtomic {
public:
    constexpr ShakenAtomic() noexcept = default;
    constexpr ShakenAtomic(T value) noexcept : atomic_(value) {} // implicit, as std::atomic's
    ShakenAtomic(const ShakenAtomic&) = delete;
    ShakenAtomic& operator=(const ShakenAtomic&) = delete;

    [[nodiscard]] T load(std::memory_order order = std::memory_order_seq_cst) const {
        return shaken([&] { return atomic_.load(order); });
    }
    void store(T value, std::memory_order order = std::memory_order_seq_cst) {
        shaken([&] {
            atomic_.store(value, order);
            return 0;
        });
    }
    T exchange(T value, std::memory_order order = std::memory_order_seq_cst) {
        return shaken([&] { return atomic_.exchange(value, order); });
    }

    bool compare_exchange_strong(T& expected, T wanted, std::memory_order success, std::memory_order failure) {
        return shaken([&] { return atomic_.compare_exchange_strong(expected, wanted, success, failure); });
    }
    bool compare_exchange_strong(T& expected, T wanted, std::memory_order order = std::memory_order_seq_cst) {
        return shaken([&] { return atomic_.compare_exchange_strong(expected, wanted, order); });
    }
    bool compare_exchange_weak(T& expected, T wanted, std::memory_order success, std::memory_order failure) {
        if (thread_random().one_in(16)) {
            expected = load(failure);
            return false;
        }
        return shaken([&] { return atomic_.compare_exchange_weak(expected, wanted, success, failure); });
    }
    bool compare_exchange_weak(T& expected, T wanted, std::memory_order order = std::memory_order_seq_cst) {
        return compare_exchange_weak(expected, wanted, order, on_failure(order));
    }

    T fetch_add(T value, std::memory_order order = std::memory_order_seq_cst) {
        return shaken([&] { return atomic_.fetch_add(value, order); });
    }
    T fetch_sub(T value, std::memory_order order = std::memory_order_seq_cst) {
        return shaken([&] { return atomic_.fetch_sub(value, order); });
    }
    T fetch_or(T value, std::memory_order order = std::memory_order_seq_cst) {
        return shaken([&] { return atomic_.fetch_or(value, order); });
    }
    T fetch_and(T value, std::memory_order order = std::memory_order_seq_cst) {
        return shaken([&] { return atomic_.fetch_and(value, order); });
    }

private:
    template <class Operation>
    static auto shaken(Operation operation) {
        shake();
        const auto result = operation();
        shake();
        return result;
    }

    static constexpr std::memory_order on_failure(std::memory_order order) {
        switch (order) {
        case std::memory_order_acq_rel:
            return std::memory_order_acquire;
        case std::memory_order_release:
            return std::memory_order_relaxed;
        default:
            return order;
        }
    }

    std::atomic<T> atomic_{};
};

} // namespace gossip_test
