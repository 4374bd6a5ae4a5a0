// Metadata: a small ordered list of names and simple values that travels with an event.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/same_text.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

namespace detail {

template <class T>
concept character = std::same_as<T, char> || std::same_as<T, wchar_t> || std::same_as<T, char8_t> ||
    std::same_as<T, char16_t> || std::same_as<T, char32_t>;

template <class T>
concept integer = std::integral<T> && !std::same_as<T, bool> && !character<T>;

template <class T>
concept metadata_readable = std::same_as<T, std::string> || std::same_as<T, std::string_view> ||
    std::same_as<T, bool> || integer<T> || std::floating_point<T>;

[[noreturn, gnu::cold, gnu::noinline]] inline void throw_bad_metadata(std::string value, const char* rule) {
    GOSSIP_THROW(ValidationError{"metadata value", std::move(value), rule});
}

} // namespace detail

/// A string, a 64-bit integer, a double or a bool.
///
/// Threads: a value.
/// Errors:  an unsigned integer above the largest std::int64_t, and a null `const char*`, are ValidationErrors.
class MetadataValue {
public:
    enum class Kind : std::uint8_t { string, integer, floating, boolean };

    MetadataValue(std::string value) noexcept : value_(std::move(value)) {}
    MetadataValue(std::string_view value) : value_(std::string{value}) {}
    MetadataValue(const char* value) : value_(checked(value)) {}
    MetadataValue(std::nullptr_t) = delete;

    template <std::same_as<bool> T> // a plain bool would accept every pointer
    MetadataValue(T value) noexcept : value_(value) {}

    template <detail::integer T>
    MetadataValue(T value) : value_(checked(value)) {}

    template <std::floating_point T>
    MetadataValue(T value) noexcept : value_(static_cast<double>(value)) {}

    MetadataValue(const MetadataValue& other) : value_(copy(other.value_)) {}
    MetadataValue(MetadataValue&&) noexcept = default;
    MetadataValue& operator=(const MetadataValue& other) { return *this = MetadataValue(other); }
    MetadataValue& operator=(MetadataValue&&) noexcept = default;
    ~MetadataValue() = default;

    [[nodiscard]] Kind kind() const noexcept { return static_cast<Kind>(value_.index()); }

    /// The value as a T: strings as std::string or std::string_view (valid until the value changes), bools as bool,
    /// numbers as each number type that can hold them: an integer type only whole numbers in its range, a
    /// floating-point type integers that it holds exactly and floating-point numbers in its range. Otherwise nothing.
    template <detail::metadata_readable T>
    [[nodiscard]] std::optional<T> get() const {
        if constexpr (std::same_as<T, std::string> || std::same_as<T, std::string_view>) {
            const auto* const text = std::get_if<std::string>(&value_);
            return text != nullptr ? std::optional<T>{*text} : std::nullopt;
        } else if constexpr (std::same_as<T, bool>) {
            const bool* const flag = std::get_if<bool>(&value_);
            return flag != nullptr ? std::optional<T>{*flag} : std::nullopt;
        } else if (const auto* const whole = std::get_if<std::int64_t>(&value_)) {
            return from_integer<T>(*whole);
        } else if (const auto* const number = std::get_if<double>(&value_)) {
            return from_double<T>(*number);
        } else {
            return std::nullopt;
        }
    }

    /// Equal in kind and value: 2 and 2.0 differ.
    [[nodiscard]] friend bool operator==(const MetadataValue&, const MetadataValue&) = default;

private:
    using Value = std::variant<std::string, std::int64_t, double, bool>;

    /// A string is copied before the variant is made: where a variant's own copying throws, libstdc++ 12 goes on to
    /// destroy what it has not made.
    static Value copy(const Value& other) {
        const auto* const text = std::get_if<std::string>(&other);
        return text != nullptr ? Value(std::in_place_index<0>, std::string(*text)) : other;
    }

    static constexpr double two_to_63 = 9223372036854775808.0;

    static std::string checked(const char* value) {
        if (value == nullptr) {
            detail::throw_bad_metadata("(null)", "must not be a null pointer");
        }
        return value;
    }

