// EventType, Pattern: the name of a kind of event, and a set of such names.
//
// A name is 1 to 255 bytes long: segments with a '.' between two of them, none of them empty. A segment consists of
// any bytes but '.', '*', and the bytes 0x00 to 0x20 and 0x7F (ASCII's control characters, space, tab and line
// breaks). Bytes from 0x80 on are taken as they are: UTF-8 is welcome and not checked. Case counts.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/ref_count.hpp>

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

namespace detail {

inline constexpr std::size_t longest_name = 255;

// Never defined: a bad literal calls one of them at compile time, and the compiler prints its name.
void event_name_is_empty();
void event_name_is_longer_than_255_bytes();
void event_name_has_an_empty_segment();
void event_name_has_a_wildcard_which_only_a_pattern_may_have();
void event_name_has_a_space_or_control_character();

enum class NameFault : std::uint8_t { none, empty, too_long, empty_segment, wildcard, control_or_space };

constexpr NameFault find_name_fault(std::string_view name, bool wildcards_allowed) noexcept {
    if (name.empty()) {
        return NameFault::empty;
    }
    if (name.size() > longest_name) {
        return NameFault::too_long;
    }
    char before = '.';
    for (const char c : name) {
        if (c == '.' && before == '.') {
            return NameFault::empty_segment;
        }
        if (c == '*' && !wildcards_allowed) {
            return NameFault::wildcard;
        }
        const auto byte = static_cast<unsigned char>(c);
        if (byte <= 0x20 || byte == 0x7F) {
            return NameFault::control_or_space;
        }
        before = c;
    }
    return before == '.' ? NameFault::empty_segment : NameFault::none;
}

constexpr const char* rule_of(NameFault fault) noexcept {
    switch (fault) {
    case NameFault::empty:
        return "must not be empty";
    case NameFault::too_long:
        return "must not be longer than 255 bytes";
    case NameFault::empty_segment:
        return "must not have an empty segment";
    case NameFault::wildcard:
        return "must not have a '*', which only a pattern may have";
    case NameFault::control_or_space:
        return "must not have a space or control character";
    case NameFault::none:
        break;
    }
    return "";
}

consteval void check_literal(std::string_view name) {
    switch (find_name_fault(name, false)) {
    case NameFault::empty:
        return event_name_is_empty();
    case NameFault::too_long:
        return event_name_is_longer_than_255_bytes();
    case NameFault::empty_segment:
        return event_name_has_an_empty_segment();
    case NameFault::wildcard:
        return event_name_has_a_wildcard_which_only_a_pattern_may_have();
    case NameFault::control_or_space:
        return event_name_has_a_space_or_control_character();
    case NameFault::none:
        return;
    }
}

[[noreturn, gnu::cold, gnu::noinline]] inline void throw_bad_name(const char* field, std::string_view value,
                                                                  const char* rule) {
    GOSSIP_THROW(ValidationError{field, std::string{value}, rule});
}

constexpr std::uint64_t mix_hash(std::uint64_t h) noexcept {
    h = (h ^ (h >> 32)) * 0xD6E8FEB86659FD93u;
    h = (h ^ (h >> 32)) * 0xD6E8FEB86659FD93u;
    return h ^ (h >> 32);
}

/// The same value at compile time and at run time, on every machine; every input bit reaches every output bit.
constexpr std::uint64_t hash_bytes(std::string_view bytes) noexcept {
    const auto at = [&](std::size_t i) { return std::uint64_t{static_cast<unsigned char>(bytes[i])}; };
    std::uint64_t h = 0x9E3779B97F4A7C15u ^ bytes.size();
    std::size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
        h = mix_hash(h ^ (at(i) | at(i + 1) << 8 | at(i + 2) << 16 | at(i + 3) << 24 | at(i + 4) << 32 |
                          at(i + 5) << 40 | at(i + 6) << 48 | at(i + 7) << 56));
    }
    std::uint64_t rest = 0;
    for (unsigned shift = 0; i < bytes.size(); ++i, shift += 8) {
        rest |= at(i) << shift;
    }
    return mix_hash(h + (rest ^ 0xA0761D6478BD642Fu));
}

/// The characters of a name made at run time, behind their count of owners, in one block.
struct OwnedName {
    static const char* make(std::string_view name) {
        auto* const block = static_cast<char*>(::operator new(sizeof(RefCount) + name.size() + 1));
        ::new (static_cast<void*>(block)) RefCount;
        char* const text = block + sizeof(RefCount);
        std::memcpy(text, name.data(), name.size());
        text[name.size()] = '\0';
        return text;
    }

    static void retain(const char* text) noexcept { count_of(text).add(); }

    static void release(const char* text) noexcept {
        RefCount& count = count_of(text);
        if (count.drop()) {
            std::destroy_at(&count);
            ::operator delete(static_cast<void*>(&count));
        }
    }

private:
    static RefCount& count_of(const char* text) noexcept {
        return *std::launder(reinterpret_cast<RefCount*>(const_cast<char*>(text) - sizeof(RefCount)));
    }
};

} // namespace detail

class Event;
struct EventAccess;

/// The name of a kind of event, with its hash: "order.created". The rule for names stands at the head of this file.
///
/// Threads: a value; copies may live on any threads.
/// Cost:    24 bytes. A literal's name is never copied; a name made at run time is allocated once and shared by all
///          copies.
/// Errors:  a bad name is a ValidationError at run time, and does not compile as a literal. Of a moved-from EventType
///          the name is empty.
class EventType {
public:
    explicit EventType(std::string_view name) : hash_(detail::hash_bytes(name)), owned_(true) {
        if (const auto fault = detail::find_name_fault(name, false); fault != detail::NameFault::none) {
            detail::throw_bad_name("event type", name, detail::rule_of(fault));
        }
        name_ = detail::OwnedName::make(name);
        size_ = static_cast<std::uint16_t>(name.size());
    }

