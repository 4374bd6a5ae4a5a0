// members<T>: the members of a type, declared once at compile time, for FastCodec.
#pragma once

#include <gossip/version.hpp>

#include <array>
#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

namespace detail {

// Never defined: a bad declaration calls one of them at compile time, and the compiler prints its name.
void member_name_needs_an_escape();
void two_members_have_one_name();

struct NoMembers {};

constexpr void check_member_name(std::string_view name) {
    for (const char c : name) {
        if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\') {
            member_name_needs_an_escape();
        }
    }
}

struct MemberName {
    template <std::size_t N>
    constexpr MemberName(const char (&text)[N], bool must) : name(text, N - 1), required(must) {
        check_member_name(name);
    }

    std::string_view name;
    bool required;
};

template <class Class, class Value>
struct Member {
    using value_type = Value;

    MemberName name;
    Value Class::*pointer;
};

template <class... Members>
struct MemberList {
    std::tuple<Members...> all;
};

template <std::size_t N>
constexpr MemberName member_name(const char (&text)[N]) {
    return MemberName{text, false};
}
constexpr MemberName member_name(MemberName name) { return name; }

template <class Name, class Class, class Value>
constexpr auto make_member(const Name& name, Value Class::*pointer) {
    static_assert(!std::is_function_v<Value>, "gossip: a member of a member_list is data, not a function");
    return Member<Class, Value>{member_name(name), pointer};
}

template <class... Members>
constexpr MemberList<Members...> list_of(const Members&... all) {
    return {std::tuple<Members...>{all...}};
}

template <class Pairs, std::size_t... I>
constexpr auto make_member_list([[maybe_unused]] const Pairs& pairs, std::index_sequence<I...>) {
    const auto list = list_of(make_member(std::get<2 * I>(pairs), std::get<2 * I + 1>(pairs))...);
    const std::array<std::string_view, sizeof...(I)> names{std::get<I>(list.all).name.name...};
    for (std::size_t i = 0; i < names.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            if (names[i] == names[j]) {
                two_members_have_one_name();
            }
        }
    }
    return list;
}

} // namespace detail

/// The name of a member that must be there when its object is read.
template <std::size_t N>
[[nodiscard]] consteval detail::MemberName required(const char (&name)[N]) {
    return detail::MemberName{name, true};
}

/// Names and pointers to members by turns: `member_list("id", &Order::id, gossip::required("amount"), &Order::amount)`.
/// The order is that in which they are written. Names are plain text: nothing that JSON escapes.
template <class... NamesAndPointers>
[[nodiscard]] consteval auto member_list(const NamesAndPointers&... pairs) {
    static_assert(sizeof...(pairs) % 2 == 0, "gossip: member_list takes names and pointers to members by turns");
    static_assert(sizeof...(pairs) <= 128, "gossip: a member_list has 64 members at most");
    return detail::make_member_list(std::tuple<const NamesAndPointers&...>{pairs...},
                                    std::make_index_sequence<sizeof...(pairs) / 2>{});
}

/// The members of T as they stand on the wire; specialize it, in namespace gossip or outside of all:
///
///     template <>
///     inline constexpr auto gossip::members<Order> =
///         gossip::member_list("order_id", &Order::order_id, "amount", &Order::amount);
template <class T>
inline constexpr auto members = detail::NoMembers{};

namespace detail {

template <class T>
concept declared = !std::is_same_v<std::remove_cvref_t<decltype(members<T>)>, NoMembers>;

template <class T>
inline constexpr std::size_t member_count = std::tuple_size_v<decltype(members<T>.all)>;

} // namespace detail
} // namespace gossip::GOSSIP_VERSION_NAMESPACE
