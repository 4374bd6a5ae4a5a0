// Whole buses and the faults of networks and servers: what was promised is kept, every count adds up, and a shutdown
// ends in time whatever is wrong just then.
#include "support/redis_bus.hpp"
#include "support/redis_ears.hpp"
#include "support/redis_peers.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace faults_test {

inline namespace parts {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::ConnectionEvent;
using gossip::Context;
using gossip::Event;
using gossip::EventType;
using gossip::PublishStatus;
using gossip::RedisMode;
using gossip::RedisOptions;
using gossip::ShutdownReport;
using gossip_test::counted;
using gossip_test::CuttingProxy;
using gossip_test::eventually;
using gossip_test::OddServer;
using gossip_test::RedisBus;
using gossip_test::RedisServer;

RedisOptions quick(const std::string& url, RedisMode mode) {
    RedisOptions options{.url = url, .mode = mode, .group = mode == RedisMode::streams ? "shop" : ""};
    options.command_timeout = 60s;
    options.backoff_first = 1ms;
    options.backoff_max = 20ms;
    options.stream.refresh = 20ms;
    return options;
}

/// The numbers that a processor was given.
class Seen {
public:
    void operator()(const int& n) {
        const std::lock_guard lock(mutex_);
        ++seen_[n];
    }
    [[nodiscard]] std::size_t size() const {
        const std::lock_guard lock(mutex_);
        return seen_.size();
    }
    [[nodiscard]] bool contains(int n) const {
        const std::lock_guard lock(mutex_);
        return seen_.contains(n);
    }

private:
    mutable std::mutex mutex_;
    std::map<int, int> seen_;
};

/// Publishes numbers, each some time later than the one before if the other end falls behind.
class Traffic {
public:
    /// `every`: of so many numbers one is published a millisecond later, and none before what was published has come;
    /// 0: neither.
    Traffic(RedisBus& bus, const Seen& seen, int every)
        : thread_([this, &bus, &seen, every] {
              for (int n = 0; !stop_;) {
                  if (bus.stats().unconfirmed > 500 || (every != 0 && std::cmp_greater(n, seen.size() + 1000))) {
                      std::this_thread::yield();
                      continue;
                  }
                  if (every != 0 && n % every == 0) {
                      bus.publish_after(1ms, counted, n);
                  } else if (bus.publish(counted, n) != PublishStatus::accepted) {
                      continue;
                  }
                  count_ = ++n;
              }
          }) {}
    Traffic(const Traffic&) = delete;
    Traffic& operator=(const Traffic&) = delete;
    ~Traffic() { stop(); }

    /// How many there were.
    int stop() {
        stop_ = true;
        if (thread_.joinable()) {
            thread_.join();
        }
        return count_;
    }

private:
    std::atomic<bool> stop_{false};
    std::atomic<int> count_{0};
    std::thread thread_;
};

} // namespace parts

TEST_CASE("on streams each connection is cut a hundred times under load, and every event is handled", "[faults]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server{{"--appendonly", "no"}};
    RedisBus shop{quick(server.url(), RedisMode::streams)};
    RedisBus billing{quick(server.url(), RedisMode::streams)};
    Seen seen;
    auto s = billing.subscribe(counted, [&](const int& n) { seen(n); });
    Traffic traffic(shop, seen, 20);
    for (const std::string_view part : {"publisher", "reader", "settler", "delayed"}) {
        CAPTURE(part);
        for (int cuts = 0; cuts < 100;) {
            const std::size_t before = seen.size();
            REQUIRE(eventually([&] { return seen.size() > before; }));
            cuts += server.cut(part);
        }
    }
    const auto count = static_cast<std::size_t>(traffic.stop());
    CHECK(shop.drain(20s));
    CHECK(eventually([&] { return seen.size() == count; }));
    CHECK(billing.drain(20s));
    CHECK(eventually([&] { return server.command({"XPENDING", "shop.counted", "shop"}).starts_with("[0,"); }));
    CHECK(billing.provider().stats().stream.lost == 0);
    CHECK(server.command({"EXISTS", "gossip.dead_letters"}) == "0");
    const ShutdownReport sent = shop.shutdown(10s);
    CHECK(sent.adds_up());
    CHECK(sent.sent == count);
    CHECK(billing.shutdown(10s).adds_up());
}

