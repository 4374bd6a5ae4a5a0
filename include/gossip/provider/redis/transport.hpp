#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/provider/redis/dialer.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/socket.hpp>
#include <gossip/provider/redis/tls.hpp>
#include <gossip/provider/redis/url.hpp>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// Bytes to the server and back: a socket, and TLS over it where the url asks for it.
///
/// With TLS what the socket did not take of an encrypted write stays here, and goes before anything else: `send` has
/// taken it, as a socket has what is in its buffer. Whoever waits for the server then waits for room, too, and calls
/// `send`, be it with nothing. What has arrived is decrypted at once, so that an empty socket has nothing more to give.
///
/// Threads: one at a time, but `send` and `has_backlog` may be called on one thread while another receives.
/// Cost:    send, receive: a system call; with TLS also a lock and the cipher, 0.75 µs for 128 bytes, 2 µs for 4 KiB.
/// Stalls:  open waits for the server, up to its deadline; it ends within a millisecond of a stop. All else never
///          waits.
/// Owns:    the socket, and with TLS at most 128 KiB that it has not taken.
/// Errors:  TimeoutError and RetryableError where another attempt may help, FatalError where one of the two refuses the
///          other's certificate or speaks no TLS; errors::cancelled when stopped. What failed is to be closed.
class Transport {
public:
    Transport(const Endpoint& to, const RedisOptions& options, Interrupt& interrupt)
        : to_(to),
          options_(options),
          interrupt_(interrupt),
          dialer_(to, options, interrupt),
          input_(std::make_unique_for_overwrite<char[]>(input_size)) {}

    Result open(Deadline until) {
        if (to_.tls) {
            tls_ = make_tls(options_.tls, to_.host); // its files are read again each time: certificates expire
        }
        Result result = dialer_.dial(socket_, until);
        return result && tls_ != nullptr ? shake_hands(until) : result;
    }

    void close() noexcept {
        socket_.close();
        tls_.reset();
        backlog_.clear();
        backlog_sent_ = 0;
        has_backlog_.store(false, std::memory_order_relaxed); // relaxed: nobody else is here any more
    }

    [[nodiscard]] bool is_open() const noexcept { return socket_.is_open(); }
    [[nodiscard]] int descriptor() const noexcept { return socket_.number(); }
    [[nodiscard]] std::string place() const { return dialer_.place(); }

    /// One write, without SIGPIPE and without waiting; the number of bytes taken, or negative with errno.
    ssize_t send(iovec* pieces, std::size_t count) noexcept {
        return tls_ == nullptr ? send_plain(pieces, count) : send_encrypted(pieces, count);
    }
    [[nodiscard]] static bool would_wait() noexcept { return errno == EAGAIN || errno == EWOULDBLOCK; }

    /// The socket has not taken everything that `send` has.
    [[nodiscard]] bool has_backlog() const noexcept {
        return has_backlog_.load(std::memory_order_relaxed); // relaxed: who wrote wakes who waits
    }

    /// What has arrived, if anything has. It is valid until the next call.
    Result receive(std::string_view& bytes) {
        bytes = {};
        const ssize_t got = ::recv(socket_.number(), input_.get(), input_size, MSG_DONTWAIT);
        if (got < 0 && !would_wait() && errno != EINTR) {
            return lost(system_text(errno));
        }
        const std::string_view arrived{input_.get(), got > 0 ? static_cast<std::size_t>(got) : 0};
        if (tls_ != nullptr) {
            if (Result result = decrypt(arrived, bytes); !result || !bytes.empty()) {
                return result;
            }
        } else {
            bytes = arrived;
        }
        return got == 0 ? Result{lost("the server closed it")} : Result{};
    }

    [[nodiscard]] Error lost(std::string_view why) const {
        return RetryableError{"connection to " + place() + " lost: " + std::string{why}};
    }

private:
    static constexpr std::size_t input_size = 65'536;
    static constexpr std::size_t most_encrypted = 65'536;

