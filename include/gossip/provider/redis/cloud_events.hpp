// The second envelope: CloudEvents 1.0 in their JSON format, for services that speak that.
//
//     {"specversion":"1.0","id":"5f2c...","source":"gossip","type":"order.created","time":"2024-01-02T03:04:05.1Z",
//      "datacontenttype":"application/json","data":{...},"partitionkey":"customer-7","gossippriority":"high",
//      "gossipattempt":2,"gossipversion":3,"traceparent":"00-...","gossipmetadata":"{\"request_id\":\"r-9\"}"}
//
// Metadata whose name and value an extension attribute may have (a to z and digits, 20 at most; text without control
// characters, a truth value, 32 bits of integer) is one, and so is any unknown attribute metadata when it is read; the
// rest stands in gossipmetadata, a JSON object as text.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/provider/redis/envelope.hpp>
#include <gossip/provider/redis/envelope_scan.hpp>
#include <gossip/provider/redis/json_scanner.hpp>
#include <gossip/provider/redis/json_text.hpp>
#include <gossip/provider/redis/rfc3339.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

namespace detail {

/// Whether metadata of this name may stand as an attribute of its own.
[[nodiscard]] inline bool is_attribute_name(std::string_view name) noexcept {
    constexpr std::string_view taken[] = {"specversion",     "id",         "source", "type",        "time", "subject",
                                          "datacontenttype", "dataschema", "data",   "partitionkey"};
    const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    return !name.empty() && name.size() <= 20 && !name.starts_with("gossip") &&
           std::all_of(name.begin(), name.end(), fits) &&
           std::find(std::begin(taken), std::end(taken), name) == std::end(taken);
}

[[nodiscard]] inline bool is_attribute_text(std::string_view text) noexcept {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        const bool second_set = c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
        if (c < 0x20 || c == 0x7F || second_set) {
            return false;
        }
    }
    return true;
}

[[nodiscard]] inline bool is_attribute(const Metadata::Entry& entry) noexcept {
    if (!is_attribute_name(entry.key)) {
        return false;
    }
    switch (entry.value.kind()) {
    case MetadataValue::Kind::string:
        return is_attribute_text(*entry.value.get<std::string_view>());
    case MetadataValue::Kind::integer:
        return entry.value.get<std::int32_t>().has_value();
    case MetadataValue::Kind::boolean:
        return true;
    case MetadataValue::Kind::floating:
        break;
    }
    return false;
}

inline void append_extensions(std::string& out, const Metadata& metadata, const EnvelopeLimits& limits) {
    require(metadata.size() <= limits.metadata, "metadata", metadata.size(),
            "must not have more entries than the limit of the provider");
    std::string rest;
    for (const Metadata::Entry& entry : metadata) {
        const bool attribute = is_attribute(entry);
        std::string& to = attribute ? out : rest;
        to.push_back(attribute || !rest.empty() ? ',' : '{');
        append_utf8_field(to, entry.key, "metadata key");
        to.push_back(':');
        append_metadata_value(to, entry.value, entry.key);
    }
    if (!rest.empty()) {
        rest.push_back('}');
        out.append(R"(,"gossipmetadata":)");
        append_utf8_field(out, rest, "metadata");
    }
}

/// Reads the attributes of a CloudEvent as the fields of an envelope.
struct CloudEventReader : EnvelopeReader {
    bool has_version = false;

    bool read_word(std::string_view& text) {
        bool escaped = false;
        std::string_view raw;
        if (!in.string(raw, escaped)) {
            return false;
        }
        text = text_of(raw, escaped, scratch);
        return true;
    }

    bool read_specversion() {
        std::string_view version;
        if (!read_word(version)) {
            return false;
        }
        has_version = version.starts_with("1.");
        return has_version || fail("is not 1.0");
    }

