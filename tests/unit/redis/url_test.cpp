#include <gossip/provider/redis/url.hpp>

#include <gossip/core/guard.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace url_test {

using namespace std::chrono_literals;
using gossip::redis::parse_url;

inline namespace parts {

/// The error of what must fail.
template <class F>
gossip::ValidationError refusal(F f) {
    const gossip::Result result = gossip::guard(f);
    REQUIRE_FALSE(result);
    const std::optional<gossip::ValidationError> error = gossip::as<gossip::ValidationError>(result.error());
    REQUIRE(error);
    return *error;
}

gossip::ValidationError refused_url(std::string_view url) {
    return refusal([url] { static_cast<void>(parse_url(url)); });
}

template <class Change>
std::string refused_field(Change change) {
    gossip::RedisOptions options;
    change(options);
    return std::string{refusal([&] { gossip::redis::check(options); }).field()};
}

} // namespace parts

TEST_CASE("a url names host, port, login and database", "[url]") {
    const auto full = parse_url("redis://me:se%40cret@cache.local:7000/3");
    CHECK(full.host == "cache.local");
    CHECK(full.port == 7000);
    CHECK(full.user == "me");
    CHECK(full.password == "se@cret");
    CHECK(full.database == 3);

    const auto least = parse_url("redis://localhost");
    CHECK(least.host == "localhost");
    CHECK(least.port == 6379);
    CHECK(least.user.empty());
    CHECK(least.password.empty());
    CHECK(least.database == 0);
    CHECK(parse_url("redis://localhost/").database == 0);
    CHECK(parse_url("redis://:pass@localhost?db=2").password == "pass");
    CHECK(parse_url("redis://:a:b@localhost").password == "a:b");
    CHECK(parse_url("redis://:a@b@localhost").password == "a@b");
}

TEST_CASE("a url names an IPv6 address in brackets", "[url]") {
    CHECK(parse_url("redis://[::1]:7000").host == "::1");
    CHECK(parse_url("redis://[::1]:7000").port == 7000);
    CHECK(parse_url("redis://[fe80::1]/2").database == 2);
}

TEST_CASE("a url names a Unix socket", "[url]") {
    const auto plain = parse_url("unix:///run/redis/redis.sock?db=1");
    CHECK(plain.path == "/run/redis/redis.sock");
    CHECK(plain.host.empty());
    CHECK(plain.database == 1);
    CHECK(parse_url("unix://me:pass@/run/r.sock").password == "pass");
    CHECK(parse_url("unix:///run/r.sock?user=me&password=pass").user == "me");
}

TEST_CASE("a url that breaks a rule is refused with the rule", "[url]") {
    const std::string_view url = GENERATE(
        "", "localhost", "http://localhost", "redis://", "redis://:6379", "redis://h:0", "redis://h:65536",
        "redis://h:1x", "redis://h/x", "redis://h/-1", "redis://h/1000001", "redis://h?timeout=1", "redis://h#1",
        "redis://[::1", "redis://[::1]x", "redis://me@h", "redis://me:@h", "redis://h/1%", "redis://%0h",
        "redis://%00h", "redis://a b", "unix://", "unix:///", "unix://run/r.sock", "unix:///r?user=me", "redis://h:+1");
    CAPTURE(url);

    const gossip::ValidationError error = refused_url(url);

    CHECK(error.field() == "url");
    CHECK(error.value() == gossip::redis::detail::without_password(url));
    CHECK_FALSE(error.rule().empty());
}

TEST_CASE("a path longer than the system takes is refused", "[url]") {
    CHECK(refused_url("unix:///" + std::string(107, 'x')).rule() == "the path of a Unix socket has at most 107 bytes");
    CHECK_NOTHROW(parse_url("unix:///" + std::string(106, 'x')));
}

TEST_CASE("a url asks for TLS, and is refused in a sentence where the build has none", "[url]") {
    CHECK_FALSE(parse_url("redis://localhost").tls);
    CHECK_FALSE(parse_url("unix:///run/r.sock").tls);
    if (gossip::redis::has_tls) {
        const auto to = parse_url("rediss://me:pass@localhost:7000/2");
        CHECK(to.tls);
        CHECK(to.host == "localhost");
        CHECK(to.port == 7000);
        CHECK(to.password == "pass");
        CHECK(to.database == 2);
        CHECK(refused_url("rediss:///run/r.sock").rule() == "the host must not be empty");
        return;
    }
    CHECK(refused_url("rediss://localhost").rule() == "rediss:// needs TLS, which this build does not have");
}