    /// Made at compile time: checked there, and never allocated.
    template <std::size_t N>
    [[nodiscard]] static consteval EventType literal(const char (&name)[N]) {
        const std::string_view text{name, name[N - 1] == '\0' ? N - 1 : N};
        detail::check_literal(text);
        return EventType{name, static_cast<std::uint16_t>(text.size()), detail::hash_bytes(text), false};
    }

    constexpr EventType(const EventType& other) noexcept
        : name_(other.name_), hash_(other.hash_), size_(other.size_), owned_(other.owned_) {
        if (owned_) {
            detail::OwnedName::retain(name_);
        }
    }

    constexpr EventType(EventType&& other) noexcept
        : name_(other.name_), hash_(other.hash_), size_(other.size_), owned_(other.owned_) {
        if (owned_) {
            other.forget();
        }
    }

    constexpr EventType& operator=(EventType other) noexcept {
        std::swap(name_, other.name_);
        std::swap(hash_, other.hash_);
        std::swap(size_, other.size_);
        std::swap(owned_, other.owned_);
        return *this;
    }

    constexpr ~EventType() {
        if (owned_) {
            detail::OwnedName::release(name_);
        }
    }

    [[nodiscard]] constexpr std::string_view name() const noexcept { return {name_, size_}; }
    [[nodiscard]] constexpr std::uint64_t hash() const noexcept { return hash_; }

    [[nodiscard]] friend constexpr bool operator==(const EventType& a, const EventType& b) noexcept {
        return a.hash_ == b.hash_ && a.name() == b.name();
    }

    /// A total order, fast and of no meaning: by hash, then by name.
    [[nodiscard]] friend constexpr std::strong_ordering operator<=>(const EventType& a, const EventType& b) noexcept {
        const auto by_hash = a.hash_ <=> b.hash_;
        return by_hash != 0 ? by_hash : a.name() <=> b.name();
    }

private:
    friend class Event;
    friend struct EventAccess;

    /// Adopts one reference to `name` when `owned`.
    constexpr EventType(const char* name, std::uint16_t size, std::uint64_t hash, bool owned) noexcept
        : name_(name), hash_(hash), size_(size), owned_(owned) {}

    constexpr void forget() noexcept {
        name_ = "";
        hash_ = 0;
        size_ = 0;
        owned_ = false;
    }

    const char* name_ = "";
    std::uint64_t hash_ = 0;
    std::uint16_t size_ = 0;
    bool owned_ = false;
};

/// A set of names: a name in which a segment may be `*`, any one segment, and the last one may be `**`, one or more
/// segments. Without either it is the set of just that name. A name under `gossip.` is in no set that does not spell
/// this first segment.
///
/// Threads: matches from any thread.
/// Cost:    matches is linear in the two lengths and allocates nothing; the bus calls it per name, never per event.
/// Errors:  a bad pattern is a ValidationError.
class Pattern {
public:
    explicit Pattern(std::string_view text) : text_(text) {
        if (const auto fault = detail::find_name_fault(text, true); fault != detail::NameFault::none) {
            detail::throw_bad_name("pattern", text, detail::rule_of(fault));
        }
        for (std::string_view rest = text; !rest.empty();) {
            const std::string_view segment = next_segment(rest);
            if (segment == "**" && !rest.empty()) {
                detail::throw_bad_name("pattern", text, "must have '**' as its last segment only");
            }
            if (segment.find('*') != segment.npos && segment != "*" && segment != "**") {
                detail::throw_bad_name("pattern", text, "must have '*' or '**' only as a whole segment");
            }
        }
    }

    [[nodiscard]] const std::string& text() const noexcept { return text_; }

    /// True when the set may have more than one name.
    [[nodiscard]] bool has_wildcard() const noexcept { return text_.find('*') != text_.npos; }

    [[nodiscard]] bool matches(const EventType& type) const noexcept { return has(type.name()); }

    /// The same for a text, which is in no set if it is no name.
    [[nodiscard]] bool matches(std::string_view name) const noexcept {
        return detail::find_name_fault(name, false) == detail::NameFault::none && has(name);
    }

    [[nodiscard]] friend bool operator==(const Pattern&, const Pattern&) noexcept = default;

private:
    [[nodiscard]] bool has(std::string_view names) const noexcept {
        std::string_view wanted = text_;
        if (text_.starts_with('*') && names.starts_with("gossip.")) {
            return false;
        }
        while (!wanted.empty() && !names.empty()) {
            const std::string_view want = next_segment(wanted);
            if (want == "**") {
                return true;
            }
            if (const std::string_view name = next_segment(names); want != "*" && want != name) {
                return false;
            }
        }
        return wanted.empty() && names.empty();
    }

    /// Takes the first segment, and the dot behind it, off `rest`.
    static std::string_view next_segment(std::string_view& rest) noexcept {
        const std::size_t dot = std::min(rest.find('.'), rest.size());
        const std::string_view segment = rest.substr(0, dot);
        rest.remove_prefix(std::min(dot + 1, rest.size()));
        return segment;
    }

    std::string text_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE

template <>
struct std::hash<gossip::EventType> {
    [[nodiscard]] std::size_t operator()(const gossip::EventType& type) const noexcept {
        return static_cast<std::size_t>(type.hash());
    }
};
