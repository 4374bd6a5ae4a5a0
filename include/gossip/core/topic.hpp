// Topic<T>: an EventType bound to the type of its data, at compile time.
#pragma once

#include <gossip/core/event_type.hpp>
#include <gossip/fwd.hpp>

#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// A kind of event and the type of its data; `Topic<>` is an event without data. Made once, as a constant:
/// `inline constexpr gossip::Topic<Order> order_created{"order.created"};`
///
/// Threads: immutable.
/// Cost:    a constant is checked and hashed at compile time, and allocates nothing.
/// Errors:  a literal that is no name does not compile. For a name known only at run time:
///          `Topic<Order>{EventType{name}}`, where the EventType throws.
template <class T>
class Topic {
    static_assert(!std::is_reference_v<T>, "gossip: the data of a Topic<T> is a value; T must not be a reference");
    static_assert(std::is_reference_v<T> || (!std::is_const_v<T> && !std::is_volatile_v<T>),
                  "gossip: processors get data as `const T&` anyway; write Topic<T> without const or volatile");
    static_assert(std::is_reference_v<T> || std::is_void_v<T> || (std::is_object_v<T> && !std::is_array_v<T>),
                  "gossip: T of a Topic<T> must be an object type, not an array or a function; "
                  "Topic<> is an event without data");

public:
    using data_type = T;

    template <std::size_t N>
    explicit consteval Topic(const char (&name)[N]) : type_(EventType::literal(name)) {}

    constexpr explicit Topic(EventType type) noexcept : type_(std::move(type)) {}

    [[nodiscard]] constexpr const EventType& type() const noexcept { return type_; }
    [[nodiscard]] constexpr std::string_view name() const noexcept { return type_.name(); }

private:
    EventType type_;
};

namespace detail {

void a_topic_is_declared_twice_with_different_types_of_data(); // undefined: to be named by the compiler

template <class T>
inline constexpr char mark_of_type = 0;

} // namespace detail

/// Whether topics of one name have one type of data. Where declarations meet from several places, say so once:
/// `static_assert(gossip::topics_agree(orders::created, billing::order_created, order_paid));`
/// Where nobody sees both, publishing finds it: processors of the other type fail with a TypeAssertionError.
///
/// Errors:  does not compile where two of them have one name and different types.
template <class T, class... More>
[[nodiscard]] consteval bool topics_agree(const Topic<T>& first, const Topic<More>&... more) {
    const std::string_view names[] = {first.name(), more.name()...};
    const char* const types[] = {&detail::mark_of_type<T>, &detail::mark_of_type<More>...};
    for (std::size_t i = 0; i <= sizeof...(More); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            if (names[i] == names[j] && types[i] != types[j]) {
                detail::a_topic_is_declared_twice_with_different_types_of_data();
            }
        }
    }
    return true;
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