TEST_CASE("no error shows a password", "[url]") {
    const std::string_view url =
        GENERATE("redis://me:hunter2@h:x", "redis://:hunter2@h/x", "unix://me:hunter2@/r?x=1",
                 "redis://h?password=hunter2&x=1", "me:hunter2@h", "redis://:hunter2@h h", "redis://:hunter2@@h:x",
                 "rediss://:hunter2@h:x", "redis://h?password=a&password=hunter2&x=1", "redis://me:hun/ter2@h",
                 "redis://me:hun?ter2@h", "redis://me:hun#ter2@h", "redis://me:hun@/ter2@h", "redis://hunter2@h",
                 "redis://h?Password=hunter2", "unix:///p?pass=hunter2", "unix:///p?db=1&hunter2", "hunter2@h",
                 "redis://h?password=a@hunter2&x=1", "redis://h#password=hunter2", "redis://h?db=0;pass=hunter2",
                 "redis://me:hun?db=ter2@h", "redis://me:hun?user=ter2@h", "redis://h?x=hun?ter2");
    CAPTURE(url);

    const std::string text = refused_url(url).what();

    CHECK(text.find("ter2") == std::string::npos);
    CHECK(text.find("***") != std::string::npos);
}

TEST_CASE("what is no secret is shown, so that the error says where it is", "[url]") {
    const auto shown = [](std::string_view url) { return gossip::redis::detail::without_password(url); };
    CHECK(shown("redis://me:secret@h:x/3") == "redis://me:***@h:x/3");
    CHECK(shown("redis://:secret@h?db=x&user=me&password=a") == "redis://:***@h?db=x&user=me&password=***");
    CHECK(shown("redis://h:99999") == "redis://h:99999");
    CHECK(shown("redis://h?db=x") == "redis://h?db=x");
    CHECK(shown("unix:///run/r.sock?db=x") == "unix:///run/r.sock?db=x");
    CHECK(shown("nonsense") == "nonsense");
    CHECK(shown("").empty());
    CHECK(shown("redis://@h") == "redis://@h");
}

TEST_CASE("options as they come are valid, in both modes", "[url]") {
    CHECK_NOTHROW(gossip::redis::check(gossip::RedisOptions{}));
    CHECK_NOTHROW(gossip::redis::check(
        gossip::RedisOptions{.url = "redis://h", .mode = gossip::RedisMode::streams, .group = "billing"}));
}

TEST_CASE("a place in a stream is an id or a time", "[url]") {
    using gossip::redis::EntryId;
    using gossip::redis::detail::before;
    using gossip::redis::detail::parse_place;
    CHECK(parse_place("1700000000000-7") == EntryId{1'700'000'000'000, 7});
    CHECK(parse_place("5") == EntryId{5, 0});
    CHECK(before({5, 1}) == EntryId{5, 0});
    CHECK(before({5, 0}) == EntryId{4, std::numeric_limits<std::uint64_t>::max()});
    CHECK(before({0, 0}) == EntryId{0, 0});
    CHECK(gossip::redis::stream_place(std::chrono::system_clock::time_point{1'234'567us}) == "1234-0");
    CHECK(gossip::redis::stream_place(std::chrono::system_clock::time_point{-1s}) == "0-0");
    for (const char* const from : {"", "0", "0-0", "1700000000000-7"}) {
        gossip::RedisOptions options{.url = "redis://h"};
        options.stream.from = from;
        CHECK_NOTHROW(gossip::redis::check(options));
    }
}

TEST_CASE("every option is checked and named", "[url]") {
    using Options = gossip::RedisOptions;
    const auto year = std::chrono::hours{24 * 366};

    CHECK(refused_field([](Options& o) { o.tls.ca_file = "ca.crt"; }) == "tls.ca_file"); // without rediss://
    CHECK(refused_field([](Options& o) { o.tls.ca_directory = "certs"; }) == "tls.ca_directory");
    CHECK(refused_field([](Options& o) { o.tls.certificate = "c"; }) == "tls.certificate");
    CHECK(refused_field([](Options& o) { o.tls.key = "k"; }) == "tls.key");
    CHECK(refused_field([](Options& o) { o.tls.server_name = "n"; }) == "tls.server_name");
    CHECK(refused_field([](Options& o) { o.tls.verify = false; }) == "tls.verify");
    CHECK(refused_field([](Options& o) { o.url = "nowhere"; }) == "url");
    CHECK(refused_field([](Options& o) { o.mode = static_cast<gossip::RedisMode>(7); }) == "mode");
    CHECK(refused_field([](Options& o) { o.mode = gossip::RedisMode::streams; }) == "group");
    CHECK(refused_field([](Options& o) { o.group = "a b"; }) == "group");
    CHECK(refused_field([](Options& o) { o.consumer = "a\n"; }) == "consumer");
    CHECK(refused_field([](Options& o) { o.client_name = "a b"; }) == "client_name");
    CHECK(refused_field([](Options& o) { o.prefix = std::string(257, 'x'); }) == "prefix");
    CHECK(refused_field([](Options& o) { o.connect_timeout = 0ms; }) == "connect_timeout");
    CHECK(refused_field([&](Options& o) { o.connect_timeout = year; }) == "connect_timeout");
    CHECK(refused_field([](Options& o) { o.command_timeout = -1ms; }) == "command_timeout");
    CHECK(refused_field([](Options& o) { o.keepalive = -1ms; }) == "keepalive");
    CHECK(refused_field([](Options& o) { o.ping_interval = 0ms; }) == "ping_interval");
    CHECK(refused_field([](Options& o) { o.backoff_first = 0ms; }) == "backoff_first");
    CHECK(refused_field([](Options& o) { o.backoff_max = 1ms; }) == "backoff_max");
    CHECK(refused_field([](Options& o) { o.outbox_size = 0; }) == "outbox_size");
    CHECK(refused_field([](Options& o) { o.outbox_size = std::size_t{1} << 31; }) == "outbox_size");
    CHECK(refused_field([](Options& o) { o.outbox_bytes = 1; }) == "outbox_bytes");
    CHECK(refused_field([](Options& o) { o.max_event_bytes = 0; }) == "max_event_bytes");
    CHECK(refused_field([](Options& o) { o.stream.count = 0; }) == "stream.count");
    CHECK(refused_field([](Options& o) { o.stream.max_held = 0; }) == "stream.max_held");
    CHECK(refused_field([](Options& o) { o.stream.block = 0ms; }) == "stream.block");
    CHECK(refused_field([](Options& o) { o.stream.min_idle = 9ms; }) == "stream.min_idle");
    CHECK(refused_field([](Options& o) { o.stream.claim_interval = -1ms; }) == "stream.claim_interval");
    CHECK(refused_field([](Options& o) { o.stream.lease = 99ms; }) == "stream.lease");
    CHECK(refused_field([&](Options& o) { o.stream.lease = year; }) == "stream.lease");
    CHECK(refused_field([](Options& o) { o.stream.max_deliveries = 0; }) == "stream.max_deliveries");
    CHECK(refused_field([](Options& o) { o.stream.dead_letter_stream = "a b"; }) == "stream.dead_letter_stream");
    CHECK(refused_field([](Options& o) { o.stream.start = static_cast<gossip::StreamStart>(7); }) == "stream.start");
    for (const char* const from : {"x", "1-", "-1", "1-x", "1-2-3", " 1", "99999999999999999999", "$", "+"}) {
        CHECK(refused_field([&](Options& o) { o.stream.from = from; }) == "stream.from");
    }
    CHECK(refused_field([](Options& o) { o.stream.trim = static_cast<gossip::StreamTrim>(7); }) == "stream.trim");
    CHECK(refused_field([](Options& o) { o.stream.keep = -1ms; }) == "stream.keep");
    CHECK(refused_field([](Options& o) { o.stream.consumer_idle = 0ms; }) == "stream.consumer_idle");
    CHECK(refused_field([](Options& o) { o.stream.refresh = 0ms; }) == "stream.refresh");
}

} // namespace url_test
