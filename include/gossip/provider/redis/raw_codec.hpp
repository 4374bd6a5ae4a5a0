#pragma once

#include <gossip/provider/redis/envelope.hpp>

#include <concepts>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// The codec of a std::string that is JSON text already: it goes into the message as it is, and comes out as it came.
///
/// Cost:   the check, about 1 ns for 2 bytes; a copy.
/// Errors: encode throws a ValidationError that says where the text ceases to be one JSON value. decode takes any text:
///         that of a message was checked when the message was read.
struct RawCodec {
    static void encode(const std::string& data, std::string& out) {
        detail::check_data_json(data, {.depth = detail::deepest_json});
        out.append(data);
    }

    template <std::same_as<std::string> T>
    [[nodiscard]] static T decode(std::string_view text) {
        return T{text};
    }
};

/// The same without the check, for text that was written by a program that is trusted to write JSON. What is no JSON
/// makes a message that nobody can read.
struct TrustedRawCodec {
    static void encode(const std::string& data, std::string& out) { out.append(data); }

    template <std::same_as<std::string> T>
    [[nodiscard]] static T decode(std::string_view text) {
        return T{text};
    }
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
