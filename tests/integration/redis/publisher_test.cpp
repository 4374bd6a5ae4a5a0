#include <gossip/provider/redis/publisher.hpp>

#include "support/redis_ears.hpp"
#include "support/redis_peers.hpp"
#include "support/redis_server.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>

namespace publisher_test {

using namespace std::chrono_literals;
using gossip::redis::OfferStatus;
using gossip::redis::Publisher;
using gossip_test::Bounded;
using gossip_test::CuttingProxy;
using gossip_test::Ends;
using gossip_test::eventually;
using gossip_test::in;
using gossip_test::News;
using gossip_test::OddServer;
using gossip_test::quick;
using gossip_test::RedisServer;
using gossip_test::time_of;

inline namespace parts {

std::vector<std::uint64_t> numbers_in(const RedisServer& server, const std::string& key) {
    std::string text = server.command({"LRANGE", key, "0", "-1"});
    std::replace(text.begin(), text.end(), ',', ' ');
    std::replace(text.begin(), text.end(), '[', ' ');
    std::istringstream stream{text};
    std::vector<std::uint64_t> numbers;
    for (std::uint64_t number = 0; stream >> number;) {
        numbers.push_back(number);
    }
    return numbers;
}

/// Each number from 0 to `count` - 1 came for the first time after all before it; some may have come again.
bool came_in_order(const std::vector<std::uint64_t>& numbers, std::uint64_t count) {
    std::uint64_t next = 0;
    for (const std::uint64_t number : numbers) {
        if (number > next) {
            return false;
        }
        next = std::max(next, number + 1);
    }
    return next == count;
}

bool adds_up(const Publisher& publisher) {
    const auto s = publisher.stats();
    return s.accepted == s.confirmed + s.failed + s.abandoned + s.waiting;
}

OfferStatus push(Publisher& publisher, std::uint64_t number, std::chrono::milliseconds patience = 20s) {
    return publisher.offer_wait(number, {"RPUSH", "list", std::to_string(number)}, in(patience));
}

} // namespace parts

TEST_CASE("a command is confirmed with the server's answer", "[publisher]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    Ends ends;
    const bool over_tcp = GENERATE(false, true);
    Publisher publisher{quick(over_tcp ? server.tcp_url() : server.url()), ends};

    REQUIRE(publisher.offer(0, {"XADD", "s", "7-1", "f", "v"}) == OfferStatus::accepted);
    REQUIRE(publisher.drain(in(20s)));
    CHECK(ends.last_id() == "7-1");
    REQUIRE(publisher.offer(1, {"RPUSH", "l", "a", "b"}) == OfferStatus::accepted);
    REQUIRE(publisher.drain(in(20s)));
    CHECK(ends.last_integer() == 2);
    CHECK(ends.are_exactly_one_each(2));
}

TEST_CASE("what the server refuses for good fails alone", "[publisher]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    Ends ends;
    Publisher publisher{quick(server.url()), ends};

    for (std::uint64_t i = 0; i < 100; ++i) {
        const auto status = i == 50 ? publisher.offer(i, {"INCR", "list"}) : publisher.offer(i, {"RPUSH", "list", "x"});
        REQUIRE(status == OfferStatus::accepted);
    }
    REQUIRE(publisher.drain(in(20s)));

    const auto errors = ends.errors();
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].first == 50);
    CHECK(gossip::is_fatal(errors[0].second));
    CHECK(std::string{errors[0].second.what()}.find("WRONGTYPE") != std::string::npos);
    CHECK(ends.are_exactly_one_each(100));
    CHECK(server.command({"LLEN", "list"}) == "99");
    CHECK(publisher.stats().failed == 1);
    CHECK(adds_up(publisher));
}

