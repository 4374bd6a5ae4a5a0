// Runs a program with a Redis server of its own: its address is in GOSSIP_REDIS_URL.
#include "support/redis_server.hpp"

#include <cstdio>
#include <cstdlib>

TEST_CASE("the program passes with a server") {
    GOSSIP_NEEDS_REDIS()
    const gossip_test::RedisServer server;
    const char* const program = std::getenv("GOSSIP_PROGRAM");
    REQUIRE(program != nullptr);
    REQUIRE(::setenv("GOSSIP_REDIS_URL", server.tcp_url().c_str(), 1) == 0);
    CHECK(std::system(program) == 0);
}
