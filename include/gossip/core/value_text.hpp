#pragma once

#include <gossip/version.hpp>

#include <charconv>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// The nearest count of nanoseconds, for durations of any type and size.
template <class Rep, class Period>
[[nodiscard]] constexpr std::chrono::nanoseconds
clamped_nanoseconds(std::chrono::duration<Rep, Period> duration) noexcept {
    using Wide = std::chrono::duration<long double, std::nano>;
    using std::chrono::nanoseconds;
    if (Wide{duration} >= Wide{nanoseconds::max()}) {
        return nanoseconds::max();
    }
    if (Wide{duration} <= Wide{nanoseconds::min()}) {
        return nanoseconds::min();
    }
    return Wide{duration} == Wide{duration} ? std::chrono::duration_cast<nanoseconds>(duration) : nanoseconds{0};
}

/// A number, a truth value or a duration as people write it: "42", "0.5", "true", "250ms", "1.5s", "2h".
class ValueText {
public:
    template <class T>
    requires std::is_arithmetic_v<T>
    explicit ValueText(T value) noexcept {
        if constexpr (std::same_as<T, bool>) {
            put(value ? "true" : "false");
        } else {
            put_number(value);
        }
    }

    template <class Rep, class Period>
    explicit ValueText(std::chrono::duration<Rep, Period> duration) noexcept {
        const std::int64_t count = clamped_nanoseconds(duration).count();
        const auto bits = static_cast<std::uint64_t>(count);
        put_nanoseconds(count < 0 ? 0 - bits : bits, count < 0);
    }

    operator std::string_view() const noexcept { return {chars_, size_}; }

private:
    struct Unit {
        std::uint64_t nanoseconds;
        std::size_t digits; // of the largest remainder
        std::string_view name;
    };

    void put(std::string_view text) noexcept { size_ += text.copy(chars_ + size_, sizeof chars_ - size_); }

    template <class T>
    void put_number(T value) noexcept {
        const auto end = std::to_chars(chars_ + size_, chars_ + sizeof chars_, value).ptr;
        size_ = static_cast<std::size_t>(end - chars_);
    }

    /// In hours or minutes if these are whole, else in the largest unit that has a whole part, with all decimals it
    /// needs.
    void put_nanoseconds(std::uint64_t count, bool negative) noexcept {
        constexpr Unit whole_only[] = {{3'600'000'000'000, 0, "h"}, {60'000'000'000, 0, "min"}};
        constexpr Unit units[] = {{1'000'000'000, 9, "s"}, {1'000'000, 6, "ms"}, {1'000, 3, "us"}, {1, 0, "ns"}};
        put(negative ? "-" : "");
        for (const Unit& unit : whole_only) {
            if (count != 0 && count % unit.nanoseconds == 0) {
                put_number(count / unit.nanoseconds);
                put(unit.name);
                return;
            }
        }
        for (const Unit& unit : units) {
            if (count >= unit.nanoseconds || count == 0) {
                put_number(count / unit.nanoseconds);
                put_decimals(count % unit.nanoseconds, unit.digits);
                put(unit.name);
                return;
            }
        }
    }

    void put_decimals(std::uint64_t rest, std::size_t digits) noexcept {
        if (rest == 0) {
            return;
        }
        for (; rest % 10 == 0; rest /= 10) {
            --digits;
        }
        put(".");
        for (std::size_t i = digits; i > 0; --i, rest /= 10) {
            chars_[size_ + i - 1] = static_cast<char>('0' + rest % 10);
        }
        size_ += digits;
    }

    char chars_[64];
    std::size_t size_ = 0;
};

template <class T>
concept writable_value = !std::convertible_to<T, std::string_view> && requires(T value) {
    ValueText{value};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
