#pragma once

#include <gossip/version.hpp>

#include <array>
#include <cstddef>
#include <string_view>

#define GOSSIP_DETAIL_QUOTE(text) #text
#define GOSSIP_DETAIL_QUOTE_VALUE(macro) GOSSIP_DETAIL_QUOTE(macro)

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// The compiler's own signature of this function; it holds the name of T somewhere in the middle.
template <class T>
consteval auto signature_with() {
    return std::string_view{__PRETTY_FUNCTION__};
}

template <class T>
consteval auto raw_type_name() {
    constexpr std::string_view sample = signature_with<void>();
    constexpr std::size_t before = sample.find("void");
    constexpr std::size_t after = sample.size() - before - std::string_view{"void"}.size();
    const std::string_view full = signature_with<T>();
    return full.substr(before, full.size() - before - after);
}

struct Spelling {
    std::string_view raw;
    std::string_view tidy; // never longer than raw
};

/// What compilers and standard libraries spell differently from how people write it. The first match wins.
inline constexpr std::array spellings{
    Spelling{"std::__cxx11::basic_string<char>", "std::string"},
    Spelling{"std::__1::basic_string<char>", "std::string"},
    Spelling{"std::basic_string<char>", "std::string"},
    Spelling{"std::__1::basic_string_view<char>", "std::string_view"},
    Spelling{"std::basic_string_view<char>", "std::string_view"},
    Spelling{"std::__cxx11::", "std::"},
    Spelling{"std::__1::", "std::"},
    Spelling{"gossip::" GOSSIP_DETAIL_QUOTE_VALUE(GOSSIP_DETAIL_NAMESPACE_NAME) "::", "gossip::"},
    Spelling{"{anonymous}", "(anonymous)"},
    Spelling{"(anonymous namespace)", "(anonymous)"},
    Spelling{"long long unsigned int", "unsigned long long"},
    Spelling{"long long int", "long long"},
    Spelling{"long unsigned int", "unsigned long"},
    Spelling{"long int", "long"},
    Spelling{"short unsigned int", "unsigned short"},
    Spelling{"short int", "short"},
    Spelling{" >", ">"},
    Spelling{" *", "*"},
    Spelling{" &", "&"},
};

template <std::size_t Capacity>
struct TidyName {
    std::array<char, Capacity> text{};
    std::size_t size = 0;
};

template <class T>
consteval auto tidy_type_name() {
    constexpr std::string_view raw = raw_type_name<T>();
    TidyName<raw.size()> name;
    for (std::size_t i = 0; i < raw.size();) {
        Spelling found{raw.substr(i, 1), raw.substr(i, 1)};
        for (const Spelling& spelling : spellings) {
            if (spelling.raw.front() == raw[i] && raw.substr(i).starts_with(spelling.raw)) {
                found = spelling;
                break;
            }
        }
        for (const char c : found.tidy) {
            name.text[name.size++] = c;
        }
        i += found.raw.size();
    }
    return name;
}

template <class T>
inline constexpr auto type_name_storage = tidy_type_name<T>();

/// The name of T as people write it ("std::string", "std::vector<int>"), from the compiler and without RTTI. For
/// messages: two compilers may spell a rare type differently.
///
/// Cost: none at run time; the characters are in static storage.
template <class T>
[[nodiscard]] constexpr std::string_view type_name() noexcept {
    return {type_name_storage<T>.text.data(), type_name_storage<T>.size};
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail

#undef GOSSIP_DETAIL_QUOTE_VALUE
#undef GOSSIP_DETAIL_QUOTE
