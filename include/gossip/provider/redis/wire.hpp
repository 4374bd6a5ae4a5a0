// Wire: what messages look like, in one place for whoever sends and whoever receives.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/require.hpp>
#include <gossip/provider/redis/cloud_events.hpp>
#include <gossip/provider/redis/compression.hpp>
#include <gossip/provider/redis/envelope.hpp>
#include <gossip/provider/redis/schema.hpp>
#include <gossip/provider/redis/wire_options.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

namespace detail {

/// Writes and reads the messages of one bus.
/// Threads: every member from any thread; `envelope` belongs to the caller.
class Wire {
public:
    Wire(WireOptions options, std::size_t max_size)
        : options_(checked(std::move(options))),
          limits_{.size = max_size, .depth = options_.max_depth, .metadata = options_.max_metadata} {}

    [[nodiscard]] const EnvelopeLimits& limits() const noexcept { return limits_; }
    [[nodiscard]] const SchemaTable& schemas() const noexcept { return options_.schemas; }

    /// Appends the message. `version` 0: the one of the event's topic. Errors: as write_envelope's.
    void write(std::string& out, const Event& event, std::string_view data, bool check_data, std::uint32_t attempt = 1,
               std::uint32_t version = 0) const {
        EnvelopeOptions about{.version = version != 0 ? version : version_of(event),
                              .attempt = attempt,
                              .with_id = options_.with_id,
                              .check_data = check_data,
                              .source = options_.source,
                              .limits = limits_};
        if (options_.compress_above != 0 && data.size() > options_.compress_above) {
            if (check_data) {
                check_data_json(data, limits_);
                about.check_data = false;
            }
            require(data.size() <= limits_.size, "event size", data.size(),
                    "must not be more bytes than the limit of the provider");
            if (std::string packed; compress_data(packed, data)) {
                about.encoding = zstd_encoding;
                return write_as_chosen(out, event, packed, about);
            }
        }
        write_as_chosen(out, event, data, about);
    }

    /// Reads a message in the format that is written here, or else in the other one, and unpacks its data.
    /// Errors: those of the first format, unless the message is of the other.
    [[nodiscard]] Result scan(std::string_view message, Envelope& envelope) const {
        const bool cloud = options_.format == WireFormat::cloud_events;
        Result read = scan_as(cloud, message, envelope);
        if (!read && lacks_name(read.error())) {
            if (scan_as(!cloud, message, envelope)) {
                read = {};
            }
        }
        return read ? unpack_data(envelope, limits_) : read;
    }

private:
    static WireOptions checked(WireOptions options) {
        require(options.format <= WireFormat::cloud_events, "format", static_cast<unsigned>(options.format),
                "must be envelope or cloud_events");
        require(!options.source.empty() && is_utf8(options.source), "source", options.source,
                "must be UTF-8 and not empty");
        require(options.compress_above == 0 || has_zstd, "compress_above", options.compress_above,
                "must be 0, for this build has no zstd");
        require(options.max_depth >= 1 && options.max_depth <= deepest_json, "max_depth", options.max_depth,
                "must be between 1 and 512");
        return options;
    }

    [[nodiscard]] std::uint32_t version_of(const Event& event) const noexcept {
        return options_.schemas.empty() ? 1 : options_.schemas.version_of(EventAccess::name(event));
    }

    void write_as_chosen(std::string& out, const Event& event, std::string_view data,
                         const EnvelopeOptions& about) const {
        if (options_.format == WireFormat::cloud_events) {
            write_cloud_event(out, event, data, about);
        } else {
            write_envelope(out, event, data, about);
        }
    }

    [[nodiscard]] Result scan_as(bool cloud, std::string_view message, Envelope& envelope) const {
        return cloud ? scan_cloud_event(message, envelope, limits_) : scan_envelope(message, envelope, limits_);
    }

    /// A JSON object without what every message of that format has.
    [[nodiscard]] static bool lacks_name(const Error& error) noexcept {
        const auto why = as<ValidationError>(error);
        return why && why->message() == "is missing" && (why->field() == "Type" || why->field() == "specversion");
    }

    const WireOptions options_;
    const EnvelopeLimits limits_;
};

} // namespace detail
} // namespace gossip::GOSSIP_VERSION_NAMESPACE
