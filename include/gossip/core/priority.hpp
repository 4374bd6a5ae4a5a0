// Priority: which of two waiting events goes first.
#pragma once

#include <gossip/version.hpp>

#include <cstddef>
#include <cstdint>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

enum class Priority : std::uint8_t { low, normal, high, critical };

inline constexpr std::size_t priority_count = 4;

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
