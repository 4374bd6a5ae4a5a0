// What differs between compilers, processors and operating systems; the only file with their #ifs.
#pragma once

#include <gossip/version.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <limits>
#include <thread>

#include <sys/random.h>

#if defined(__linux__)
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

// A program may do without these two of Linux's, in all of its files or in none: GOSSIP_NO_FUTEX, GOSSIP_NO_MEMBARRIER.
#if defined(__linux__) && !defined(GOSSIP_NO_FUTEX)
#define GOSSIP_HAS_FUTEX 1
#else
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#define GOSSIP_HAS_FUTEX 0
#endif

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#if defined(__SANITIZE_THREAD__)
#define GOSSIP_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GOSSIP_TSAN 1
#endif
#endif
#if !defined(GOSSIP_TSAN)
#define GOSSIP_TSAN 0
#endif

#if defined(__SANITIZE_ADDRESS__)
#define GOSSIP_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GOSSIP_ASAN 1
#endif
#endif
#if !defined(GOSSIP_ASAN)
#define GOSSIP_ASAN 0
#endif
#if GOSSIP_ASAN
#include <sanitizer/asan_interface.h>
#endif

/// Throws; or, where the compiler was told to know no exceptions, says what it would throw and ends the program.
#if defined(__cpp_exceptions)
#define GOSSIP_THROW(...) throw __VA_ARGS__
#else
#include <cstdio>
#include <exception>
#define GOSSIP_THROW(...) ::gossip::platform::end_program((__VA_ARGS__).what())
#endif

/// Stand around an #include of code that adds to null pointers, which does no harm and which clang's sanitizer reports.
#if defined(__clang__)
#define GOSSIP_LENIENT_BEGIN \
    _Pragma("clang attribute push(__attribute__((no_sanitize(\"pointer-overflow\"))), apply_to = function)")
#define GOSSIP_LENIENT_END _Pragma("clang attribute pop")
#else
#define GOSSIP_LENIENT_BEGIN
#define GOSSIP_LENIENT_END
#endif

// Edges: each name stands at both of its ends in the code
//   [asymmetric]  light on one thread and heavy on another  order  each one's store before its load, so that one sees
//   [unparked]    unpark's exchange(release)  happens before  the return of the park that it ends

namespace gossip::GOSSIP_VERSION_NAMESPACE::platform {

/// The distance at which two variables stop sharing a cache line. A constant of ours: the standard's changes with the
/// compiler's flags, and with it the layout of every class that uses it.
inline constexpr std::size_t cache_line = 64;

#if !defined(__cpp_exceptions)
[[noreturn, gnu::cold, gnu::noinline]] inline void end_program(const char* what) noexcept {
    std::fprintf(stderr, "gossip: %s\n", what);
    std::terminate();
}
#endif

/// Tells the processor that this thread is in a spin loop. Cost: about 25 ns on x86, nothing elsewhere.
inline void cpu_pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/// Brings a cache line near, to be read soon.
inline void prefetch(const void* address) noexcept {
#if defined(__GNUC__)
    __builtin_prefetch(address, 0);
#else
    static_cast<void>(address);
#endif
}

/// Brings a cache line near, to be written soon. (The compilers' own builtin asks for it to be read only, unless they
/// are told of a newer processor; where this instruction is not known it does nothing.)
inline void prefetch_for_write(const void* address) noexcept {
#if defined(__x86_64__)
    __asm__ __volatile__("prefetchw %0" : : "m"(*static_cast<const char*>(address)));
#elif defined(__GNUC__)
    __builtin_prefetch(address, 1);
#else
    static_cast<void>(address);
#endif
}

/// Memory that is ours and that nobody may touch until `open_memory`: an address sanitizer sees who does. Cost: nothing
/// without one.
inline void close_memory([[maybe_unused]] void* from, [[maybe_unused]] std::size_t size) noexcept {
#if GOSSIP_ASAN
    __asan_poison_memory_region(from, size);
#endif
}
inline void open_memory([[maybe_unused]] void* from, [[maybe_unused]] std::size_t size) noexcept {
#if GOSSIP_ASAN
    __asan_unpoison_memory_region(from, size);
#endif
}

/// A counter that runs at one rate on all cores and never backwards; 0 for ever where there is none (see `has_ticks`).
inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    std::uint64_t value;
    __asm__ __volatile__("mrs %0, cntvct_el0" : "=r"(value));
    return value;
#else
    return 0;
#endif
}

/// How fast `ticks` counts, roughly: good enough to tell brief from long.
inline std::uint64_t ticks_per_microsecond() noexcept {
#if defined(__aarch64__)
    std::uint64_t hertz;
    __asm__ __volatile__("mrs %0, cntfrq_el0" : "=r"(hertz));
    return hertz / 1'000'000 + 1;
#else
    return 2'500;
#endif
}

/// Whether `ticks` counts at a constant rate, also while cores change their frequency or sleep.
inline bool has_ticks() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    static const bool invariant = [] {
        unsigned a = 0;
        unsigned b = 0;
        unsigned c = 0;
        unsigned d = 0;
        return __get_cpuid(0x80000007U, &a, &b, &c, &d) != 0 && (d & (1U << 8U)) != 0;
    }();
    return invariant;
#elif defined(__aarch64__)
    return true;
#else
    return false;
#endif
}

