// How a codec's types are known to events that came over a wire.
#pragma once

#include <gossip/core/raw_data.hpp>
#include <gossip/core/type_name.hpp>
#include <gossip/provider/codec.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// Its address tells one default codec from another.
template <class DefaultCodec>
inline char codec_tag = 0;

/// Data of type T on the wire of a provider whose default codec is this. What a provider's wire_type() returns.
template <class DefaultCodec, class T>
[[nodiscard]] WireType& wire_type_of() noexcept {
    static constinit WireType type{
        &codec_tag<DefaultCodec>, &payload_ops<T>,
        [](const void* data, std::string& to) { encode_data<DefaultCodec>(*static_cast<const T*>(data), to); },
        [](std::string_view text) -> std::unique_ptr<Decoded> {
            return std::make_unique<DecodedAs<T>>([text] { return decode_data<DefaultCodec, T>(text); });
        }};
    return type;
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
