// EventId: which event this is, among those of all processes.
#pragma once

#include <gossip/core/event_type.hpp>
#include <gossip/core/shared_count.hpp>
#include <gossip/platform.hpp>

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// 128 bits: a random half that the process keeps, and a half that no two events of the process share.
///
/// Threads: a value.
/// Stalls:  a child made by fork() that does not call exec goes on counting where its parent stood, and may repeat ids.
struct EventId {
    std::uint64_t high = 0;
    std::uint64_t low = 0;

    /// 32 hexadecimal digits in lower case.
    [[nodiscard]] std::string text() const {
        std::string digits(32, '0');
        for (unsigned i = 0; i < 16; ++i) {
            digits[15 - i] = "0123456789abcdef"[(high >> (4 * i)) & 15];
            digits[31 - i] = "0123456789abcdef"[(low >> (4 * i)) & 15];
        }
        return digits;
    }

    /// Reads what text() writes; nothing for any other text.
    [[nodiscard]] static std::optional<EventId> parse(std::string_view text) noexcept {
        if (text.size() != 32) {
            return std::nullopt;
        }
        EventId id;
        for (std::size_t i = 0; i < 32; ++i) {
            const char c = text[i];
            const bool digit = c >= '0' && c <= '9';
            if (!digit && !(c >= 'a' && c <= 'f')) {
                return std::nullopt;
            }
            std::uint64_t& half = i < 16 ? id.high : id.low;
            half = half << 4 | static_cast<std::uint64_t>(digit ? c - '0' : c - 'a' + 10);
        }
        return id;
    }

    [[nodiscard]] friend constexpr bool operator==(const EventId&, const EventId&) noexcept = default;
    [[nodiscard]] friend constexpr auto operator<=>(const EventId&, const EventId&) noexcept = default;
};

namespace detail {

[[gnu::cold]] inline EventId random_id() noexcept {
    std::uint64_t random[2] = {};
    const bool from_system = platform::random_bytes(random, sizeof random);
    const auto ticks = from_system ? 0 : std::chrono::steady_clock::now().time_since_epoch().count();
    const auto wall = from_system ? 0 : std::chrono::system_clock::now().time_since_epoch().count();
    const auto place = from_system ? 0 : reinterpret_cast<std::uintptr_t>(&random);
    return {random[0] ^ mix_hash(static_cast<std::uint64_t>(wall) ^ place),
            random[1] ^ mix_hash(static_cast<std::uint64_t>(ticks))};
}

/// The random half of the process, and where the counting starts.
[[gnu::visibility("default")]] inline const EventId& process_id_base() noexcept {
    static const EventId base = random_id();
    return base;
}

struct IdBlock {
    std::uint64_t next = 0;
    std::uint64_t end = 0;
};

inline constexpr std::uint64_t ids_per_block = 4096;
[[gnu::visibility("default")]] inline constinit SharedCount<> id_blocks_taken;
[[gnu::visibility("default")]] inline thread_local constinit IdBlock id_block{};

[[gnu::cold, gnu::noinline]] inline void refill(IdBlock& block) noexcept {
    const std::uint64_t taken = id_blocks_taken.add();
    block.next = process_id_base().low + taken * ids_per_block;
    block.end = block.next + ids_per_block;
}

/// The low half of a new id; each thread counts through blocks of its own.
[[nodiscard]] inline std::uint64_t next_id() noexcept {
    IdBlock& block = id_block;
    if (block.next == block.end) [[unlikely]] {
        refill(block);
    }
    return block.next++;
}

} // namespace detail
} // namespace gossip::GOSSIP_VERSION_NAMESPACE

template <>
struct std::hash<gossip::EventId> {
    [[nodiscard]] std::size_t operator()(const gossip::EventId& id) const noexcept {
        return static_cast<std::size_t>(gossip::detail::mix_hash(id.high ^ gossip::detail::mix_hash(id.low)));
    }
};
