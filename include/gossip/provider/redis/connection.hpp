#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/reply.hpp>
#include <gossip/provider/redis/resp.hpp>
#include <gossip/provider/redis/server_error.hpp>
#include <gossip/provider/redis/socket.hpp>
#include <gossip/provider/redis/transport.hpp>
#include <gossip/provider/redis/url.hpp>

#include <cerrno>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// A connection that has been greeted: logged in, named, its database chosen, its server known to answer.
///
/// Threads: one at a time, but `send` may run on one thread while another receives.
/// Order:   the server answers in the order of the commands; RESP2.
/// Stalls:  open and `ask` wait for the server, up to their deadline; they end within a millisecond of a stop. All else
///          never waits.
/// Owns:    the transport, and the bytes read and not yet looked at.
/// Errors:  TimeoutError and RetryableError where another attempt may help, FatalError where the server refuses the
///          login; errors::cancelled when stopped. A connection that failed is to be closed.
class Connection {
public:
    /// `part` is appended to the client's name.
    Connection(const Endpoint& to, const RedisOptions& options, std::string_view part, Interrupt& interrupt)
        : to_(to), options_(options), part_(part), interrupt_(interrupt), transport_(to, options, interrupt) {}

    Result open() {
        close();
        reader_.emplace();
        const Deadline until = SteadyClock::now() + options_.connect_timeout;
        Result result = transport_.open(until);
        if (result) {
            result = receive(); // what may have come with the end of the handshake
        }
        if (result) {
            result = greet(until);
        }
        if (!result) {
            close();
        }
        return result;
    }

    void close() noexcept {
        transport_.close();
        reader_.reset();
        output_.clear();
        sent_ = 0;
        unread_ = {};
    }

    [[nodiscard]] bool is_open() const noexcept { return transport_.is_open(); }
    [[nodiscard]] int descriptor() const noexcept { return transport_.descriptor(); }
    [[nodiscard]] std::string_view part() const noexcept { return part_; }

    /// What is queued leaves with the next `flush`.
    void queue(std::initializer_list<std::string_view> arguments) { append_command(output_, arguments); }
    void queue(Arguments arguments) { append_command(output_, arguments); }
    [[nodiscard]] bool has_output() const noexcept { return sent_ < output_.size() || has_backlog(); }

    /// Writes what the socket takes of what is queued.
    Result flush() {
        while (has_output()) {
            iovec piece{output_.data() + sent_, output_.size() - sent_};
            const ssize_t sent = send(&piece, piece.iov_len != 0 ? 1 : 0);
            if (sent < 0) {
                return would_wait() ? Result{} : not_sent(errno);
            }
            sent_ += static_cast<std::size_t>(sent);
            if (has_backlog()) {
                return {};
            }
        }
        output_.clear();
        sent_ = 0;
        return {};
    }

    ssize_t send(iovec* pieces, std::size_t count) noexcept { return transport_.send(pieces, count); }
    [[nodiscard]] static bool would_wait() noexcept { return Transport::would_wait(); }
    [[nodiscard]] bool has_backlog() const noexcept { return transport_.has_backlog(); }

    /// Takes in what has arrived, once all before it has been looked at; says whether the connection still stands.
    Result receive() { return unread_.empty() ? transport_.receive(unread_) : Result{}; }

    /// The next answer in what was received. Its parser moves what it has not used at every kilobyte: small bites cost
    /// it a fifth of large ones.
    ReplyReader::State next() {
        for (;;) {
            const ReplyReader::State state = reader_->next();
            if (state != ReplyReader::State::more_needed || unread_.empty()) {
                return state;
            }
            const std::size_t bite = std::min<std::size_t>(unread_.size(), 4096);
            if (!reader_->feed(unread_.data(), bite)) {
                return ReplyReader::State::broken;
            }
            unread_.remove_prefix(bite);
        }
    }
    [[nodiscard]] Reply& reply() noexcept { return reader_->reply(); }
    /// Whether more than that answer has arrived, in part or whole.
    [[nodiscard]] bool has_more() const noexcept { return !unread_.empty() || reader_->has_more(); }

