#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/require.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/stream_entry.hpp>
#include <gossip/provider/redis/tls.hpp>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis {

/// Where a server is and who asks: a checked url.
struct Endpoint {
    std::string host{}; // a name or an address; empty with a path
    std::uint16_t port = 6379;
    std::string path{}; // of a Unix socket
    std::string user{};
    std::string password{};
    int database = 0;
    bool tls = false;
};

namespace detail {

/// The url as it may be shown, "***" for each part that may be a secret, however wrong the url is: what stands between
/// the user and the last '@', and what any parameter but db and user says.
[[nodiscard]] inline std::string without_password(std::string_view url) {
    const std::size_t scheme = url.find("://");
    const std::size_t start = scheme == std::string_view::npos ? 0 : scheme + 3;
    std::string hidden(url.size(), ' '); // '*': this byte of the url is not shown
    if (const std::size_t at = url.rfind('@'); at != std::string_view::npos && at > start) {
        const std::size_t colon = scheme == std::string_view::npos ? at : url.find(':', start);
        const std::size_t from = colon < at ? colon + 1 : start;
        hidden.replace(from, at - from, at - from, '*');
    }
    for (std::size_t at = url.find_first_of("?#", start); at != std::string_view::npos;) {
        const std::size_t item = at + 1;
        at = url.find_first_of("&?#;", item);
        const std::string_view text = url.substr(item, at == std::string_view::npos ? at : at - item);
        const std::size_t equals = text.find('=');
        const std::string_view key = text.substr(0, equals);
        if (key != "db" && key != "user") {
            const std::size_t from = equals == std::string_view::npos ? 0 : equals + 1;
            hidden.replace(item + from, text.size() - from, text.size() - from, '*');
        }
    }
    std::string shown;
    for (std::size_t i = 0; i < url.size(); ++i) {
        if (hidden[i] == ' ') {
            shown += url[i];
        } else if (i == 0 || hidden[i - 1] == ' ') {
            shown += "***";
        }
    }
    return shown;
}

/// Takes a url apart; throws the ValidationError that says what is wrong with it.
class UrlReader {
public:
    explicit UrlReader(std::string_view url) : url_(url) {}

    [[nodiscard]] Endpoint read() const {
        require(url_.find_first_of(std::string_view{" \t\r\n\0", 5}) == std::string_view::npos,
                "must not contain spaces or control characters");
        const std::size_t scheme = url_.find("://");
        require(scheme != std::string_view::npos, "must begin with redis://, rediss:// or unix://");
        const std::string_view name = url_.substr(0, scheme);
        std::string_view rest = url_.substr(scheme + 3);
        require(rest.find('#') == std::string_view::npos, "must not contain '#'");
        require(has_tls || name != "rediss", "rediss:// needs TLS, which this build does not have");
        const std::size_t question = rest.find('?');
        const std::string_view query = question == std::string_view::npos ? "" : rest.substr(question + 1);
        rest = rest.substr(0, question);
        Endpoint to;
        if (name == "redis" || name == "rediss" || name == "tcp") {
            to.tls = name == "rediss";
            read_tcp(to, rest);
        } else {
            require(name == "unix", "must begin with redis://, rediss:// or unix://");
            read_unix(to, rest);
        }
        read_query(to, query);
        require(to.user.empty() || !to.password.empty(), "a user needs a password");
        return to;
    }

private:
    void require(bool holds, std::string_view rule) const {
        if (!holds) {
            GOSSIP_THROW(ValidationError{"url", std::string_view{without_password(url_)}, rule});
        }
    }

