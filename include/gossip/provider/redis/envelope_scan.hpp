// Envelope: what a message says about its event, read without a tree of the JSON.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/metadata.hpp>
#include <gossip/core/priority.hpp>
#include <gossip/provider/redis/json_scanner.hpp>
#include <gossip/provider/redis/rfc3339.hpp>

#include <array>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// What a message may have, when it is written and when it is read.
struct EnvelopeLimits {
    std::size_t size = std::size_t{1} << 20U; // bytes in all
    std::size_t depth = 64;                   // of arrays and objects within the data; 512 at most
    std::size_t metadata = 256;               // entries
};

/// What a message says about its event. The texts are views of the message or of this object; `data` is always a view
/// of the message, one JSON value without white space around it. Made to be used again: it keeps what it allocated.
///
/// Owns: the metadata, and those texts that needed unescaping; not the message, which outlives the views.
struct Envelope {
    Envelope() = default;
    Envelope(const Envelope&) = delete;
    Envelope& operator=(const Envelope&) = delete;

    std::string_view type;
    std::string_view data = "null";
    std::string_view id;       // empty: the message has none
    std::string_view key;      // empty: none
    std::string_view encoding; // empty: `data` is the data; else a string that holds it, see compression.hpp
    std::string_view source;   // of a CloudEvent: who sent it
    std::int64_t time_ns = 0;  // since 1970
    bool has_time = false;     // whether the message says so
    Priority priority = Priority::normal;
    std::uint32_t attempt = 1;
    std::uint32_t version = 1; // of the data's schema
    Metadata metadata;

    [[nodiscard]] bool has_data() const noexcept { return data != "null"; }

    void clear() noexcept {
        type = id = key = encoding = source = {};
        data = "null";
        time_ns = 0;
        has_time = false;
        priority = Priority::normal;
        attempt = version = 1;
        metadata.clear();
    }

    // Where unescaped texts are kept: of type, id, key, encoding, source.
    std::array<std::string, 5> unescaped;
    std::string unpacked; // data that came compressed
};

namespace detail {

/// Where the reading of a message stands. A member that fails has set `fault`.
struct EnvelopeReader {
    JsonScanner in;
    Envelope& out;
    const EnvelopeLimits& limits;
    std::string name;    // of the field at hand, if it was escaped
    std::string scratch; // for keys and values of metadata
    std::string_view fault{};

    bool fail(std::string_view what) noexcept {
        fault = what;
        return false;
    }

    /// A string's text: `raw` itself, or what it means, kept in `kept`.
    static std::string_view text_of(std::string_view raw, bool escaped, std::string& kept) {
        if (!escaped) {
            return raw;
        }
        kept.clear();
        append_unescaped(kept, raw);
        return kept;
    }

    /// A string or null; null leaves `text` empty.
    bool read_text(std::string_view& text, std::size_t kept) {
        text = {};
        if (in.peek() == 'n') {
            return in.value(text) && (text = {}, true);
        }
        std::string_view raw;
        bool escaped = false;
        if (!in.string(raw, escaped)) {
            return false;
        }
        text = text_of(raw, escaped, out.unescaped[kept]);
        return true;
    }

    bool read_count(std::uint32_t& count, std::string_view what) {
        std::string_view text;
        if (!in.value(text)) {
            return false;
        }
        std::uint32_t value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc{} || end != text.data() + text.size() || value == 0) {
            return fail(what);
        }
        count = value;
        return true;
    }

    bool read_time() {
        std::string_view raw;
        bool escaped = false;
        if (!in.string(raw, escaped)) {
            return false;
        }
        out.has_time = parse_rfc3339(text_of(raw, escaped, scratch), out.time_ns);
        return out.has_time || fail("is not a time as RFC 3339 writes it");
    }

    bool read_priority() {
        std::string_view raw;
        bool escaped = false;
        if (!in.string(raw, escaped)) {
            return false;
        }
        constexpr std::string_view names[] = {"low", "normal", "high", "critical"};
        for (std::size_t i = 0; i < priority_count; ++i) {
            if (raw == names[i]) {
                out.priority = static_cast<Priority>(i);
                return true;
            }
        }
        return fail("is not low, normal, high or critical");
    }

    /// A number that 64 bits hold keeps its kind, a value of any other kind is kept as the text that it is.
    bool read_metadata_value(std::optional<MetadataValue>& value) {
        const char first = in.peek();
        std::string_view text;
        if (first == '"') {
            bool escaped = false;
            if (!in.string(text, escaped)) {
                return false;
            }
            value.emplace(text_of(text, escaped, scratch));
            return true;
        }
        if (!in.value(text)) {
            return false;
        }
        if (first == 't' || first == 'f') {
            value.emplace(first == 't');
            return true;
        }
        const char* const end = text.data() + text.size();
        std::int64_t whole = 0;
        if (const auto read = std::from_chars(text.data(), end, whole); read.ec == std::errc{} && read.ptr == end) {
            value.emplace(whole);
            return true;
        }
        if (first == '-' || (first >= '0' && first <= '9')) {
            double number = 0;
            if (std::from_chars(text.data(), end, number).ec == std::errc{}) {
                value.emplace(number);
                return true;
            }
        }
        value.emplace(text);
        return true;
    }

