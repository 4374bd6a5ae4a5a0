// An event as one packet, and back: what a provider needs who has no format yet.
#pragma once

#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/raw_data.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

namespace loopback {

class Writer {
public:
    void number(std::int64_t value) {
        char bytes[sizeof value];
        std::memcpy(bytes, &value, sizeof value);
        out_.append(bytes, sizeof bytes);
    }
    void text(std::string_view text) {
        number(static_cast<std::int64_t>(text.size()));
        out_.append(text);
    }
    [[nodiscard]] const std::string& bytes() const { return out_; }

private:
    std::string out_;
};

class Reader {
public:
    explicit Reader(std::string_view bytes) : rest_(bytes) {}
    std::int64_t number() {
        std::int64_t value = 0;
        std::memcpy(&value, take(sizeof value).data(), sizeof value);
        return value;
    }
    std::string_view text() { return take(static_cast<std::size_t>(number())); }

private:
    std::string_view take(std::size_t size) {
        if (size > rest_.size()) {
            throw std::runtime_error("the packet ends too early");
        }
        const std::string_view taken = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return taken;
    }
    std::string_view rest_;
};

inline void write(Writer& out, const gossip::MetadataValue& value) {
    using Kind = gossip::MetadataValue::Kind;
    out.number(static_cast<std::int64_t>(value.kind()));
    switch (value.kind()) {
    case Kind::string:
        return out.text(*value.get<std::string_view>());
    case Kind::integer:
        return out.number(*value.get<std::int64_t>());
    case Kind::floating:
        return out.number(std::bit_cast<std::int64_t>(*value.get<double>()));
    case Kind::boolean:
        return out.number(*value.get<bool>() ? 1 : 0);
    }
}

inline gossip::MetadataValue read_value(Reader& in) {
    using Kind = gossip::MetadataValue::Kind;
    switch (static_cast<Kind>(in.number())) {
    case Kind::string:
        return in.text();
    case Kind::integer:
        return in.number();
    case Kind::floating:
        return std::bit_cast<double>(in.number());
    case Kind::boolean:
        return in.number() != 0;
    }
    throw std::runtime_error("metadata of an unknown kind");
}

/// `data`: what the codec made of the event's data.
inline std::string to_packet(const gossip::Event& event, std::string_view data) {
    Writer out;
    out.text(event.type().name());
    out.number(gossip::EventAccess::time_ns(event));
    out.text(event.id_text());
    out.text(event.key());
    out.number(static_cast<std::int64_t>(event.priority()));
    out.number(static_cast<std::int64_t>(event.metadata().size()));
    for (const auto& [name, value] : event.metadata()) {
        out.text(name);
        write(out, value);
    }
    out.number(event.has_data() ? 1 : 0);
    out.text(data);
    return out.bytes();
}

/// `codec`: who can read the data. It stays text until a processor asks for it.
inline gossip::Event from_packet(std::string_view packet, const void* codec) {
    using gossip::EventAccess;
    using gossip::detail::RawData;
    Reader in(packet);
    const gossip::EventType type(in.text());
    const std::int64_t time = in.number();
    const std::string id(in.text());
    const std::string key(in.text());
    const auto priority = static_cast<gossip::Priority>(in.number());
    gossip::Metadata metadata;
    for (std::int64_t left = in.number(); left > 0; --left) {
        const std::string name(in.text());
        metadata.set(name, read_value(in));
    }
    const bool has_data = in.number() != 0;
    const std::string data(in.text());
    gossip::Event event = has_data ? EventAccess::make<RawData>(type, time, gossip::Priority::normal,
                                                                gossip::detail::RawText{data, codec})
                                   : EventAccess::make(type, time, gossip::Priority::normal);
    event.with_priority(priority).with_id(id).with_metadata(std::move(metadata));
    if (!key.empty()) {
        event.with_key(key);
    }
    return event;
}

} // namespace loopback
