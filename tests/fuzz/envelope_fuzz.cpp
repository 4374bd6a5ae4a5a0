// A message is refused with a ValidationError, or it is JSON, and the event in it is written and reads back the same.
#include <gossip/provider/redis/cloud_events.hpp>
#include <gossip/provider/redis/envelope.hpp>

#include <nlohmann/json.hpp>

#include "fuzz/promise.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace {

using gossip_test::promise;

std::optional<gossip::Event> event_of(gossip::Envelope& envelope) {
    try {
        gossip::Event event{gossip::EventType{envelope.type}};
        gossip::apply_envelope(event, envelope);
        return event;
    } catch (const gossip::ValidationError&) { // the name, or the key, is none
        return std::nullopt;
    }
}

void check_same(const gossip::Event& event, const gossip::Event& back) {
    promise(back.type() == event.type(), "the type reads back");
    promise(back.timestamp() == event.timestamp(), "the time reads back");
    promise(back.priority() == event.priority(), "the priority reads back");
    promise(back.has_key() == event.has_key() && back.key() == event.key(), "the key reads back");
    promise(back.id_text() == event.id_text(), "the id reads back");
    promise(back.metadata() == event.metadata(), "the metadata reads back");
}

template <class Scan, class Write>
void check_format(std::string_view bytes, bool metadata_too, Scan scan, Write write) {
    gossip::Envelope envelope;
    if (const gossip::Result read = scan(bytes, envelope); !read) {
        promise(gossip::as<gossip::ValidationError>(read.error()).has_value(), "a bad message is a ValidationError");
        return;
    }
    if (bytes.find("\\u") == bytes.npos) { // half a surrogate pair is read, and refused by others
        promise(nlohmann::json::accept(bytes), "what is read is JSON");
        promise(nlohmann::json::accept(envelope.data), "the data is JSON");
    }
    const gossip::EnvelopeOptions options{.version = envelope.version, .attempt = envelope.attempt};
    const std::string data{envelope.data};
    const auto event = event_of(envelope);
    if (!event || (!metadata_too && !event->metadata().empty())) {
        return; // not every name of metadata is one of an attribute
    }
    std::string written;
    try {
        write(written, *event, data, options);
    } catch (const gossip::ValidationError&) { // longer than it came
        promise(written.empty(), "nothing is left of what is not written");
        return;
    }
    const gossip::Result again = scan(std::string_view{written}, envelope);
    promise(again.ok(), "what is written is read");
    promise(envelope.data == data, "the data reads back");
    promise(envelope.version == options.version && envelope.attempt == options.attempt, "the numbers read back");
    const auto back = event_of(envelope);
    promise(back.has_value(), "an event comes out again");
    check_same(*event, *back);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::string_view message = gossip_test::text_of(bytes, size);
    const auto scan = [](std::string_view text, gossip::Envelope& out) { return gossip::scan_envelope(text, out); };
    const auto scan_cloud = [](std::string_view text, gossip::Envelope& out) {
        return gossip::scan_cloud_event(text, out);
    };
    check_format(message, true, scan, [](auto&... all) { gossip::write_envelope(all...); });
    check_format(message, false, scan_cloud, [](auto&... all) { gossip::write_cloud_event(all...); });
    return 0;
}
