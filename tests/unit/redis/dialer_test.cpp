#include <gossip/provider/redis/dialer.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace dialer_test {

inline namespace parts {

using namespace std::chrono_literals;
using gossip::redis::detail::Address;
using gossip::redis::detail::ask_system;
using gossip::redis::detail::Descriptor;
using gossip::redis::detail::Dialer;
using gossip::redis::detail::SteadyClock;

/// Somebody on 127.0.0.1 who never says a word.
class Listener {
public:
    explicit Listener(int backlog = 8) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        if (::bind(socket_.number(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
            ::listen(socket_.number(), backlog) != 0 ||
            ::getsockname(socket_.number(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
            throw std::runtime_error("cannot listen");
        }
        port_ = ntohs(address.sin_port);
    }
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

private:
    Descriptor socket_;
    std::uint16_t port_ = 0;
};

/// One who has no room for another connection: whoever asks for one hears nothing.
class Deaf {
public:
    Deaf() {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(listener_.port());
        for (int i = 0; i < 4; ++i) {
            Descriptor& waiting =
                waiting_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
            static_cast<void>(::connect(waiting.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
        }
    }
    [[nodiscard]] std::uint16_t port() const noexcept { return listener_.port(); }

private:
    Listener listener_{0};
    std::vector<Descriptor> waiting_;
};

struct Rig {
    gossip::Result dial(gossip::redis::detail::AskForHost ask = &ask_system) {
        return Dialer{endpoint, options, interrupt, ask}.dial(socket, SteadyClock::now() + 60s);
    }
    [[nodiscard]] int option(int level, int name) const {
        int value = -1;
        socklen_t size = sizeof value;
        CHECK(::getsockopt(socket.number(), level, name, &value, &size) == 0);
        return value;
    }

    Listener listener;
    gossip::redis::Endpoint endpoint = gossip::redis::parse_url("redis://127.0.0.1:" + std::to_string(listener.port()));
    gossip::RedisOptions options;
    gossip::redis::detail::Interrupt interrupt;
    Descriptor socket;
};

/// Two addresses of a name; nobody listens at the first.
int ask_two(const std::string& host, const std::string& port, int flags, std::vector<Address>& found) {
    if ((flags & AI_NUMERICHOST) != 0) {
        return ask_system(host, port, flags, found);
    }
    const int first = ask_system("127.0.0.7", port, AI_NUMERICHOST, found);
    const int second = ask_system("127.0.0.1", port, AI_NUMERICHOST, found);
    return first != 0 ? first : second;
}
/// As the last; somebody is at the first who does not answer.
inline std::uint16_t deaf_port = 0;
int ask_deaf_first(const std::string& host, const std::string& port, int flags, std::vector<Address>& found) {
    if ((flags & AI_NUMERICHOST) != 0) {
        return ask_system(host, port, flags, found);
    }
    const int first = ask_system("127.0.0.1", std::to_string(deaf_port), AI_NUMERICHOST, found);
    const int second = ask_system("127.0.0.1", port, AI_NUMERICHOST, found);
    return first != 0 ? first : second;
}
int ask_none(const std::string& host, const std::string& port, int flags, std::vector<Address>& found) {
    return (flags & AI_NUMERICHOST) != 0 ? ask_system(host, port, flags, found) : 0;
}

} // namespace parts

TEST_CASE("a connection asks the system to look whether its peer lives, and sends what is small at once", "[dialer]") {
    Rig rig;
    rig.options.keepalive = 12'000ms;

    REQUIRE(rig.dial().ok());

    CHECK(rig.option(SOL_SOCKET, SO_KEEPALIVE) != 0);
    CHECK(rig.option(IPPROTO_TCP, TCP_NODELAY) != 0);
#if defined(TCP_KEEPIDLE)
    CHECK(rig.option(IPPROTO_TCP, TCP_KEEPIDLE) == 12);
    CHECK(rig.option(IPPROTO_TCP, TCP_KEEPINTVL) == 4);
    CHECK(rig.option(IPPROTO_TCP, TCP_KEEPCNT) == 3);
#endif
}

TEST_CASE("a connection that is to have no keepalive has none", "[dialer]") {
    Rig rig;
    rig.options.keepalive = 0ms;

    REQUIRE(rig.dial().ok());

    CHECK(rig.option(SOL_SOCKET, SO_KEEPALIVE) == 0);
    CHECK(rig.option(IPPROTO_TCP, TCP_NODELAY) != 0);
}

TEST_CASE("of a name's addresses the first that answers is taken", "[dialer]") {
    Rig rig;
    rig.endpoint.host = "redis.example";

    REQUIRE(rig.dial(&ask_two).ok());

    CHECK(rig.socket.is_open());
}

TEST_CASE("an address that answers nothing takes the time of one attempt, not of each", "[dialer]") {
    Rig rig;
    const Deaf deaf;
    deaf_port = deaf.port();
    rig.endpoint.host = "redis.example";
    Dialer dialer{rig.endpoint, rig.options, rig.interrupt, &ask_deaf_first};

    CHECK(gossip_test::eventually([&] { return dialer.dial(rig.socket, SteadyClock::now() + 50ms).ok(); }));

    CHECK(rig.socket.is_open());
}

TEST_CASE("a name without an address is a server that can't be reached for now", "[dialer]") {
    Rig rig;
    rig.endpoint.host = "redis.example";

    const gossip::Result result = rig.dial(&ask_none);

    REQUIRE_FALSE(result);
    CHECK(gossip::is_retryable(result.error()));
    CHECK_FALSE(rig.socket.is_open());
}

} // namespace dialer_test
