// Servers that are there and yet can't do what is asked of them: they load, they can't write to their disk, they are
// old.
#include <gossip/bus/event_bus.hpp>
#include <gossip/redis.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/redis_bus.hpp"
#include "support/redis_peers.hpp"
#include "support/redis_server.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

namespace server_states_test {

inline namespace parts {

using namespace std::chrono_literals;
using gossip::PublishStatus;
using gossip::RedisMode;
using gossip::RedisOptions;
using gossip_test::counted;
using gossip_test::eventually;
using gossip_test::patient;
using gossip_test::RedisBus;
using gossip_test::RedisServer;

/// The numbers that came, and how many of them came more than once.
class Numbers {
public:
    auto processor() {
        return [this](int number) {
            const std::lock_guard lock(mutex_);
            twice_ += seen_.insert(number).second ? 0 : 1;
        };
    }
    [[nodiscard]] std::size_t count() const {
        const std::lock_guard lock(mutex_);
        return seen_.size();
    }
    [[nodiscard]] int twice() const {
        const std::lock_guard lock(mutex_);
        return twice_;
    }

private:
    mutable std::mutex mutex_;
    std::set<int> seen_;
    int twice_ = 0;
};

/// A folder that a server has lost while it ran: whatever it saves there fails, whoever it is.
std::string lost_folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "gossip-lost-").string() + std::string(6, 'X');
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    return pattern;
}

} // namespace parts

TEST_CASE("a server that can't save refuses writes until it can: they are waited out, told of, and come once",
          "[server_states]") {
    GOSSIP_NEEDS_REDIS()
    const std::string folder = lost_folder();
    const RedisServer server({"--appendonly", "no", "--dir", folder, "--save", "3600 1"});
    std::atomic<int> refusals{0};
    std::atomic<bool> says_why{false};
    Numbers numbers;
    RedisBus bus(RedisOptions{.url = server.url(),
                              .mode = RedisMode::streams,
                              .group = "g",
                              .command_timeout = 60s,
                              .ping_interval = 20ms, // a server that can't save refuses these as well
                              .backoff_first = 1ms,
                              .backoff_max = 5ms,
                              .on_connection = [&](const gossip::ConnectionEvent& event) {
                                  if (event.error &&
                                      std::string(event.error->what()).find("MISCONF") != std::string::npos) {
                                      says_why = gossip::is_retryable(*event.error);
                                      ++refusals;
                                  }
                              }});
    auto s = bus.subscribe(counted, numbers.processor());
    CHECK(bus.publish_sync(counted, 0).ok());

    std::filesystem::remove_all(folder);
    server.command({"BGSAVE"});
    CHECK(eventually([&] { return server.command({"SET", "x", "1"}).find("MISCONF") != std::string::npos; }));
    for (int i = 1; i < 100; ++i) {
        CHECK(bus.publish(counted, i) == PublishStatus::accepted);
    }
    CHECK(eventually([&] { return refusals > 0; }));
    CHECK(says_why);
    CHECK(bus.stats().sent == 1);
    CHECK(server.command({"CONFIG", "SET", "stop-writes-on-bgsave-error", "no"}) == "OK");

    CHECK(eventually([&] { return numbers.count() == 100; }));
    CHECK(bus.drain(60s));
    CHECK(numbers.twice() == 0);
    CHECK(server.number({"XLEN", "shop.counted"}) == 100);
    CHECK(bus.shutdown().adds_up());
}

TEST_CASE("a server that is still loading is waited for: nobody takes it for one that refuses", "[server_states]") {
    GOSSIP_NEEDS_REDIS()
    const RedisMode mode = GENERATE(RedisMode::pub_sub, RedisMode::streams);
    RedisServer server({"--appendonly", "no", "--key-load-delay", "1000", "--rdbcompression", "no"});
    // While it loads it looks at its connections after every two megabytes: some twenty times.
    server.command({"EVAL", "for i = 1, 2000 do redis.call('SET', 'key:' .. i, string.rep('x', 20000)) end", "0"});
    REQUIRE(server.command({"SAVE"}) == "OK");
    server.kill();
    const RedisOptions options{.url = server.url(),
                               .mode = mode,
                               .group = mode == RedisMode::streams ? "g" : "",
                               .command_timeout = 100ms,
                               .backoff_first = 1ms,
                               .backoff_max = 5ms};
    std::atomic<bool> is_up{false};
    std::atomic<bool> says_why{false};
    std::atomic<int> others{0};
    std::thread listener([&] {
        RedisBus bus(options);
        while (!is_up && !says_why) {
            try {
                static_cast<void>(bus.subscribe(counted, [](int) {}));
            } catch (const gossip::TimeoutError& error) {
                const std::optional<gossip::Error> cause = error.cause();
                says_why = cause && std::string(cause->what()).find("LOADING") != std::string::npos;
            } catch (const gossip::Error&) {
                ++others;
            }
        }
    });
    server.start(); // until it has loaded
    is_up = true;
    listener.join();
    std::atomic<int> got{0};
    RedisBus bus(patient(options));
    auto s = bus.subscribe(counted, [&](int number) { got = number; });
    CHECK(bus.publish_sync(counted, 7).ok());

    CHECK(says_why);
    CHECK(others == 0);
    CHECK(eventually([&] { return got == 7; }));
    CHECK(server.command({"EXISTS", "key:2000"}) == "1");
}

TEST_CASE("what a crashed consumer left is claimed also from a server before 6.2, and nothing that another works on",
          "[server_states]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    gossip_test::CuttingProxy proxy(server);
    proxy.knows_no_idle();
    const auto read_as = [&](const std::string& consumer, int first, int count) {
        for (int i = first; i < first + count; ++i) {
            server.command(
                {"XADD", "shop.counted", "*", "event",
                 R"({"Type":"shop.counted","Timestamp":"2024-01-01T00:00:00Z","Data":)" + std::to_string(i) + "}"});
        }
        server.command(
            {"XREADGROUP", "GROUP", "g", consumer, "COUNT", std::to_string(count), "STREAMS", "shop.counted", ">"});
    };
    server.command({"XGROUP", "CREATE", "shop.counted", "g", "0", "MKSTREAM"});
    read_as("crashed", 0, 250); // more than a page
    server.age_pending("shop.counted", "g");
    read_as("busy", 1'000, 3);
    Numbers numbers;
    RedisOptions options = patient({.url = proxy.url(), .mode = RedisMode::streams, .group = "g"});
    options.stream.min_idle = std::chrono::hours(1);
    options.stream.claim_interval = 10ms;
    RedisBus bus(options);

    auto s = bus.subscribe(counted, numbers.processor());

    CHECK(eventually([&] { return numbers.count() == 250; }));
    CHECK(bus.drain(60s));
    CHECK(proxy.unknown() >= 1);
    CHECK(numbers.count() == 250);
    CHECK(numbers.twice() == 0);
    CHECK(bus.provider().stats().stream.claimed == 250);
    CHECK(server.command({"XPENDING", "shop.counted", "g"}).find("[[busy,3]]") != std::string::npos);
}

} // namespace server_states_test
