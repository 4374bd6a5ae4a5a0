// Attempts on Streams go on counting, whoever has had the event before.
#include "support/redis_bus.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

#include <csignal>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace attempts_test {

inline namespace parts {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::Context;
using gossip::PublishStatus;
using gossip::RedisMode;
using gossip::RedisOptions;
using gossip::Result;
using gossip_test::counted;
using gossip_test::eventually;
using gossip_test::RedisBus;
using gossip_test::RedisServer;

/// Nobody takes from who is alive, however long the machine holds that one up; see age_pending.
RedisOptions streams(const RedisServer& server) {
    RedisOptions options{.url = server.url(), .mode = RedisMode::streams, .group = "shop"};
    options.command_timeout = 60s;
    options.stream.min_idle = 1h;
    options.stream.claim_interval = 10ms;
    return options;
}
/// The server's count of deliveries of the one entry that is pending; 0 if there is none, or no group yet.
long deliveries(const RedisServer& server) {
    const std::string answer = server.command({"XPENDING", "shop.counted", "shop", "-", "+", "1"});
    const std::size_t comma = answer.rfind(',');
    return comma == std::string::npos ? 0 : std::atol(answer.c_str() + comma + 1);
}
long buried(const RedisServer& server) { return server.number({"XLEN", "gossip.dead_letters"}); }

/// What one processor was told, on any thread.
class Attempts {
public:
    void add(int attempt) {
        const std::lock_guard lock(mutex_);
        all_.push_back(attempt);
    }
    [[nodiscard]] std::vector<int> all() const {
        const std::lock_guard lock(mutex_);
        return all_;
    }

private:
    mutable std::mutex mutex_;
    std::vector<int> all_;
};

} // namespace parts

TEST_CASE("a process that takes over from a killed one goes on counting its redeliveries", "[attempts]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    const pid_t child = ::fork(); // while this process has no other threads
    REQUIRE(child >= 0);
    if (child == 0) { // fails twice, and hangs in its third attempt
        gossip_test::only_do([&] {
            RedisBus bus(streams(server));
            auto s = bus.subscribe(counted,
                                   [](Context& context, const int&) -> Result {
                                       while (context.attempt() == 3) {
                                           ::pause();
                                       }
                                       return gossip::errors::retryable;
                                   },
                                   {.redelivery = {.attempts = 4, .first_delay = 1ms}});
            for (;;) {
                ::pause();
            }
        });
    }
    RedisBus shop{streams(server)};
    CHECK(shop.publish(counted, 1) == PublishStatus::accepted);
    CHECK(eventually([&] { return deliveries(server) == 3; }));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    server.age_pending("shop.counted", "shop");

    Attempts attempts;
    std::atomic<int> letter{0};
    RedisBus heir{streams(server)};
    auto d = heir.subscribe(gossip::dead_letter, [&](const gossip::DeadLetter& dead) { letter = dead.attempts; });
    auto s = heir.subscribe(counted,
                            [&](Context& context, const int&) -> Result {
                                attempts.add(context.attempt());
                                return gossip::errors::retryable;
                            },
                            {.redelivery = {.attempts = 4, .first_delay = 1ms}});
    CHECK(eventually([&] { return letter == 4; })); // of four, three had been
    CHECK(heir.drain(10s));
    CHECK(attempts.all() == std::vector<int>{4});
    CHECK(buried(server) == 1);
    CHECK(deliveries(server) == 0);
    const gossip::ShutdownReport report = heir.shutdown(10s);
    CHECK(report.adds_up());
    CHECK(report.failed == 1);
    CHECK(report.redelivered == 0);
}

TEST_CASE("redeliveries within a bus bury nothing that the next process could handle", "[attempts]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    RedisOptions options = streams(server);
    options.stream.max_deliveries = 3;
    Attempts first;
    {
        RedisBus bus{options};
        auto s = bus.subscribe(
            counted,
            [&](Context& context, const int&) -> Result {
                first.add(context.attempt());
                return gossip::errors::retryable;
            },
            {.redelivery = {.attempts = 9, .first_delay = 1ms, .growth = 30, .jitter = 0, .max_delay = 1h}});
        CHECK(bus.publish(counted, 1) == PublishStatus::accepted);
        CHECK(eventually([&] { return first.all().size() == 4; })); // the fifth is due in half a minute
        CHECK(eventually([&] { return deliveries(server) == 2; })); // it stays below the bound
        const gossip::ShutdownReport report = bus.shutdown(10s);
        CHECK(report.adds_up());
        CHECK(report.abandoned == 1);
    }
    CHECK(first.all() == std::vector<int>{1, 2, 3, 4});
    CHECK(buried(server) == 0);
    server.age_pending("shop.counted", "shop");
    Attempts then;
    RedisBus heir{options};
    auto s = heir.subscribe(counted, [&](Context& context, const int&) { then.add(context.attempt()); });
    CHECK(eventually([&] { return then.all().size() == 1; }));
    CHECK(then.all() == std::vector<int>{3});
    CHECK(heir.drain(10s));
    CHECK(deliveries(server) == 0);
    CHECK(buried(server) == 0);
}

TEST_CASE("an event that comes with attempts of its own goes on from there", "[attempts]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    Attempts attempts;
    RedisBus bus{streams(server)};
    auto s = bus.subscribe(counted,
                           [&](Context& context, const int&) -> Result {
                               attempts.add(context.attempt());
                               return gossip::errors::retryable;
                           },
                           {.redelivery = {.attempts = 4, .first_delay = 1ms}});
    server.command({"XADD", "shop.counted", "*", "event", R"({"Type":"shop.counted","Data":1,"Attempt":3})"});
    CHECK(eventually([&] { return buried(server) == 1; }));
    CHECK(attempts.all() == std::vector<int>{3, 4});
    const std::string grave = server.command({"XRANGE", "gossip.dead_letters", "-", "+"});
    CHECK(grave.find("gossip.deliveries,2") != std::string::npos); // of this entry
    CHECK(bus.shutdown(10s).adds_up());
}

} // namespace attempts_test
