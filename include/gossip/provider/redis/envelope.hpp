// The message that carries an event: a JSON object with the event's parts around the JSON of its data.
//
//     {"Type":"order.created","Timestamp":"2024-01-02T03:04:05.123456789Z","Data":{...},"Metadata":{"request_id":"r9"},
//      "Id":"5f2c...","Key":"customer-7","Priority":"high","Attempt":2,"Version":3}
//
// The first line is what services of the Go original write and read; a service that does not know the second one passes
// over it. It is written as far as it says something: no key, normal priority, first attempt, version 1 are left out.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/require.hpp>
#include <gossip/provider/redis/envelope_scan.hpp>
#include <gossip/provider/redis/json_scanner.hpp>
#include <gossip/provider/redis/json_text.hpp>
#include <gossip/provider/redis/rfc3339.hpp>

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// What write_envelope cannot know from the event.
struct EnvelopeOptions {
    std::uint32_t version = 1;          // of the data's schema
    std::uint32_t attempt = 1;          // 2 and more: the event was tried before
    bool with_id = true;                // our own; services of the original have no use for it
    bool check_data = false;            // that the data is JSON: for a codec that is not this library's
    std::string_view source = "gossip"; // of CloudEvents: a URI reference
    std::string_view encoding{};        // how Data, a string then, holds the data's text; see compression.hpp
    EnvelopeLimits limits{};
};

namespace detail {

[[noreturn, gnu::cold, gnu::noinline]] inline void throw_unwritable(std::string_view field, std::string_view message) {
    GOSSIP_THROW(ValidationError{field, message});
}

inline void append_utf8_field(std::string& out, std::string_view text, std::string_view field) {
    if (!append_json_string(out, text)) [[unlikely]] {
        throw_unwritable(field, "must be UTF-8 to be written as JSON");
    }
}

template <class Number>
void append_number(std::string& out, Number number) {
    char digits[32];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

/// So that it reads as a floating-point number again: 2 as 2.0.
inline void append_double(std::string& out, double number, std::string_view key) {
    if (!std::isfinite(number)) [[unlikely]] {
        const std::string field = "metadata value of '" + std::string{key} + "'";
        GOSSIP_THROW(ValidationError{field, number, "must be finite to be written as JSON"});
    }
    const std::size_t start = out.size();
    append_number(out, number);
    if (out.find_first_of(".e", start) == out.npos) {
        out.append(".0");
    }
}

inline void append_metadata_value(std::string& out, const MetadataValue& value, std::string_view key) {
    switch (value.kind()) {
    case MetadataValue::Kind::string:
        append_utf8_field(out, *value.get<std::string_view>(), "metadata value");
        break;
    case MetadataValue::Kind::integer:
        append_number(out, *value.get<std::int64_t>());
        break;
    case MetadataValue::Kind::floating:
        append_double(out, *value.get<double>(), key);
        break;
    case MetadataValue::Kind::boolean:
        out.append(*value.get<bool>() ? "true" : "false");
        break;
    }
}

inline void append_metadata(std::string& out, const Metadata& metadata, const EnvelopeLimits& limits) {
    require(metadata.size() <= limits.metadata, "metadata", metadata.size(),
            "must not have more entries than the limit of the provider");
    char before = '{';
    for (const auto& [key, value] : metadata) {
        out.push_back(std::exchange(before, ','));
        append_utf8_field(out, key, "metadata key");
        out.push_back(':');
        append_metadata_value(out, value, key);
    }
    out.append(before == '{' ? "{}" : "}");
}

/// In quotes.
inline void append_id(std::string& out, const Event& event) {
    if (const std::string_view text = EventAccess::id_text(event); !text.empty()) {
        append_utf8_field(out, text, "id");
        return;
    }
    const EventId id = event.id();
    char digits[34];
    digits[0] = digits[33] = '"';
    for (unsigned i = 0; i < 16; ++i) {
        digits[16 - i] = "0123456789abcdef"[(id.high >> (4 * i)) & 15];
        digits[32 - i] = "0123456789abcdef"[(id.low >> (4 * i)) & 15];
    }
    out.append(digits, sizeof digits);
}

[[nodiscard]] inline std::string_view priority_name(Priority priority) noexcept {
    constexpr std::string_view names[] = {"low", "normal", "high", "critical"};
    return names[static_cast<std::size_t>(priority)];
}

inline void check_data_json(std::string_view data, const EnvelopeLimits& limits) {
    JsonScanner in{data, limits.depth};
    std::string_view text;
    if (!in.value(text) || !in.at_end()) {
        const std::string message = std::string{in.fault()} + " at byte " + std::to_string(in.position());
        throw_unwritable("Data", message);
    }
}

/// Appends what `write` appends; when that throws or makes more than `limit` bytes, `out` is as it was.
template <class Write>
void append_or_undo(std::string& out, std::size_t limit, Write write) {
    struct Undo {
        std::string& out;
        std::size_t size;
        bool armed = true;
        ~Undo() {
            if (armed) {
                out.resize(size);
            }
        }
    } undo{out, out.size()};
    write();
    require(out.size() - undo.size <= limit, "event size", out.size() - undo.size,
            "must not be more bytes than the limit of the provider");
    undo.armed = false;
}

} // namespace detail

/// Appends the message that carries `event` to `out`. `data` is the JSON of the event's data as its codec wrote it, and
/// is not looked at (see check_data); empty: the event has none, and the message says null.
///
/// Cost:   about 150 ns beside the bytes of data; allocates nothing that `out` has room for.
/// Errors: a ValidationError when a text is not UTF-8, a number in the metadata is not finite, or a limit is exceeded;
///         `out` is as it was then. std::bad_alloc likewise.
inline void write_envelope(std::string& out, const Event& event, std::string_view data,
                           const EnvelopeOptions& options = {}) {
    detail::append_or_undo(out, options.limits.size, [&] {
        if (options.check_data && !data.empty()) {
            detail::check_data_json(data, options.limits);
        }
        out.reserve(out.size() + data.size() + 256);
        out.append(R"({"Type":)");
        detail::append_utf8_field(out, EventAccess::name(event), "event type");
        out.append(R"(,"Timestamp":")");
        detail::append_rfc3339(out, EventAccess::time_ns(event));
        out.append(R"(","Data":)").append(data.empty() ? std::string_view{"null"} : data);
        out.append(R"(,"Metadata":)");
        detail::append_metadata(out, event.metadata(), options.limits);
        if (!options.encoding.empty()) {
            out.append(R"(,"Encoding":)");
            detail::append_utf8_field(out, options.encoding, "encoding");
        }
        if (options.with_id) {
            out.append(R"(,"Id":)");
            detail::append_id(out, event);
        }
        if (event.has_key()) {
            out.append(R"(,"Key":)");
            detail::append_utf8_field(out, event.key(), "key");
        }
        if (event.priority() != Priority::normal) {
            out.append(R"(,"Priority":")").append(detail::priority_name(event.priority())).append("\"");
        }
        if (options.attempt > 1) {
            out.append(R"(,"Attempt":)");
            detail::append_number(out, options.attempt);
        }
        if (options.version > 1) {
            out.append(R"(,"Version":)");
            detail::append_number(out, options.version);
        }
        out.push_back('}');
    });
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
