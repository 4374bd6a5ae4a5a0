#pragma once

#include <gossip/version.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

template <class Word>
[[nodiscard]] inline bool same_ends(const char* a, const char* b, std::size_t size) noexcept {
    Word words[4];
    std::memcpy(&words[0], a, sizeof(Word));
    std::memcpy(&words[1], b, sizeof(Word));
    std::memcpy(&words[2], a + size - sizeof(Word), sizeof(Word));
    std::memcpy(&words[3], b + size - sizeof(Word), sizeof(Word));
    return ((words[0] ^ words[1]) | (words[2] ^ words[3])) == 0;
}

/// Whether two texts are equal. Cost: up to 16 bytes 1 ns, where the library's memcmp takes 3 and more.
[[nodiscard]] inline bool same_text(std::string_view a, std::string_view b) noexcept {
    const std::size_t size = a.size();
    if (size != b.size()) {
        return false;
    }
    if (size > 16) {
        return std::memcmp(a.data(), b.data(), size) == 0;
    }
    if (size >= 8) {
        return same_ends<std::uint64_t>(a.data(), b.data(), size);
    }
    if (size >= 4) {
        return same_ends<std::uint32_t>(a.data(), b.data(), size);
    }
    return size == 0 || (a[0] == b[0] && a[size / 2] == b[size / 2] && a[size - 1] == b[size - 1]);
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
