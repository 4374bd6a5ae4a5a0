// Codec<T>: how data of type T becomes the bytes of a message, and comes back.
#pragma once

#include <gossip/version.hpp>

#include <concepts>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// The codec of one type, for who has one: specialize it, and it wins over the codec that a provider uses for others.
///
///     template <>
///     struct gossip::Codec<Order> {
///         static void encode(const Order& data, std::string& out);  // appends
///         static Order decode(std::string_view text);
///     };
///
/// What the Redis providers put on the wire is JSON, so there `encode` appends one JSON value, and `decode` is given
/// one: well-formed, valid UTF-8, without white space around it, in the limits of the provider's options.
///
/// A codec that has a `static constexpr bool writes_json = true` is trusted to do so; what others write is checked.
///
/// Threads: both are called from any thread, also at the same time.
/// Errors:  both may throw; an event that cannot be encoded is refused when it is published, one that cannot be decoded
///          goes to the dead letters. What they throw should say what is wrong and where.
template <class T>
struct Codec {};

namespace detail {

template <class C, class T>
concept decodes_by_name = requires(std::string_view text) {
    { C::template decode<T>(text) } -> std::same_as<T>;
};

template <class C, class T>
concept decodes_alone = requires(std::string_view text) {
    { C::decode(text) } -> std::same_as<T>;
};

} // namespace detail

/// C turns a T into bytes and back. `decode` may be a template over T, as that of a codec for many types must be.
template <class C, class T>
concept codec_for = requires(const T& data, std::string& out) {
    { C::encode(data, out) } -> std::same_as<void>;
}
&&(detail::decodes_by_name<C, T> || detail::decodes_alone<C, T>);

namespace detail {

template <class T>
concept has_own_codec = codec_for<Codec<T>, T>;

template <class Default, class T>
struct ChosenCodec {
    using type = Default;
};

template <class Default, has_own_codec T>
struct ChosenCodec<Default, T> {
    using type = Codec<T>;
};

/// The type's own codec if it has one, else `Default`.
template <class Default, class T>
using codec_of = typename ChosenCodec<Default, T>::type;

/// Appends the text of `data` to `out`.
template <class Default, class T>
void encode_data(const T& data, std::string& out) {
    static_assert(codec_for<codec_of<Default, T>, T>,
                  "gossip: a codec needs `static void encode(const T&, std::string&)` and "
                  "`static T decode(std::string_view)`; see gossip/provider/codec.hpp");
    codec_of<Default, T>::encode(data, out);
}

template <class Default, class T>
[[nodiscard]] T decode_data(std::string_view text) {
    using C = codec_of<Default, T>;
    static_assert(codec_for<C, T>, "gossip: a codec needs `static void encode(const T&, std::string&)` and "
                                   "`static T decode(std::string_view)`; see gossip/provider/codec.hpp");
    if constexpr (decodes_by_name<C, T>) {
        return C::template decode<T>(text);
    } else {
        return C::decode(text);
    }
}

} // namespace detail
} // namespace gossip::GOSSIP_VERSION_NAMESPACE
