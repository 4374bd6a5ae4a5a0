#pragma once

#include <gossip/core/errors.hpp>

#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// Throws the ValidationError that names `field`, its value and the rule, unless the rule holds.
template <class Value>
constexpr void require(bool holds, std::string_view field, const Value& value, std::string_view rule) {
    if (!holds) [[unlikely]] {
        GOSSIP_THROW(ValidationError{field, value, rule});
    }
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
