#pragma once

#include <gossip/provider/redis/schema.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// How a message is written; both are read.
enum class WireFormat : std::uint8_t { envelope, cloud_events };

/// What the messages of a bus look like. What is out of bounds is refused with a ValidationError.
struct WireOptions {
    WireFormat format = WireFormat::envelope;
    std::string source = "gossip";  // who sends, in a CloudEvent: a URI reference
    std::size_t compress_above = 0; // bytes of data from which on they are compressed with zstd; 0: never
    std::size_t max_depth = 64;     // of arrays and objects in the data, 512 at most
    std::size_t max_metadata = 256; // entries
    bool with_id = true;            // envelopes say the event's id
    SchemaTable schemas{};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