    void read_tcp(Endpoint& to, std::string_view rest) const {
        const std::size_t slash = rest.find('/');
        std::string_view place = rest.substr(0, slash);
        if (const std::size_t at = place.rfind('@'); at != std::string_view::npos) {
            read_login(to, place.substr(0, at));
            place = place.substr(at + 1);
        }
        std::string_view port;
        if (place.starts_with('[')) { // an IPv6 address
            const std::size_t close = place.find(']');
            require(close != std::string_view::npos, "an address that begins with '[' must end with ']'");
            to.host = place.substr(1, close - 1);
            const std::string_view after = place.substr(close + 1);
            require(after.empty() || after.starts_with(':'), "an address must be followed by ':' and the port");
            port = after.empty() ? after : after.substr(1);
        } else {
            const std::size_t colon = place.find(':');
            to.host = decoded(place.substr(0, colon));
            port = colon == std::string_view::npos ? "" : place.substr(colon + 1);
        }
        require(!to.host.empty(), "the host must not be empty");
        if (!port.empty()) {
            const unsigned long number = number_of(port, 65'535, "the port must be between 1 and 65535");
            require(number != 0, "the port must be between 1 and 65535");
            to.port = static_cast<std::uint16_t>(number);
        }
        if (slash != std::string_view::npos && slash + 1 < rest.size()) {
            to.database = database_of(rest.substr(slash + 1));
        }
    }

    void read_unix(Endpoint& to, std::string_view rest) const {
        const std::size_t slash = rest.find('/');
        require(slash != std::string_view::npos, "must name an absolute path: unix:///run/redis.sock");
        if (slash != 0) {
            require(rest[slash - 1] == '@', "must name an absolute path: unix:///run/redis.sock");
            read_login(to, rest.substr(0, slash - 1));
        }
        to.path = decoded(rest.substr(slash));
        require(to.path.size() > 1, "must name an absolute path: unix:///run/redis.sock");
        require(to.path.size() < 108, "the path of a Unix socket has at most 107 bytes");
    }

    void read_login(Endpoint& to, std::string_view login) const {
        const std::size_t colon = login.find(':');
        require(colon != std::string_view::npos, "a login must be user:password or :password");
        to.user = decoded(login.substr(0, colon));
        to.password = decoded(login.substr(colon + 1));
        require(!to.password.empty(), "the password must not be empty");
    }

    void read_query(Endpoint& to, std::string_view query) const {
        while (!query.empty()) {
            const std::string_view item = query.substr(0, query.find('&'));
            query.remove_prefix(item.size() < query.size() ? item.size() + 1 : item.size());
            const std::size_t equals = item.find('=');
            const std::string_view key = item.substr(0, equals);
            const std::string_view value = equals == std::string_view::npos ? "" : item.substr(equals + 1);
            if (key == "db") {
                to.database = database_of(value);
            } else if (key == "user") {
                to.user = decoded(value);
            } else {
                require(key == "password", "knows the parameters db, user and password alone");
                to.password = decoded(value);
            }
        }
    }

    [[nodiscard]] int database_of(std::string_view text) const {
        constexpr std::string_view rule = "the database must be a number from 0 to 1000000";
        return static_cast<int>(number_of(text, 1'000'000, rule));
    }

    [[nodiscard]] unsigned long number_of(std::string_view text, unsigned long most, std::string_view rule) const {
        unsigned long number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        require(!text.empty() && error == std::errc{} && end == text.data() + text.size() && number <= most, rule);
        return number;
    }

    /// %41 is A.
    [[nodiscard]] std::string decoded(std::string_view text) const {
        std::string plain;
        for (std::size_t i = 0; i < text.size(); ++i) {
            unsigned code = static_cast<unsigned char>(text[i]);
            if (text[i] == '%') {
                const char* const digits = text.data() + i + 1;
                require(i + 2 < text.size() && std::from_chars(digits, digits + 2, code, 16).ptr == digits + 2,
                        "'%' must be followed by two hexadecimal digits");
                require(code != 0, "must not contain a zero byte");
                i += 2;
            }
            plain += static_cast<char>(code);
        }
        return plain;
    }

    std::string_view url_;
};

inline void require_duration(std::chrono::milliseconds value, std::chrono::milliseconds least, std::string_view field,
                             std::string_view rule) {
    gossip::detail::require(value >= least && value <= std::chrono::hours{24 * 365}, field, value, rule);
}

/// What may stand in names that the server reads as one word, or that are one stream: no spaces, no control characters.
[[nodiscard]] inline bool is_word(std::string_view text) noexcept {
    for (const char c : text) {
        if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) == 0x7F) {
            return false;
        }
    }
    return true;
}

inline void require_word(std::string_view value, std::string_view field) {
    gossip::detail::require(is_word(value), field, value, "must not contain spaces or control characters");
    gossip::detail::require(value.size() <= 256, field, value, "must have at most 256 bytes");
}

