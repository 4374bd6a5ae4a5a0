#pragma once

#include <gossip/core/event_id.hpp>
#include <gossip/core/event_type.hpp>

#include <cstdint>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

inline constexpr std::uint64_t random_step = 0x9E3779B97F4A7C15U;
inline constinit thread_local std::uint64_t random_state = 0;

[[gnu::cold, gnu::noinline]] inline void seed_random() noexcept {
    const EventId seed = random_id();
    random_state = (seed.high ^ seed.low) | 1;
}

/// 64 random bits, for jitter, samples and ids; no secret.
///
/// Threads: each has a sequence of its own, seeded by the operating system.
/// Cost:    about 1 ns.
[[nodiscard]] inline std::uint64_t random_bits() noexcept {
    if (random_state == 0) [[unlikely]] {
        seed_random();
    }
    random_state += random_step;
    return mix_hash(random_state);
}

/// The upper 53 bits as a number in [0, 1).
[[nodiscard]] constexpr double to_fraction(std::uint64_t bits) noexcept {
    return static_cast<double>(bits >> 11) * 0x1p-53;
}

[[nodiscard]] inline double random_fraction() noexcept { return to_fraction(random_bits()); }

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