    ssize_t send_plain(iovec* pieces, std::size_t count) const noexcept {
        msghdr message{};
        message.msg_iov = pieces;
        message.msg_iovlen = count;
        for (;;) {
            const ssize_t sent = ::sendmsg(socket_.number(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent >= 0 || errno != EINTR) {
                return sent;
            }
        }
    }

    ssize_t send_encrypted(const iovec* pieces, std::size_t count) noexcept {
        const std::lock_guard lock(mutex_);
        if (!push()) {
            return count == 0 && would_wait() ? 0 : -1;
        }
        ssize_t taken = 0;
        bool went = true;
        for (std::size_t i = 0; i < count && went; ++i) {
            std::string_view piece{static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len};
            while (!piece.empty() && went) {
                const std::string_view part = piece.substr(0, most_encrypted);
                bool encrypted = false;
                const bool has_memory = gossip::detail::succeeds([&] { encrypted = tls_->encrypt(part, backlog_); });
                if (!encrypted) {
                    errno = has_memory ? EPROTO : ENOMEM;
                    return -1;
                }
                taken += static_cast<ssize_t>(part.size());
                piece.remove_prefix(part.size());
                went = backlog_.size() < most_encrypted || push();
            }
        }
        return (went && push()) || would_wait() ? taken : -1;
    }

    /// Sends what has been encrypted; false with errno if the socket did not take all of it.
    bool push() noexcept {
        while (backlog_sent_ < backlog_.size()) {
            iovec piece{backlog_.data() + backlog_sent_, backlog_.size() - backlog_sent_};
            const ssize_t sent = send_plain(&piece, 1);
            if (sent < 0) {
                has_backlog_.store(true, std::memory_order_relaxed); // relaxed: who wrote wakes who waits
                return false;
            }
            backlog_sent_ += static_cast<std::size_t>(sent);
        }
        backlog_.clear();
        backlog_sent_ = 0;
        has_backlog_.store(false, std::memory_order_relaxed); // relaxed: who wrote wakes who waits
        return true;
    }

    Result decrypt(std::string_view arrived, std::string_view& bytes) {
        const std::lock_guard lock(mutex_);
        std::size_t size = 0;
        const Tls::State state = tls_->feed(arrived) ? tls_->decrypt(plain_, size, backlog_) : Tls::State::failed;
        push(); // an answer of TLS' own; what the socket does not take of it goes with the next write
        bytes = {plain_.data(), size};
        if (!bytes.empty() || state == Tls::State::more_needed) {
            return {}; // what went wrong behind it is said by the next call
        }
        return state == Tls::State::closed ? lost("the server closed it") : refusal();
    }

    Result shake_hands(Deadline until) {
        while (!interrupt_.stopped()) {
            const Tls::State state = tls_->shake_hands(backlog_);
            const bool waits = !push();
            if (state == Tls::State::failed) {
                return refusal();
            }
            if (state == Tls::State::closed) {
                return unreachable("the server closed it");
            }
            if (waits && !would_wait()) {
                return unreachable(system_text(errno));
            }
            if (state == Tls::State::done) {
                return {};
            }
            if (SteadyClock::now() >= until) {
                return TimeoutError{options_.connect_timeout, "cannot connect to " + place() + ": no answer with TLS"};
            }
            const short wanted = waits ? POLLIN | POLLOUT : POLLIN;
            if ((wait_for(socket_.number(), wanted, until, interrupt_).events & ~POLLOUT) != 0) {
                if (Result result = hear(); !result) {
                    return result;
                }
            }
        }
        return errors::cancelled;
    }

    /// More of the handshake.
    Result hear() {
        const ssize_t got = ::recv(socket_.number(), input_.get(), input_size, MSG_DONTWAIT);
        if (got > 0) {
            return tls_->feed({input_.get(), static_cast<std::size_t>(got)}) ? Result{} : Result{refusal()};
        }
        if (got == 0) {
            return unreachable("the server closed it instead of speaking TLS");
        }
        return would_wait() || errno == EINTR ? Result{} : Result{unreachable(system_text(errno))};
    }

    [[nodiscard]] Error unreachable(std::string_view why) const {
        return RetryableError{"cannot connect to " + place() + ": " + std::string{why}};
    }
    [[nodiscard]] Error refusal() const { return FatalError{"cannot talk to " + place() + ": " + tls_->problem()}; }

    const Endpoint& to_;
    const RedisOptions& options_;
    Interrupt& interrupt_;
    Dialer dialer_;
    Descriptor socket_;
    std::unique_ptr<char[]> input_;

    std::mutex mutex_; // TLS, its backlog
    std::unique_ptr<Tls> tls_;
    std::string backlog_;
    std::size_t backlog_sent_ = 0;
    std::atomic<bool> has_backlog_{false};
    std::string plain_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