    /// JSON by the name of application/json, text/json or anything+json, with parameters or without.
    bool read_content_type() {
        std::string_view type;
        if (!read_word(type)) {
            return false;
        }
        type = type.substr(0, type.find(';'));
        type = type.substr(0, type.find_last_not_of(' ') + 1);
        const std::string_view subtype = type.substr(std::min(type.find('/'), type.size()));
        std::string lower{subtype};
        std::transform(lower.begin(), lower.end(), lower.begin(),
                       [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
        return lower == "/json" || lower.ends_with("+json") || fail("is not JSON");
    }

    bool read_packed_metadata() {
        std::string_view text;
        if (!read_word(text)) {
            return false;
        }
        const std::string packed{text};
        EnvelopeReader inner{JsonScanner{packed, limits.depth}, out, limits, {}, {}, {}};
        return (inner.read_entries() && inner.in.at_end()) || fail("is not a JSON object as text");
    }

    bool read_extension(std::string_view attribute) {
        const std::string key{attribute};
        std::optional<MetadataValue> value;
        if (!read_metadata_value(value)) {
            return false;
        }
        out.metadata.set(key, std::move(*value));
        return out.metadata.size() <= limits.metadata || fail("is one more than the limit of the provider");
    }

    bool read_attribute(std::string_view attribute) {
        if (in.peek() == 'n') { // null: as if it were not there
            std::string_view null;
            return in.value(null);
        }
        if (attribute == "specversion") {
            return read_specversion();
        }
        if (attribute == "type") {
            return read_text(out.type, 0);
        }
        if (attribute == "id") {
            return read_text(out.id, 1);
        }
        if (attribute == "source") {
            return read_text(out.source, 4);
        }
        if (attribute == "time") {
            return read_time();
        }
        if (attribute == "data") {
            return in.value(out.data);
        }
        if (attribute == "datacontenttype") {
            return read_content_type();
        }
        if (attribute == "partitionkey") {
            return read_text(out.key, 2);
        }
        if (attribute == "data_base64") {
            return fail("holds bytes, and data here is JSON");
        }
        return attribute.starts_with("gossip") ? read_own(attribute) : read_extension(attribute);
    }

    bool read_own(std::string_view attribute) {
        if (attribute == "gossippriority") {
            return read_priority();
        }
        if (attribute == "gossipattempt") {
            return read_count(out.attempt, "is not a count from 1 on");
        }
        if (attribute == "gossipversion") {
            return read_count(out.version, "is not a count from 1 on");
        }
        if (attribute == "gossipencoding") {
            return read_text(out.encoding, 3);
        }
        if (attribute == "gossipmetadata") {
            return read_packed_metadata();
        }
        return read_extension(attribute);
    }
};

} // namespace detail

/// Appends the CloudEvent that carries `event`; the rest is as with write_envelope. Always has an id and a source.
/// Errors: besides those of write_envelope a ValidationError when the source is empty.
inline void write_cloud_event(std::string& out, const Event& event, std::string_view data,
                              const EnvelopeOptions& options = {}) {
    detail::append_or_undo(out, options.limits.size, [&] {
        detail::require(!options.source.empty(), "source", options.source, "must not be empty");
        if (options.check_data && !data.empty()) {
            detail::check_data_json(data, options.limits);
        }
        out.reserve(out.size() + data.size() + 320);
        out.append(R"({"specversion":"1.0","id":)");
        detail::append_id(out, event);
        out.append(R"(,"source":)");
        detail::append_utf8_field(out, options.source, "source");
        out.append(R"(,"type":)");
        detail::append_utf8_field(out, EventAccess::name(event), "event type");
        out.append(R"(,"time":")");
        detail::append_rfc3339(out, EventAccess::time_ns(event));
        out.push_back('"');
        if (!data.empty()) {
            out.append(R"(,"datacontenttype":"application/json","data":)").append(data);
        }
        if (!options.encoding.empty()) {
            out.append(R"(,"gossipencoding":)");
            detail::append_utf8_field(out, options.encoding, "encoding");
        }
        if (event.has_key()) {
            out.append(R"(,"partitionkey":)");
            detail::append_utf8_field(out, event.key(), "key");
        }
        if (event.priority() != Priority::normal) {
            out.append(R"(,"gossippriority":")").append(detail::priority_name(event.priority())).append("\"");
        }
        if (options.attempt > 1) {
            out.append(R"(,"gossipattempt":)");
            detail::append_number(out, options.attempt);
        }
        if (options.version > 1) {
            out.append(R"(,"gossipversion":)");
            detail::append_number(out, options.version);
        }
        detail::append_extensions(out, event.metadata(), options.limits);
        out.push_back('}');
    });
}

/// Reads a CloudEvent into `out`, as scan_envelope reads an envelope. specversion, id, source and type must be there;
/// an attribute that is null counts as absent. subject, dataschema and whatever else is unknown become metadata.
/// Errors: besides those of scan_envelope: data_base64, and a datacontenttype that is not JSON.
[[nodiscard]] inline Result scan_cloud_event(std::string_view bytes, Envelope& out, const EnvelopeLimits& limits = {}) {
    out.clear();
    if (Result fits = detail::check_size(bytes.size(), limits); !fits) {
        return fits;
    }
    detail::CloudEventReader reader{{detail::JsonScanner{bytes, limits.depth}, out, limits, {}, {}, {}}};
    std::string_view field;
    if (!reader.read_object(field, [&](std::string_view name) { return reader.read_attribute(name); })) {
        return reader.error(field);
    }
    const std::pair<std::string_view, bool> needed[] = {{"specversion", reader.has_version},
                                                        {"id", !out.id.empty()},
                                                        {"source", !out.source.empty()},
                                                        {"type", !out.type.empty()}};
    for (const auto& [attribute, there] : needed) {
        if (!there) {
            return ValidationError{attribute, "is missing"};
        }
    }
    return {};
}

/// What is read must outlive the envelope's views.
template <std::same_as<std::string> Temporary>
Result scan_cloud_event(Temporary&& bytes, Envelope& out, const EnvelopeLimits& limits = {}) = delete;

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