TEST_CASE("on Pub/Sub each connection is cut a hundred times under load, and what comes adds up", "[faults]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server{{"--appendonly", "no"}};
    std::atomic<int> lost{0};
    std::atomic<int> restored{0};
    std::atomic<int> gaps{0};
    RedisOptions options = quick(server.url(), RedisMode::pub_sub);
    options.on_connection = [&](const ConnectionEvent& event) {
        if (event.connection == "pub_sub") {
            lost += event.kind == ConnectionEvent::Kind::lost ? 1 : 0;
            gaps += event.kind == ConnectionEvent::Kind::gap ? 1 : 0;
            restored += event.kind == ConnectionEvent::Kind::restored ? 1 : 0;
        }
    };
    RedisBus shop{quick(server.url(), RedisMode::pub_sub)};
    RedisBus billing{options};
    Seen seen;
    auto s = billing.subscribe(counted, [&](const int& n) { seen(n); });
    Traffic traffic(shop, seen, 0);
    for (const std::string_view part : {"publisher", "pub_sub"}) {
        CAPTURE(part);
        for (int cuts = 0; cuts < 100;) {
            const std::size_t before = seen.size();
            REQUIRE(eventually([&] { return seen.size() > before; }));
            cuts += server.cut(part);
        }
    }
    const int count = traffic.stop();
    CHECK(shop.drain(20s));
    int last = count; // what comes after all that has begun is over
    CHECK(eventually([&] {
        CHECK(shop.publish(counted, ++last) == PublishStatus::accepted);
        return shop.drain(10s) && lost == restored && seen.contains(last);
    }));
    CHECK(lost > 0);
    CHECK(gaps == lost);
    const ShutdownReport sent = shop.shutdown(10s);
    CHECK(sent.adds_up());
    CHECK(sent.sent == static_cast<std::uint64_t>(last));
    CHECK(billing.shutdown(10s).adds_up());
}

TEST_CASE("half-open connections are found out and made again, and streams lose nothing by them", "[faults]") {
    GOSSIP_NEEDS_REDIS()
    const RedisMode mode = GENERATE(RedisMode::pub_sub, RedisMode::streams);
    const RedisServer server;
    CuttingProxy proxy(server);
    RedisOptions options = quick(proxy.url(), mode);
    options.command_timeout = 3s; // more than a busy machine takes for an answer
    options.ping_interval = 50ms;
    options.stream.block = 100ms;
    std::mutex mutex;
    std::multiset<std::string> lost;
    std::multiset<std::string> restored;
    options.on_connection = [&](const ConnectionEvent& event) {
        const std::lock_guard lock(mutex);
        if (event.kind == ConnectionEvent::Kind::lost) {
            lost.emplace(event.connection);
        } else if (event.kind == ConnectionEvent::Kind::restored) {
            restored.emplace(event.connection);
        }
    };
    const std::multiset<std::string> all = mode == RedisMode::streams
                                               ? std::multiset<std::string>{"publisher", "reader", "delayed"}
                                               : std::multiset<std::string>{"publisher", "pub_sub"};
    RedisBus bus{options};
    Seen seen;
    auto s = bus.subscribe(counted, [&](const int& n) { seen(n); });
    CHECK(bus.publish(counted, 0) == PublishStatus::accepted);
    CHECK(eventually([&] { return seen.contains(0); }));
    CHECK(bus.drain(10s));
    REQUIRE(eventually([&] {
        return server.command({"CLIENT", "LIST"}).find(":delayed ") != std::string::npos || mode == RedisMode::pub_sub;
    }));
    proxy.forget();
    CHECK(bus.publish(counted, 1) == PublishStatus::accepted); // into nothing
    CHECK(eventually([&] {
        const std::lock_guard lock(mutex);
        return std::set<std::string>(restored.begin(), restored.end()).size() == all.size();
    }));
    CHECK(bus.publish(counted, 2) == PublishStatus::accepted);
    CHECK(eventually([&] { return seen.contains(2); }));
    CHECK((mode == RedisMode::pub_sub || eventually([&] { return seen.contains(1); })));
    const ShutdownReport report = bus.shutdown(10s);
    CHECK(report.adds_up());
    CHECK(report.sent == 3);
    const std::lock_guard lock(mutex);
    CHECK(lost == restored);
}

