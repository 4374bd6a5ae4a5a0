// Versions of what a topic's data looks like, and the way from an old one to the newest.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/event_type.hpp>
#include <gossip/core/raw_data.hpp>
#include <gossip/core/require.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// Makes JSON of the newest version of JSON of an older one: `std::string (std::uint32_t version, std::string_view
/// data)`, the version being that of the data. Called by the worker that reads the data, also by several at once; what
/// it throws is what the reading of the data ends with. What it returns is not checked before the codec reads it.
using Upcast = detail::Upcast;

/// The version that a topic's data has here, and how older data becomes that.
struct Schema {
    std::uint32_t version = 1;
    std::shared_ptr<const Upcast> upcast{}; // null: older data is read as it is
};

/// The schemas of topics: `SchemaTable{}.set("order.created", 3, upcast)`. A topic that is not in it has version 1, and
/// so has a message that says no version, as those of the Go original.
///
/// What is published says its topic's version. What arrives in an older one goes through the topic's upcast, if it has
/// one, before its codec sees it; a newer one goes to the codec as it is.
///
/// Threads: a value; reading one object from many threads is fine.
/// Errors:  set throws a ValidationError for a bad name or version 0.
class SchemaTable {
public:
    SchemaTable& set(std::string_view topic, std::uint32_t newest, Upcast upcast = {}) {
        const EventType checked{topic};
        detail::require(newest >= 1, "schema version", newest, "must be at least 1");
        Schema schema{newest, upcast ? std::make_shared<const Upcast>(std::move(upcast)) : nullptr};
        schemas_.insert_or_assign(std::string{checked.name()}, std::move(schema));
        return *this;
    }

    /// Null: the topic is not in it.
    [[nodiscard]] const Schema* find(std::string_view topic) const noexcept {
        const auto found = schemas_.find(topic);
        return found != schemas_.end() ? &found->second : nullptr;
    }

    /// What to call before the codec; null when there is nothing to do.
    [[nodiscard]] std::shared_ptr<const Upcast> upcast_from(std::string_view topic, std::uint32_t written) const {
        const Schema* const schema = find(topic);
        return schema != nullptr && written < schema->version ? schema->upcast : nullptr;
    }

    [[nodiscard]] std::uint32_t version_of(std::string_view topic) const noexcept {
        const Schema* const schema = find(topic);
        return schema != nullptr ? schema->version : 1;
    }

    [[nodiscard]] bool empty() const noexcept { return schemas_.empty(); }

private:
    std::map<std::string, Schema, std::less<>> schemas_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
