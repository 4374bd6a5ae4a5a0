// The addresses of a host's name. The system takes its time over that and cannot be interrupted: whoever asks it is a
// thread that nobody waits for longer than he likes.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/socket.hpp>
#include <gossip/provider/redis/url.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// Where to connect to.
struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;

    [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// Appends the addresses of a host, which may take as long as it likes; returns 0, or what getaddrinfo calls the
/// failure. May throw std::bad_alloc.
using AskForHost = int (*)(const std::string& host, const std::string& port, int flags, std::vector<Address>& found);

inline int ask_system(const std::string& host, const std::string& port, int flags, std::vector<Address>& found) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo* list = nullptr;
    const int code = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list);
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner{code == 0 ? list : nullptr, [](addrinfo* all) {
                                                                   if (all != nullptr) {
                                                                       ::freeaddrinfo(all);
                                                                   }
                                                               }};
    for (const addrinfo* at = owner.get(); at != nullptr; at = at->ai_next) {
        Address& address = found.emplace_back();
        address.size = std::min<socklen_t>(at->ai_addrlen, sizeof address.storage);
        std::memcpy(&address.storage, at->ai_addr, address.size);
    }
    return code;
}

/// One question to the system, on a thread of its own that ends with the answer.
///
/// Threads: every member from any thread.
/// Owns:    all that its thread uses but its code: who has asked may be gone when the answer comes; a library that is
///          loaded while the program runs may not.
class Lookup {
public:
    /// Throws what threads and memory throw, and FatalError where the system has no eventfd left.
    [[nodiscard]] static std::shared_ptr<Lookup> start(AskForHost ask, std::string host, std::string port) {
        auto lookup = std::make_shared<Lookup>();
        std::thread([lookup, ask, host = std::move(host), port = std::move(port)] {
            std::vector<Address> found;
            int code = EAI_MEMORY;
            gossip::detail::succeeds([&] { code = ask(host, port, 0, found); });
            lookup->answer(code, std::move(found));
        }).detach();
        return lookup;
    }

    Lookup() = default;
    Lookup(const Lookup&) = delete;
    Lookup& operator=(const Lookup&) = delete;
    ~Lookup() = default;

    /// Readable from the answer on.
    [[nodiscard]] int descriptor() const noexcept { return answered_.descriptor(); }

    /// Whether the answer is there; the first who sees it gets the addresses.
    bool take(int& code, std::vector<Address>& found) {
        const std::lock_guard lock(mutex_);
        if (is_answered_) {
            code = code_;
            found.swap(found_);
        }
        return is_answered_;
    }
    /// Whether the answer is there and says nothing: a failure, or what was so before that time.
    [[nodiscard]] bool is_useless(Deadline before) const {
        const std::lock_guard lock(mutex_);
        return is_answered_ && (code_ != 0 || answered_at_ < before);
    }

private:
    void answer(int code, std::vector<Address> found) noexcept {
        const std::lock_guard lock(mutex_);
        code_ = code;
        found_ = std::move(found);
        is_answered_ = true;
        answered_at_ = SteadyClock::now();
        answered_.wake();
    }

    Interrupt answered_;
    mutable std::mutex mutex_; // the rest
    bool is_answered_ = false;
    int code_ = 0;
    Deadline answered_at_{};
    std::vector<Address> found_;
};

/// Finds the addresses of an endpoint's host, again for each connection to it.
///
/// Threads: one at a time. At most one more is under way for it: an attempt that comes while the system still thinks
///          about the question of the one before waits for that answer.
/// Cost:    an address is read at once; a name costs a thread.
/// Stalls:  resolve waits for the system, up to its deadline; it ends within a millisecond of a stop.
/// Owns:    the question. An answer that comes when nobody waits for it is the next attempt's, or is dropped: it may
///          be older than `lasts` by then, and the name somebody else's.
/// Errors:  TimeoutError and RetryableError; errors::cancelled when stopped.
class Resolver {
public:
    Resolver(const Endpoint& to, const RedisOptions& options, Interrupt& interrupt, AskForHost ask,
             std::chrono::seconds lasts = std::chrono::seconds{60}) noexcept
        : to_(to), options_(options), interrupt_(interrupt), ask_(ask), lasts_(lasts) {}

    Result resolve(std::vector<Address>& found, Deadline until) {
        const std::string port = std::to_string(to_.port);
        if (ask_(to_.host, port, AI_NUMERICHOST | AI_NUMERICSERV, found) == 0) { // no name: at once
            return {};
        }
        if (lookup_ == nullptr || lookup_->is_useless(SteadyClock::now() - lasts_)) {
            const Result started = gossip::guard([&] { lookup_ = Lookup::start(ask_, to_.host, port); });
            if (!started) {
                return failure("its name can't be looked up: " + std::string{started.error().message()});
            }
        }
        while (!interrupt_.stopped()) {
            int code = 0;
            if (lookup_->take(code, found)) {
                lookup_.reset();
                return code == 0 ? Result{} : Result{failure(gai_strerror(code))};
            }
            if (SteadyClock::now() >= until) {
                return TimeoutError{options_.connect_timeout,
                                    "cannot connect to " + to_.host + ": the system is still looking up its name"};
            }
            wait_for(lookup_->descriptor(), POLLIN, until, interrupt_);
        }
        return errors::cancelled;
    }

private:
    [[nodiscard]] Error failure(std::string_view why) const {
        return RetryableError{"cannot connect to " + to_.host + ": " + std::string{why}};
    }

    const Endpoint& to_;
    const RedisOptions& options_;
    Interrupt& interrupt_;
    const AskForHost ask_;
    const std::chrono::seconds lasts_;
    std::shared_ptr<Lookup> lookup_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