/// Empty, or a place in a stream.
inline void require_place(std::string_view value, std::string_view field) {
    gossip::detail::require(value.empty() || parse_place(value), field, value,
                            "must be the id of an entry or milliseconds since 1970");
}

inline void check(const StreamOptions& options) {
    using gossip::detail::require;
    using namespace std::chrono_literals;
    constexpr std::string_view second = "must be between 1ms and 365 days";
    require(options.count >= 1 && options.count <= 100'000, "stream.count", options.count,
            "must be between 1 and 100000");
    require(options.max_held >= 1 && options.max_held <= 10'000'000, "stream.max_held", options.max_held,
            "must be between 1 and 10000000");
    require_duration(options.block, 1ms, "stream.block", second);
    require_duration(options.min_idle, 10ms, "stream.min_idle", "must be between 10ms and 365 days");
    require_duration(options.claim_interval, 0ms, "stream.claim_interval", "must be between 0 and 365 days");
    require_duration(options.lease, 100ms, "stream.lease", "must be between 100ms and 365 days");
    require(options.max_deliveries >= 1, "stream.max_deliveries", options.max_deliveries, "must be at least 1");
    require_word(options.dead_letter_stream, "stream.dead_letter_stream");
    require(options.start == StreamStart::beginning || options.start == StreamStart::now, "stream.start",
            static_cast<int>(options.start), "must be beginning or now");
    require_place(options.from, "stream.from");
    require(options.trim == StreamTrim::off || options.trim == StreamTrim::handled, "stream.trim",
            static_cast<int>(options.trim), "must be off or handled");
    require_duration(options.keep, 0ms, "stream.keep", "must be between 0 and 365 days");
    require_duration(options.consumer_idle, 1ms, "stream.consumer_idle", second);
    require_duration(options.refresh, 1ms, "stream.refresh", second);
}

} // namespace detail

/// The endpoint that a url names. Errors: ValidationError on field `url`, its password hidden.
[[nodiscard]] inline Endpoint parse_url(std::string_view url) { return detail::UrlReader{url}.read(); }

/// Throws the ValidationError of the first option that breaks its rule.
inline void check(const RedisOptions& options) {
    using gossip::detail::require;
    using namespace std::chrono_literals;
    constexpr std::string_view year = "must be between 1ms and 365 days";
    const Endpoint to = parse_url(options.url);
    detail::check(options.tls, to.tls, to.host);
    require(options.mode == RedisMode::pub_sub || options.mode == RedisMode::streams, "mode",
            static_cast<int>(options.mode), "must be pub_sub or streams");
    require(options.mode != RedisMode::streams || !options.group.empty(), "group", std::string_view{options.group},
            "must not be empty with streams");
    detail::require_word(options.group, "group");
    detail::require_word(options.consumer, "consumer");
    detail::require_word(options.client_name, "client_name");
    detail::require_word(options.prefix, "prefix");
    detail::require_duration(options.connect_timeout, 1ms, "connect_timeout", year);
    detail::require_duration(options.command_timeout, 1ms, "command_timeout", year);
    detail::require_duration(options.keepalive, 0ms, "keepalive", "must be between 0 and 365 days");
    detail::require_duration(options.ping_interval, 1ms, "ping_interval", year);
    detail::require_duration(options.backoff_first, 1ms, "backoff_first", year);
    detail::require_duration(options.backoff_max, options.backoff_first, "backoff_max",
                             "must be between backoff_first and 365 days");
    require(options.outbox_size >= 1 && options.outbox_size <= (std::size_t{1} << 30), "outbox_size",
            options.outbox_size, "must be between 1 and 1073741824");
    require(options.max_event_bytes >= 1 && options.max_event_bytes <= (std::size_t{512} << 20), "max_event_bytes",
            options.max_event_bytes, "must be between 1 and 536870912");
    require(options.outbox_bytes >= options.max_event_bytes, "outbox_bytes", options.outbox_bytes,
            "must be at least max_event_bytes");
    detail::check(options.stream);
}

namespace detail {

/// The options, once they have been checked.
inline const RedisOptions& checked(const RedisOptions& options) {
    redis::check(options);
    return options;
}

} // namespace detail
} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis
