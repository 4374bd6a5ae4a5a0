// How a command looks on the wire: an array of bulk strings.
#pragma once

#include <gossip/version.hpp>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

using Arguments = std::span<const std::string_view>;

[[nodiscard]] constexpr std::size_t digits_of(std::size_t number) noexcept {
    std::size_t digits = 1;
    for (; number >= 10; number /= 10) {
        ++digits;
    }
    return digits;
}

/// How many bytes `write_command` writes.
[[nodiscard]] constexpr std::size_t command_size(Arguments arguments) noexcept {
    std::size_t size = 1 + digits_of(arguments.size()) + 2;
    for (const std::string_view argument : arguments) {
        size += 1 + digits_of(argument.size()) + 2 + argument.size() + 2;
    }
    return size;
}

inline char* write_head(char* to, char kind, std::size_t number) noexcept {
    *to++ = kind;
    to = std::to_chars(to, to + 20, number).ptr;
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

/// Writes one command to memory that has room for command_size() and 16 bytes more; returns its end.
inline char* write_command(char* to, Arguments arguments) noexcept {
    to = write_head(to, '*', arguments.size());
    for (const std::string_view argument : arguments) {
        to = write_head(to, '$', argument.size());
        if (!argument.empty()) {
            std::memcpy(to, argument.data(), argument.size());
        }
        to += argument.size();
        *to++ = '\r';
        *to++ = '\n';
    }
    return to;
}

inline void append_command(std::string& to, Arguments arguments) {
    const std::size_t before = to.size();
    const std::size_t size = command_size(arguments);
    to.resize(before + size + 16);
    write_command(to.data() + before, arguments);
    to.resize(before + size);
}

inline void append_command(std::string& to, std::initializer_list<std::string_view> arguments) {
    append_command(to, Arguments{arguments.begin(), arguments.size()});
}

/// A number as an argument.
class Number {
public:
    explicit Number(std::int64_t value) noexcept
        : size_{static_cast<std::size_t>(std::to_chars(chars_, chars_ + sizeof chars_, value).ptr - chars_)} {}
    template <class Unsigned>
    requires(std::is_unsigned_v<Unsigned>) explicit Number(Unsigned value) noexcept
        : size_{static_cast<std::size_t>(std::to_chars(chars_, chars_ + sizeof chars_, value).ptr - chars_)} {}

    operator std::string_view() const noexcept { return {chars_, size_}; }

private:
    char chars_[24];
    std::size_t size_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