    template <detail::integer T>
    static std::int64_t checked(T value) {
        if (!std::in_range<std::int64_t>(value)) {
            detail::throw_bad_metadata(std::to_string(value), "must fit into a signed 64-bit integer");
        }
        return static_cast<std::int64_t>(value);
    }

    template <class T>
    static std::optional<T> from_integer(std::int64_t value) noexcept {
        if constexpr (std::integral<T>) {
            return std::in_range<T>(value) ? std::optional<T>{static_cast<T>(value)} : std::nullopt;
        } else {
            const T converted = static_cast<T>(value);
            const bool exact = converted < static_cast<T>(two_to_63) && static_cast<std::int64_t>(converted) == value;
            return exact ? std::optional<T>{converted} : std::nullopt;
        }
    }

    template <class T>
    static std::optional<T> from_double(double value) noexcept {
        if constexpr (std::integral<T>) {
            if (!(value >= -two_to_63 && value < two_to_63)) {
                return std::nullopt;
            }
            const auto whole = static_cast<std::int64_t>(value);
            return !(static_cast<double>(whole) < value) && !(static_cast<double>(whole) > value)
                       ? from_integer<T>(whole)
                       : std::nullopt;
        } else {
            constexpr auto largest = static_cast<long double>(std::numeric_limits<T>::max());
            const bool finite = value - value <= 0; // neither infinite nor not-a-number
            const bool too_large = finite && (value > largest || value < -largest);
            return too_large ? std::nullopt : std::optional<T>{static_cast<T>(value)};
        }
    }

    Value value_;
};

/// A list of keys and values in the order of their first setting; each key stands in it once.
///
/// Threads: a value; reading one object from many threads is fine.
/// Cost:    a search is linear: meant for a handful of entries. An empty list allocates nothing.
/// Owns:    its keys and values; a std::string_view got from it is valid until the list changes.
/// Errors:  std::bad_alloc leaves the list as it was.
class Metadata {
public:
    struct Entry {
        std::string key;
        MetadataValue value;

        [[nodiscard]] friend bool operator==(const Entry&, const Entry&) = default;
    };
    using const_iterator = std::vector<Entry>::const_iterator;

    Metadata() noexcept = default;

    /// `{{"request_id", "req-9"}, {"n", 2}}`; of two entries with one key the first gives the place, the last the
    /// value.
    Metadata(std::initializer_list<Entry> entries) {
        entries_.reserve(entries.size());
        for (const Entry& entry : entries) {
            set(entry.key, entry.value);
        }
    }

    /// Appends the entry, or replaces the value in its place when the key is there.
    void set(std::string_view key, MetadataValue value) {
        if (const std::size_t index = index_of(key); index != entries_.size()) {
            entries_[index].value = std::move(value);
        } else {
            entries_.push_back(Entry{std::string{key}, std::move(value)});
        }
    }

    /// Says whether there was such an entry.
    bool erase(std::string_view key) {
        const std::size_t index = index_of(key);
        if (index == entries_.size()) {
            return false;
        }
        entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(index));
        return true;
    }

    void clear() noexcept { entries_.clear(); }

    /// The value, or null; valid until the list changes.
    [[nodiscard]] const MetadataValue* find(std::string_view key) const noexcept {
        for (const Entry& entry : entries_) {
            if (detail::same_text(entry.key, key)) {
                return &entry.value;
            }
        }
        return nullptr;
    }

    /// The value as a T; nothing when the key is absent or its value cannot be read as a T (see MetadataValue::get).
    template <detail::metadata_readable T>
    [[nodiscard]] std::optional<T> get(std::string_view key) const {
        const MetadataValue* const value = find(key);
        return value != nullptr ? value->get<T>() : std::nullopt;
    }

    [[nodiscard]] bool contains(std::string_view key) const noexcept { return find(key) != nullptr; }
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
    [[nodiscard]] const_iterator begin() const noexcept { return entries_.begin(); }
    [[nodiscard]] const_iterator end() const noexcept { return entries_.end(); }

    /// Equal entries in equal order.
    [[nodiscard]] friend bool operator==(const Metadata&, const Metadata&) = default;

private:
    std::size_t index_of(std::string_view key) const noexcept {
        const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
        return static_cast<std::size_t>(found - entries_.begin());
    }

    std::vector<Entry> entries_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
