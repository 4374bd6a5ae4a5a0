// Moments as RFC 3339 writes them: 2024-01-02T03:04:05.123456789Z.
#pragma once

#include <gossip/version.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

inline void write_two_digits(char* to, std::uint32_t value) noexcept {
    to[0] = static_cast<char>('0' + value / 10);
    to[1] = static_cast<char>('0' + value % 10);
}

/// Appends the moment that is `ns` nanoseconds after 1970 (before it when negative), in UTC and with nine digits of
/// fraction: 30 characters. Every 64-bit count is a moment between the years 1677 and 2262. Cost: about 20 ns.
inline void append_rfc3339(std::string& out, std::int64_t ns) {
    constexpr std::int64_t per_second = 1'000'000'000;
    const std::int64_t whole = ns / per_second - (ns % per_second < 0 ? 1 : 0);
    auto fraction = static_cast<std::uint32_t>(ns % per_second + (ns % per_second < 0 ? per_second : 0));
    const std::int64_t day = whole / 86'400 - (whole % 86'400 < 0 ? 1 : 0);
    const auto second = static_cast<std::uint32_t>(whole - day * 86'400);
    const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{day}}};
    const auto year = static_cast<std::uint32_t>(static_cast<int>(date.year()));

    char text[] = "0000-00-00T00:00:00.000000000Z";
    write_two_digits(text, year / 100);
    write_two_digits(text + 2, year % 100);
    write_two_digits(text + 5, static_cast<unsigned>(date.month()));
    write_two_digits(text + 8, static_cast<unsigned>(date.day()));
    write_two_digits(text + 11, second / 3'600);
    write_two_digits(text + 14, second / 60 % 60);
    write_two_digits(text + 17, second % 60);
    for (int at = 27; at > 19; at -= 2, fraction /= 100) {
        write_two_digits(text + at, fraction % 100);
    }
    text[20] = static_cast<char>('0' + fraction);
    out.append(text, 30);
}

/// Reads numbers and marks from the left; false as soon as one does not stand there.
class TimeReader {
public:
    explicit TimeReader(std::string_view text) noexcept : rest_(text) {}

    [[nodiscard]] bool number(std::size_t digits, std::uint32_t least, std::uint32_t most,
                              std::uint32_t& value) noexcept {
        value = 0;
        if (rest_.size() < digits) {
            return false;
        }
        for (std::size_t i = 0; i < digits; ++i) {
            if (rest_[i] < '0' || rest_[i] > '9') {
                return false;
            }
            value = value * 10 + static_cast<std::uint32_t>(rest_[i] - '0');
        }
        rest_.remove_prefix(digits);
        return value >= least && value <= most;
    }

    [[nodiscard]] bool mark(char a, char b) noexcept {
        const bool stands = !rest_.empty() && (rest_.front() == a || rest_.front() == b);
        rest_.remove_prefix(stands ? 1 : 0);
        return stands;
    }
    [[nodiscard]] bool mark(char c) noexcept { return mark(c, c); }

    /// Any number of digits, at least one, as nanoseconds; what is finer is cut off.
    [[nodiscard]] bool fraction(std::int64_t& ns) noexcept {
        const std::size_t digits = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
        std::int64_t unit = 100'000'000;
        for (std::size_t i = 0; i < digits; ++i, unit /= 10) {
            ns += (rest_[i] - '0') * unit;
        }
        rest_.remove_prefix(digits);
        return digits > 0;
    }

    [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }

private:
    std::string_view rest_;
};

[[nodiscard]] inline std::int64_t clamped_ns(std::int64_t seconds, std::int64_t ns) noexcept {
    constexpr std::int64_t per_second = 1'000'000'000;
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / per_second;
    if (seconds > most || (seconds == most && ns > std::numeric_limits<std::int64_t>::max() % per_second)) {
        return std::numeric_limits<std::int64_t>::max();
    }
    constexpr std::int64_t least = -most - 1; // the second within which the smallest count lies
    if (seconds < least ||
        (seconds == least && ns < per_second - std::numeric_limits<std::int64_t>::max() % per_second)) {
        return std::numeric_limits<std::int64_t>::min();
    }
    return seconds < 0 ? (seconds + 1) * per_second - (per_second - ns) : seconds * per_second + ns;
}

/// Reads a moment as RFC 3339 allows it: any offset, any number of digits of fraction (finer than a nanosecond is cut
/// off), `T`, `t` or a space, `Z` or `z`, a 60th second (the first of the next minute). Years are 0000 to 9999; what 64
/// bits of nanoseconds cannot hold becomes the first or last moment that they can, in 1677 and 2262: Go's zero time is
/// the first. False, and `ns` as it was, for anything else.
[[nodiscard]] inline bool parse_rfc3339(std::string_view text, std::int64_t& ns) noexcept {
    TimeReader in{text};
    std::uint32_t year = 0;
    std::uint32_t month = 0;
    std::uint32_t day = 0;
    std::uint32_t hour = 0;
    std::uint32_t minute = 0;
    std::uint32_t second = 0;
    if (!(in.number(4, 0, 9'999, year) && in.mark('-') && in.number(2, 1, 12, month) && in.mark('-') &&
          in.number(2, 1, 31, day) && (in.mark('T', 't') || in.mark(' ')) && in.number(2, 0, 23, hour) &&
          in.mark(':') && in.number(2, 0, 59, minute) && in.mark(':') && in.number(2, 0, 60, second))) {
        return false;
    }
    std::int64_t fraction = 0;
    if (in.mark('.') && !in.fraction(fraction)) {
        return false;
    }
    std::int64_t offset = 0;
    if (!in.mark('Z', 'z')) {
        const bool behind = in.mark('-');
        std::uint32_t hours = 0;
        std::uint32_t minutes = 0;
        if (!((behind || in.mark('+')) && in.number(2, 0, 23, hours) && in.mark(':') && in.number(2, 0, 59, minutes))) {
            return false;
        }
        offset = (hours * 60 + minutes) * std::int64_t{60} * (behind ? -1 : 1);
    }
    const std::chrono::year_month_day date{std::chrono::year{static_cast<int>(year)}, std::chrono::month{month},
                                           std::chrono::day{day}};
    if (!in.at_end() || !date.ok()) {
        return false;
    }
    const std::int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
    const std::int64_t of_day = std::int64_t{hour} * 3'600 + minute * 60 + second;
    ns = clamped_ns(days * 86'400 + of_day - offset, fraction);
    return true;
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
