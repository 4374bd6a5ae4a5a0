// The characters of JSON strings: UTF-8, escapes, and the runs that need neither.
#pragma once

#include <gossip/version.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// The first byte from `p` on that is no plain character of a JSON string: a quote, a backslash, a control character,
/// the begin of anything but ASCII. Cost: 8 bytes in 1.5 ns.
[[nodiscard]] inline const char* end_of_plain(const char* p, const char* end) noexcept {
    constexpr std::uint64_t ones = 0x0101010101010101U;
    constexpr std::uint64_t tops = 0x8080808080808080U;
    while (end - p >= 8) {
        std::uint64_t w;
        std::memcpy(&w, p, sizeof w);
        const std::uint64_t quote = w ^ (ones * '"');
        const std::uint64_t backslash = w ^ (ones * '\\');
        // Each of the four may be wrong above its first right answer, never below.
        const std::uint64_t control = (w - ones * 0x20) & ~w;
        const std::uint64_t found =
            (control | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) | w) & tops;
        if (found != 0) {
            if constexpr (std::endian::native == std::endian::little) {
                return p + std::countr_zero(found) / 8;
            } else {
                break; // the bytes one by one
            }
        }
        p += 8;
    }
    for (; p != end; ++p) {
        const auto c = static_cast<unsigned char>(*p);
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') {
            break;
        }
    }
    return p;
}

/// Behind the one character that begins at `p` with a byte above 0x7F; null when it is not well-formed UTF-8: overlong,
/// a surrogate, above U+10FFFF, cut off.
[[nodiscard]] inline const char* end_of_utf8(const char* p, const char* end) noexcept {
    const auto left = static_cast<std::size_t>(end - p);
    const auto at = [p](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(p[i])); };
    const auto follows = [&](std::size_t i) { return (at(i) & 0xC0U) == 0x80U; };
    const unsigned lead = at(0);
    if (lead < 0xC2U) {
        return nullptr;
    }
    if (lead < 0xE0U) {
        return left >= 2 && follows(1) ? p + 2 : nullptr;
    }
    if (lead < 0xF0U) {
        const bool good = left >= 3 && follows(1) && follows(2) && (lead != 0xE0U || at(1) >= 0xA0U) &&
                          (lead != 0xEDU || at(1) < 0xA0U);
        return good ? p + 3 : nullptr;
    }
    const bool good = lead < 0xF5U && left >= 4 && follows(1) && follows(2) && follows(3) &&
                      (lead != 0xF0U || at(1) >= 0x90U) && (lead != 0xF4U || at(1) < 0x90U);
    return good ? p + 4 : nullptr;
}

[[nodiscard]] inline bool is_utf8(std::string_view text) noexcept {
    const char* p = text.data();
    const char* const end = p + text.size();
    while (p != end) {
        p = end_of_plain(p, end);
        if (p != end) {
            p = static_cast<unsigned char>(*p) < 0x80 ? p + 1 : end_of_utf8(p, end);
            if (p == nullptr) {
                return false;
            }
        }
    }
    return true;
}

/// Appends `text` as a JSON string. False, and `out` as it was, when `text` is not UTF-8.
[[nodiscard]] inline bool append_json_string(std::string& out, std::string_view text) {
    const std::size_t before = out.size();
    const char* p = text.data();
    const char* const end = p + text.size();
    out.push_back('"');
    while (true) {
        const char* const stop = end_of_plain(p, end);
        out.append(p, stop);
        p = stop;
        if (p == end) {
            break;
        }
        const auto c = static_cast<unsigned char>(*p);
        if (c >= 0x80) {
            const char* const next = end_of_utf8(p, end);
            if (next == nullptr) {
                out.resize(before);
                return false;
            }
            out.append(p, next);
            p = next;
            continue;
        }
        constexpr std::string_view named = "\"\\\b\f\n\r\t";
        if (const std::size_t i = named.find(*p); i != named.npos) {
            const char escape[] = {'\\', "\"\\bfnrt"[i]};
            out.append(escape, 2);
        } else {
            const char escape[] = {'\\', 'u', '0', '0', "01"[c >> 4U], "0123456789abcdef"[c & 15U]};
            out.append(escape, 6);
        }
        ++p;
    }
    out.push_back('"');
    return true;
}

/// The value of four hexadecimal digits; above 0xFFFF when they are none.
[[nodiscard]] inline std::uint32_t hex4(const char* p) noexcept {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) {
        const char c = p[i];
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) {
            return 0x10000;
        }
        value = value << 4U | static_cast<std::uint32_t>(digit);
    }
    return value;
}

inline void append_utf8(std::string& out, std::uint32_t code) {
    const auto tail = [&](unsigned shift) { return static_cast<char>(0x80U | ((code >> shift) & 0x3FU)); };
    if (code < 0x80) {
        out.push_back(static_cast<char>(code));
    } else if (code < 0x800) {
        const char bytes[] = {static_cast<char>(0xC0U | code >> 6U), tail(0)};
        out.append(bytes, sizeof bytes);
    } else if (code < 0x10000) {
        const char bytes[] = {static_cast<char>(0xE0U | code >> 12U), tail(6), tail(0)};
        out.append(bytes, sizeof bytes);
    } else {
        const char bytes[] = {static_cast<char>(0xF0U | code >> 18U), tail(12), tail(6), tail(0)};
        out.append(bytes, sizeof bytes);
    }
}

/// Appends what the inside of a JSON string means that a JsonScanner has passed. A surrogate without its other half
/// becomes U+FFFD, as in Go.
inline void append_unescaped(std::string& out, std::string_view raw) {
    const char* p = raw.data();
    const char* const end = p + raw.size();
    while (p != end) {
        const char* const stop = std::find(p, end, '\\');
        out.append(p, stop);
        p = stop;
        if (end - p < 2) {
            return;
        }
        const char kind = p[1];
        p += 2;
        if (kind != 'u') {
            constexpr std::string_view named = "bfnrt";
            const std::size_t i = named.find(kind);
            out.push_back(i != named.npos ? "\b\f\n\r\t"[i] : kind);
            continue;
        }
        if (end - p < 4) {
            return;
        }
        std::uint32_t code = hex4(p);
        p += 4;
        if (code >= 0xD800 && code < 0xE000) {
            const bool paired = code < 0xDC00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u';
            const std::uint32_t low = paired ? hex4(p + 2) : 0;
            if (low >= 0xDC00 && low < 0xE000) {
                code = 0x10000 + ((code - 0xD800) << 10U) + (low - 0xDC00);
                p += 6;
            } else {
                code = 0xFFFD;
            }
        }
        append_utf8(out, code);
    }
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