/// Nanoseconds of the operating system's monotonic and wall clocks. Cost: about 22 ns each.
inline std::int64_t monotonic_ns() noexcept {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}
inline std::int64_t realtime_ns() noexcept {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

/// Fills up to 256 bytes with what nobody can guess. False if the system has none to give.
[[nodiscard]] inline bool random_bytes(void* into, std::size_t size) noexcept { return getentropy(into, size) == 0; }

namespace detail {

/// A full fence. GCC refuses std::atomic_thread_fence under the thread sanitizer; there the machine's own does.
inline void full_fence() noexcept {
#if GOSSIP_TSAN && (defined(__x86_64__) || defined(__i386__))
    __asm__ __volatile__("mfence" ::: "memory");
#elif GOSSIP_TSAN && defined(__aarch64__)
    __asm__ __volatile__("dmb ish" ::: "memory");
#else
    std::atomic_thread_fence(std::memory_order_seq_cst); // [asymmetric] the fallback: both sides fence
#endif
}

/// Whether the kernel fences other threads for us. Asked once a process; registering costs microseconds.
inline bool kernel_fences() noexcept {
#if defined(__linux__) && !defined(GOSSIP_NO_MEMBARRIER)
    static const bool registered = [] {
        const long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
        return commands >= 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0 &&
               syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
    }();
    return registered;
#else
    return false;
#endif
}

} // namespace detail

/// Two halves of one fence, for a pair of threads that each store, then load what the other stored, and must not both
/// miss it. The frequent side calls `light`, the rare side `heavy`.
///
/// Cost:   where Linux has membarrier, light is nothing at run time and heavy about 1 µs (a system call); elsewhere
///         each is a full fence, 5 ns and more.
/// Owns:   nothing; made once by whoever needs the pair, so that no call asks which kind the machine has.
class AsymmetricFence {
public:
    AsymmetricFence() noexcept : kernel_(detail::kernel_fences()) {}

    void light() const noexcept {
        if (kernel_) {
            std::atomic_signal_fence(std::memory_order_seq_cst); // [asymmetric] keeps the compiler from reordering
        } else {
            detail::full_fence();
        }
    }

    void heavy() const noexcept {
#if defined(__linux__)
        if (kernel_) {
            syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
            return;
        }
#endif
        detail::full_fence();
    }

private:
    bool kernel_;
};

namespace detail {

/// The permit of a parker: given by whoever unparks it, used up by its owner, who sleeps while there is none.
template <template <class> class Atom = std::atomic>
class BasicPermit {
public:
    /// `sleep` returns when somebody has waked for that word, at once if it is not 0, and now and then for no reason;
    /// false: the owner waits no longer.
    template <class Sleep>
    bool use(Sleep sleep) noexcept {
        while (word_.exchange(0, std::memory_order_acquire) == 0) { // [unparked] sees what the waker wrote
            if (!sleep(word_)) {
                return false;
            }
        }
        return true;
    }
    template <class Wake>
    void give(Wake wake) noexcept {
        if (word_.exchange(1, std::memory_order_release) == 0) { // [unparked] what was written before the wake-up
            wake(word_);
        }
    }

private:
    Atom<std::uint32_t> word_{0};
};

} // namespace detail

/// One sleeping place for one thread at a time.
///
/// Threads: `park` by its one owner, `unpark` by anybody. An unpark that comes first makes the next park return at
///          once; several count as one.
/// Cost:    park and unpark are each one system call where the thread really sleeps (the waker pays 5 to 9 µs).
class Parker {
public:
    /// The time by which timeouts pass.
    [[nodiscard]] static std::int64_t now_ns() noexcept { return monotonic_ns(); }

    /// Sleeps until `unpark`, or for `timeout_ns`; negative: without end. True if it was unparked.
    bool park(std::int64_t timeout_ns) noexcept {
#if GOSSIP_HAS_FUTEX
        const std::int64_t now = monotonic_ns();
        const std::int64_t most = std::numeric_limits<std::int64_t>::max() - now;
        const std::int64_t until = now + (timeout_ns < most ? timeout_ns : most);
        return permit_.use([&](std::atomic<std::uint32_t>& word) {
            timespec left{};
            if (timeout_ns >= 0) {
                const std::int64_t remaining = until - monotonic_ns();
                if (remaining <= 0) {
                    return false;
                }
                left.tv_sec = static_cast<time_t>(remaining / 1'000'000'000);
                left.tv_nsec = static_cast<long>(remaining % 1'000'000'000);
            }
            syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT_PRIVATE, 0U,
                    timeout_ns < 0 ? nullptr : &left, nullptr, 0);
            return true;
        });
#else
        std::unique_lock lock(mutex_);
        const auto given = [this] { return permitted_; };
        if (timeout_ns < 0) {
            wake_.wait(lock, given);
        } else {
            constexpr std::int64_t century = std::int64_t{100} * 365 * 24 * 3600 * 1'000'000'000; // now + max overflows
            if (!wake_.wait_for(lock, std::chrono::nanoseconds(std::min(timeout_ns, century)), given)) {
                return false;
            }
        }
        permitted_ = false;
        return true;
#endif
    }

    void unpark() noexcept {
#if GOSSIP_HAS_FUTEX
        permit_.give([](std::atomic<std::uint32_t>& word) {
            syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
        });
#else
        {
            const std::lock_guard lock(mutex_);
            permitted_ = true;
        }
        wake_.notify_one();
#endif
    }

private:
#if GOSSIP_HAS_FUTEX
    detail::BasicPermit<> permit_{};
    static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));
#else
    std::mutex mutex_;
    std::condition_variable wake_;
    bool permitted_ = false;
#endif
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::platform
