#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/core/raw_data.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/provider/provider.hpp>
#include <gossip/provider/redis/hook_frame.hpp>
#include <gossip/provider/redis/json_codec.hpp>
#include <gossip/provider/redis/late_reports.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/outbound.hpp>
#include <gossip/provider/redis/pub_sub_listening.hpp>
#include <gossip/provider/redis/raw_codec.hpp>
#include <gossip/provider/redis/stream_listening.hpp>
#include <gossip/provider/wire_type.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

namespace detail {

/// Codecs that write what they say they write: their output is not looked at again.
template <class C>
inline constexpr bool writes_json = false;
template <class C>
requires requires { requires C::writes_json; }
inline constexpr bool writes_json<C> = true;
template <>
inline constexpr bool writes_json<JsonCodec> = true;
template <>
inline constexpr bool writes_json<RawCodec> = true;
template <>
inline constexpr bool writes_json<TrustedRawCodec> = true;

[[nodiscard]] inline std::unique_ptr<RedisListening> make_listening(const RedisOptions& options, const void* codec,
                                                                    LateReports& reports) {
    if (options.mode == RedisMode::streams) {
        return std::make_unique<StreamListening>(options, codec, reports);
    }
    return std::make_unique<PubSubListening>(options, codec, reports);
}

} // namespace detail

/// The provider of a bus whose events go through Redis, to the buses of other processes and to this one.
///
/// On streams the server keeps what publish_after and publish_at have sent, in the sorted set <prefix>gossip.delayed,
/// until it is due by the server's clock; any process with a bus of that prefix that listens, or has published later
/// itself, then moves it to its stream. So it outlives its process, and the server as far as that keeps its data. One
/// that was moved while an outage hid the server's answer to its sender is kept, and arrives, a second time. In Pub/Sub
/// mode it is a timer of this process.
///
/// Threads: every member from any thread.
/// Order:   what one thread publishes is sent in its order; see redis::Publisher for what an outage does to it. What
///          arrives enters the engine in the server's order. Order by key holds within a process: members of a group
///          share a stream entry by entry, and two of them may run events of one key at once and in any order. With
///          StreamOptions::single_active it holds over all members: one of them at a time reads a stream, and nothing
///          that was left, by whomever, is overtaken. What has begun in a process that is then halted or cut off for
///          longer than the lease may go on there while it and what is behind it runs at the next member.
/// Cost:    publish encodes on the caller's thread and leaves the rest to an I/O thread. Data that arrives is read
///          by the worker that needs it. While the buffer is full the reader looks for room every 1 to 10 ms.
/// Stalls:  publish waits for room in the outbox under `Overflow::block` while the server is there; without the server
///          it says `unavailable` when the outbox is full. subscribe waits for the server up to command_timeout.
///          shutdown without a deadline waits for the server up to command_timeout.
/// Owns:    its connections and their threads.
/// Errors:  the constructor throws ValidationError for bad options and never waits for the server. What arrives and is
///          no event is counted, the error hook gets it as raw text, and the rest goes on.
template <class DefaultCodec = JsonCodec>
class BasicRedisProvider {
public:
    BasicRedisProvider() : BasicRedisProvider(RedisOptions{}) {}
    explicit BasicRedisProvider(const RedisOptions& options)
        : streams_(options.mode == RedisMode::streams),
          timeout_(options.command_timeout),
          outbound_(hooks_.around(options), reports_),
          listening_(detail::make_listening(hooks_.around(options), &detail::codec_tag<DefaultCodec>, reports_)) {}

    void start(detail::Engine& engine) noexcept {
        hooks_.start(engine);
        outbound_.start(engine);
        if constexpr (std::is_same_v<DefaultCodec, JsonCodec>) { // what events made by hand often have
            list<std::string>();
            list<bool>();
            list<int>();
            list<std::int64_t>();
            list<double>();
            list<nlohmann::json>();
        }
    }

    template <class T>
    [[nodiscard]] static detail::WireType& wire_type() noexcept {
        return detail::wire_type_of<DefaultCodec, T>();
    }

    template <class T>
    PublishStatus send_as(detail::Engine&, Event& event, bool may_wait) {
        constexpr bool foreign = !detail::writes_json<detail::codec_of<DefaultCodec, T>>;
        return outbound_.send(event, may_wait, foreign, [&](std::string& text) {
            detail::encode_data<DefaultCodec>(EventAccess::known_data<T>(event), text);
        });
    }
    PublishStatus send(detail::Engine&, Event& event, bool may_wait) {
        return outbound_.send(event, may_wait, true, [&](std::string& text) { encode(event, text); });
    }
    Result send_sync(detail::Engine&, Event& event) {
        return outbound_.send_sync(event, true, [&](std::string& text) { encode(event, text); });
    }

