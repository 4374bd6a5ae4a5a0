// Servers known by a name, where the system that is asked for its addresses does not answer.
#include <gossip/bus/event_bus.hpp>
#include <gossip/redis.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/redis_bus.hpp"
#include "support/redis_server.hpp"

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include <dlfcn.h>
#include <netdb.h>
#include <sys/socket.h>

namespace names_test {

inline namespace parts {

using namespace std::chrono_literals;
using gossip_test::eventually;
using gossip_test::patient;
using gossip_test::RedisBus;
using gossip_test::RedisServer;

constexpr std::string_view hanging_name = "redis.hangs.test";
constexpr std::string_view living_name = "redis.lives.test";

inline std::atomic<bool> answers{true};
inline std::atomic<int> asked{0};
inline std::atomic<int> hanging{0};

/// While it lives nobody gets an answer about that name.
struct Silence {
    Silence() {
        asked = 0;
        answers = false;
    }
    Silence(const Silence&) = delete;
    Silence& operator=(const Silence&) = delete;
    ~Silence() {
        answers = true;
        CHECK(eventually([] { return hanging == 0; }));
    }
};

} // namespace parts
} // namespace names_test

/// Stands before the system's own for the whole program.
extern "C" int getaddrinfo(const char* host, const char* port, const addrinfo* hints, addrinfo** found) {
    using namespace names_test;
    static const auto system = reinterpret_cast<decltype(&::getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    const bool is_name = host != nullptr && (hints == nullptr || (hints->ai_flags & AI_NUMERICHOST) == 0);
    if (is_name && host == hanging_name) {
        ++asked;
        ++hanging;
        const bool answered = eventually([] { return answers.load(); });
        --hanging;
        return answered ? system("127.0.0.1", port, hints, found) : EAI_AGAIN;
    }
    return system(is_name && host == living_name ? "127.0.0.1" : host, port, hints, found);
}

namespace names_test {

TEST_CASE("a bus finds its server by a name", "[names]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    std::string url = server.tcp_url();
    url.replace(url.find("127.0.0.1"), 9, living_name);
    RedisBus bus(patient({.url = url}));
    std::atomic<int> got{0};

    auto s = bus.subscribe(gossip_test::counted, [&](int number) { got = number; });
    CHECK(bus.publish_sync(gossip_test::counted, 7).ok());

    CHECK(eventually([&] { return got == 7; }));
}

TEST_CASE("a name that is looked up for ever keeps no bus from its end, and no more threads than connections",
          "[names]") {
    const gossip::RedisMode mode = GENERATE(gossip::RedisMode::pub_sub, gossip::RedisMode::streams);
    const std::string group = mode == gossip::RedisMode::streams ? "g" : "";
    const gossip_test::Bounded bounded("the end of a bus whose server's name is being looked up");
    const Silence silence;
    const std::string url = "redis://" + std::string(hanging_name) + ":6379";
    {
        RedisBus bus(gossip::RedisOptions{
            .url = url, .mode = mode, .group = group, .connect_timeout = 3'600'000ms, .command_timeout = 1ms});
        CHECK_THROWS_AS(bus.subscribe(gossip_test::counted, [](int) {}), gossip::TimeoutError);
        CHECK(eventually([] { return hanging > 0; }));
        static_cast<void>(bus.shutdown(0s));
        CHECK(hanging > 0); // and yet it has ended
    }
    std::atomic<int> failures{0};
    std::optional<RedisBus> bus;
    bus.emplace(gossip::RedisOptions{.url = url,
                                     .mode = mode,
                                     .group = group,
                                     .connect_timeout = 1ms,
                                     .command_timeout = 20ms,
                                     .backoff_first = 1ms,
                                     .backoff_max = 1ms});
    for (int i = 0; i < 10; ++i) { // attempts go on meanwhile, some ten in each of these
        try {
            static_cast<void>(bus->subscribe(gossip_test::counted, [](int) {}));
        } catch (const gossip::TimeoutError&) {
            ++failures;
        }
    }
    bus.reset();
    CHECK(failures == 10);
    CHECK(asked <= 8); // one for each connection of the two
}

TEST_CASE("a bus that could not find its server finds it when the name is known at last", "[names]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    std::string url = server.tcp_url();
    url.replace(url.find("127.0.0.1"), 9, hanging_name);
    std::atomic<bool> came{false};
    std::optional<Silence> silence;
    silence.emplace();
    std::atomic<int> failures{0};
    RedisBus bus(gossip::RedisOptions{.url = url,
                                      .connect_timeout = 500ms,
                                      .command_timeout = 60s,
                                      .on_connection = [&](const gossip::ConnectionEvent& event) {
                                          failures += event.kind == gossip::ConnectionEvent::Kind::lost ? 1 : 0;
                                      }});
    CHECK(eventually([&] { return failures > 0; }));
    CHECK(bus.publish(gossip_test::counted, 1) == gossip::PublishStatus::accepted);

    silence.reset();

    auto s = bus.subscribe(gossip_test::counted, [&](int number) { came = came || number == 7; });
    CHECK(bus.publish_sync(gossip_test::counted, 7).ok());
    CHECK(eventually([&] { return came.load(); }));
}

} // namespace names_test
