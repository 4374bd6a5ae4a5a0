#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/readers.hpp>
#include <gossip/provider/redis/stream_entry.hpp>
#include <gossip/provider/redis/stream_loop.hpp>
#include <gossip/provider/redis/stream_state.hpp>
#include <gossip/provider/redis/stream_turns.hpp>
#include <gossip/provider/redis/url.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis {

/// Reads streams as one consumer of a group: each entry goes to one consumer of the group, at least once, until one of
/// them has settled it.
///
/// Which streams a pattern means only the registry can tell (`stream_registry`): after the first `refresh` it is looked
/// through every StreamOptions::refresh, and each stream that the listener wants is read from the group's beginning, so
/// that what was published before the look is not missed.
///
/// Threads: every member from any thread; the listener is called on the one thread that reads. There are two, which
///          read by turns: see Readers.
/// Order:   entries of a stream come in its order; those claimed, or read a second time, come out of it. With
///          `single_active` a member that takes over begins with all that is pending: only repetitions come out of it.
/// Delivery: at least once. An entry is delivered again when its consumer crashes, when it is not renewed for min_idle,
///          when it is left, and when the connection is lost before its acknowledgement arrived. After max_deliveries
///          it is buried. A group that the server has lost is made again behind the last entry that this consumer
///          read: what was pending in it for crashed consumers is lost with it.
/// Cost:    about 1 µs an entry; acknowledgements leave together, within a millisecond, and at once if nothing else is
///          held. Idle: one round trip each StreamOptions::block, and the looks of claim_interval.
/// Stalls:  subscribe and refresh wait for the server, stop_reading for who reads, drain and shutdown for the
///          server's word, all up to their deadlines. Nothing else waits.
/// Owns:    the reader threads, two connections, and the claim of what the listener has taken. The listener is
///          borrowed, and outlives it.
/// Errors:  subscribe and refresh return the server's refusal (FatalError), TimeoutError with the last failure as its
///          cause, or errors::closed.
class StreamReader {
public:
    using Deadline = detail::Deadline;
    using Names = std::span<const std::string_view>;

    StreamReader(const RedisOptions& options, StreamListener& listener)
        : options_(detail::checked(options)),
          endpoint_(parse_url(options_.url)),
          loop_(options_, endpoint_, listener, state_, turns_, readers_) {
        readers_.start([this] { loop_.run(); });
    }
    StreamReader(const StreamReader&) = delete;
    StreamReader& operator=(const StreamReader&) = delete;
    /// Shuts down at once. What is not confirmed is delivered again, to whoever claims it.
    ~StreamReader() { shutdown(Deadline{}); }

    /// Returns when each stream has its group: from then on nothing that is published to it is missed. A name may be
    /// subscribed several times and is read until it has been unsubscribed as often. No prefix is added.
    Result subscribe(Names streams, Deadline until) {
        return state_.subscribe(streams, until, options_.command_timeout);
    }
    void unsubscribe(Names streams) { state_.unsubscribe(streams); }

    /// Looks through the registry; returns when every stream there that the listener wants has its group.
    Result refresh(Deadline until) { return state_.refresh(until, options_.command_timeout); }

    /// It is done with: nobody gets it again, once the server has confirmed.
    void ack(const EntryId& id) { state_.settle({detail::Settling::What::ack, id}); }
    /// It stays pending, and is delivered again after min_idle, to whoever looks first. With `single_active` nothing
    /// behind it may begin in that turn, 0 meaning the present one: the stream goes to another member as soon as all
    /// that is held of it has ended, or comes again after the time of a lease.
    void leave(const EntryId& id, std::uint64_t turn = 0) {
        const std::uint64_t its = turn == 0 ? turns_.number(id.stream) : turn;
        turns_.leaving(id, its);
        state_.settle({detail::Settling::What::leave, id, {}, 0, its});
    }
    /// With `single_active`: whether what was read in that turn may begin, still or again. Of a turn that has ended it
    /// is left.
    [[nodiscard]] bool may_begin(const EntryId& id, std::uint64_t turn) const noexcept {
        return turns_.may_begin(id, turn);
    }
    /// It will be left, soon: nothing behind it may begin in that turn.
    void leaving(const EntryId& id, std::uint64_t turn) noexcept { turns_.leaving(id, turn); }
    /// It goes to the dead-letter stream, with its fields and gossip.reason, gossip.stream, gossip.id, gossip.group and
    /// gossip.deliveries, and is acknowledged.
    void bury(const EntryId& id, std::string reason) {
        state_.settle({detail::Settling::What::bury, id, std::move(reason)});
    }

    /// It is held still and has been tried so often, the deliveries to other consumers included: who claims it after a
    /// crash goes on counting there. The server's count stays one below max_deliveries, so that what waits for its next
    /// attempt here is not buried for that by the next consumer.
    void tried(const EntryId& id, std::int64_t attempts) {
        state_.settle({detail::Settling::What::tried, id, {}, attempts});
    }

    /// The listener has room again.
    void resume() noexcept { state_.resume(); }

    /// No entry is handed to the listener after this returns true; settling goes on. On the thread that reads it waits
    /// for nothing.
    bool stop_reading(Deadline until) { return state_.stop_reading(readers_.read_here() ? Deadline{} : until); }

    /// True as soon as the server has confirmed everything settled; what is held and not settled is not waited for.
    bool drain(Deadline until) { return state_.drain(until); }

    /// Stops reading, waits until what was settled is confirmed, up to the deadline, takes a consumer name of its own
    /// that has nothing pending out of the group, if it is connected, and ends the reader threads. Safe to call twice
    /// and from several threads; on the one that reads it asks for the end, and another call must finish.
    void shutdown(Deadline until) noexcept {
        state_.close();
        if (!readers_.read_here() && until > detail::SteadyClock::now() && state_.stop_reading(until) &&
            state_.drain(until)) {
            state_.farewell(until);
        }
        state_.interrupt.stop();
        readers_.await_end();
        readers_.join();
    }
    /// Whether this is the thread that reads, which nobody can wait for there.
    [[nodiscard]] bool is_this_thread() const noexcept { return readers_.read_here(); }

    /// This member's name in the group.
    [[nodiscard]] const std::string& consumer() const noexcept { return loop_.consumer(); }
    [[nodiscard]] StreamStats stats() const {
        StreamStats stats = state_.stats();
        turns_.read(stats);
        return stats;
    }

private:
    const RedisOptions options_;
    const Endpoint endpoint_;
    detail::StreamState state_;
    detail::StreamTurns turns_;
    detail::StreamLoop loop_;
    detail::Readers readers_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis
