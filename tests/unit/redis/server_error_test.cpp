#include <gossip/provider/redis/server_error.hpp>

#include "support/catch.hpp"

#include <string>
#include <string_view>

namespace server_error_test {

using gossip::Error;
using gossip::redis::server_error;
using gossip::redis::detail::is_login_refused;
using gossip::redis::detail::is_passing;

TEST_CASE("what the server's state is the reason of is waited out, and may be tried again", "[server_error]") {
    const std::string_view line = GENERATE(
        as<std::string_view>{}, // as servers write it
        "LOADING Redis is loading the dataset in memory", "READONLY You can't write against a read only replica.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently "
        "unable to persist to disk.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to "
        "'no'.",
        "TRYAGAIN Multiple keys request during rehashing of slot", "BUSY Redis is busy running a script.",
        "NOREPLICAS Not enough good replicas to write.", "CLUSTERDOWN The cluster is down");
    INFO(line);
    const Error error = server_error(line);

    CHECK(is_passing(line));
    CHECK_FALSE(is_login_refused(line));
    CHECK(gossip::as<gossip::RetryableError>(error).has_value());
    CHECK(gossip::is_retryable(error));
    CHECK_FALSE(gossip::is_fatal(error));
    CHECK(gossip::describe(error) == "retryable error: " + std::string(line));
}

TEST_CASE("who we are, and what we may do, is not waited out", "[server_error]") {
    const std::string_view line = GENERATE(as<std::string_view>{}, "NOAUTH Authentication required.",
                                           "WRONGPASS invalid username-password pair or user is disabled.",
                                           "NOPERM this user has no permissions to run the 'publish' command",
                                           "DENIED Redis is running in protected mode",
                                           "ERR invalid password"); // before Redis 6
    INFO(line);
    const Error error = server_error(line);

    CHECK_FALSE(is_passing(line));
    CHECK(is_login_refused(line));
    CHECK(gossip::as<gossip::FatalError>(error).has_value());
    CHECK_FALSE(gossip::is_retryable(error));
    CHECK(gossip::describe(error) == "fatal error: " + std::string(line));
}

TEST_CASE("what else the server says is for good, and no matter of the login", "[server_error]") {
    const std::string_view line = GENERATE(
        as<std::string_view>{}, // its first word alone counts
        "WRONGTYPE Operation against a key holding the wrong kind of value", "ERR unknown command 'XADD'",
        "NOGROUP No such key 'a' or consumer group 'b'", "BUSYGROUP Consumer Group name already exists",
        "BUSYKEY Target key exists", "ERR LOADING", "loading", " LOADING", "LOADING:", "NOAUTHOR", "SOMETHING new");
    INFO(line);
    const Error error = server_error(line);

    CHECK_FALSE(is_passing(line));
    CHECK_FALSE(is_login_refused(line));
    CHECK(gossip::is_fatal(error));
    CHECK_FALSE(gossip::is_retryable(error));
    CHECK(gossip::describe(error) == "fatal error: " + std::string(line));
}

TEST_CASE("a word alone is a whole answer", "[server_error]") {
    CHECK(is_passing("LOADING"));
    CHECK(is_login_refused("NOAUTH"));
    CHECK(gossip::is_retryable(server_error("TRYAGAIN")));
    CHECK(gossip::is_fatal(server_error("")));
}

} // namespace server_error_test
