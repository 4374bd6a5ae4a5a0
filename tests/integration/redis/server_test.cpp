// What the tests of the Redis provider stand on.

#include "support/redis_server.hpp"

#include <stdexcept>

#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

namespace server_test {

using gossip_test::RedisServer;

TEST_CASE("a server that does not answer is no server that says 0", "[server]") {
    GOSSIP_NEEDS_REDIS();
    RedisServer server;
    CHECK(server.number({"EXISTS", "nothing"}) == 0);
    server.kill();
    CHECK_FALSE(server.ask({"PING"}));
    CHECK_THROWS_AS(server.command({"PING"}), std::runtime_error);
    CHECK_THROWS_AS(server.number({"EXISTS", "nothing"}), std::runtime_error);
}

TEST_CASE("an exception in a forked process ends that process, and its parent's server lives", "[server]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    const pid_t child = ::fork(); // while this process has no other threads
    REQUIRE(child >= 0);
    if (child == 0) {
        ::close(STDERR_FILENO); // what the end of a process says is no news here
        ::close(STDOUT_FILENO);
        gossip_test::only_do([] { throw std::runtime_error("no bus"); });
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    const bool ended_well = WIFEXITED(status) && WEXITSTATUS(status) == 0; // a sanitizer ends it without a signal
    CHECK_FALSE(ended_well);
    CHECK(server.command({"PING"}) == "PONG");
}

} // namespace server_test
