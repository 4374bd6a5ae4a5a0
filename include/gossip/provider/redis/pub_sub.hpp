#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/core/shared_count.hpp>
#include <gossip/provider/redis/backoff.hpp>
#include <gossip/provider/redis/connection.hpp>
#include <gossip/provider/redis/connection_news.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/readers.hpp>
#include <gossip/provider/redis/topics.hpp>
#include <gossip/provider/redis/url.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis {

/// Listens to channels and patterns on one connection.
///
/// Threads: every member from any thread; the listener is called on the one thread that reads. There are two, which
///          read by turns: see Readers.
/// Order:   messages come in the server's order, on one connection. After a lost connection everything wanted is
///          subscribed again before `restored` is told; what was published in between is gone, which `gap` tells.
/// Cost:    about 0.1 µs a message beside the listener. Idle: no CPU but a PING after ping_interval of silence.
/// Stalls:  subscribe waits for the server's word, up to its deadline; a listener without room holds the word back.
///          While it has none nothing is read and the server keeps what it sends, up to its limit for slow clients
///          (32 MB by default), then ends the connection: a gap. shutdown ends any of this at once.
/// Owns:    the reader threads and one connection. The listener is borrowed, and outlives it.
/// Errors:  subscribe returns the server's refusal (FatalError), TimeoutError with the last failure as its cause, or
///          errors::closed.
class PubSub {
public:
    using Deadline = detail::Deadline;
    using Names = std::span<const std::string_view>;

    PubSub(const RedisOptions& options, PubSubListener& listener)
        : options_(detail::checked(options)),
          endpoint_(parse_url(options_.url)),
          listener_(listener),
          connection_(endpoint_, options_, "pub_sub", interrupt_),
          news_(options_.on_connection, "pub_sub"),
          backoff_(options_.backoff_first, options_.backoff_max) {
        readers_.start([this] { run(); });
    }
    PubSub(const PubSub&) = delete;
    PubSub& operator=(const PubSub&) = delete;
    ~PubSub() {
        shutdown();
        join();
    }

    /// Returns when the server has confirmed all of them: what is published afterwards is not missed. On failure none
    /// is subscribed that was not before. A name may be subscribed several times and is heard until it has been
    /// unsubscribed as often. Patterns are the server's: `*` stands for anything.
    Result subscribe(Names channels, Names patterns, Deadline until) {
        std::unique_lock lock(mutex_);
        if (closed_) {
            return errors::closed;
        }
        const std::uint64_t attempts = attempts_;
        bool is_new = false;
        each(channels, patterns, [&](Kind kind, std::string_view name) { is_new |= topics_.add(kind, name); });
        if (is_new) {
            interrupt_.wake();
        }
        std::optional<Error> refusal;
        const auto settled = [&] {
            bool all = true;
            each(channels, patterns, [&](Kind kind, std::string_view name) {
                const detail::Topic& topic = topics_.at(kind, name);
                all &= topic.state == State::confirmed;
                if (topic.state == State::refused) {
                    refusal = topic.error;
                }
            });
            return all || refusal || closed_ || login_refused_at_ > attempts;
        };
        const bool in_time = changed_.wait_until(lock, until, settled);
        if (in_time && !refusal && !closed_ && login_refused_at_ <= attempts) {
            return {};
        }
        each(channels, patterns, [&](Kind kind, std::string_view name) { topics_.remove(kind, name); });
        interrupt_.wake();
        if (closed_) {
            return errors::closed;
        }
        if (refusal) {
            return *refusal;
        }
        if (in_time) {
            return *failure_;
        }
        const std::string text = "no confirmation of the subscription from " + connection_.place();
        return failure_ ? TimeoutError{options_.command_timeout, text, *failure_}
                        : TimeoutError{options_.command_timeout, text};
    }

    /// Waits for nothing; what is on its way may still arrive.
    void unsubscribe(Names channels, Names patterns) {
        {
            const std::lock_guard lock(mutex_);
            each(channels, patterns, [&](Kind kind, std::string_view name) { topics_.remove(kind, name); });
        }
        interrupt_.wake();
    }

    /// The listener has room again. Cost: one load where it never lacked any.
    void resume() noexcept {
        if (stalled_.load(std::memory_order_relaxed)) { // relaxed: one that is missed costs a pause of at most 10 ms
            interrupt_.wake();
        }
    }

