// JsonCodec: data as nlohmann-json maps it.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/type_name.hpp>
#include <gossip/provider/redis/json_scanner.hpp>

#include <nlohmann/json.hpp>

#include <cmath>
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

namespace detail {

template <class T>
concept has_json_mapping = std::constructible_from<nlohmann::json, const T&> && requires(const nlohmann::json& json) {
    { json.get<T>() } -> std::same_as<T>;
};

/// How deep the default codec lets data be nested.
inline constexpr std::size_t json_codec_depth = 64;

/// What JSON has no way to write, which nlohmann-json would write as null; and what is too deep for it to write.
inline void check_writable(const nlohmann::json& json, std::string_view type, std::size_t depth = 0) {
    if (json.is_number_float() && !std::isfinite(json.get<double>())) {
        const std::string message = std::string{type} + " has a number that is not finite, which JSON cannot write";
        GOSSIP_THROW(ValidationError{"Data", message});
    }
    if (json.is_structured() && depth == json_codec_depth) {
        GOSSIP_THROW(ValidationError{"Data", std::string{type} + " is nested too deeply"});
    }
    if (json.is_structured()) {
        for (const nlohmann::json& inner : json) {
            check_writable(inner, type, depth + 1);
        }
    }
}

/// Calls `f`, and makes a ValidationError of what nlohmann-json throws.
template <class F>
decltype(auto) with_json_errors(std::string_view type, F f) {
    try {
        return f();
    } catch (const nlohmann::json::exception& exception) {
        std::string_view what = exception.what(); // [json.exception.type_error.302] type must be number, but is string
        if (const std::size_t end = what.find("] "); what.starts_with('[') && end != what.npos) {
            what.remove_prefix(end + 2);
        }
        throw ValidationError{"Data", std::string{type} + ": " + std::string{what}};
    }
}

} // namespace detail

/// The default codec: the type's own mapping for nlohmann-json (to_json and from_json, NLOHMANN_DEFINE_TYPE_..., or
/// nlohmann::adl_serializer) says what the data looks like. For few and small events, and for types that have one.
///
/// Cost:   some microseconds and dozens of allocations an event: it goes through a tree. See FastCodec.
/// Errors: a ValidationError that names the type and what is wrong with it. Encoding: a string that is not UTF-8, a
///         number that is not finite, more than 64 levels of nesting. Decoding: text that is not JSON, nested more
///         deeply, or not what the type's mapping wants. What the mapping itself throws is passed on. A number that
///         does not fit into its member is no error here: nlohmann-json casts it, to anything. FastCodec refuses it.
struct JsonCodec {
    template <class T>
    static void encode(const T& data, std::string& out) {
        static_assert(
            detail::has_json_mapping<T>,
            "gossip: T needs a mapping for nlohmann-json, such as NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(T, ...), "
            "and a default constructor; or a gossip::Codec<T>");
        if constexpr (detail::has_json_mapping<T>) {
            constexpr std::string_view type = detail::type_name<T>();
            detail::with_json_errors(type, [&] {
                if constexpr (std::same_as<T, nlohmann::json>) { // not copied: a copy is as deep as the data
                    detail::check_writable(data, type);
                    out.append(data.dump());
                } else {
                    const nlohmann::json json(data);
                    detail::check_writable(json, type);
                    out.append(json.dump());
                }
            });
        }
    }

    template <class T>
    [[nodiscard]] static T decode(std::string_view text) {
        static_assert(
            detail::has_json_mapping<T>,
            "gossip: T needs a mapping for nlohmann-json, such as NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(T, ...), "
            "and a default constructor; or a gossip::Codec<T>");
        if constexpr (detail::has_json_mapping<T>) {
            constexpr std::string_view type = detail::type_name<T>();
            detail::JsonScanner in{text, detail::json_codec_depth};
            if (std::string_view value; !in.value(value) || !in.at_end()) {
                const std::string message =
                    std::string{type} + ": " + std::string{in.fault()} + " at byte " + std::to_string(in.position());
                GOSSIP_THROW(ValidationError{"Data", message});
            }
            return detail::with_json_errors(type, [&] { return nlohmann::json::parse(text).template get<T>(); });
        }
    }
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
