#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/resolver.hpp>
#include <gossip/provider/redis/socket.hpp>
#include <gossip/provider/redis/url.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// A way to the server: opens the socket and gives it its options.
///
/// Threads: one at a time.
/// Order:   a name's addresses are tried in the system's order; one that took all of an attempt's time is the last of
///          the next.
/// Stalls:  dial waits for the name, and for each of its addresses, up to its deadline; it ends within a millisecond of
///          a stop.
/// Errors:  TimeoutError and RetryableError, where another attempt may help; errors::cancelled when stopped.
class Dialer {
public:
    /// `ask`: who knows the addresses of names.
    Dialer(const Endpoint& to, const RedisOptions& options, Interrupt& interrupt, AskForHost ask = &ask_system) noexcept
        : to_(to), options_(options), interrupt_(interrupt), resolver_(to, options, interrupt, ask) {}

    [[nodiscard]] std::string place() const {
        return to_.path.empty() ? to_.host + ":" + std::to_string(to_.port) : to_.path;
    }

    Result dial(Descriptor& socket, Deadline until) {
        return to_.path.empty() ? dial_tcp(socket, until) : dial_unix(socket, until);
    }

private:
    [[nodiscard]] Error failure(std::string_view why) const {
        return RetryableError{"cannot connect to " + place() + ": " + std::string{why}};
    }

    Result dial_unix(Descriptor& socket, Deadline until) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, to_.path.data(), std::min(to_.path.size(), sizeof address.sun_path - 1));
        return try_address(socket, AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address, until);
    }

    Result dial_tcp(Descriptor& socket, Deadline until) {
        std::vector<Address> found;
        if (Result resolved = resolver_.resolve(found, until); !resolved) {
            return resolved;
        }
        Result result = failure("the name has no address");
        for (std::size_t n = 0; n < found.size(); ++n) {
            const std::size_t at = (first_ + n) % found.size();
            const Address& address = found[at];
            result = try_address(socket, address.storage.ss_family, address.get(), address.size, until);
            if (result || interrupt_.stopped()) {
                break;
            }
            if (SteadyClock::now() >= until) {
                first_ = at + 1; // it has had all the time there was: the next attempt begins behind it
                break;
            }
        }
        return result;
    }

    Result try_address(Descriptor& socket, int family, const sockaddr* address, socklen_t size, Deadline until) {
        Descriptor made{::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
        if (!made.is_open()) {
            return failure(system_text(errno));
        }
        if (::connect(made.number(), address, size) != 0) {
            if (errno != EINPROGRESS && errno != EINTR) {
                return failure(system_text(errno));
            }
            if (Result waited = await(made.number(), until); !waited) {
                return waited;
            }
        }
        if (family != AF_UNIX) {
            set_tcp_options(made.number());
        }
        socket = std::move(made);
        return {};
    }

    Result await(int socket, Deadline until) {
        while (!interrupt_.stopped()) {
            if (wait_for(socket, POLLOUT, until, interrupt_).events != 0) {
                int code = 0;
                socklen_t size = sizeof code;
                ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &size);
                return code == 0 ? Result{} : Result{failure(system_text(code))};
            }
            if (SteadyClock::now() >= until) {
                return TimeoutError{options_.connect_timeout, "cannot connect to " + place()};
            }
        }
        return errors::cancelled;
    }

    void set_tcp_options(int socket) const noexcept {
        const auto set = [socket](int level, int name, int value) {
            ::setsockopt(socket, level, name, &value, sizeof value); // without it the connection still works
        };
        set(IPPROTO_TCP, TCP_NODELAY, 1);
        if (options_.keepalive.count() > 0) {
            const auto seconds = std::clamp<std::int64_t>(options_.keepalive.count() / 1000, 1, 32'767);
            set(SOL_SOCKET, SO_KEEPALIVE, 1);
#if defined(TCP_KEEPIDLE)
            set(IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(seconds));
            set(IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(std::max<std::int64_t>(seconds / 3, 1)));
            set(IPPROTO_TCP, TCP_KEEPCNT, 3);
#endif
        }
    }

    const Endpoint& to_;
    const RedisOptions& options_;
    Interrupt& interrupt_;
    Resolver resolver_;
    std::size_t first_ = 0; // of a name's addresses
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