TEST_CASE("a listener too slow for the server's patience is told of the gap, and goes on", "[faults]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server{{"--client-output-buffer-limit", "pubsub 200kb 0 0"}};
    std::atomic<int> gaps{0};
    RedisOptions options = quick(server.url(), RedisMode::pub_sub);
    options.on_connection = [&](const ConnectionEvent& event) {
        gaps += event.kind == ConnectionEvent::Kind::gap ? 1 : 0;
    };
    RedisBus shop{quick(server.url(), RedisMode::pub_sub)};
    RedisBus slow{options, Config{.workers = 1, .buffer_size = 4}};
    gossip_test::Gate gate;
    std::atomic<bool> was_open{false};
    Seen seen;
    const gossip::Topic<std::string> texts{"shop.text"};
    auto blocked = slow.subscribe(texts, [&](const std::string&) {
        if (!was_open) {
            gate.pass();
        }
    });
    auto s = slow.subscribe(counted, [&](const int& n) { seen(n); });
    const std::string large(20'000, 'x');
    const auto is_cut = [&] { return server.command({"PUBSUB", "NUMSUB", "shop.text"}) == "[shop.text,0]"; };
    CHECK(eventually([&] {
        for (int i = 0; i < 50; ++i) {
            CHECK(shop.publish(texts, large) == PublishStatus::accepted);
        }
        return shop.drain(10s) && is_cut();
    }));
    was_open = true;
    gate.open();
    CHECK(eventually([&] { return gaps == 1; }));
    CHECK(shop.publish(counted, 1) == PublishStatus::accepted);
    CHECK(eventually([&] { return seen.contains(1); }));
    const ShutdownReport report = slow.shutdown(10s);
    CHECK(report.adds_up());
    CHECK(report.abandoned == 0);
    CHECK(shop.shutdown(10s).adds_up());
}

TEST_CASE("a hundred subscriptions all stand again after an outage", "[faults]") {
    GOSSIP_NEEDS_REDIS()
    const RedisMode mode = GENERATE(RedisMode::pub_sub, RedisMode::streams);
    RedisServer server;
    std::atomic<int> restored{0};
    RedisOptions options = quick(server.url(), mode);
    options.on_connection = [&](const ConnectionEvent& event) {
        const bool listens = event.connection == "pub_sub" || event.connection == "reader";
        restored += event.kind == ConnectionEvent::Kind::restored && listens ? 1 : 0;
    };
    RedisBus bus{options};
    std::array<std::atomic<int>, 100> heard{};
    std::vector<EventType> types;
    std::vector<gossip::Subscription> subscriptions;
    for (std::size_t i = 0; i < heard.size(); ++i) {
        types.emplace_back("shop.n" + std::to_string(i));
        subscriptions.push_back(bus.subscribe(types.back(), [&heard, i](const Event&) { ++heard[i]; }));
    }
    const auto all = [&](int times) {
        return eventually(
            [&] { return std::all_of(heard.begin(), heard.end(), [&](const auto& each) { return each == times; }); });
    };
    for (const EventType& type : types) {
        CHECK(bus.publish(Event{type, 1}) == PublishStatus::accepted);
    }
    CHECK(all(1));
    CHECK(bus.drain(10s)); // acknowledged, too
    server.kill();
    server.start();
    REQUIRE(eventually([&] { return restored == 1; }));
    for (const EventType& type : types) {
        CHECK(bus.publish(Event{type, 2}) == PublishStatus::accepted);
    }
    CHECK(all(2));
    const ShutdownReport report = bus.shutdown(10s);
    CHECK(report.adds_up());
    CHECK(report.handled == 200);
}

inline namespace parts {

constexpr auto deadline = 100ms;

/// Shuts down with a deadline that has to be kept, and looks at the counts. What the processors do beyond the deadline
/// is not the bus's.
void shuts_down_in_time(RedisBus& bus) {
    ShutdownReport report;
    CHECK(gossip_test::takes_less_than(deadline + 100ms, [&] { report = bus.shutdown(deadline); }));
    CHECK(report.complete);
    CHECK(report.adds_up());
    CHECK(bus.publish(counted, 1) == PublishStatus::closed);
}

} // namespace parts

TEST_CASE("flipped bytes in what the server says end connections, and nothing arrives that was not published",
          "[faults]") {
    GOSSIP_NEEDS_REDIS()
    CAPTURE(gossip_test::seed());
    const RedisMode mode = GENERATE(RedisMode::pub_sub, RedisMode::streams);
    CAPTURE(mode == RedisMode::streams);
    const RedisServer server;
    CuttingProxy proxy(server);
    RedisOptions options = quick(proxy.url(), mode);
    RedisBus bus{options};
    const auto order = [](int n) { return gossip_test::Order{"order-" + std::to_string(n), n}; };
    Seen seen;
    std::atomic<int> strange{0};
    auto s = bus.subscribe(gossip_test::ordered, [&](const gossip_test::Order& got) {
        strange += got == order(got.amount) ? 0 : 1;
        seen(got.amount);
    });
    const auto connects = [&] {
        const gossip::RedisStats stats = bus.provider().stats();
        return stats.publisher.connects + stats.pub_sub.connects + stats.stream.connects;
    };
    const auto before = connects();
    int next = 0;
    auto cut_at = std::chrono::steady_clock::now();
    const auto publish_and_cut = [&](std::chrono::milliseconds patience) {
        if (bus.stats().unconfirmed < 100 &&
            bus.publish(gossip_test::ordered, order(next)) == PublishStatus::accepted) {
            ++next;
        }
        if (std::chrono::steady_clock::now() > cut_at + patience) { // who may wait for the rest of an answer
            for (const char* const part : {"publisher", "pub_sub", "reader", "settler"}) {
                server.cut(part);
            }
            cut_at = std::chrono::steady_clock::now();
        }
    };
    proxy.mangle(300);
    CHECK(eventually([&] {
        publish_and_cut(300ms);
        return proxy.mangled() > 100;
    }));
    proxy.mangle(0);
    CHECK(connects() > before);
    cut_at = {};
    const int rest = next;
    CHECK(eventually([&] { // it goes on
        publish_and_cut(5s);
        return next > rest && seen.contains(next - 1);
    }));
    CHECK(strange == 0);
    shuts_down_in_time(bus);
}

TEST_CASE("a shutdown keeps its deadline, whatever is wrong", "[faults]") {
    GOSSIP_NEEDS_REDIS()
    const RedisMode mode = GENERATE(RedisMode::pub_sub, RedisMode::streams);
    CAPTURE(mode == RedisMode::streams);
    RedisServer server;
    CuttingProxy proxy(server);
    RedisOptions options = quick(proxy.url(), mode);
    options.stream.block = 60s;
    std::atomic<int> runs{0};
    const auto listens = [&](RedisBus& bus) {
        auto s = bus.subscribe(counted, [&](const int&) { ++runs; });
        CHECK(bus.publish(counted, 1) == PublishStatus::accepted);
        CHECK(eventually([&] { return runs == 1; }));
        CHECK(bus.drain(10s));
        return s;
    };

    SECTION("a server that was killed") {
        options.url = server.url();
        RedisBus bus{options};
        auto s = listens(bus);
        server.kill();
        CHECK(bus.publish(counted, 2) == PublishStatus::accepted);
        bus.publish_after(1h, counted, 3);
        shuts_down_in_time(bus);
    }
    SECTION("a server that was killed and comes again") {
        options.url = server.url();
        RedisBus bus{options};
        auto s = listens(bus);
        server.kill();
        CHECK(bus.publish(counted, 2) == PublishStatus::accepted);
        std::thread again([&] { server.start(); });
        shuts_down_in_time(bus);
        again.join();
    }
    SECTION("a frozen server") {
        options.url = server.url();
        RedisBus bus{options};
        auto s = listens(bus);
        server.freeze();
        CHECK(bus.publish(counted, 2) == PublishStatus::accepted);
        bus.publish_after(1h, counted, 3);
        shuts_down_in_time(bus);
        server.thaw();
    }
    SECTION("a server that accepts and never answers") {
        const OddServer silent;
        options.url = silent.url();
        options.command_timeout = 50ms; // of the subscription
        RedisBus bus{options};
        CHECK_THROWS_AS(bus.subscribe(counted, [](const int&) {}), gossip::TimeoutError);
        CHECK(bus.publish(counted, 2) == PublishStatus::accepted);
        bus.publish_after(1h, counted, 3);
        shuts_down_in_time(bus);
    }
    SECTION("half-open connections") {
        RedisBus bus{options};
        auto s = listens(bus);
        proxy.forget();
        CHECK(bus.publish(counted, 2) == PublishStatus::accepted);
        shuts_down_in_time(bus);
    }
    SECTION("answers that are cut in the middle, again and again") {
        RedisBus bus{options};
        auto s = listens(bus);
        proxy.cut_after(120);
        for (int i = 0; i < 100; ++i) {
            CHECK(bus.publish(counted, i) == PublishStatus::accepted);
        }
        CHECK(eventually([&] { return proxy.cuts() > 3; }));
        shuts_down_in_time(bus);
    }
    SECTION("an outbox that is full, and a thread that waits for room in it") {
        options.outbox_size = 4;
        options.url = server.url();
        RedisBus bus{options};
        auto s = listens(bus);
        server.freeze();
        std::atomic<int> published{0};
        std::optional<PublishStatus> last;
        std::thread publisher([&] {
            do {
                last = bus.publish(counted, 2);
                ++published;
            } while (last == PublishStatus::accepted);
        });
        CHECK(eventually([&] { return bus.stats().unconfirmed >= 3; }));
        shuts_down_in_time(bus);
        publisher.join();
        CHECK(last == PublishStatus::closed);
        server.thaw();
    }
    SECTION("a slow processor, and a reader that waits for room") {
        options.url = server.url();
        RedisBus bus{options, Config{.workers = 1, .buffer_size = 2}};
        auto s = bus.subscribe(counted, [&](Context& context, const int&) {
            ++runs;
            context.sleep_for(1h); // until it is asked to stop
        });
        for (int i = 0; i < 100; ++i) {
            CHECK(bus.publish(counted, i) == PublishStatus::accepted);
        }
        CHECK(eventually([&] { return runs == 1 && bus.stats().waiting == 2; }));
        shuts_down_in_time(bus);
        CHECK(runs == 1);
    }
    SECTION("poison that waits for its next attempt, and bytes that are no event") {
        options.url = server.url();
        RedisBus bus{options};
        auto s = bus.subscribe(counted,
                               [&](const int&) -> gossip::Result {
                                   ++runs;
                                   return gossip::errors::retryable;
                               },
                               {.redelivery = {.attempts = 100, .first_delay = 1h}});
        CHECK(bus.publish(counted, 1) == PublishStatus::accepted);
        if (mode == RedisMode::streams) {
            server.command({"XADD", "shop.counted", "*", "event", "nonsense"});
        } else {
            server.command({"PUBLISH", "shop.counted", "nonsense"});
        }
        CHECK(eventually([&] { return runs == 1 && bus.provider().stats().malformed == 1; }));
        server.freeze();
        shuts_down_in_time(bus);
        server.thaw();
    }
    SECTION("a hundred subscriptions of a frozen server") {
        options.url = server.url();
        RedisBus bus{options};
        std::vector<gossip::Subscription> subscriptions;
        for (int i = 0; i < 100; ++i) {
            subscriptions.push_back(bus.subscribe(EventType("shop.n" + std::to_string(i)), [](const Event&) {}));
        }
        server.freeze();
        for (int i = 0; i < 100; ++i) {
            CHECK(bus.publish(Event{EventType("shop.n" + std::to_string(i)), 1}) == PublishStatus::accepted);
        }
        shuts_down_in_time(bus);
        server.thaw();
    }
}

} // namespace faults_test
