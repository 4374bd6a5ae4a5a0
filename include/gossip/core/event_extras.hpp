// What few events have, and what goes wrong with events: kept out of the way of the many.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/event_id.hpp>
#include <gossip/core/metadata.hpp>
#include <gossip/core/priority.hpp>
#include <gossip/core/receipt.hpp>
#include <gossip/core/ref_count.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// What few events have: key, metadata, an id of the user's own. Shared by copies, copied before a change. A block of
/// its own, or a part of that of raw data, which frees it.
struct EventExtras {
    EventExtras() = default;
    EventExtras(const EventExtras& other)
        : key(other.key),
          key_hash(other.key_hash),
          metadata(other.metadata),
          id_text(other.id_text),
          id(other.id),
          has_id(other.has_id),
          receipt(other.receipt),
          attempt(other.attempt) {}
    EventExtras& operator=(const EventExtras&) = delete;

    RefCount owners;
    std::string key;
    std::uint64_t key_hash = 0;
    Metadata metadata;
    std::string id_text; // empty where it says no more than `id`
    EventId id;
    bool has_id = false; // one of its own
    bool stands_with_data = false;
    Receipt* receipt = nullptr; // these two count for the one event that has the flag for it
    int attempt = 1;            // which delivery this is
};

inline const Metadata& no_metadata() noexcept {
    static const Metadata none;
    return none;
}

[[noreturn, gnu::cold, gnu::noinline]] inline void throw_wrong_data(std::string_view event, std::string_view expected,
                                                                    std::string_view actual) {
    if (actual.empty()) {
        GOSSIP_THROW(NoDataError{std::string{event}});
    }
    GOSSIP_THROW(TypeAssertionError{std::string{expected}, std::string{actual}});
}

[[noreturn, gnu::cold, gnu::noinline]] inline void throw_bad_priority(Priority priority) {
    GOSSIP_THROW(ValidationError{"priority", std::to_string(static_cast<unsigned>(priority)),
                                 "must be low, normal, high or critical"});
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
