#pragma once

#include "support/catch.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

/// Names the seed in the message of every assertion that fails later in the scope.
#define GOSSIP_INFO_SEED() INFO("to repeat: GOSSIP_TEST_SEED=" << ::gossip_test::seed())

#if defined(__GNUC__)
extern "C" void __sanitizer_set_death_callback(void (*)()) __attribute__((weak)); // there only under a sanitizer
#endif

namespace gossip_test {

/// What every random choice of this process's tests derives from: GOSSIP_TEST_SEED, or a new one each time.
inline std::uint64_t seed() {
    static const std::uint64_t value = [] {
        const char* const text = std::getenv("GOSSIP_TEST_SEED");
        return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 0) : std::random_device{}();
    }();
#if defined(__GNUC__)
    static const bool announced = [] { // a sanitizer ends the process without a word from the test framework
        if (__sanitizer_set_death_callback != nullptr) {
            __sanitizer_set_death_callback([] {
                std::fprintf(stderr, "to repeat: GOSSIP_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed()));
            });
        }
        return true;
    }();
    static_cast<void>(announced);
#endif
    return value;
}

/// xorshift, seeded well: cheap enough to stand between two atomic operations.
class Random {
public:
    /// Streams with different numbers are different.
    explicit Random(std::uint64_t stream) : state_(mix(seed() + 0x9e3779b97f4a7c15U * (stream + 1)) | 1U) {}

    std::uint64_t operator()() {
        state_ ^= state_ << 13U;
        state_ ^= state_ >> 7U;
        state_ ^= state_ << 17U;
        return state_ * 0x2545f4914f6cdd1dU >> 16U;
    }

    /// From 0 to `end` - 1.
    std::uint64_t below(std::uint64_t end) { return (*this)() % end; }
    bool one_in(std::uint64_t chances) { return below(chances) == 0; }

private:
    static std::uint64_t mix(std::uint64_t x) {
        x = (x ^ x >> 30U) * 0xbf58476d1ce4e5b9U;
        x = (x ^ x >> 27U) * 0x94d049bb133111ebU;
        return x ^ x >> 31U;
    }

    std::uint64_t state_;
};

} // namespace gossip_test
