// Filters by data.
#pragma once

#include <gossip/filter/logic.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::filter {

/// Events with data of type T that the predicate likes. Events without data, and with other data, get a no.
template <class T, class Predicate>
class Where {
public:
    explicit Where(Predicate predicate) : predicate_(std::move(predicate)) {}

    [[nodiscard]] bool operator()(const Event& event) const {
        const T* const data = event.data_if<T>();
        if (data == nullptr) {
            return false;
        }
        if constexpr (std::predicate<const Predicate&, const T&>) {
            return predicate_(*data);
        } else {
            return predicate_(TypedEvent<T>(event));
        }
    }

private:
    [[no_unique_address]] Predicate predicate_;
};

/// `where<Payment>([](const Payment& p) { return p.amount > 100; })`; the predicate may take a TypedEvent<T> instead.
template <class T, class Predicate>
[[nodiscard]] auto where(Predicate predicate) {
    static_assert(std::is_object_v<T> && !std::is_array_v<T> && !std::is_const_v<T> && !std::is_volatile_v<T>,
                  "gossip: T of where<T>() is the type of the data, as in Topic<T>");
    constexpr bool asks =
        std::predicate<const Predicate&, const T&> || std::predicate<const Predicate&, const TypedEvent<T>&>;
    static_assert(asks, "gossip: the predicate of where<T>() can be called as const with (const T&) or (const "
                        "TypedEvent<T>&) and returns bool");
    if constexpr (asks) {
        return Where<T, Predicate>(std::move(predicate));
    } else {
        return NoFilter{};
    }
}

/// Events with data of type T.
template <class T>
class HasData {
public:
    [[nodiscard]] bool operator()(const Event& event) const noexcept { return event.data_if<T>() != nullptr; }
};
template <class T>
[[nodiscard]] HasData<T> has_data() noexcept {
    return {};
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::filter
