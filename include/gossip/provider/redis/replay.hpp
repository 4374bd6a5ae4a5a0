// A group that reads a stream again from an earlier place.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/provider/redis/connection.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/server_error.hpp>
#include <gossip/provider/redis/stream_entry.hpp>
#include <gossip/provider/redis/url.hpp>

#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis {

/// The group of the options reads the stream from that entry or time on, whatever it has read of it.
///
/// Stalls: waits for the server, up to connect_timeout and command_timeout, on a connection of its own.
/// Errors: ValidationError for what is no place; what the server answers, as where there is no such stream or group.
inline Result replay(const RedisOptions& options, std::string_view stream, std::string_view from) {
    const auto place = detail::parse_place(from);
    if (!place) {
        return ValidationError{"from", from, "must be the id of an entry or milliseconds since 1970"};
    }
    const Endpoint to = parse_url(options.url);
    detail::Interrupt nobody;
    detail::Connection connection{to, options, "replay", nobody};
    if (Result opened = connection.open(); !opened) {
        return opened;
    }
    const detail::Deadline until = detail::SteadyClock::now() + options.command_timeout;
    Result asked =
        connection.ask({"XGROUP", "SETID", stream, options.group, detail::IdText{detail::before(*place)}}, until);
    if (asked && connection.reply().failed()) {
        return server_error(connection.reply().line());
    }
    return asked;
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis
