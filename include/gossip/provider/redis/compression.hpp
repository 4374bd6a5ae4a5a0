// Large data as text: zstd, then base64, where the build has zstd (GOSSIP_HAS_ZSTD).
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/provider/redis/envelope_scan.hpp>
#include <gossip/provider/redis/json_scanner.hpp>
#include <gossip/provider/redis/json_text.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <string_view>

#if defined(GOSSIP_HAS_ZSTD)
#include <zstd.h>
#endif

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// What Encoding says of data that is compressed: a string of base64 (RFC 4648, padded) of one zstd frame of its text.
inline constexpr std::string_view zstd_encoding = "zstd+base64";

#if defined(GOSSIP_HAS_ZSTD)
inline constexpr bool has_zstd = true;
#else
inline constexpr bool has_zstd = false;
#endif

namespace detail {

inline constexpr std::string_view base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

inline void append_base64(std::string& out, std::string_view bytes) {
    const auto at = [&](std::size_t i) { return std::uint32_t{static_cast<unsigned char>(bytes[i])}; };
    out.reserve(out.size() + (bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t left = bytes.size() - i;
        const std::uint32_t three = at(i) << 16U | (left > 1 ? at(i + 1) << 8U : 0U) | (left > 2 ? at(i + 2) : 0U);
        const char four[] = {base64_digits[three >> 18U], base64_digits[three >> 12U & 63U],
                             left > 1 ? base64_digits[three >> 6U & 63U] : '=',
                             left > 2 ? base64_digits[three & 63U] : '='};
        out.append(four, 4);
    }
}

inline constexpr auto base64_values = [] {
    std::array<std::uint8_t, 256> values{};
    values.fill(0xFF);
    for (std::size_t i = 0; i < base64_digits.size(); ++i) {
        values[static_cast<unsigned char>(base64_digits[i])] = static_cast<std::uint8_t>(i);
    }
    return values;
}();

/// Appends the bytes that padded base64 spells; false for any other text, `out` then has some of them.
[[nodiscard]] inline bool append_bytes_of_base64(std::string& out, std::string_view text) {
    if (text.size() % 4 != 0) {
        return false;
    }
    const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
    out.reserve(out.size() + text.size() / 4 * 3);
    for (std::size_t i = 0; i < text.size(); i += 4) {
        const std::size_t digits = i + 4 == text.size() ? 4 - padding : 4;
        std::uint32_t three = 0;
        for (std::size_t j = 0; j < 4; ++j) {
            const std::uint8_t value = j < digits ? base64_values[static_cast<unsigned char>(text[i + j])] : 0;
            if (value == 0xFF) {
                return false;
            }
            three = three << 6U | value;
        }
        const char bytes[] = {static_cast<char>(three >> 16U), static_cast<char>(three >> 8U & 0xFFU),
                              static_cast<char>(three & 0xFFU)};
        if (digits < 4 && bytes[digits - 1] != 0) { // bits that no byte has
            return false;
        }
        out.append(bytes, digits - 1);
    }
    return true;
}

#if defined(GOSSIP_HAS_ZSTD)

struct FreeZstd {
    void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
    void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

/// Appends one frame. One context a thread, made when it is first needed.
inline void append_zstd(std::string& out, std::string_view text) {
    thread_local const std::unique_ptr<ZSTD_CCtx, FreeZstd> context(ZSTD_createCCtx());
    const std::size_t before = out.size();
    const std::size_t most = ZSTD_compressBound(text.size());
    out.resize(before + most);
    const std::size_t size = context == nullptr ? 0
                                                : ZSTD_compressCCtx(context.get(), out.data() + before, most,
                                                                    text.data(), text.size(), ZSTD_CLEVEL_DEFAULT);
    if (context == nullptr || ZSTD_isError(size) != 0) {
        throw std::bad_alloc{}; // the only way to fail with room for the bound
    }
    out.resize(before + size);
}

/// Replaces `out` by what one frame holds, which says beforehand how much that is.
[[nodiscard]] inline Result read_zstd(std::string& out, std::string_view frame, std::size_t limit) {
    const unsigned long long size = ZSTD_getFrameContentSize(frame.data(), frame.size());
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN ||
        ZSTD_findFrameCompressedSize(frame.data(), frame.size()) != frame.size()) {
        return ValidationError{"Data", "is not one zstd frame that says its size"};
    }
    if (size > limit) {
        return ValidationError{"Data", size, "must not be more bytes unpacked than the limit of the provider"};
    }
    thread_local const std::unique_ptr<ZSTD_DCtx, FreeZstd> context(ZSTD_createDCtx());
    if (context == nullptr) {
        return errors::out_of_memory;
    }
    out.resize(static_cast<std::size_t>(size));
    const std::size_t got = ZSTD_decompressDCtx(context.get(), out.data(), out.size(), frame.data(), frame.size());
    if (ZSTD_isError(got) != 0 || got != out.size()) {
        return ValidationError{"Data", "is a damaged zstd frame"};
    }
    return {};
}

#else

inline void append_zstd(std::string&, std::string_view) {
    GOSSIP_THROW(ValidationError{"compress_above", "this build has no zstd"});
}
[[nodiscard]] inline Result read_zstd(std::string&, std::string_view, std::size_t) {
    return ValidationError{"Encoding", zstd_encoding, "needs zstd, which this build has not"};
}

#endif

} // namespace detail

/// Appends `data` compressed, as a JSON string, for a message with `Encoding` zstd_encoding. False, and `out` as it
/// was, when that would not be shorter. Errors: std::bad_alloc; without zstd a ValidationError.
[[nodiscard]] inline bool compress_data(std::string& out, std::string_view data) {
    std::string frame;
    detail::append_zstd(frame, data);
    if ((frame.size() + 2) / 3 * 4 + 2 >= data.size()) {
        return false;
    }
    out.push_back('"');
    detail::append_base64(out, frame);
    out.push_back('"');
    return true;
}

/// Where Encoding says that the data is compressed, makes `data` the text that it was, kept in the envelope. It is
/// checked as uncompressed data is.
///
/// Cost:   nothing for a message without an Encoding.
/// Errors: a ValidationError for an Encoding that is not known here, zstd where the build has none included; data that
///         is not what its Encoding says, or unpacked is larger than `limits.size` or not JSON.
[[nodiscard]] inline Result unpack_data(Envelope& envelope, const EnvelopeLimits& limits = {}) {
    if (envelope.encoding.empty()) {
        return {};
    }
    if (envelope.encoding != zstd_encoding) {
        return ValidationError{"Encoding", envelope.encoding, "must be one that is known here"};
    }
    detail::JsonScanner in{envelope.data};
    std::string_view raw;
    bool escaped = false;
    if (!in.string(raw, escaped)) {
        return ValidationError{"Data", "must be a string where there is an Encoding"};
    }
    std::string text;
    if (escaped) {
        detail::append_unescaped(text, raw);
        raw = text;
    }
    std::string frame;
    if (!detail::append_bytes_of_base64(frame, raw)) {
        return ValidationError{"Data", "is not base64"};
    }
    if (Result read = detail::read_zstd(envelope.unpacked, frame, limits.size); !read) {
        return read;
    }
    detail::JsonScanner data{envelope.unpacked, limits.depth};
    if (!data.value(envelope.data) || !data.at_end()) {
        const std::string what =
            std::string{data.fault()} + " at byte " + std::to_string(data.position()) + " unpacked";
        return ValidationError{"Data", what};
    }
    envelope.encoding = {};
    return {};
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
