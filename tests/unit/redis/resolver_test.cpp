#include <gossip/provider/redis/resolver.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace resolver_test {

inline namespace parts {

using namespace std::chrono_literals;
using gossip::redis::detail::Address;
using gossip::redis::detail::Deadline;
using gossip::redis::detail::SteadyClock;

/// A system that answers when it is told to. Its threads may outlive a test, so it is there for good.
struct System {
    std::atomic<int> asked{0};
    std::atomic<int> answered{0};
    std::atomic<int> code{0};
    std::atomic<bool> hangs{false};
    std::atomic<bool> has_memory{true};
};
inline System the_system;

inline int ask(const std::string& host, const std::string& port, int flags, std::vector<Address>& found) {
    if ((flags & AI_NUMERICHOST) != 0) {
        return gossip::redis::detail::ask_system(host, port, flags, found);
    }
    ++the_system.asked;
    static_cast<void>(gossip_test::eventually([] { return !the_system.hangs; }));
    const int code = the_system.code;
    const bool has_memory = the_system.has_memory;
    ++the_system.answered; // from here on a test may say what comes next
    if (!has_memory) {
        throw std::bad_alloc();
    }
    return code == 0 ? gossip::redis::detail::ask_system("127.0.0.7", port, AI_NUMERICHOST, found) : code;
}

struct Rig {
    explicit Rig(std::string host) {
        the_system.asked = the_system.answered = the_system.code = 0;
        the_system.hangs = false;
        the_system.has_memory = true;
        endpoint.host = std::move(host);
        endpoint.port = 6379;
    }
    Rig(const Rig&) = delete;
    Rig& operator=(const Rig&) = delete;
    ~Rig() { // no question outlives its test
        the_system.hangs = false;
        CHECK(gossip_test::eventually([] { return the_system.answered == the_system.asked; }));
    }

    gossip::Result resolve(std::chrono::milliseconds patience = 60s) {
        found.clear();
        return resolver.resolve(found, SteadyClock::now() + patience);
    }
    [[nodiscard]] std::string first() const {
        char text[INET6_ADDRSTRLEN] = {};
        if (!found.empty() && found.front().storage.ss_family == AF_INET) {
            sockaddr_in address{};
            std::memcpy(&address, &found.front().storage, sizeof address);
            ::inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
        } else if (!found.empty()) {
            sockaddr_in6 address{};
            std::memcpy(&address, &found.front().storage, sizeof address);
            ::inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof text);
        }
        return text;
    }

    gossip::redis::Endpoint endpoint;
    gossip::RedisOptions options;
    gossip::redis::detail::Interrupt interrupt;
    std::vector<Address> found;
    gossip::redis::detail::Resolver resolver{endpoint, options, interrupt, &ask};
};

} // namespace parts

TEST_CASE("an address is no name: nobody is asked for it", "[resolver]") {
    for (const std::string host : {"127.0.0.1", "::1"}) {
        Rig rig(host);

        CHECK(rig.resolve(0s).ok());

        CHECK(rig.first() == host);
        CHECK(the_system.asked == 0);
    }
}

TEST_CASE("a name's addresses are asked for anew each time", "[resolver]") {
    Rig rig("redis.example");

    for (int i = 1; i <= 3; ++i) {
        CHECK(rig.resolve().ok());
        CHECK(rig.first() == "127.0.0.7");
        CHECK(the_system.asked == i);
    }
}

TEST_CASE("a name that there is not is said to be none, and asked for again", "[resolver]") {
    Rig rig("redis.example");
    the_system.code = EAI_NONAME;

    const gossip::Result result = rig.resolve();

    REQUIRE_FALSE(result);
    CHECK(gossip::is_retryable(result.error()));
    CHECK(std::string(result.error().what()).find("redis.example") != std::string::npos);
    the_system.code = 0;
    CHECK(rig.resolve().ok());
}