    /// Ends the reading: within the time of a listener's call, but not of what that runs in a sleeper's place. Those
    /// who wait in subscribe get errors::closed. Safe to call twice and from several threads; on the thread that reads
    /// it asks for the end, and another call must finish.
    void shutdown() noexcept {
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
            changed_.notify_all();
        }
        interrupt_.stop();
        readers_.await_end();
    }
    /// After that: waits for the reader threads, and so for what they run; not on one of them.
    void join() noexcept { readers_.join(); }
    /// Whether this is the thread that reads, which nobody can wait for there.
    [[nodiscard]] bool is_this_thread() const noexcept { return readers_.read_here(); }

    [[nodiscard]] PubSubStats stats() const {
        const std::lock_guard lock(mutex_);
        PubSubStats stats = counts_;
        stats.messages = messages_.get();
        return stats;
    }

private:
    using Kind = detail::TopicKind;
    using State = detail::TopicState;

    template <class F>
    static void each(Names channels, Names patterns, F f) {
        for (const std::string_view name : channels) {
            f(Kind::channel, name);
        }
        for (const std::string_view name : patterns) {
            f(Kind::pattern, name);
        }
    }

    // What follows runs on the thread that reads.

    /// Returns when it is over, or when the other one reads: then nothing of this is touched any more.
    void run() {
        while (!interrupt_.stopped()) {
            bool is_replaced = false;
            const Result result = gossip::guard([&] {
                Result opened = is_serving_ ? Result{} : open();
                return opened ? serve(is_replaced) : opened;
            });
            if (is_replaced) {
                return;
            }
            is_serving_ = false;
            connection_.close();
            if (!result && !interrupt_.stopped()) {
                came_down(result.error());
                detail::sleep_until(detail::SteadyClock::now() + backoff_.next(), interrupt_);
            }
        }
    }

    void came_down(const Error& error) {
        {
            const std::lock_guard lock(mutex_);
            ++attempts_;
            failure_ = error;
            login_refused_at_ = is_fatal(error) ? attempts_ : 0;
            counts_.connected = false;
            topics_.lost();
            changed_.notify_all();
        }
        news_.lost(error);
    }

    Result open() {
        if (Result opened = connection_.open(); !opened) {
            return opened;
        }
        {
            const std::lock_guard lock(mutex_);
            ++attempts_;
            ++counts_.connects;
            had_topics_ = topics_.want_all();
        }
        restoring_ = true;
        pinged_ = false;
        last_heard_ = detail::SteadyClock::now();
        is_serving_ = true;
        return {};
    }

    Result serve(bool& is_replaced) {
        while (!interrupt_.stopped()) {
            {
                const std::lock_guard lock(mutex_);
                topics_.ask([this](std::string_view verb, std::string_view name) { connection_.queue({verb, name}); });
            }
            if (Result sent = connection_.flush(); !sent) {
                return sent;
            }
            Result taken = take();
            is_replaced = !readers_.work_outside(place_, listener_);
            if (is_replaced) {
                return {};
            }
            if (!taken) {
                return taken;
            }
            if (restoring_ && topics_.answered_all()) {
                restored();
            }
            if (!stalled_.load(std::memory_order_relaxed)) { // relaxed: this thread's own
                if (Result heard = listen(); !heard) {
                    return heard;
                }
            }
        }
        return {};
    }

    void restored() {
        restoring_ = false;
        backoff_.reset();
        {
            const std::lock_guard lock(mutex_);
            counts_.connected = true;
            failure_.reset();
        }
        news_.restored(had_topics_);
    }

    /// Hands on what has been received, as far as there is room for it.
    Result take() {
        bool is_first = true;
        while (!interrupt_.stopped()) {
            if (!stalled_.load(std::memory_order_relaxed)) { // relaxed: this thread's own
                switch (connection_.next()) {
                case detail::ReplyReader::State::more_needed:
                    return {};
                case detail::ReplyReader::State::broken:
                    return connection_.garbled();
                case detail::ReplyReader::State::one:
                    break;
                }
            }
            const bool again = stalled_.load(std::memory_order_relaxed); // relaxed: this thread's own
            const bool is_alone = std::exchange(is_first, false) && !again && !connection_.has_more();
            bool taken = true;
            if (Result result = handle(again ? unheard_ : connection_.reply(), is_alone, taken); !result) {
                return result;
            }
            if (!taken) {
                if (!again) { // the connection may end before there is room
                    unheard_.clear();
                    unheard_.swap(connection_.reply());
                }
                wait_for_room();
                return {};
            }
            if (again) {
                stalled_.store(false, std::memory_order_relaxed); // relaxed: a hint
                last_heard_ = detail::SteadyClock::now();
                pinged_ = false;
            }
        }
        return {};
    }

    void wait_for_room() {
        if (!stalled_.load(std::memory_order_relaxed)) {     // relaxed: this thread's own
            stalled_.store(true, std::memory_order_relaxed); // relaxed: a hint
            pause_ = std::chrono::milliseconds{1};
            const std::lock_guard lock(mutex_);
            ++counts_.stalls;
        }
        if (place_) {
            return; // there is something to do meanwhile
        }
        detail::wait_for(-1, 0, detail::SteadyClock::now() + pause_, interrupt_);
        pause_ = std::min(pause_ * 2, std::chrono::milliseconds{10});
    }

    Result handle(const detail::Reply& reply, bool is_alone, bool& taken) {
        if (reply.failed()) {
            return refused(reply.line());
        }
        detail::ReplyCursor at{reply};
        if (at.array() == 0) {
            pinged_ = false; // +PONG, before the first subscription
            return {};
        }
        const std::string_view what = at.text();
        const bool is_lent =
            is_alone && what.ends_with("message") && readers_.may_step_out() && listener_.borrow_place();
        if (what == "message") {
            const std::string_view name = at.text();
            taken = listener_.message(name, at.text(), {});
            count(taken);
        } else if (what == "pmessage") {
            const std::string_view match = at.text();
            const std::string_view name = at.text();
            taken = listener_.message(name, at.text(), match);
            count(taken);
        } else if (what == "pong") {
            pinged_ = false;
        } else {
            settle(State::confirmed, std::nullopt);
        }
        if (is_lent) {
            place_ = listener_.borrowed_place();
        }
        return {};
    }

    void count(bool taken) noexcept {
        if (taken) {
            messages_.add();
        }
    }

    /// The answer to the eldest question. One that the server cannot answer for now ends the connection, which is made
    /// again with growing pauses.
    Result refused(std::string_view line) {
        if (topics_.answered_all() || detail::is_passing(line) || detail::first_word(line) == "NOAUTH") {
            return connection_.lost(line);
        }
        const Error error = server_error(line);
        settle(State::refused, error);
        if (restoring_) {
            news_.refused(error);
        }
        return {};
    }

    void settle(State state, const std::optional<Error>& error) {
        const std::lock_guard lock(mutex_);
        if (topics_.answer(state, error)) {
            changed_.notify_all();
        }
    }

    /// Sleeps until something arrives or is wanted; asks a silent server whether it lives.
    Result listen() {
        const auto now = detail::SteadyClock::now();
        const bool waits = pinged_ || !topics_.answered_all();
        if (waits && now >= std::max(last_heard_, asked_at_) + options_.command_timeout) {
            return connection_.silent();
        }
        if (!waits && now >= last_heard_ + options_.ping_interval) {
            pinged_ = true;
            asked_at_ = now;
            connection_.queue({"PING"});
            return {};
        }
        const Deadline until =
            waits ? std::max(last_heard_, asked_at_) + options_.command_timeout : last_heard_ + options_.ping_interval;
        const short wanted = connection_.has_output() ? POLLIN | POLLOUT : POLLIN;
        const detail::Waited waited = detail::wait_for(connection_.descriptor(), wanted, until, interrupt_);
        if (waited.woken && topics_.answered_all()) {
            asked_at_ = detail::SteadyClock::now(); // what is asked now has its own time
        }
        if ((waited.events & ~POLLOUT) != 0) {
            last_heard_ = detail::SteadyClock::now();
            return connection_.receive();
        }
        return {};
    }

    const RedisOptions options_;
    const Endpoint endpoint_;
    PubSubListener& listener_;
    detail::Interrupt interrupt_;
    std::atomic<bool> stalled_{false};
    gossip::detail::SharedCount<> messages_;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    detail::Topics topics_;
    std::optional<Error> failure_;
    std::uint64_t attempts_ = 0;
    std::uint64_t login_refused_at_ = 0; // the attempt that was, if it was the last one
    PubSubStats counts_{};
    bool closed_ = false;

    // Of the thread that reads; `readers_` hands it on.
    detail::Connection connection_;
    detail::ConnectionNews news_;
    detail::Backoff backoff_;
    detail::Reply unheard_; // while stalled: what there was no room for
    std::chrono::milliseconds pause_{1};
    Deadline last_heard_{};
    Deadline asked_at_{};
    std::optional<unsigned> place_; // where what came last is to run
    bool is_serving_ = false;       // the connection has been made
    bool pinged_ = false;
    bool restoring_ = false;
    bool had_topics_ = false;

    detail::Readers readers_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis
