#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/provider/redis/backoff.hpp>
#include <gossip/provider/redis/connection.hpp>
#include <gossip/provider/redis/connection_news.hpp>
#include <gossip/provider/redis/io_thread.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/outbox.hpp>
#include <gossip/provider/redis/pipe.hpp>
#include <gossip/provider/redis/publisher_listener.hpp>
#include <gossip/provider/redis/url.hpp>

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <mutex>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis {

/// Sends commands without waiting for their answers: the caller's thread encodes, one I/O thread writes what has
/// gathered and reads the answers. Where nothing is under way the caller's thread writes itself, which saves a wake-up.
///
/// Threads: every member from any thread.
/// Order:   commands leave in the order in which they were accepted. Those without an answer when a connection is lost
///          are sent again on the next, in that order, so that the server may see some twice. One that the server
///          cannot take for now (read-only, out of memory) is sent again until it does; of those behind it that were
///          under way, some may have overtaken it.
/// Cost:    offer: a lock, the copy of the bytes, no allocation once warm; a system call where nothing is under way,
///          and one for each 64 KiB. Idle: no CPU but a PING each ping_interval.
/// Stalls:  offer never waits for the server. offer_wait, drain and shutdown wait up to their deadlines.
/// Owns:    the I/O thread and one connection. The listener is borrowed, and outlives it.
/// Errors:  the constructor throws ValidationError and, without descriptors, memory or threads, what these throw. offer
///          may throw std::bad_alloc and has then not accepted.
class Publisher {
public:
    using Deadline = detail::Deadline;

    Publisher(const RedisOptions& options, PublisherListener& listener, std::string_view part = "publisher")
        : options_(detail::checked(options)),
          endpoint_(parse_url(options_.url)),
          listener_(listener),
          pipe_(options_.outbox_size, options_.outbox_bytes),
          connection_(endpoint_, options_, part, interrupt_),
          news_(options_.on_connection, part == "publisher" ? "publisher" : "settler"),
          backoff_(options_.backoff_first, options_.backoff_max) {
        thread_.start([this] { run(); });
    }
    Publisher(const Publisher&) = delete;
    Publisher& operator=(const Publisher&) = delete;
    /// Shuts down at once; what the server has not confirmed is abandoned.
    ~Publisher() { shutdown(Deadline{}); }

    /// Accepts the command, whose end the listener will be told, or says why not.
    OfferStatus offer(std::uint64_t tag, detail::Arguments arguments) {
        return offer_until(tag, arguments, Deadline{});
    }
    OfferStatus offer(std::uint64_t tag, std::initializer_list<std::string_view> arguments) {
        return offer(tag, detail::Arguments{arguments.begin(), arguments.size()});
    }
    /// Waits for room up to the deadline; on the I/O thread it does not.
    OfferStatus offer_wait(std::uint64_t tag, detail::Arguments arguments, Deadline until) {
        return offer_until(tag, arguments, until);
    }
    OfferStatus offer_wait(std::uint64_t tag, std::initializer_list<std::string_view> arguments, Deadline until) {
        return offer_until(tag, detail::Arguments{arguments.begin(), arguments.size()}, until);
    }

    /// True as soon as everything accepted has its end; false at the deadline, or at once on the I/O thread.
    bool drain(Deadline until) {
        std::unique_lock lock(mutex_);
        return wait_until(lock, until, [this] { return outbox_.empty(); });
    }

    /// Closes the intake, waits for the server's word up to the deadline, then gives up what is left and ends the I/O
    /// thread. Safe to call twice and from several threads; from the listener it closes the intake and asks the thread
    /// to end, and another call must finish.
    void shutdown(Deadline until) noexcept {
        {
            std::unique_lock lock(mutex_);
            closed_ = true;
            changed_.notify_all();
            wait_until(lock, until, [this] { return outbox_.empty(); });
        }
        interrupt_.stop();
        thread_.join();
    }

    /// Whether this is the I/O thread, on which nothing of this may be waited for.
    [[nodiscard]] bool is_this_thread() const noexcept { return thread_.is_this(); }

    [[nodiscard]] PublisherStats stats() const {
        const std::lock_guard lock(mutex_);
        PublisherStats stats = counts_;
        stats.waiting = outbox_.waiting();
        stats.accepted = counts_.confirmed + counts_.failed + counts_.abandoned + stats.waiting;
        stats.connected = up_;
        return stats;
    }

private:
    static constexpr std::size_t many_bytes = 65'536; // worth a write of their own, whatever is under way

    template <class Done>
    bool wait_until(std::unique_lock<std::mutex>& lock, Deadline until, Done done) {
        if (done() || thread_.is_this() || until <= detail::SteadyClock::now()) {
            return done();
        }
        ++waiters_;
        const bool is_done = changed_.wait_until(lock, until, done);
        --waiters_;
        return is_done;
    }

    OfferStatus offer_until(std::uint64_t tag, detail::Arguments arguments, Deadline until) {
        const std::size_t size = detail::command_size(arguments);
        std::size_t payload = 0;
        for (const std::string_view argument : arguments) {
            payload = std::max(payload, argument.size());
        }
        if (payload > options_.max_event_bytes) {
            return OfferStatus::too_large;
        }
        std::unique_lock lock(mutex_);
        if (!closed_ && !outbox_.has_room(size) && until != Deadline{}) {
            wait_until(lock, until, [&] { return closed_ || outbox_.has_room(size); });
        }
        if (closed_) {
            return OfferStatus::closed;
        }
        if (!outbox_.has_room(size)) {
            return up_ ? OfferStatus::full : OfferStatus::unavailable;
        }
        outbox_.append(arguments, size, tag);
        if (!up_) {
            return OfferStatus::accepted; // the I/O thread sends it with the rest
        }
        if (outbox_.waiting() == 1 && !pipe_.is_writing()) {
            write_alone(lock);
        } else if (asleep_ && outbox_.unsent_bytes() >= many_bytes) {
            asleep_ = false;
            lock.unlock();
            interrupt_.wake();
        } // else the answer to what is under way wakes the I/O thread, which then sends all that has gathered
        return OfferStatus::accepted;
    }

    /// Nothing is under way: this thread writes, and the I/O thread sleeps on until the answer comes.
    void write_alone(std::unique_lock<std::mutex>& lock) {
        first_sent_ = detail::SteadyClock::now();
        const bool went = pipe_.write(lock, connection_);
        if (!went || outbox_.unsent_bytes() >= many_bytes) {
            lock.unlock();
            interrupt_.wake();
        }
    }

    // What follows runs on the I/O thread.

    void run() {
        while (!interrupt_.stopped()) {
            const Result result = gossip::guard([this] {
                Result opened = connection_.open();
                return opened ? serve() : opened;
            });
            take_down();
            if (!result && !interrupt_.stopped()) {
                news_.lost(result.error());
                detail::sleep_until(detail::SteadyClock::now() + backoff_.next(), interrupt_);
            }
        }
        abandon();
    }

    void take_down() {
        std::unique_lock lock(mutex_);
        up_ = false;
        pipe_.await_writer(lock);
        counts_.resent += outbox_.rewind();
        lock.unlock();
        connection_.close();
    }

    Result serve() {
        std::unique_lock lock(mutex_);
        answered_ = outbox_.head();
        unreleased_ = 0;
        pongs_ = 0;
        holding_ = false;
        pipe_.reset();
        last_heard_ = first_sent_ = detail::SteadyClock::now();
        up_ = true;
        ++counts_.connects;
        lock.unlock();
        news_.restored();
        while (!interrupt_.stopped()) {
            if (Result result = turn(); !result) {
                return result;
            }
        }
        return {};
    }

    /// Writes if it is time to, sleeps, reads.
    Result turn() {
        const auto now = detail::SteadyClock::now();
        std::unique_lock lock(mutex_);
        if (holding_ && answered_ == outbox_.offered()) {
            return hold(lock);
        }
        if (pipe_.error() != 0) {
            return connection_.lost(detail::system_text(pipe_.error()));
        }
        bool in_flight = answered_ != outbox_.offered();
        const std::size_t unsent = outbox_.unsent_bytes();
        const bool torn = pipe_.is_blocked();
        if (unsent != 0 && !pipe_.is_writing() && !torn && !holding_ && (!in_flight || unsent >= many_bytes)) {
            if (!in_flight) {
                first_sent_ = now;
            }
            pipe_.write(lock, connection_);
            in_flight = true;
        }
        const auto silent_since = std::max(last_heard_, first_sent_);
        const bool waits = in_flight || pongs_ > 0;
        const Deadline until = waits ? silent_since + options_.command_timeout
                                     : std::min(last_heard_ + options_.ping_interval, now + options_.command_timeout);
        if (waits && now >= until) {
            return connection_.silent();
        }
        if (!waits && now >= last_heard_ + options_.ping_interval && !pipe_.is_writing()) {
            return ping(lock);
        }
        const bool has_more = outbox_.unsent_bytes() != 0 || connection_.has_backlog();
        const short wanted = pipe_.is_blocked() && has_more ? POLLIN | POLLOUT : POLLIN;
        const bool more = wanted == POLLIN && !pipe_.is_writing() && outbox_.unsent_bytes() >= many_bytes && !holding_;
        asleep_ = !more;
        lock.unlock();
        const detail::Waited waited =
            detail::wait_for(connection_.descriptor(), wanted, more ? Deadline{} : until, interrupt_);
        lock.lock();
        asleep_ = false;
        if ((waited.events & POLLOUT) != 0) {
            pipe_.unblock();
            if (!pipe_.is_writing() && (outbox_.unsent_bytes() != 0 || connection_.has_backlog())) {
                pipe_.write(lock, connection_);
            }
        }
        lock.unlock();
        return (waited.events & ~POLLOUT) != 0 ? read() : Result{};
    }

    /// Nothing is under way, so its answer is the next. What callers write behind it is answered behind it.
    Result ping(std::unique_lock<std::mutex>& lock) {
        pongs_ = 1;
        first_sent_ = detail::SteadyClock::now();
        pipe_.begin_writing();
        lock.unlock();
        connection_.queue({"PING"});
        Result result = connection_.flush();
        lock.lock();
        pipe_.end_writing();
        return result && connection_.has_output() ? Result{connection_.lost("it takes nothing")} : result;
    }

    /// The server takes nothing for now, and all that was under way has been answered.
    Result hold(std::unique_lock<std::mutex>& lock) {
        up_ = false;
        pipe_.await_writer(lock);
        counts_.resent += outbox_.rewind();
        answered_ = outbox_.head();
        unreleased_ = 0;
        lock.unlock();
        detail::sleep_until(detail::SteadyClock::now() + backoff_.next(), interrupt_);
        lock.lock();
        holding_ = false;
        up_ = true;
        last_heard_ = detail::SteadyClock::now();
        return {};
    }

    Result read() {
        if (Result received = connection_.receive(); !received) {
            return received;
        }
        std::unique_lock lock(mutex_);
        pipe_.await_writer(lock); // what was sent has to be known as sent
        last_heard_ = detail::SteadyClock::now();
        const std::uint64_t offered = outbox_.offered();
        Outcome outcome{.unanswered = outbox_.sent_bytes() - unreleased_};
        lock.unlock();
        const Result result = take_answers(offered, outcome);
        lock.lock();
        pipe_.await_writer(lock);
        unreleased_ += outcome.bytes;
        unreleased_ -= outbox_.release(answered_);
        counts_.confirmed += outcome.confirmed;
        counts_.failed += outcome.failed;
        if (waiters_ != 0) {
            changed_.notify_all();
        }
        return result;
    }

    struct Outcome {
        std::size_t unanswered; // bytes that were sent
        std::uint64_t confirmed = 0;
        std::uint64_t failed = 0;
        std::size_t bytes = 0;
    };

    Result take_answers(std::uint64_t offered, Outcome& outcome) {
        for (;;) {
            const detail::ReplyReader::State state = connection_.next();
            if (state != detail::ReplyReader::State::one) {
                return state == detail::ReplyReader::State::broken ? Result{connection_.garbled()} : Result{};
            }
            const detail::Reply& reply = connection_.reply();
            if (pongs_ != 0) {
                pongs_ = 0;
                continue;
            }
            if (answered_ == offered || outbox_[answered_].size > outcome.unanswered) {
                return connection_.lost("an answer to nothing: " + std::string{reply.line()});
            }
            if (reply.failed() && detail::first_word(reply.line()) == "NOAUTH") {
                return connection_.lost(reply.line()); // the next connection logs in
            }
            detail::Outbox::Record& record = outbox_[answered_++];
            outcome.unanswered -= record.size;
            outcome.bytes += record.size;
            if (!reply.failed()) {
                ++outcome.confirmed;
                record.done = true;
                backoff_.reset();
                news_.taken();
                listener_.confirmed(record.tag, {reply[0].integer, reply.line()});
            } else if (detail::is_passing(reply.line())) {
                holding_ = true;
                news_.refused(server_error(reply.line()));
            } else {
                ++outcome.failed;
                record.done = true;
                listener_.failed(record.tag, server_error(reply.line()));
            }
        }
    }

    void abandon() {
        std::unique_lock lock(mutex_);
        for (std::uint64_t i = outbox_.head(); i != outbox_.tail(); ++i) {
            const std::uint64_t tag = outbox_[i].tag;
            lock.unlock();
            listener_.failed(tag, errors::abandoned);
            lock.lock();
        }
        counts_.abandoned += outbox_.waiting();
        outbox_.clear();
        changed_.notify_all();
    }

    const RedisOptions options_;
    const Endpoint endpoint_;
    PublisherListener& listener_;
    detail::Interrupt interrupt_;

    mutable std::mutex mutex_;
    std::condition_variable changed_; // room, or empty, or closed
    std::size_t waiters_ = 0;
    detail::Pipe pipe_;
    detail::Outbox& outbox_ = pipe_.outbox();
    PublisherStats counts_{};
    Deadline first_sent_{}; // the first of what is under way
    bool up_ = false;       // commands may be written
    bool closed_ = false;   // no more are accepted
    bool asleep_ = false;   // the I/O thread is; a wake-up would end it

    // The I/O thread's own.
    detail::Connection connection_;
    detail::ConnectionNews news_;
    detail::Backoff backoff_;
    std::uint64_t answered_ = 0;
    std::size_t unreleased_ = 0; // bytes that are answered, behind one that waits for the server to take it
    Deadline last_heard_{};
    int pongs_ = 0;
    bool holding_ = false;

    detail::IoThread thread_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis
