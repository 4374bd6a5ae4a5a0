// Which types FastCodec knows: what members<T> declares, and what such members may be.
#pragma once

#include <gossip/provider/redis/members.hpp>

#include <concepts>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// How deep data of FastCodec may be nested.
inline constexpr std::size_t fast_depth = 64;

template <class T>
concept fast_integer =
    std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> && !std::same_as<T, wchar_t> &&
    !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

template <class T>
concept fast_floating = std::same_as<T, double> || std::same_as<T, float>;

template <class T>
struct OptionalOf : std::false_type {};
template <class T>
struct OptionalOf<std::optional<T>> : std::true_type {};

template <class T>
struct VectorOf : std::false_type {};
template <class T, class A>
struct VectorOf<std::vector<T, A>> : std::true_type {};

template <class T>
struct MapOf : std::false_type {};
template <class T, class C, class A>
struct MapOf<std::map<std::string, T, C, A>> : std::true_type {};

template <class T>
concept fast_scalar = std::same_as<T, bool> || fast_integer<T> || fast_floating<T> || std::same_as<T, std::string>;

/// Looks through optionals, vectors and maps; the members of a declared type are looked at when they are used, so that
/// a type may contain itself.
template <class T>
constexpr bool is_fast() {
    if constexpr (fast_scalar<T>) {
        return true;
    } else if constexpr (declared<T>) {
        return std::default_initializable<T>;
    } else if constexpr (OptionalOf<T>::value || VectorOf<T>::value) {
        return is_fast<typename T::value_type>();
    } else if constexpr (MapOf<T>::value) {
        return is_fast<typename T::mapped_type>();
    } else {
        return false;
    }
}

/// One place in the data, on the stack of whoever is there; for messages.
struct FastPath {
    const FastPath* outer;
    std::string_view name; // empty: an element of an array
    std::size_t index;

    /// `items[2].price`
    [[nodiscard]] std::string text() const {
        std::string whole = outer != nullptr ? outer->text() : std::string{};
        if (name.empty()) {
            return whole + "[" + std::to_string(index) + "]";
        }
        return whole.append(whole.empty() ? "" : ".").append(name);
    }
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