    bool read_metadata_entry() {
        std::string_view raw;
        bool escaped = false;
        std::optional<MetadataValue> value;
        if (!in.string(raw, escaped) || !in.expect(':', "expected a ':'") || !read_metadata_value(value)) {
            return false;
        }
        out.metadata.set(text_of(raw, escaped, scratch), std::move(*value));
        return out.metadata.size() <= limits.metadata || fail("has more entries than the limit of the provider");
    }

    bool read_metadata() {
        out.metadata.clear();
        if (in.peek() == 'n') {
            std::string_view null;
            return in.value(null);
        }
        return read_entries();
    }

    bool read_entries() {
        if (!in.expect('{', "expected an object or null")) {
            return false;
        }
        if (in.take('}')) {
            return true;
        }
        do {
            if (!read_metadata_entry()) {
                return false;
            }
        } while (in.take(','));
        return in.expect('}', "expected ',' or '}'");
    }

    bool read_field(std::string_view field) {
        if (field == "Type") {
            return read_text(out.type, 0);
        }
        if (field == "Timestamp") {
            return read_time();
        }
        if (field == "Data") {
            return in.value(out.data);
        }
        if (field == "Metadata") {
            return read_metadata();
        }
        if (field == "Id") {
            return read_text(out.id, 1);
        }
        if (field == "Key") {
            return read_text(out.key, 2);
        }
        if (field == "Encoding") {
            return read_text(out.encoding, 3);
        }
        if (field == "Priority") {
            return read_priority();
        }
        if (field == "Attempt") {
            return read_count(out.attempt, "is not a count from 1 on");
        }
        if (field == "Version") {
            return read_count(out.version, "is not a count from 1 on");
        }
        std::string_view unknown;
        return in.value(unknown);
    }

    /// The fields of the object, each given to `read`; `field` names the last one begun.
    template <class Read>
    bool read_object(std::string_view& field, Read read) {
        if (!in.expect('{', "expected an object")) {
            return false;
        }
        if (in.take('}')) {
            return in.at_end();
        }
        do {
            field = {};
            std::string_view raw;
            bool escaped = false;
            if (!in.string(raw, escaped)) {
                return false;
            }
            field = text_of(raw, escaped, name);
            if (!in.expect(':', "expected a ':'") || !read(field)) {
                return false;
            }
        } while (in.take(','));
        return in.expect('}', "expected ',' or '}'") && in.at_end();
    }

    [[nodiscard, gnu::cold, gnu::noinline]] Result error(std::string_view field) const {
        std::string message{fault.empty() ? in.fault() : fault};
        message.append(" at byte ").append(std::to_string(in.position()));
        return ValidationError{field.empty() ? std::string_view{"message"} : field, message};
    }
};

[[nodiscard]] inline Result check_size(std::size_t size, const EnvelopeLimits& limits) {
    if (size > limits.size) {
        return ValidationError{"message", size, "must not be more bytes than the limit of the provider"};
    }
    return {};
}

} // namespace detail

/// Reads a message into `out`. Of a field that stands there twice the last one counts; unknown ones are passed over.
/// All of the message is checked to be JSON in valid UTF-8, the data too; whether the data is what its type wants, its
/// codec says.
///
/// Type is all that must be there. A name that is no valid event type is the caller's to find out.
/// Metadata: strings, truth values, whole numbers within 64 bits and other finite numbers keep their kind; null,
/// arrays, objects and numbers that a double cannot hold are kept as text, as they stand in the message.
/// Times outside of 1677 to 2262 become the first or last that 64 bits of nanoseconds hold.
///
/// Cost:   linear in the message, about 1 ns for 2 bytes; allocates metadata, and texts that have escapes.
/// Errors: a ValidationError that names the field, what is wrong and at which byte; `out` is then of no use until the
///         next call. May throw std::bad_alloc.
[[nodiscard]] inline Result scan_envelope(std::string_view bytes, Envelope& out, const EnvelopeLimits& limits = {}) {
    out.clear();
    if (Result fits = detail::check_size(bytes.size(), limits); !fits) {
        return fits;
    }
    detail::EnvelopeReader reader{detail::JsonScanner{bytes, limits.depth}, out, limits, {}, {}, {}};
    std::string_view field;
    if (!reader.read_object(field, [&](std::string_view name) { return reader.read_field(name); })) {
        return reader.error(field);
    }
    if (out.type.empty()) {
        return ValidationError{"Type", "is missing"};
    }
    return {};
}

/// What is read must outlive the envelope's views.
template <std::same_as<std::string> Temporary>
Result scan_envelope(Temporary&& bytes, Envelope& out, const EnvelopeLimits& limits = {}) = delete;

/// Gives the event what the envelope says beside its type and data.
/// Cost: nothing where the envelope has neither key, id nor metadata; the metadata is moved out of it.
inline void apply_envelope(Event& event, Envelope& envelope) {
    if (envelope.has_time) {
        EventAccess::set_time_ns(event, envelope.time_ns);
    }
    event.with_priority(envelope.priority);
    if (const auto id = EventId::parse(envelope.id)) {
        EventAccess::set_id(event, *id); // no text of it is kept
    } else if (!envelope.id.empty()) {
        event.with_id(std::string{envelope.id});
    }
    if (!envelope.key.empty()) {
        event.with_key(envelope.key);
    }
    if (!envelope.metadata.empty()) {
        event.with_metadata(std::exchange(envelope.metadata, Metadata{}));
    }
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