    /// Sends what is queued and waits for one answer; `reply` has it.
    Result await_reply(Deadline until) {
        for (;;) {
            if (Result sent = flush(); !sent) {
                return sent;
            }
            switch (next()) {
            case ReplyReader::State::one:
                return {};
            case ReplyReader::State::broken:
                return garbled();
            case ReplyReader::State::more_needed:
                break;
            }
            if (interrupt_.stopped()) {
                return errors::cancelled;
            }
            const short wanted = has_output() ? POLLIN | POLLOUT : POLLIN;
            const Waited waited = wait_for(transport_.descriptor(), wanted, until, interrupt_);
            if ((waited.events & ~POLLOUT) != 0) {
                if (Result received = receive(); !received) {
                    return received;
                }
            } else if (waited.events == 0 && SteadyClock::now() >= until) {
                return silent();
            }
        }
    }

    /// One command, one answer. An error of the server is left in `reply`.
    Result ask(std::initializer_list<std::string_view> arguments, Deadline until) {
        queue(arguments);
        return await_reply(until);
    }

    [[nodiscard]] Error lost(std::string_view why) const { return transport_.lost(why); }
    [[nodiscard]] Error garbled() const {
        return lost(std::string{"its answer is none of Redis': "} + reader_->problem());
    }
    [[nodiscard]] Error silent() const { return TimeoutError{options_.command_timeout, "no answer from " + place()}; }
    [[nodiscard]] std::string place() const { return transport_.place(); }

private:
    /// A peer that closes says why before it does, if it says why.
    Result not_sent(int code) {
        Result heard = receive();
        return heard ? Result{lost(system_text(code))} : heard;
    }

    /// HELLO with login and name, the database and a PING leave together; a server that does not know HELLO (before
    /// 6.0) is asked the old way. The PING matters: the system connects to a server that has stopped.
    Result greet(Deadline until) {
        const std::string name = (options_.client_name.empty() ? "gossip" : options_.client_name) + ":" + part_;
        if (to_.password.empty()) {
            queue({"HELLO", "2", "SETNAME", name});
        } else {
            queue({"HELLO", "2", "AUTH", to_.user.empty() ? "default" : std::string_view{to_.user}, to_.password,
                   "SETNAME", name});
        }
        const Number database{std::int64_t{to_.database}};
        queue({"SELECT", database});
        queue({"PING"});
        std::string refusal;
        if (Result result = take(until, refusal); !result) {
            return result;
        }
        const bool old_way = !refusal.empty() && !is_passing(refusal) && !is_login_refused(refusal);
        if (old_way) {
            std::string ignored;
            for (int i = 0; i < 2; ++i) {
                if (Result result = take(until, ignored); !result) {
                    return result;
                }
            }
            refusal.clear();
            return greet_old(until, name, database);
        }
        for (int i = 0; i < 2; ++i) {
            if (Result result = take(until, refusal); !result) {
                return result;
            }
        }
        return verdict(refusal);
    }

    Result greet_old(Deadline until, std::string_view name, std::string_view database) {
        int answers = 3;
        if (!to_.password.empty()) {
            if (to_.user.empty()) {
                queue({"AUTH", to_.password});
            } else {
                queue({"AUTH", to_.user, to_.password});
            }
            ++answers;
        }
        queue({"SELECT", database});
        queue({"PING"});
        queue({"CLIENT", "SETNAME", name}); // last: that it is refused does no harm
        std::string refusal;
        std::string ignored;
        for (; answers > 0; --answers) {
            if (Result result = take(until, answers == 1 ? ignored : refusal); !result) {
                return result;
            }
        }
        return verdict(refusal);
    }

    /// Reads one answer; the first error line is kept.
    Result take(Deadline until, std::string& refusal) {
        if (Result result = await_reply(until); !result) {
            return result;
        }
        if (reply().failed() && refusal.empty()) {
            refusal = reply().line();
        }
        return {};
    }

    [[nodiscard]] Result verdict(const std::string& refusal) const {
        if (refusal.empty()) {
            return {};
        }
        const std::string text = place() + " refuses the connection: " + without_password(refusal);
        return is_passing(refusal) ? Result{RetryableError{text}} : Result{FatalError{text}};
    }

    /// A server that does not know a command repeats what it was given.
    [[nodiscard]] std::string without_password(std::string text) const {
        constexpr std::string_view hidden = "***";
        for (std::size_t at = 0; !to_.password.empty() && (at = text.find(to_.password, at)) != std::string::npos;) {
            text.replace(at, to_.password.size(), hidden);
            at += hidden.size();
        }
        return text;
    }

    const Endpoint& to_;
    const RedisOptions& options_;
    std::string part_;
    Interrupt& interrupt_;
    Transport transport_;
    std::optional<ReplyReader> reader_;
    std::string output_;
    std::size_t sent_ = 0;
    std::string_view unread_; // of what the transport has received
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
