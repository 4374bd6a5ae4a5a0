#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/provider/redis/wire_options.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// How events travel: to whoever listens now, or through streams that keep them for each group.
enum class RedisMode : std::uint8_t { pub_sub, streams };

/// Where a group begins in a stream that it has never read. A group that was lost by the server is made again from the
/// last entry seen or from the beginning, whatever is chosen here.
enum class StreamStart : std::uint8_t { beginning, now };

/// What readers cut off their streams. `handled`: what every group of the stream has read and settled; what one group
/// has not read, or not acknowledged, stays.
enum class StreamTrim : std::uint8_t { off, handled };

/// What happened to a connection. Each outage is told of once, however many attempts it takes to end it.
struct ConnectionEvent {
    enum class Kind : std::uint8_t {
        lost,     // it was lost, or could not be made; it is tried again with growing pauses
        restored, // it is back, and everything that was asked of it has been asked again
        gap,      // Pub/Sub: what others published during the outage was not seen; told before `restored`
        refused,  // the server answers, but takes nothing for now (read-only, out of memory, loading); tried again
    };
    Kind kind = Kind::lost;
    std::string_view connection{};     // "publisher", "pub_sub", "reader", "settler" or "delayed"
    std::optional<Error> error{};      // why; with `lost` and `refused` always there
    std::chrono::nanoseconds outage{}; // with `restored` and `gap`: how long it took
};

/// Called on the thread that serves the connection, which waits for it: be brief, and call nothing of the bus that
/// waits for the server. A shutdown that it asks for is one from inside: another call must finish it. What it publishes
/// is refused as `full` where it would wait for the very connection that it is told of. What it throws is ignored.
using ConnectionHook = std::function<void(const ConnectionEvent&)>;

/// How streams are read; without meaning for RedisMode::pub_sub.
struct StreamOptions {
    std::size_t count = 256;                     // entries asked for at once, at most
    std::size_t max_held = 4096;                 // entries of this consumer that may be unsettled at a time
    std::chrono::milliseconds block{2'000};      // how long the server holds a read that finds nothing
    std::chrono::milliseconds min_idle{60'000};  // unrenewed for so long, an entry's consumer counts as crashed
    std::chrono::milliseconds claim_interval{0}; // how often to look for such entries; 0: a third of min_idle
    /// One member of the group at a time is active for a stream: it alone reads it, so that order by key, and with one
    /// worker the order of the stream, holds over all processes. The others stand by, and take over with all that is
    /// pending, first. All members have to set it.
    bool single_active = false;
    /// For how long a member is active after it has last said that it lives, which it does three times in that time.
    /// One that ends gives its turn up at once; one that dies is replaced when this has passed; one that is halted or
    /// cut off for longer begins nothing more, and is replaced. Standing by costs one small EVAL for each stream every
    /// tenth of it, half a second at most. At least 100ms; it needs no relation to command_timeout or min_idle.
    std::chrono::milliseconds lease{15'000};
    int max_deliveries = 10;          // before an entry is buried; attempts within a bus count, and leave it one
    std::string dead_letter_stream{}; // where it is buried; empty: <prefix>gossip.dead_letters
    StreamStart start = StreamStart::beginning;
    std::string
        from{}; // instead of `start`: the first entry read, by its id or a time as redis::stream_place writes it
    StreamTrim trim = StreamTrim::off;
    std::chrono::milliseconds keep{0};                  // trimming leaves what is younger
    std::chrono::milliseconds consumer_idle{3'600'000}; // consumers idle for so long, with nothing pending, are removed
    std::chrono::milliseconds refresh{1'000};           // how often to look for new streams and events to come
};

/// Whom to trust and what to show where the url begins with rediss://. The server's certificate has to be for the host
/// that the url names, by a name or an address in its subjectAltName; there is no way back to less. Files are PEM, and
/// are read again for each connection, so that they may be replaced.
struct TlsOptions {
    std::string ca_file{};      // certificates of who may vouch for the server
    std::string ca_directory{}; // the same, one a file, as `openssl rehash` names them; both empty: the system's
    std::string certificate{};  // ours and its chain, shown to a server that asks for one
    std::string key{};          // its private key, without a passphrase
    std::string server_name{};  // whom the certificate has to be for, and who is asked for (SNI); empty: the url's host
    bool verify = true;         // false: encrypted, but to whoever answers
};

/// How a bus reaches Redis. What is out of bounds is refused with a ValidationError that names the field, the value and
/// the rule; the password of a url is never part of it.
struct RedisOptions {
    std::string url =
        "redis://127.0.0.1:6379"; // redis://user:password@host:port/db, rediss:// with TLS, unix:///path?db=1
    RedisMode mode = RedisMode::pub_sub;
    std::string group{};       // streams: members of a group share the events, each group gets them all
    std::string consumer{};    // streams: this member's name; empty: a new one each time
    std::string client_name{}; // what CLIENT LIST shows, followed by the connection's part; empty: gossip
    std::string prefix{};      // stands before every channel and stream
    std::chrono::milliseconds connect_timeout{2'000}; // each attempt, with greetings
    std::chrono::milliseconds command_timeout{5'000}; // a server silent for so long is given up
    std::chrono::milliseconds keepalive{15'000};      // TCP: first probe of a silent peer; 0: none
    std::chrono::milliseconds ping_interval{5'000};   // silence after which the server is asked whether it lives
    std::chrono::milliseconds backoff_first{50};      // pauses between attempts: up to this, doubling, drawn at random
    std::chrono::milliseconds backoff_max{2'000};
    std::size_t outbox_size = 65'536;       // commands that may wait for the server's word, at most
    std::size_t outbox_bytes = 256 << 20;   // and their bytes
    std::size_t max_event_bytes = 16 << 20; // an encoded event, at most
    WireOptions wire{};                     // what messages look like
    StreamOptions stream{};
    TlsOptions tls{};
    ConnectionHook on_connection{};
};

namespace redis {

/// The place in a stream where what was added at that time or later begins, by the server's clock: `1700000000000-0`.
[[nodiscard]] inline std::string stream_place(std::chrono::system_clock::time_point time) {
    const auto since = std::chrono::floor<std::chrono::milliseconds>(time).time_since_epoch().count();
    return std::to_string(since > 0 ? since : 0) + "-0";
}

} // namespace redis
} // namespace gossip::GOSSIP_VERSION_NAMESPACE
