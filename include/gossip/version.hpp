#pragma once

// The only place the version is written: CMake, the package and pkg-config read it from here.
#define GOSSIP_VERSION_MAJOR 0
#define GOSSIP_VERSION_MINOR 1
#define GOSSIP_VERSION_PATCH 0

#define GOSSIP_DETAIL_QUOTE(number) #number
#define GOSSIP_DETAIL_VERSION(major, minor, patch) \
    GOSSIP_DETAIL_QUOTE(major) "." GOSSIP_DETAIL_QUOTE(minor) "." GOSSIP_DETAIL_QUOTE(patch)

namespace gossip {

/// "major.minor.patch" of the headers this was compiled against.
inline constexpr const char* version =
    GOSSIP_DETAIL_VERSION(GOSSIP_VERSION_MAJOR, GOSSIP_VERSION_MINOR, GOSSIP_VERSION_PATCH);

} // namespace gossip

#undef GOSSIP_DETAIL_VERSION
#undef GOSSIP_DETAIL_QUOTE
