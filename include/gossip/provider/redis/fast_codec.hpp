// FastCodec: data by the declaration of its members, through a parser and a writer without a tree.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/type_name.hpp>
#include <gossip/provider/redis/fast_reader.hpp>
#include <gossip/provider/redis/fast_types.hpp>
#include <gossip/provider/redis/fast_writer.hpp>
#include <gossip/provider/redis/members.hpp>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

namespace detail {

[[noreturn, gnu::cold, gnu::noinline]] inline void throw_unreadable(std::string_view type, std::string_view what,
                                                                    std::size_t position) {
    const std::string message =
        std::string{type}.append(": ").append(what).append(" at byte ").append(std::to_string(position));
    GOSSIP_THROW(ValidationError{"Data", message});
}

/// Parses all of `text` into what `root` stands for. What the parser keeps for itself is the text of one string; up to
/// 1 KiB of it stays on the stack.
inline void read_fast(std::string_view text, FastSlot root, std::string_view type) {
    using Reader = rapidjson::GenericReader<rapidjson::UTF8<>, rapidjson::UTF8<>, FastPool>;
    // Of its own ways to make a double, the exact one of RapidJSON 1.1 reads beyond a table when many zeros lead.
    constexpr unsigned flags = rapidjson::kParseValidateEncodingFlag | rapidjson::kParseNumbersAsStringsFlag;
    alignas(std::max_align_t) std::array<char, 1'280> buffer;
    FastPool pool{buffer.data(), buffer.size(), 4'096};
    Reader parser{&pool, 1'024};
    FastReader handler{root};
    rapidjson::MemoryStream stream{text.data(), text.size()};
    const rapidjson::ParseResult result = parser.Parse<flags>(stream, handler);
    if (result.IsError()) {
        const bool told = result.Code() == rapidjson::kParseErrorTermination;
        throw_unreadable(type, told ? handler.fault() : rapidjson::GetParseError_En(result.Code()), result.Offset());
    }
    if (stream.Tell() != text.size()) { // the parser takes a NUL for the end
        throw_unreadable(type, "a NUL behind the value", stream.Tell());
    }
}

} // namespace detail

/// The fast codec, for types that declare what they have:
///
///     template <>
///     inline constexpr auto gossip::members<Order> =
///         gossip::member_list("order_id", &Order::order_id, gossip::required("amount"), &Order::amount);
///
/// A member is a bool, an integer, a float or double, a std::string, again a type with members<T>, or a std::optional,
/// std::vector or std::map<std::string, T> of these; so is the data itself. Members unknown to T are skipped, and those
/// that do not come keep the value that T's default constructor gave them, unless they are `required`. Of a member that
/// comes twice the last one counts. null is an optional, vector or map with nothing in it.
///
/// Cost:   encoding allocates nothing that `out` has room for, decoding only what the data itself owns.
/// Errors: a ValidationError that names the type, the member, and (decoding) the byte. Encoding: a string that is not
///         UTF-8, a number that is not finite, more than 64 levels of nesting; `out` is as it was then. Decoding: text
///         that is not JSON in UTF-8 or nested more deeply, a value of another kind than the member's, a number that
///         does not fit into it (5.0 into no integer, 1e-400 into no double), a required member that is not there.
struct FastCodec {
    static constexpr bool writes_json = true;

    template <class T>
    static void encode(const T& data, std::string& out) {
        static_assert(detail::is_fast<T>(),
                      "gossip: FastCodec needs a specialization of gossip::members<T> and a default constructor of T; "
                      "see gossip/provider/redis/members.hpp");
        if constexpr (detail::is_fast<T>()) {
            detail::FastWriter{out, detail::type_name<T>()}.put(data, nullptr, 0);
        }
    }

    template <class T>
    [[nodiscard]] static T decode(std::string_view text) {
        static_assert(detail::is_fast<T>(),
                      "gossip: FastCodec needs a specialization of gossip::members<T> and a default constructor of T; "
                      "see gossip/provider/redis/members.hpp");
        T data{};
        if constexpr (detail::is_fast<T>()) {
            detail::read_fast(text, {&data, &detail::take_as<T>}, detail::type_name<T>());
        }
        return data;
    }
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
