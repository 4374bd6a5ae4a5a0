#include <gossip/redis.hpp>

#include "conformance/suite.hpp"
#include "support/redis_server.hpp"

namespace gossip_conformance {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Sample, number, text, weight)

} // namespace gossip_conformance

namespace redis_test {

/// One server for all tests, emptied before each.
struct Redis {
    using Provider = gossip::RedisProvider;
    static constexpr bool crosses = true;
    static bool available() { return gossip_test::RedisServer::is_installed(); }
    static gossip_test::RedisServer& server() {
        static gossip_test::RedisServer only({"--appendfsync", "everysec"});
        return only;
    }
    explicit Redis(gossip::RedisOptions wanted) : options(std::move(wanted)) {
        options.url = server().url();
        options.command_timeout = std::chrono::seconds(60); // of a busy machine
        server().command({"FLUSHALL"});
    }
    std::unique_ptr<gossip::EventBus<Provider>> bus(gossip::Config config) {
        return std::make_unique<gossip::EventBus<Provider>>(options, std::move(config));
    }
    gossip::RedisOptions options;
};

struct RedisPubSub : Redis {
    RedisPubSub() : Redis({.mode = gossip::RedisMode::pub_sub, .prefix = "test:"}) {}
};

struct RedisStreams : Redis {
    RedisStreams() : Redis({.mode = gossip::RedisMode::streams, .group = "conformance", .prefix = "test:"}) {}
};

GOSSIP_CONFORMANCE(RedisPubSub, RedisStreams)

} // namespace redis_test