    /// Whether the server keeps events to come: on streams.
    [[nodiscard]] bool keeps() const noexcept { return streams_; }
    PublishStatus send_later(detail::Engine&, Event& event, std::chrono::nanoseconds delay, std::string& ticket) {
        return outbound_.send_later(event, delay, true, ticket, [&](std::string& text) { encode(event, text); });
    }
    bool take_back(const std::string& ticket) { return outbound_.take_back(ticket); }

    Result listen(const std::vector<EventType>& names, const std::vector<Pattern>& patterns) {
        if (streams_) {
            outbound_.open_mover();
        }
        return listening_->listen(*outbound_.started(), names, patterns);
    }
    void unlisten(const std::vector<EventType>& names, const std::vector<Pattern>& patterns) noexcept {
        detail::succeeds([&] { listening_->unlisten(names, patterns); });
    }

    /// On streams: the group of this bus gets what was published to that type from there on once more, shared among
    /// its members as ever; `from` is the id of an entry (`1700000000000-0`) or a time. A member that waits for new
    /// entries sees it within stream.block. What the group holds unacknowledged stays its consumers', and what of it
    /// lies behind that place is delivered besides. What was trimmed is gone. A later place leaves out what is before.
    /// Stalls: waits for the server, up to connect_timeout and command_timeout.
    /// Errors: ValidationError for what is no place, and in Pub/Sub mode; what the server says where nobody of the
    ///         group has listened to that type.
    Result replay(const EventType& type, std::string_view from) { return listening_->replay(type, from); }
    Result replay(const EventType& type, std::chrono::system_clock::time_point from) {
        return replay(type, redis::stream_place(from));
    }

    bool drain(std::chrono::nanoseconds timeout) {
        const auto until = detail::deadline_in(timeout);
        return outbound_.drain(until) && listening_->drain(until);
    }
    void close() noexcept {
        outbound_.close();
        listening_->close();
    }
    Result shutdown(std::chrono::nanoseconds timeout) noexcept {
        close();
        const auto until = detail::deadline_in(timeout == std::chrono::nanoseconds::max() ? timeout_ : timeout);
        Result sent = outbound_.shutdown(until);
        listening_->shutdown(until);
        return sent;
    }

    [[nodiscard]] Outgoing outgoing() const { return outbound_.outgoing(); }
    [[nodiscard]] RedisStats stats() const {
        RedisStats stats;
        stats.publisher = outbound_.stats();
        stats.untold = reports_.untold();
        listening_->stats(stats);
        return stats;
    }

private:
    template <class T>
    static void list() noexcept {
        detail::list_wire_type(wire_type<T>());
    }

    /// Of an event whose data's type is known at run time only.
    static void encode(const Event& event, std::string& text) {
        if (!event.has_data()) {
            return;
        }
        if (const detail::RawData* const raw = EventAccess::raw_data(event)) {
            text.append(raw->text()); // it came as it goes
            return;
        }
        const detail::WireType* const type =
            detail::find_wire_type(&detail::codec_tag<DefaultCodec>, EventAccess::ops(event));
        if (type == nullptr) {
            const std::string what = "no topic of such a bus has carried a " + std::string(event.data_type_name());
            throw ValidationError{"data", what, errors::not_encodable};
        }
        type->encode(EventAccess::data(event), text);
    }

    const bool streams_;
    const std::chrono::nanoseconds timeout_;
    const detail::HookFrame hooks_;
    detail::LateReports reports_;
    detail::Outbound outbound_;
    std::unique_ptr<detail::RedisListening> listening_;
};

using RedisProvider = BasicRedisProvider<>;

static_assert(event_provider<RedisProvider> && keeps_events<RedisProvider>);

namespace redis {

/// The data of an event as a T, also where no topic of this process carries one. Throws what Event::data throws.
template <class T, class DefaultCodec = JsonCodec>
[[nodiscard]] const T& data(const Event& event) {
    const gossip::detail::RawData* const raw = EventAccess::raw_data(event);
    if (raw == nullptr || event.data_if<T>() != nullptr) {
        return event.data<T>();
    }
    const void* read = nullptr;
    if (const Result done = raw->decode(gossip::detail::wire_type_of<DefaultCodec, T>(), read); !done) {
        done.error().rethrow();
    }
    return *static_cast<const T*>(read);
}

} // namespace redis
} // namespace gossip::GOSSIP_VERSION_NAMESPACE
