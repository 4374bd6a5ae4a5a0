// A bus on a Redis that is not there: made, asked, and shut down.
#include <gossip/gossip.hpp>
#include <gossip/redis.hpp>

#include <chrono>
#include <cstring>

int main(int argc, char** argv) {
    using namespace std::chrono_literals;
    const bool version_matches = argc == 2 && std::strcmp(argv[1], gossip::version) == 0;
    gossip::EventBus<gossip::RedisProvider> bus{
        gossip::RedisOptions{.url = "unix:///nowhere", .command_timeout = 50ms}};
    return version_matches && bus.provider().stats().malformed == 0 ? 0 : 1;
}
