// One member of a group at a time is active for a stream: order by key over all of them, whoever ends, dies or is cut
// off.
#include "support/redis_bus.hpp"
#include "support/redis_ears.hpp"
#include "support/redis_peers.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <csignal>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace single_active_test {

inline namespace parts {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::Context;
using gossip::Event;
using gossip::PublishStatus;
using gossip::RedisMode;
using gossip::RedisOptions;
using gossip::Result;
using gossip_test::counted;
using gossip_test::CuttingProxy;
using gossip_test::eventually;
using gossip_test::News;
using gossip_test::RedisBus;
using gossip_test::RedisServer;
using Clock = std::chrono::steady_clock;

constexpr gossip::Topic<int> topic_parts[] = {gossip::Topic<int>{"part.0"}, gossip::Topic<int>{"part.1"},
                                              gossip::Topic<int>{"part.2"}};
constexpr auto long_lease = std::chrono::milliseconds(10min); // whoever waits for its end fails
constexpr auto short_lease = std::chrono::milliseconds(2s);

RedisOptions single(const std::string& url, std::chrono::milliseconds lease = long_lease) {
    RedisOptions options{.url = url, .mode = RedisMode::streams, .group = "shop"};
    options.command_timeout = 60s;
    options.backoff_first = 2ms;
    options.backoff_max = 50ms;
    options.stream.single_active = true;
    options.stream.lease = lease;
    options.stream.min_idle = 10h; // only a takeover is quicker
    options.stream.refresh = 10ms;
    return options;
}
long pending(const RedisServer& server, const std::string& stream = "shop.counted") {
    const std::string answer = server.command({"XPENDING", stream, "shop"});
    return std::atol(answer.c_str() + 1);
}
std::string owner(const RedisServer& server, const std::string& stream = "shop.counted") {
    return server.command({"GET", "gossip.active:shop:" + stream});
}
bool is_active(RedisBus& bus) { return bus.provider().stats().stream.active == 1; }
void publish(RedisBus& bus, int from, int to, int keys) {
    for (int i = from; i < to; ++i) {
        CHECK(bus.publish(counted, i, {.key = "k" + std::to_string(i % keys)}) == PublishStatus::accepted);
    }
}

/// Which events have begun, key by key, in what order, and whether two of a key ever ran at once. Numbers of a key are
/// `key`, `key + keys`, and so on. Lives in memory that forked processes share, and is right while one of them is dead.
class Journal {
public:
    static constexpr int keys = 4;
    static constexpr std::size_t most = 4096;

    static Journal& shared() {
        void* const room = ::mmap(nullptr, sizeof(Journal), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        return *::new (room) Journal;
    }

    /// Returns what `end` wants.
    void begin(int number, int who) {
        const int inside = inside_[static_cast<std::size_t>(number % keys)].fetch_add(1);
        together_ += inside == 0 ? 0 : 1;
        const std::size_t at = count_.fetch_add(1);
        if (at < most) {
            numbers_[at] = number;
            who_[at] = who;
        }
    }
    void end(int number) { inside_[static_cast<std::size_t>(number % keys)].fetch_sub(1); }
    /// A process that was killed has left nothing.
    void all_have_left() {
        for (auto& inside : inside_) {
            inside = 0;
        }
    }

    [[nodiscard]] int together() const { return together_; }
    [[nodiscard]] std::size_t count() const { return std::min(count_.load(), most); }
    [[nodiscard]] std::set<int> seen() const {
        std::set<int> seen;
        for (std::size_t i = 0; i < count(); ++i) {
            seen.insert(numbers_[i]);
        }
        return seen;
    }
    [[nodiscard]] int by(int who) const {
        int by = 0;
        for (std::size_t i = 0; i < count(); ++i) {
            by += who_[i] == who ? 1 : 0;
        }
        return by;
    }
    /// Each number comes after all that are before it in its key; only what was there already comes again.
    [[nodiscard]] bool is_in_order() const {
        std::array<int, keys> next{};
        for (int key = 0; key < keys; ++key) {
            next[static_cast<std::size_t>(key)] = key;
        }
        for (std::size_t i = 0; i < count(); ++i) {
            int& expected = next[static_cast<std::size_t>(numbers_[i] % keys)];
            if (numbers_[i] > expected) {
                return false;
            }
            expected = std::max(expected, numbers_[i] + keys);
        }
        return true;
    }

private:
    std::array<std::atomic<int>, keys> inside_{};
    std::atomic<int> together_{0};
    std::atomic<std::size_t> count_{0};
    std::array<std::atomic<int>, most> numbers_{};
    std::array<std::atomic<int>, most> who_{};
};

/// Holds what it is given.
class Ear : public gossip::redis::StreamListener {
public:
    bool entry(const gossip::redis::StreamEntry& entry) noexcept override {
        const std::lock_guard lock(mutex_);
        ids_.push_back(entry.id());
        turns_.push_back(entry.turn());
        return true;
    }
    [[nodiscard]] std::vector<gossip::redis::EntryId> ids() const {
        const std::lock_guard lock(mutex_);
        return ids_;
    }
    [[nodiscard]] std::uint64_t turn() const {
        const std::lock_guard lock(mutex_);
        return turns_.empty() ? 0 : turns_.back();
    }

private:
    mutable std::mutex mutex_;
    std::vector<gossip::redis::EntryId> ids_;
    std::vector<std::uint64_t> turns_;
};

} // namespace parts

TEST_CASE("one member reads, the others stand by, and take over at once when it ends", "[single_active]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    std::atomic<int> first{0};
    std::atomic<int> second{0};
    auto a = std::make_unique<RedisBus>(single(server.url()));
    RedisBus b{single(server.url())};
    auto sa = a->subscribe(counted, [&](const int&) { ++first; });
    REQUIRE(eventually([&] { return is_active(*a); }));
    auto sb = b.subscribe(counted, [&](const int&) { ++second; });
    RedisBus shop{single(server.url())};
    publish(shop, 0, 100, 4);
    REQUIRE(eventually([&] { return first == 100; }));
    CHECK(second == 0);
    CHECK_FALSE(is_active(b));
    CHECK(a->provider().stats().stream.takeovers == 1);
    CHECK(owner(server) != "nil");

    const auto start = Clock::now();
    CHECK(a->shutdown(30s).adds_up());
    REQUIRE(eventually([&] { return is_active(b); }));
    CHECK(Clock::now() - start < long_lease / 2);
    publish(shop, 100, 200, 4);
    REQUIRE(eventually([&] { return second == 100; }));
    CHECK(first == 100);
    CHECK(b.drain(30s));
    CHECK(pending(server) == 0);
    CHECK(b.provider().stats().stream.takeovers == 1);
    CHECK(b.provider().stats().stream.losses == 0);
    CHECK(b.shutdown(30s).adds_up());
    CHECK(owner(server) == "nil");
}

TEST_CASE("order by key holds while members of a group come and go", "[single_active]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server{{"--appendonly", "no"}};
    auto& journal = Journal::shared();
    constexpr int count = 2'000;
    RedisBus shop{single(server.url())};
    std::vector<std::unique_ptr<RedisBus>> buses;
    std::vector<gossip::Subscription> subscriptions;
    const auto join = [&](int who) {
        auto& bus = *buses.emplace_back(std::make_unique<RedisBus>(single(server.url()), Config{.workers = 3}));
        subscriptions.push_back(bus.subscribe(counted,
                                              [&journal, who](Context& context, const int& n) -> Result {
                                                  journal.begin(n, who);
                                                  std::this_thread::yield();
                                                  journal.end(n);
                                                  return n % 50 == 0 && context.attempt() == 1
                                                             ? Result{gossip::errors::retryable}
                                                             : Result{};
                                              },
                                              {.redelivery = {.attempts = 5, .first_delay = 1ms}}));
    };
    join(0);
    join(1);
    for (int round = 0; round < 8; ++round) {
        publish(shop, count / 8 * round, count / 8 * (round + 1), Journal::keys);
        join(round + 2);
        RedisBus& active = **std::find_if(buses.begin(), buses.end(), [](auto& bus) { return is_active(*bus); });
        CHECK(active.shutdown(30s).adds_up());
        REQUIRE(eventually(
            [&] { return std::count_if(buses.begin(), buses.end(), [](auto& bus) { return is_active(*bus); }) == 1; }));
    }
    REQUIRE(eventually([&] { return journal.seen().size() == count; }));
    for (auto& bus : buses) {
        CHECK(bus->shutdown(30s).adds_up());
    }
    CHECK(journal.together() == 0);
    CHECK(journal.is_in_order());
    CHECK(pending(server) == 0);
}

TEST_CASE("what waits for its redelivery at a shutdown goes first at the next member, and keeps its key's place",
          "[single_active]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    std::atomic<int> tries{0};
    std::atomic<int> others{0};
    auto a = std::make_unique<RedisBus>(single(server.url()), Config{.workers = 2});
    auto sa = a->subscribe(counted,
                           [&](const int& n) -> Result {
                               ++(n == 0 ? tries : others);
                               return n == 0 ? Result{gossip::errors::retryable} : Result{};
                           },
                           {.redelivery = {.attempts = 5, .first_delay = 1h, .max_delay = 1h}});
    RedisBus b{single(server.url()), Config{.workers = 2}};
    std::mutex mutex;
    std::vector<int> seen;
    REQUIRE(eventually([&] { return is_active(*a); }));
    auto sb = b.subscribe(counted, [&](const int& n) {
        const std::lock_guard lock(mutex);
        seen.push_back(n);
    });
    for (int i = 0; i < 20; ++i) {
        CHECK(a->publish(counted, i, {.key = "one"}) == PublishStatus::accepted);
    }
    REQUIRE(eventually([&] { return tries == 1 && pending(server) == 20; }));

    CHECK(a->shutdown(30s).adds_up());
    CHECK(eventually([&] {
        const std::lock_guard lock(mutex);
        return seen.size() == 20;
    }));
    CHECK(tries == 1);
    CHECK(others == 0);
    CHECK(std::is_sorted(seen.begin(), seen.end()));
    CHECK(b.drain(30s));
    CHECK(pending(server) == 0);
}

TEST_CASE("a process that is killed is replaced within its lease, and order by key is kept", "[single_active]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    auto& journal = Journal::shared();
    constexpr int count = 200;
    int go[2];
    REQUIRE(::pipe(go) == 0);
    const pid_t child = ::fork(); // while this process has no other threads
    REQUIRE(child >= 0);
    if (child == 0) { // ends some, and hangs in one of each key
        gossip_test::only_do([&] {
            char byte = 0;
            if (::read(go[0], &byte, 1) == 1) {
                RedisBus bus{single(server.url(), short_lease), Config{.workers = Journal::keys}};
                auto s = bus.subscribe(counted, [&](const int& n) {
                    journal.begin(n, 1);
                    while (n >= 40) {
                        ::pause();
                    }
                    journal.end(n);
                });
                for (;;) {
                    ::pause();
                }
            }
        });
    }
    REQUIRE(::write(go[1], "!", 1) == 1);
    REQUIRE(eventually([&] { return owner(server) != "nil"; }));
    RedisBus heir{single(server.url(), short_lease), Config{.workers = 3}};
    auto s = heir.subscribe(counted, [&](const int& n) {
        journal.begin(n, 2);
        std::this_thread::yield();
        journal.end(n);
    });
    publish(heir, 0, count, Journal::keys);
    REQUIRE(eventually([&] { return journal.count() == 44; }));
    CHECK(journal.by(2) == 0);
    CHECK_FALSE(is_active(heir));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    journal.all_have_left();
    const auto start = Clock::now();
    ::close(go[0]);
    ::close(go[1]);

    REQUIRE(eventually([&] { return is_active(heir); }));
    CHECK(Clock::now() - start < short_lease * 10); // it takes no more than one, on a machine that does nothing else
    REQUIRE(eventually([&] { return journal.seen().size() == count; }));
    CHECK(heir.drain(30s));
    CHECK(journal.together() == 0);
    CHECK(journal.is_in_order());
    CHECK(pending(server) == 0);
    CHECK(heir.shutdown(30s).adds_up());
}

TEST_CASE("a process that was halted for longer than its lease begins nothing more, and takes nothing more",
          "[single_active]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    auto& journal = Journal::shared();
    auto& goes_on = *::new (::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
                        std::atomic<bool>{false};
    int go[2];
    REQUIRE(::pipe(go) == 0);
    const pid_t child = ::fork(); // while this process has no other threads
    REQUIRE(child >= 0);
    if (child == 0) { // has one of each key in hand, and the rest in its buffer
        gossip_test::only_do([&] {
            char byte = 0;
            if (::read(go[0], &byte, 1) == 1) {
                RedisBus bus{single(server.url(), short_lease), Config{.workers = Journal::keys}};
                auto s = bus.subscribe(counted, [&](const int& n) {
                    journal.begin(n, 1);
                    static_cast<void>(eventually([&] { return goes_on.load(); }));
                });
                for (;;) {
                    ::pause();
                }
            }
        });
    }
    REQUIRE(::write(go[1], "!", 1) == 1);
    REQUIRE(eventually([&] { return owner(server) != "nil"; }));
    RedisBus heir{single(server.url(), short_lease), Config{.workers = 2}};
    auto s = heir.subscribe(counted, [&](const int& n) { journal.begin(n, 2); });
    publish(heir, 0, 100, Journal::keys);
    REQUIRE(eventually([&] { return journal.by(1) == Journal::keys && pending(server) == 100; }));

    ::kill(child, SIGSTOP);
    REQUIRE(eventually([&] { return is_active(heir); }));
    REQUIRE(eventually([&] { return journal.by(2) == 100; }));
    goes_on = true;
    ::kill(child, SIGCONT);
    publish(heir, 100, 200, Journal::keys);
    REQUIRE(eventually([&] { return journal.by(2) == 200; }));
    CHECK(heir.drain(30s));
    CHECK(pending(server) == 0);
    CHECK(journal.by(1) == Journal::keys); // what it was in
    CHECK(journal.is_in_order());
    CHECK(is_active(heir));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(go[0]);
    ::close(go[1]);
}

TEST_CASE("who is cut off for longer than its lease begins nothing more, also behind what it holds open",
          "[single_active]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    CuttingProxy proxy{server};
    std::mutex mutex;
    std::vector<int> first;
    std::vector<int> second;
    std::optional<gossip::Deferral> open;
    RedisBus a{single(proxy.url(), short_lease), Config{.workers = 2}};
    auto sa = a.subscribe(counted, [&](Context& context, const int& n) {
        const std::lock_guard lock(mutex);
        first.push_back(n);
        open = context.defer();
    });
    REQUIRE(eventually([&] { return is_active(a); }));
    RedisBus b{single(server.url(), short_lease), Config{.workers = 2}};
    auto sb = b.subscribe(counted, [&](const int& n) {
        const std::lock_guard lock(mutex);
        second.push_back(n);
    });
    for (int i = 0; i < 20; ++i) {
        CHECK(b.publish(counted, i, {.key = "one"}) == PublishStatus::accepted);
    }
    REQUIRE(eventually([&] {
        const std::lock_guard lock(mutex);
        return open && pending(server) == 20;
    }));

    proxy.forget(); // nobody is told
    REQUIRE(eventually([&] { return is_active(b); }));
    REQUIRE(eventually([&] {
        const std::lock_guard lock(mutex);
        return second.size() == 20;
    }));
    CHECK_FALSE(is_active(a));
    open->succeed(); // which lets the key go
    CHECK(eventually([&] { return a.stats().abandoned == 19; }));
    CHECK(b.drain(30s));
    CHECK(pending(server) == 0);
    CHECK(first == std::vector{0});
    CHECK(std::is_sorted(second.begin(), second.end()));
    CHECK(is_active(b));
    CHECK(a.shutdown(10ms).adds_up()); // its server is gone
}

TEST_CASE("what is left goes to another member with all that is behind it, when what is before it has ended",
          "[single_active]") {
    GOSSIP_NEEDS_REDIS()
    using Names = std::vector<std::string_view>;
    const RedisServer server;
    Ear one;
    Ear two;
    gossip::redis::StreamReader first{single(server.url()), one};
    gossip::redis::StreamReader second{single(server.url()), two};
    REQUIRE(first.subscribe(Names{"s"}, gossip_test::in(30s)));
    REQUIRE(eventually([&] { return first.stats().active == 1; }));
    REQUIRE(second.subscribe(Names{"s"}, gossip_test::in(30s)));
    for (int i = 0; i < 5; ++i) {
        server.command({"XADD", "s", "*", "n", std::to_string(i)});
    }
    REQUIRE(eventually([&] { return one.ids().size() == 5; }));
    const auto ids = one.ids();
    const std::uint64_t turn = one.turn();
    CHECK(first.may_begin(ids[4], turn));

    first.leave(ids[1], turn);
    CHECK(first.may_begin(ids[0], turn));
    CHECK_FALSE(first.may_begin(ids[2], turn));
    for (const std::size_t behind : {4U, 3U, 2U}) {
        first.leave(ids[behind], turn);
    }
    server.command({"XADD", "s", "*", "n", "5"});
    CHECK_FALSE(eventually([&] { return one.ids().size() + two.ids().size() > 5; }, 100ms)); // the first is held
    first.ack(ids[0]);
    REQUIRE(eventually([&] { return two.ids().size() == 5; }));
    CHECK(std::equal(ids.begin() + 1, ids.end(), two.ids().begin()));
    CHECK(one.ids().size() == 5);
    CHECK(first.stats().active == 0);
    CHECK(first.stats().losses == 0);
    CHECK_FALSE(first.may_begin(ids[0], turn));
}

TEST_CASE("what was read in a turn that is over comes after what that turn has left", "[single_active]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    CuttingProxy proxy{server};
    constexpr int count = 40;
    auto options = single(proxy.url(), short_lease);
    std::atomic<int> allowed{0};
    std::mutex mutex;
    std::vector<int> seen;
    const auto seen_by_now = [&] {
        const std::lock_guard lock(mutex);
        return seen.size();
    };
    RedisBus shop{single(server.url())};
    RedisBus a{options, Config{.workers = 1, .buffer_size = 8}};
    auto sa = a.subscribe(counted, [&](const int& n) {
        {
            const std::lock_guard lock(mutex);
            seen.push_back(n);
        }
        static_cast<void>(eventually([&] { return allowed > n; }));
    });
    REQUIRE(eventually([&] { return is_active(a); }));
    publish(shop, 0, count, 1);
    REQUIRE(eventually([&] { return seen_by_now() == 1 && a.stats().waiting == 8; }));

    proxy.keep_reads(true);
    const long held = pending(server);
    allowed = 1; // there is room: something is read, and its answer is kept
    REQUIRE(eventually(
        [&] { return seen_by_now() == 2 && a.provider().stats().stream.acked == 1 && pending(server) == held; }));
    server.command({"SET", "gossip.active:shop:shop.counted", "another", "PX", "1000"});
    REQUIRE(eventually([&] { return a.provider().stats().stream.losses == 1; }));
    allowed = count;
    REQUIRE(eventually([&] { return a.provider().stats().stream.takeovers == 2; }));
    CHECK(seen_by_now() == 2);
    proxy.keep_reads(false);
    REQUIRE(eventually([&] {
        const std::lock_guard lock(mutex);
        return !seen.empty() && seen.back() == count - 1;
    }));
    int expected = 0;
    for (const int n : seen) {
        CHECK(n <= expected); // what is less comes again
        expected = std::max(expected, n + 1);
    }
    CHECK(a.drain(30s));
    CHECK(pending(server) == 0);
}

TEST_CASE("a takeover that an outage or a refusal has interrupted goes on before anything new is read",
          "[single_active]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    constexpr int count = 400;
    RedisBus shop{single(server.url())};
    server.command({"XGROUP", "CREATE", "shop.counted", "shop", "0", "MKSTREAM"});
    publish(shop, 0, count / 2, 1);
    REQUIRE(shop.drain(30s));
    server.command({"XREADGROUP", "GROUP", "shop", "dead", "COUNT", "1000", "STREAMS", "shop.counted", ">"});
    publish(shop, count / 2, count, 1);
    REQUIRE(shop.drain(30s));

    std::atomic<int> allowed{0};
    std::mutex mutex;
    std::vector<int> seen;
    const auto seen_by_now = [&] {
        const std::lock_guard lock(mutex);
        return static_cast<int>(seen.size());
    };
    News news;
    auto options = single("redis://me:pass@127.0.0.1:" + std::to_string(server.port()));
    options.on_connection = news.hook();
    const bool refuses = GENERATE(true, false);
    REQUIRE(server.command({"ACL", "SETUSER", "me", "on", ">pass", "~*", "&*", "+@all",
                            refuses ? "-" + std::string{GENERATE("xclaim", "xpending")} : "+xclaim"}) == "OK");
    RedisBus a{options, Config{.workers = 1, .buffer_size = 8}};
    auto sa = a.subscribe(counted, [&](const int& n) {
        {
            const std::lock_guard lock(mutex);
            seen.push_back(n);
        }
        static_cast<void>(eventually([&] { return allowed > n; }));
    });
    if (refuses) {
        REQUIRE(eventually([&] { return news.count(News::Kind::lost) >= 1; }));
        CHECK(seen_by_now() == 0);
        REQUIRE(server.command({"ACL", "SETUSER", "me", "+xclaim", "+xpending"}) == "OK");
    }
    REQUIRE(eventually([&] { return seen_by_now() == 1; }));
    for (int round = 1; round < 5; ++round) {
        server.cut(round % 2 == 0 ? "settler" : "reader");
        allowed = round * 10;
        REQUIRE(eventually([&] { return seen_by_now() > round * 10; }));
    }
    allowed = count;
    REQUIRE(eventually([&] { return seen_by_now() >= count; }));
    CHECK(a.drain(30s));
    CHECK(pending(server) == 0);
    CHECK(seen_by_now() == count);
    CHECK(std::is_sorted(seen.begin(), seen.end()));
}

TEST_CASE("without the lease nothing new can be taken, however late a read arrives", "[single_active]") {
    GOSSIP_NEEDS_REDIS()
    namespace detail = gossip::redis::detail;
    const RedisServer server;
    const auto read = [&](const std::string& token) {
        return server.command(
            {"EVAL", std::string{detail::leased_read_script}, "4", "s", "t", "ls", "lt", token, "g", "c", "10"});
    };
    const auto ask = [&](const std::string& token, const std::string& time) {
        return server.number({"EVAL", std::string{detail::lease_script}, "1", "ls", token, time});
    };
    for (const char* const stream : {"s", "t"}) {
        server.command({"XGROUP", "CREATE", stream, "g", "0", "MKSTREAM"});
        server.command({"XADD", stream, "1-1", "event", "x"});
    }
    CHECK(read("me") == "[1-1,1-1]"); // to wait for what comes behind these
    CHECK(ask("me", "60000") == 2);
    CHECK(ask("me", "60000") == 1);
    const long left = ask("you", "60000");
    CHECK(left <= 0);
    CHECK(left >= -60'000);
    CHECK(read("you") == "[1-1,1-1]");
    CHECK(server.command({"XPENDING", "s", "g"}).starts_with("[0"));

    CHECK(read("me") == "[[s,[[1-1,[event,x]]]]]");
    CHECK(read("me") == "[1-1,1-1]");
    CHECK(server.command({"XPENDING", "t", "g"}).starts_with("[0"));
    server.command({"DEL", "t"});
    CHECK(ask("me", "60000") == 1);
    CHECK(read("me") == "[1-1,0-0]");
    server.command({"DEL", "s"});
    CHECK(read("me").starts_with("NOGROUP "));

    const auto release = [&](const std::string& token) {
        return server.number({"EVAL", std::string{detail::release_script}, "1", "ls", token});
    };
    CHECK(release("you") == 0);
    CHECK(release("me") == 1);
    CHECK(release("me") == 0);
    server.command({"SET", "ls", "somebody"}); // for ever
    CHECK(ask("me", "60000") == -60'000);
}

TEST_CASE("a member that has lost its connection for a while goes on within its lease", "[single_active]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    std::atomic<int> first{0};
    std::atomic<int> second{0};
    RedisBus a{single(server.url())};
    auto sa = a.subscribe(counted, [&](const int&) { ++first; });
    REQUIRE(eventually([&] { return is_active(a); }));
    RedisBus b{single(server.url())};
    auto sb = b.subscribe(counted, [&](const int&) { ++second; });
    for (int round = 0; round < 20; ++round) {
        publish(b, round * 10, round * 10 + 10, 4);
        server.cut("reader");
        server.cut("settler");
    }
    REQUIRE(eventually([&] { return first >= 200 && pending(server) == 0; }));
    CHECK(second == 0);
    CHECK(a.provider().stats().stream.takeovers == 1);
    CHECK(a.provider().stats().stream.losses == 0);
}

TEST_CASE("a lease that the server has forgotten begins anew, with what is pending", "[single_active]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    std::mutex mutex;
    std::vector<int> seen;
    RedisBus a{single(server.url(), 3s), Config{.workers = 1}};
    auto sa = a.subscribe(counted, [&](const int& n) {
        const std::lock_guard lock(mutex);
        seen.push_back(n);
    });
    REQUIRE(eventually([&] { return is_active(a); }));
    publish(a, 0, 10, 1);
    REQUIRE(eventually([&] { return pending(server) == 0; }));
    CHECK(server.command({"DEL", "gossip.active:shop:shop.counted"}) == "1");
    publish(a, 10, 20, 1);
    REQUIRE(eventually([&] {
        const std::lock_guard lock(mutex);
        return seen.size() == 20;
    }));
    CHECK(std::is_sorted(seen.begin(), seen.end()));
    CHECK(eventually([&] { return a.provider().stats().stream.takeovers == 2; }));
    CHECK(a.provider().stats().stream.losses == 1);
}

TEST_CASE("each part of a topic has an active member of its own, and a stream that is left has another one soon",
          "[single_active]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    std::atomic<int> first{0};
    std::atomic<int> second{0};
    RedisBus a{single(server.url())};
    RedisBus b{single(server.url())};
    auto a0 = a.subscribe(topic_parts[0], [&](const int&) { ++first; });
    REQUIRE(eventually([&] { return is_active(a); }));
    auto b1 = b.subscribe(topic_parts[1], [&](const int&) { ++second; });
    REQUIRE(eventually([&] { return is_active(b); }));
    auto a1 = a.subscribe(topic_parts[1], [&](const int&) { ++first; });
    for (int i = 0; i < 10; ++i) {
        CHECK(a.publish(topic_parts[0], i) == PublishStatus::accepted);
        CHECK(a.publish(topic_parts[1], i) == PublishStatus::accepted);
    }
    REQUIRE(eventually([&] { return first == 10 && second == 10; }));

    b1.unsubscribe();
    CHECK(eventually([&] { return a.provider().stats().stream.active == 2; }));
    CHECK(b.provider().stats().stream.active == 0);
    CHECK(a.publish(topic_parts[1], 10) == PublishStatus::accepted);
    CHECK(eventually([&] { return first == 11; }));
    CHECK(owner(server, "part.0").starts_with(owner(server, "part.1").substr(0, 10)));
}

TEST_CASE("a pattern's streams are read by one member, and a group is sent back as ever", "[single_active]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    std::atomic<int> runs{0};
    RedisBus a{single(server.url())};
    RedisBus b{single(server.url())};
    auto sa = a.subscribe(gossip::Pattern("part.*"), [&](const Event&) { ++runs; });
    auto sb = b.subscribe(gossip::Pattern("part.*"), [&](const Event&) { ++runs; });
    for (const gossip::Topic<int>& part : topic_parts) {
        for (int i = 0; i < 10; ++i) {
            CHECK(a.publish(part, i) == PublishStatus::accepted);
        }
    }
    REQUIRE(eventually([&] { return runs == 30; }));
    REQUIRE(eventually([&] { return pending(server, "part.1") == 0; }));
    CHECK(a.provider().stats().stream.active + b.provider().stats().stream.active == 3);
    CHECK(a.provider().replay(gossip::EventType("part.1"), "0").ok());
    CHECK(eventually([&] { return runs == 40; }));
}

TEST_CASE("a server that does not let a lease be asked for is told of, and nothing is read", "[single_active]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    REQUIRE(server.command({"ACL", "SETUSER", "me", "on", ">pass", "~*", "+@all", "-eval"}) == "OK");
    News news;
    auto options = single("redis://me:pass@127.0.0.1:" + std::to_string(server.port()));
    options.on_connection = news.hook();
    std::atomic<int> runs{0};
    RedisBus a{options};
    auto sa = a.subscribe(counted, [&](const int&) { ++runs; });
    CHECK(a.publish(counted, 1) == PublishStatus::accepted);
    CHECK(eventually([&] { return news.count(News::Kind::refused) >= 1; }));
    CHECK(a.provider().stats().stream.active == 0);
    CHECK(server.command({"ACL", "SETUSER", "me", "+eval"}) == "OK");
    CHECK(eventually([&] { return runs == 1; }));
}

TEST_CASE("a member that stands by ends at once", "[single_active]") {
    GOSSIP_NEEDS_REDIS()
    const RedisServer server;
    RedisBus a{single(server.url())};
    auto sa = a.subscribe(counted, [](const int&) {});
    REQUIRE(eventually([&] { return is_active(a); }));
    auto b = std::make_unique<RedisBus>(single(server.url()));
    auto sb = b->subscribe(counted, [](const int&) {});
    CHECK(gossip_test::takes_less_than(1s, [&] { b->shutdown(30s); }));
    CHECK(is_active(a));
}

} // namespace single_active_test