TEST_CASE("a hundred thousand commands from four threads are each confirmed once, those of a thread in order",
          "[publisher]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server{{"--appendonly", "no"}};
    Ends ends;
    Publisher publisher{quick(server.url()), ends};
    constexpr std::uint64_t each = 25'000;
    std::atomic<int> refused = 0;

    std::vector<std::thread> threads;
    for (std::uint64_t t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (std::uint64_t i = 0; i < each; ++i) {
                const auto status = publisher.offer_wait(
                    t * each + i, {"RPUSH", "list" + std::to_string(t), std::to_string(i)}, in(30s));
                refused += status == OfferStatus::accepted ? 0 : 1;
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    REQUIRE(publisher.drain(in(30s)));

    CHECK(refused == 0);
    CHECK(ends.are_exactly_one_each(4 * each));
    for (int t = 0; t < 4; ++t) {
        const auto numbers = numbers_in(server, "list" + std::to_string(t));
        CHECK(numbers.size() == each);
        CHECK(std::is_sorted(numbers.begin(), numbers.end()));
    }
    CHECK(publisher.stats().confirmed == 4 * each);
}

TEST_CASE("large and small commands leave whole, over a socket that takes them in pieces", "[publisher]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server{{"--appendonly", "no"}};
    Ends ends;
    Publisher publisher{quick(server.tcp_url()), ends};
    std::size_t total = 0;

    for (std::uint64_t i = 0; i < 60; ++i) {
        const std::string value((i % 3) * 700'000 + i, 'x');
        total += value.size();
        REQUIRE(publisher.offer_wait(i, {"APPEND", "all", value}, in(20s)) == OfferStatus::accepted);
    }
    REQUIRE(publisher.drain(in(30s)));

    CHECK(ends.are_exactly_one_each(60));
    CHECK(ends.last_integer() == static_cast<std::int64_t>(total));
}

TEST_CASE("a killed server: what it had not confirmed is sent again in order, and nothing confirmed is lost",
          "[publisher]") {
    GOSSIP_NEEDS_REDIS();
    const Bounded bounded("killed server");
    RedisServer server;
    News news;
    Ends ends;
    auto options = quick(server.url());
    options.on_connection = news.hook();
    Publisher publisher{options, ends};
    std::atomic<std::uint64_t> count = 0;
    std::atomic<bool> stop = false;
    std::thread producer{[&] {
        while (!stop) {
            count += push(publisher, count) == OfferStatus::accepted ? 1U : 0U;
        }
    }};

    for (int round = 1; round <= 3; ++round) {
        const std::size_t before = ends.confirmed_count();
        REQUIRE(eventually([&] { return ends.confirmed_count() > before + 200; }));
        server.kill();
        REQUIRE(eventually([&] { return news.count(News::Kind::lost) == static_cast<std::size_t>(round); }));
        server.start();
    }
    stop = true;
    producer.join();
    REQUIRE(publisher.drain(in(20s)));

    CHECK(ends.are_exactly_one_each(count));
    CHECK(ends.errors().empty());
    CHECK(came_in_order(numbers_in(server, "list"), count));
    CHECK(news.line() == "lost restored lost restored lost restored");
    CHECK(publisher.stats().connects == 4);
    CHECK(adds_up(publisher));
}

TEST_CASE("a connection cut many times under load loses nothing and keeps the order", "[publisher]") {
    GOSSIP_NEEDS_REDIS();
    const Bounded bounded("cut publisher");
    const RedisServer server{{"--appendonly", "no"}};
    News news;
    Ends ends;
    auto options = quick(server.url());
    options.on_connection = news.hook();
    Publisher publisher{options, ends};
    std::atomic<std::uint64_t> count = 0;
    std::atomic<bool> stop = false;
    std::thread producer{[&] {
        while (!stop) {
            count += push(publisher, count) == OfferStatus::accepted ? 1U : 0U;
        }
    }};

    int cut = 0;
    while (cut < 20) {
        const std::size_t before = ends.confirmed_count();
        REQUIRE(eventually([&] { return ends.confirmed_count() > before + 50; }));
        cut += server.cut("publisher");
    }
    stop = true;
    producer.join();
    REQUIRE(publisher.drain(in(20s)));

    CHECK(ends.are_exactly_one_each(count));
    CHECK(ends.errors().empty());
    CHECK(came_in_order(numbers_in(server, "list"), count));
    CHECK(news.count(News::Kind::lost) == news.count(News::Kind::restored));
    CHECK(news.count(News::Kind::gap) == 0);
}

TEST_CASE("answers cut anywhere, the order of what is sent again holds", "[publisher]") {
    GOSSIP_NEEDS_REDIS();
    const Bounded bounded("cut answers");
    const RedisServer server{{"--appendonly", "no"}};
    CuttingProxy proxy{server};
    Ends ends;
    Publisher publisher{quick(proxy.url()), ends};
    REQUIRE(push(publisher, 0) == OfferStatus::accepted);
    REQUIRE(publisher.drain(in(20s)));

    constexpr std::uint64_t count = 5'000;
    proxy.cut_after(1'237);
    for (std::uint64_t i = 1; i < count; ++i) {
        REQUIRE(push(publisher, i) == OfferStatus::accepted);
    }
    REQUIRE(eventually([&] { return proxy.cuts() >= 5; }));
    proxy.cut_after(0);
    REQUIRE(publisher.drain(in(20s)));

    CHECK(ends.are_exactly_one_each(count));
    CHECK(came_in_order(numbers_in(server, "list"), count));
    CHECK(publisher.stats().resent > 0);
}

TEST_CASE("an outbox that is full says so: `full` with a server, `unavailable` without", "[publisher]") {
    GOSSIP_NEEDS_REDIS();
    RedisServer server;
    Ends ends;
    auto options = quick(server.url());
    options.outbox_size = 10;
    options.max_event_bytes = 100;
    Publisher publisher{options, ends};
    REQUIRE(push(publisher, 0) == OfferStatus::accepted);
    REQUIRE(publisher.drain(in(20s)));

    CHECK(publisher.offer(1, {"SET", "k", std::string(101, 'x')}) == OfferStatus::too_large);
    server.freeze();
    for (std::uint64_t i = 1; i <= 10; ++i) {
        REQUIRE(push(publisher, i) == OfferStatus::accepted);
    }
    CHECK(publisher.offer(11, {"RPUSH", "list", "11"}) == OfferStatus::full);
    CHECK(push(publisher, 11, 20ms) == OfferStatus::full);
    server.kill();
    REQUIRE(eventually([&] { return !publisher.stats().connected; }));
    CHECK(publisher.offer(11, {"RPUSH", "list", "11"}) == OfferStatus::unavailable);
    CHECK(publisher.stats().waiting == 10);
    std::thread waiter{[&] { push(publisher, 11); }};
    server.start();
    waiter.join();
    REQUIRE(publisher.drain(in(20s)));

    CHECK(ends.are_exactly_one_each(12));
    CHECK(came_in_order(numbers_in(server, "list"), 12));
    publisher.shutdown(in(20s));
    CHECK(publisher.offer(12, {"PING"}) == OfferStatus::closed);
    CHECK(adds_up(publisher));
}

TEST_CASE("a server that takes nothing for now is waited out, and told of once", "[publisher]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server{{"--appendonly", "no"}};
    News news;
    Ends ends;
    auto options = quick(server.url());
    options.on_connection = news.hook();
    Publisher publisher{options, ends};
    REQUIRE(push(publisher, 0) == OfferStatus::accepted);
    REQUIRE(publisher.drain(in(20s)));

    REQUIRE(server.command({"CONFIG", "SET", "maxmemory", "1"}) == "OK");
    for (std::uint64_t i = 1; i < 500; ++i) {
        REQUIRE(push(publisher, i) == OfferStatus::accepted);
    }
    REQUIRE(eventually([&] { return publisher.stats().resent > 1'000; }));
    CHECK(ends.confirmed_count() == 1);
    REQUIRE(server.command({"CONFIG", "SET", "maxmemory", "0"}) == "OK");
    REQUIRE(publisher.drain(in(20s)));

    CHECK(ends.are_exactly_one_each(500));
    CHECK(ends.errors().empty());
    CHECK(numbers_in(server, "list").size() == 500);
    CHECK(news.line() == "refused");
    CHECK(gossip::is_retryable(*news.all().front().error));
    CHECK(server.command({"LRANGE", "list", "0", "0"}) == "[0]");
}

TEST_CASE("a server that accepts and never answers is told of once, and left within 50 ms", "[publisher]") {
    const OddServer server;
    News news;
    Ends ends;
    auto options = quick(server.url());
    options.connect_timeout = 20ms;
    options.on_connection = news.hook();
    Publisher publisher{options, ends};
    REQUIRE(push(publisher, 0) == OfferStatus::accepted);

    REQUIRE(eventually([&] { return news.count(News::Kind::lost) == 1; }));
    CHECK(gossip::is_timeout(*news.all().front().error));
    CHECK_FALSE(publisher.drain(in(60ms)));
    CHECK(gossip_test::takes_less_than(10ms + 50ms, [&] { publisher.shutdown(in(10ms)); }));

    CHECK(news.line() == "lost");
    CHECK(ends.are_exactly_one_each(1));
    CHECK(gossip::is(ends.errors().at(0).second, gossip::errors::abandoned));
    CHECK(publisher.stats().abandoned == 1);
    CHECK(adds_up(publisher));
}

TEST_CASE("a peer that is no Redis is told of, and each command still has one end", "[publisher]") {
    const OddServer server{GENERATE("HTTP/1.1 400 Bad Request\r\n\r\n", ":1\r\n",
                                    "$3\r\nabc\r\n+x\r\n:5\r\n:6\r\n:7\r\n", ",1\r\n", "#t\r\n")};
    News news;
    Ends ends;
    auto options = quick(server.url());
    options.connect_timeout = 50ms;
    options.on_connection = news.hook();
    Publisher publisher{options, ends};
    for (std::uint64_t i = 0; i < 5; ++i) {
        REQUIRE(push(publisher, i) == OfferStatus::accepted);
    }

    REQUIRE(eventually([&] { return news.count(News::Kind::lost) >= 1; }));
    publisher.shutdown(in(20ms));
    CHECK(ends.are_exactly_one_each(5));
    CHECK(adds_up(publisher));
}

TEST_CASE("a server that falls silent under way is given up after command_timeout, its unanswered commands sent again",
          "[publisher]") {
    GOSSIP_NEEDS_REDIS();
    RedisServer server;
    News news;
    Ends ends;
    auto options = quick(server.url());
    options.command_timeout = 3s; // more than a busy machine takes for an answer
    options.on_connection = news.hook();
    Publisher publisher{options, ends};
    REQUIRE(push(publisher, 0) == OfferStatus::accepted);
    REQUIRE(publisher.drain(in(20s)));

    server.freeze();
    REQUIRE(push(publisher, 1) == OfferStatus::accepted);
    REQUIRE(push(publisher, 2) == OfferStatus::accepted);
    REQUIRE(eventually([&] { return news.count(News::Kind::lost) == 1; }));
    CHECK(gossip::is_timeout(*news.all().front().error));
    server.thaw();
    REQUIRE(publisher.drain(in(20s)));

    CHECK(ends.are_exactly_one_each(3));
    CHECK(came_in_order(numbers_in(server, "list"), 3));
    CHECK(news.line() == "lost restored");
}

TEST_CASE("an idle publisher notices that its server has stopped", "[publisher]") {
    GOSSIP_NEEDS_REDIS();
    RedisServer server;
    News news;
    Ends ends;
    auto options = quick(server.url());
    options.command_timeout = 3s; // more than a busy machine takes for an answer
    options.ping_interval = 20ms;
    options.on_connection = news.hook();
    Publisher publisher{options, ends};
    REQUIRE(eventually([&] { return publisher.stats().connected; }));

    const auto pings = [&] {
        const std::string stats = server.command({"INFO", "commandstats"});
        const std::size_t at = stats.find("cmdstat_ping:calls=");
        return at == std::string::npos ? 0 : std::atoi(stats.c_str() + at + 19);
    };
    const int before = pings();
    REQUIRE(eventually([&] { return pings() > before + 3; }));
    CHECK(news.line().empty());
    server.freeze();
    REQUIRE(eventually([&] { return news.count(News::Kind::lost) == 1; }));
    server.thaw();
    REQUIRE(eventually([&] { return news.count(News::Kind::restored) == 1; }));
}

TEST_CASE("login, database and name are the connection's", "[publisher]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    REQUIRE(server.command({"ACL", "SETUSER", "me", "on", ">p@ss", "~*", "&*", "+@all"}) == "OK");
    Ends ends;
    auto options = quick("redis://me:p%40ss@127.0.0.1:" + std::to_string(server.port()) + "/3");
    options.client_name = "shop";
    Publisher publisher{options, ends};

    REQUIRE(publisher.offer(0, {"SET", "k", "v"}) == OfferStatus::accepted);
    REQUIRE(publisher.drain(in(20s)));
    const std::string clients = server.command({"CLIENT", "LIST"});
    CHECK(clients.find("name=shop:publisher ") != std::string::npos);
    CHECK(clients.find("user=me ") != std::string::npos);
    CHECK(server.command({"EXISTS", "k"}) == "0");
    CHECK(server.command({"INFO", "keyspace"}).find("db3:keys=1") != std::string::npos);
}

TEST_CASE("a wrong password is a FatalError, and never shown", "[publisher]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server{{"--requirepass", "right"}};
    const std::string login = GENERATE("", ":hunter2@", "nobody:hunter2@");
    News news;
    Ends ends;
    auto options = quick("redis://" + login + "127.0.0.1:" + std::to_string(server.port()));
    options.on_connection = news.hook();
    Publisher publisher{options, ends};

    REQUIRE(eventually([&] { return news.count(News::Kind::lost) == 1; }));
    const gossip::Error error = *news.all().front().error;
    CAPTURE(error.what());
    CHECK(gossip::is_fatal(error));
    CHECK(std::string{error.what()}.find("hunter2") == std::string::npos);
}

TEST_CASE("a password that the server repeats in its refusal is not shown", "[publisher]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server{
        {"--rename-command", "HELLO", "", "--rename-command", "AUTH", "LOGIN", "--requirepass", "right"}};
    const std::string login = GENERATE(":hunter2@", "nobody:hunter2@");
    News news;
    Ends ends;
    auto options = quick("redis://" + login + "127.0.0.1:" + std::to_string(server.port()));
    options.on_connection = news.hook();
    Publisher publisher{options, ends};

    REQUIRE(eventually([&] { return news.count(News::Kind::lost) == 1; }));
    const std::string text{news.all().front().error->what()};
    CAPTURE(text);
    CHECK(text.find("AUTH") != std::string::npos);
    CHECK(text.find("hunter2") == std::string::npos);
}

TEST_CASE("a server older than HELLO is greeted the old way", "[publisher]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server{{"--rename-command", "HELLO", "", "--requirepass", "right"}};
    Ends ends;
    Publisher publisher{quick("redis://:right@127.0.0.1:" + std::to_string(server.port()) + "/2"), ends};

    REQUIRE(publisher.offer(0, {"SET", "k", "v"}) == OfferStatus::accepted);
    REQUIRE(publisher.drain(in(20s)));
    CHECK(ends.errors().empty());
    CHECK(ends.confirmed_count() == 1);
}

TEST_CASE("no descriptor is left to the programs that this one starts", "[publisher]") {
    GOSSIP_NEEDS_REDIS();
    const RedisServer server;
    const auto open_descriptors = [] {
        std::set<int> open;
        for (int number = 0; number < 1024; ++number) {
            if (::fcntl(number, F_GETFD) >= 0) {
                open.insert(number);
            }
        }
        return open;
    };
    const auto before = open_descriptors();
    Ends ends;
    Publisher publisher{quick(server.tcp_url()), ends};
    REQUIRE(eventually([&] { return publisher.stats().connected; }));

    int own = 0;
    for (const int number : open_descriptors()) {
        if (!before.contains(number)) {
            ++own;
            CHECK((::fcntl(number, F_GETFD) & FD_CLOEXEC) != 0);
        }
    }
    CHECK(own == 2); // the socket and the event
}

TEST_CASE("shutdown is safe twice and from several threads, and ends the backoff of a missing server", "[publisher]") {
    Ends ends;
    auto options = quick("unix:///nowhere/redis.sock");
    options.backoff_first = 10min;
    options.backoff_max = 10min;
    Publisher publisher{options, ends};
    REQUIRE(push(publisher, 0) == OfferStatus::accepted);

    std::vector<std::thread> threads;
    const auto time = time_of([&] {
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] { publisher.shutdown(in(0ms)); });
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
        publisher.shutdown(in(20s));
    });
    CHECK(time < 10s);
    CHECK(ends.are_exactly_one_each(1));
}

} // namespace publisher_test
