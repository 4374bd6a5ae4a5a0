#pragma once

#include <gossip/core/event_id.hpp>
#include <gossip/core/random.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

/// Where something stands in a trace, as the W3C's `traceparent` says it:
/// `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`.
///
/// Threads: a value.
struct TraceContext {
    std::uint64_t trace_high = 0;
    std::uint64_t trace_low = 0;
    std::uint64_t span = 0;
    std::uint8_t flags = 1;

    [[nodiscard]] bool sampled() const noexcept { return (flags & 1) != 0; }

    /// The 32 digits of the trace and the 16 of the span.
    [[nodiscard]] std::string trace_text() const { return EventId{trace_high, trace_low}.text(); }
    [[nodiscard]] std::string span_text() const { return EventId{span, 0}.text().substr(0, 16); }

    [[nodiscard]] std::string text() const {
        constexpr const char* digits = "0123456789abcdef";
        std::string line = "00-" + trace_text() + "-" + span_text() + "-";
        line += digits[flags >> 4];
        line += digits[flags & 15];
        return line;
    }

    /// Nothing for what is no traceparent: the caller begins a trace of its own. Later versions are read as far as this
    /// one goes, and flags that have no meaning yet are not passed on.
    [[nodiscard]] static std::optional<TraceContext> parse(std::string_view text) noexcept {
        if (text.size() < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-') {
            return std::nullopt;
        }
        const auto version = hex(text.substr(0, 2));
        const auto high = hex(text.substr(3, 16));
        const auto low = hex(text.substr(19, 16));
        const auto span = hex(text.substr(36, 16));
        const auto flags = hex(text.substr(53, 2));
        if (!version || !high || !low || !span || !flags || *version == 0xFF || (*high == 0 && *low == 0) ||
            *span == 0 || (text.size() > 55 && (*version == 0 || text[55] != '-'))) {
            return std::nullopt;
        }
        return TraceContext{*high, *low, *span, static_cast<std::uint8_t>(*flags & known_flags)};
    }

    /// The beginning of a new trace, sampled.
    [[nodiscard]] static TraceContext root() noexcept { return {some_bits(), detail::random_bits(), some_bits(), 1}; }

    /// A new span in this trace.
    [[nodiscard]] TraceContext child() const noexcept { return {trace_high, trace_low, some_bits(), flags}; }

    [[nodiscard]] friend bool operator==(const TraceContext&, const TraceContext&) noexcept = default;

private:
    static constexpr std::uint64_t known_flags = 3; // sampled, and that the trace's number is random

    static std::uint64_t some_bits() noexcept {
        const std::uint64_t bits = detail::random_bits();
        return bits != 0 ? bits : 1; // zero means none
    }

    static std::optional<std::uint64_t> hex(std::string_view digits) noexcept {
        std::uint64_t value = 0;
        for (const char c : digits) {
            const bool digit = c >= '0' && c <= '9';
            if (!digit && !(c >= 'a' && c <= 'f')) {
                return std::nullopt;
            }
            value = value << 4 | static_cast<std::uint64_t>(digit ? c - '0' : c - 'a' + 10);
        }
        return value;
    }
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware
