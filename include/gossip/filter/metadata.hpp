// Filters by metadata.
#pragma once

#include <gossip/filter/logic.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::filter {

/// Events whose entry `key` equals a value, in kind and value: 2 and 2.0 differ.
template <class Value>
class MetadataIs {
public:
    MetadataIs(std::string key, Value value) : key_(std::move(key)), value_(std::move(value)) {}

    [[nodiscard]] bool operator()(const Event& event) const noexcept {
        const MetadataValue* const found = event.metadata().find(key_);
        return found != nullptr && equals(*found);
    }

private:
    bool equals(const MetadataValue& found) const noexcept {
        if constexpr (std::same_as<Value, std::string>) {
            const auto text = found.get<std::string_view>();
            return text && detail::same_text(*text, value_);
        } else {
            return found == value_;
        }
    }

    std::string key_;
    Value value_;
};

/// `metadata("source", "api")`. Cost: a search among the event's entries and one comparison.
/// Errors: ValidationError for an unsigned number above the largest std::int64_t, and for a null pointer.
template <std::convertible_to<MetadataValue> Value>
[[nodiscard]] auto metadata(std::string key, Value&& value) {
    MetadataValue wanted(std::forward<Value>(value));
    if constexpr (std::convertible_to<Value, std::string_view> || std::convertible_to<Value, std::string>) {
        return MetadataIs<std::string>(std::move(key), wanted.get<std::string>().value_or(std::string{}));
    } else {
        return MetadataIs<MetadataValue>(std::move(key), std::move(wanted));
    }
}

/// Events whose entry `key` is there and liked by the predicate.
template <class Predicate>
class MetadataWhere {
public:
    MetadataWhere(std::string key, Predicate predicate) : key_(std::move(key)), predicate_(std::move(predicate)) {}

    [[nodiscard]] bool operator()(const Event& event) const {
        const MetadataValue* const found = event.metadata().find(key_);
        return found != nullptr && predicate_(*found);
    }

private:
    std::string key_;
    [[no_unique_address]] Predicate predicate_;
};

/// `metadata("n", [](const MetadataValue& n) { ... })`
template <class Predicate>
requires std::predicate<const Predicate&, const MetadataValue&> &&(!std::convertible_to<Predicate, MetadataValue>)
    [[nodiscard]] auto metadata(std::string key, Predicate predicate) {
    return MetadataWhere<Predicate>(std::move(key), std::move(predicate));
}

/// `metadata<int>("retries", [](int n) { return n > 2; })`: entries that cannot be read as a T say no.
template <class T, class Predicate>
requires std::predicate<const Predicate&, const T&>
[[nodiscard]] auto metadata(std::string key, Predicate predicate) {
    return metadata(std::move(key), [predicate = std::move(predicate)](const MetadataValue& value) -> bool {
        const std::optional<T> read = value.get<T>();
        return read && predicate(*read);
    });
}

/// Events that have an entry `key`, whatever its value.
class HasMetadata {
public:
    explicit HasMetadata(std::string key) noexcept : key_(std::move(key)) {}
    [[nodiscard]] bool operator()(const Event& event) const noexcept { return event.metadata().contains(key_); }

private:
    std::string key_;
};
[[nodiscard]] inline HasMetadata has_metadata(std::string key) noexcept { return HasMetadata(std::move(key)); }

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::filter