TEST_CASE("a system that thinks for ever about a name ends with the attempt's time, and is asked once", "[resolver]") {
    Rig rig("redis.example");
    the_system.hangs = true;

    for (int i = 0; i < 20; ++i) {
        const gossip::Result result = rig.resolve(2ms);
        REQUIRE_FALSE(result);
        CHECK(gossip::as<gossip::TimeoutError>(result.error()).has_value());
    }
    CHECK(the_system.asked <= 1); // its thread may not have begun yet

    the_system.hangs = false;
    CHECK(rig.resolve().ok()); // the answer to the first question
    CHECK(rig.first() == "127.0.0.7");
    CHECK(the_system.asked == 1);
}

TEST_CASE("a refusal that comes too late is forgotten: the next attempt asks anew", "[resolver]") {
    Rig rig("redis.example");
    the_system.hangs = true;
    the_system.code = EAI_AGAIN;
    CHECK_FALSE(rig.resolve(1ms));
    the_system.hangs = false;
    CHECK(gossip_test::eventually([] { return the_system.answered == 1; }));
    the_system.code = 0;

    gossip::Result result = rig.resolve();
    if (!result) { // it came in time after all, for the answer is told a moment after it is counted
        result = rig.resolve();
    }

    CHECK(result.ok());
    CHECK(the_system.asked == 2);
}

TEST_CASE("an answer for which nobody has waited is not used when it has become old", "[resolver]") {
    Rig rig("redis.example");
    const auto asks_anew = [&] {
        the_system.asked = the_system.answered = 0;
        gossip::redis::detail::Resolver forgetful{rig.endpoint, rig.options, rig.interrupt, &ask, 0s};
        const auto resolve = [&](std::chrono::milliseconds patience) {
            rig.found.clear();
            return forgetful.resolve(rig.found, SteadyClock::now() + patience);
        };
        the_system.hangs = true;
        CHECK_FALSE(resolve(1ms));
        the_system.hangs = false;
        CHECK(gossip_test::eventually([] { return the_system.answered == 1; }));
        CHECK(resolve(60s).ok());
        CHECK(rig.first() == "127.0.0.7");
        CHECK(gossip_test::eventually([] { return the_system.answered == the_system.asked; }));
        return the_system.asked == 2;
    };

    CHECK(gossip_test::eventually(asks_anew, 10s)); // not where the answer, counted, is told a moment later
}

TEST_CASE("a stop ends the wait for a name at once", "[resolver]") {
    Rig rig("redis.example");
    the_system.hangs = true;
    std::thread stopper([&] {
        static_cast<void>(gossip_test::eventually([] { return the_system.asked == 1; }));
        rig.interrupt.stop();
    });

    const gossip::Result result = rig.resolve();

    stopper.join();
    REQUIRE_FALSE(result);
    CHECK(gossip::is(result.error(), gossip::errors::cancelled));
    CHECK(the_system.answered == 0);
}

TEST_CASE("who has asked may be gone when the answer comes", "[resolver]") {
    for (int i = 0; i < 20; ++i) {
        Rig outer("redis.example");
        the_system.hangs = true;
        {
            gossip::redis::detail::Resolver gone{outer.endpoint, outer.options, outer.interrupt, &ask};
            CHECK_FALSE(gone.resolve(outer.found, SteadyClock::now() + 1ms));
            CHECK(gossip_test::eventually([] { return the_system.asked == 1; }));
        }
    }
}

TEST_CASE("a name for whose addresses there is no memory is one that failed", "[resolver]") {
    Rig rig("redis.example");
    the_system.has_memory = false;

    CHECK_FALSE(rig.resolve());

    the_system.has_memory = true;
    CHECK(rig.resolve().ok());
}

TEST_CASE("a question that there is no memory to ask is one that failed, and is asked later", "[resolver]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    int refused = 0;
    for (int n = 0; n < 8; ++n) {
        Rig rig("redis.example");
        support::fail_allocation_after(n);
        const gossip::Result result = gossip::guard([&] { return rig.resolve(); });
        support::fail_allocation_after(-1);
        refused += result ? 0 : 1;

        CHECK(rig.resolve().ok());
        CHECK(rig.first() == "127.0.0.7");
    }
    CHECK(refused >= 2);
}

} // namespace resolver_test
