#pragma once

// The only place the version is written: CMake, the package and pkg-config read it from here.
#define GOSSIP_VERSION_MAJOR 0
#define GOSSIP_VERSION_MINOR 1
#define GOSSIP_VERSION_PATCH 0

#define GOSSIP_DETAIL_QUOTE(number) #number
#define GOSSIP_DETAIL_VERSION(major, minor, patch) \
    GOSSIP_DETAIL_QUOTE(major) "." GOSSIP_DETAIL_QUOTE(minor) "." GOSSIP_DETAIL_QUOTE(patch)

/// The inline namespace in which all of gossip stands, such as v0_1_0: parts of one program that were compiled against
/// different versions have nothing in common by mistake. What hands a bus from one to the other does not link. What was
/// compiled without exceptions differs as much: v0_1_0_no_exceptions.
#define GOSSIP_VERSION_NAMESPACE inline GOSSIP_DETAIL_NAMESPACE_NAME
#define GOSSIP_DETAIL_NAMESPACE_NAME \
    GOSSIP_DETAIL_NAMESPACE(GOSSIP_VERSION_MAJOR, GOSSIP_VERSION_MINOR, GOSSIP_VERSION_PATCH)
#define GOSSIP_DETAIL_NAMESPACE(major, minor, patch) GOSSIP_DETAIL_JOIN(major, minor, patch)
#if defined(__cpp_exceptions)
#define GOSSIP_DETAIL_JOIN(major, minor, patch) v##major##_##minor##_##patch
#else
#define GOSSIP_DETAIL_JOIN(major, minor, patch) v##major##_##minor##_##patch##_no_exceptions
#endif

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// "major.minor.patch" of the headers this was compiled against.
inline constexpr const char* version =
    GOSSIP_DETAIL_VERSION(GOSSIP_VERSION_MAJOR, GOSSIP_VERSION_MINOR, GOSSIP_VERSION_PATCH);

} // namespace gossip::GOSSIP_VERSION_NAMESPACE

#undef GOSSIP_DETAIL_VERSION
#undef GOSSIP_DETAIL_QUOTE
