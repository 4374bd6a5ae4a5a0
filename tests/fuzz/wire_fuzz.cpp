// What readers do with a message, in either format and compressed or not: it is refused with a ValidationError, or its
// data is JSON within the limits, and the event in it is written and reads back the same.
#include <gossip/provider/redis/wire.hpp>

#include <nlohmann/json.hpp>

#include "fuzz/promise.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace {

using gossip::detail::Wire;
using gossip_test::promise;

constexpr std::size_t limit = 64 << 10;
constexpr unsigned depth = 32;

std::optional<gossip::Event> event_of(gossip::Envelope& envelope) {
    try {
        gossip::Event event{gossip::EventType{envelope.type}};
        gossip::apply_envelope(event, envelope);
        return event;
    } catch (const gossip::ValidationError&) { // the name, or the key, is none
        return std::nullopt;
    }
}

void check(const Wire& wire, bool metadata_too, std::string_view message) {
    static gossip::Envelope envelope; // used again for each message, as readers do
    if (const gossip::Result read = wire.scan(message, envelope); !read) {
        promise(gossip::as<gossip::ValidationError>(read.error()).has_value(), "a bad message is a ValidationError");
        return;
    }
    promise(envelope.encoding.empty(), "nothing is left packed");
    promise(envelope.data.size() <= limit, "no data is larger than the limit, unpacked as it may be");
    if (envelope.data.find("\\u") == envelope.data.npos) { // half a surrogate pair is read, and refused by others
        promise(!envelope.has_data() || nlohmann::json::accept(envelope.data), "the data is JSON");
    }
    const std::string data{envelope.has_data() ? envelope.data : std::string_view{}};
    const std::uint32_t version = envelope.version;
    const auto event = event_of(envelope);
    if (!event || (!metadata_too && !event->metadata().empty())) {
        return; // not every name of metadata is one of an attribute
    }
    std::string written;
    try {
        wire.write(written, *event, data, true, 1, version);
    } catch (const gossip::ValidationError&) { // longer than it came
        promise(written.empty(), "nothing is left of what is not written");
        return;
    }
    promise(wire.scan(written, envelope).ok(), "what is written is read");
    promise((envelope.has_data() ? envelope.data : std::string_view{}) == data, "the data reads back");
    promise(envelope.version == version, "the version reads back");
    const auto back = event_of(envelope);
    promise(back.has_value(), "an event comes out again");
    promise(back->type() == event->type() && back->timestamp() == event->timestamp(), "name and time read back");
    promise(back->id_text() == event->id_text() && back->key() == event->key(), "id and key read back");
    promise(back->metadata() == event->metadata(), "the metadata reads back");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    constexpr std::size_t above = gossip::has_zstd ? 64 : 0;
    static const Wire plain{{.format = gossip::WireFormat::envelope, .compress_above = above, .max_depth = depth},
                            limit};
    static const Wire cloud{{.format = gossip::WireFormat::cloud_events, .compress_above = above, .max_depth = depth},
                            limit};
    const std::string_view message = gossip_test::text_of(bytes, size);
    check(plain, true, message);
    check(cloud, false, message);
    return 0;
}
