#pragma once

// An operating system that refuses threads.

#include "support/catch.hpp"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>

namespace support {

/// While it lives a new thread of this process wants a stack so large, whoever asks for it.
class StacksOf {
public:
    explicit StacksOf(std::size_t bytes) {
        REQUIRE(pthread_getattr_default_np(&before_) == 0);
        pthread_attr_t large;
        REQUIRE(pthread_attr_init(&large) == 0);
        REQUIRE(pthread_attr_setstacksize(&large, bytes) == 0);
        REQUIRE(pthread_setattr_default_np(&large) == 0);
        pthread_attr_destroy(&large);
    }
    StacksOf(const StacksOf&) = delete;
    StacksOf& operator=(const StacksOf&) = delete;
    ~StacksOf() {
        pthread_setattr_default_np(&before_);
        pthread_attr_destroy(&before_);
    }

private:
    pthread_attr_t before_{};
};

/// While it lives no thread can be made: its stack is larger than the address space.
class NoThreads : public StacksOf {
public:
    NoThreads() : StacksOf(std::size_t{1} << 62U) {}
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

/// While it lives one thread can be made, and no second one. Not where the program is sanitized:
/// a sanitizer takes address space for itself.
class OneThread {
public:
    OneThread() : stacks_(4 * gib) {
        std::size_t pages = 0;
        std::ifstream("/proc/self/statm") >> pages;
        REQUIRE(pages != 0);
        REQUIRE(getrlimit(RLIMIT_AS, &before_) == 0);
        const rlimit limit{pages * static_cast<std::size_t>(getpagesize()) + 6 * gib, before_.rlim_max};
        REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
    }
    OneThread(const OneThread&) = delete;
    OneThread& operator=(const OneThread&) = delete;
    ~OneThread() { setrlimit(RLIMIT_AS, &before_); }

private:
    static constexpr std::size_t gib = std::size_t{1} << 30U;
    StacksOf stacks_;
    rlimit before_{};
};

} // namespace support
