#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/core/raw_data.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/provider/provider.hpp>
#include <gossip/provider/redis/inbound.hpp>
#include <gossip/provider/redis/json_codec.hpp>
#include <gossip/provider/redis/late_reports.hpp>
#include <gossip/provider/redis/listening.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/outbound.hpp>
#include <gossip/provider/redis/pub_sub.hpp>
#include <gossip/provider/redis/raw_codec.hpp>
#include <gossip/provider/wire_type.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace gossip {

/// A look at a running Redis provider.
struct RedisStats {
    redis::PublisherStats publisher{};
    redis::PubSubStats pub_sub{};
    std::uint64_t malformed = 0; // messages that were no event, or of no known kind; the error hook has seen them
    std::uint64_t untold = 0;    // errors that came faster than the error hook could be told
};

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

/// Pub/Sub: the connection that listens, made when it is first needed.
class PubSubListening final : public redis::PubSubListener {
public:
    PubSubListening(const RedisOptions& options, const void* codec, LateReports& reports)
        : options_(options), inbound_(EnvelopeLimits{.size = options.max_event_bytes}, codec, reports) {}

    Result listen(Engine& engine, const std::vector<EventType>& names, const std::vector<Pattern>& patterns) {
        engine_.store(&engine, std::memory_order_release); // [started] the engine is whole
        const Names wanted(options_.prefix, names, patterns);
        redis::PubSub* const pub_sub = open();
        if (pub_sub == nullptr) {
            return errors::closed;
        }
        patterns_.add(patterns);
        const Inbound::WaitInside waiting(inbound_, engine);
        Result heard = guard([&] {
            return pub_sub->subscribe(wanted.channels, wanted.patterns, deadline_in(options_.command_timeout));
        });
        if (!heard) {
            patterns_.remove(patterns);
        }
        return heard;
    }
    void unlisten(const std::vector<EventType>& names, const std::vector<Pattern>& patterns) {
        if (redis::PubSub* const pub_sub = opened()) {
            const Names wanted(options_.prefix, names, patterns);
            pub_sub->unsubscribe(wanted.channels, wanted.patterns);
            patterns_.remove(patterns);
        }
    }
    void close() noexcept {
        redis::PubSub* pub_sub = nullptr;
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
            pub_sub = pub_sub_.get();
        }
        if (pub_sub != nullptr) {
            pub_sub->shutdown();
            const std::lock_guard lock(mutex_);                              // of those who close at once, one
            inbound_.lose_pending(*engine_.load(std::memory_order_acquire)); // [started] by whoever listened
        }
    }
    void stats(RedisStats& stats) const {
        stats.malformed = inbound_.malformed();
        const std::lock_guard lock(mutex_);
        if (pub_sub_ != nullptr) {
            stats.pub_sub = pub_sub_->stats();
        }
    }

    bool message(std::string_view channel, std::string_view payload, std::string_view pattern) noexcept override {
        bool taken = true;
        succeeds([&] { taken = handle(channel, payload, pattern); });
        return taken;
    }

private:
    // Edges: each name stands at both of its ends in the code
    //   [started]  the store(release) of whoever listens happens before the reader's load(acquire): the engine is whole

    /// The same names as the server knows them.
    struct Names {
        Names(const std::string& prefix, const std::vector<EventType>& types, const std::vector<Pattern>& sets) {
            texts.reserve(types.size() + sets.size());
            for (const EventType& type : types) {
                channels.emplace_back(texts.emplace_back(prefix + std::string(type.name())));
            }
            for (const Pattern& set : sets) {
                if (set.has_wildcard()) {
                    patterns.emplace_back(texts.emplace_back(server_pattern(prefix, set)));
                } else {
                    channels.emplace_back(texts.emplace_back(prefix + set.text()));
                }
            }
        }
        std::vector<std::string> texts;
        std::vector<std::string_view> channels;
        std::vector<std::string_view> patterns;
    };

    redis::PubSub* open() {
        const std::lock_guard lock(mutex_);
        if (closed_) {
            return nullptr;
        }
        if (pub_sub_ == nullptr) {
            pub_sub_ = std::make_unique<redis::PubSub>(options_, *this);
        }
        return pub_sub_.get();
    }
    redis::PubSub* opened() const {
        const std::lock_guard lock(mutex_);
        return pub_sub_.get();
    }

    bool handle(std::string_view channel, std::string_view payload, std::string_view pattern) {
        const std::string_view name = channel.substr(std::min(options_.prefix.size(), channel.size()));
        if (!again_) {
            const auto wanted = patterns_.wanted();
            if (wanted->empty()) {
                copies_.forget();
            } else {
                if (!pattern.empty() && !is_wanted(*wanted, name)) {
                    return true; // the server's patterns are wider than ours
                }
                if (copies_.is_copy(channel, payload, pattern)) {
                    return true;
                }
            }
        }
        Engine& engine = *engine_.load(std::memory_order_acquire); // [started] by whoever listened
        again_ = inbound_.take(engine, name, payload, nullptr, 1) == Inbound::Taken::no;
        return !again_;
    }
    static bool is_wanted(const WantedPatterns::List& wanted, std::string_view name) {
        bool any = false;
        succeeds([&] {
            const EventType type(name);
            any = std::any_of(wanted.begin(), wanted.end(), [&](const Pattern& set) { return set.matches(type); });
        });
        return any;
    }

    const RedisOptions options_;
    Inbound inbound_;
    WantedPatterns patterns_;
    CopyFilter copies_;  // the reader's own
    bool again_ = false; // the reader's own: the same message comes again
    std::atomic<Engine*> engine_{nullptr};
    mutable std::mutex mutex_;
    bool closed_ = false;                    // under mutex_
    std::unique_ptr<redis::PubSub> pub_sub_; // under mutex_ until it is there; last: its thread calls this
};

} // namespace detail

/// The provider of a bus whose events go through Redis, to the buses of other processes and to this one.
///
/// Threads: every member from any thread.
/// Order:   what one thread publishes is sent in its order; see redis::Publisher for what an outage does to it. What
///          arrives enters the engine in the server's order.
/// Cost:    publish encodes on the caller's thread and leaves the rest to an I/O thread. Data that arrives is read
///          by the worker that needs it.
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
        : timeout_(options.command_timeout),
          outbound_(options, reports_),
          listening_(options, &detail::codec_tag<DefaultCodec>, reports_) {}

    void start(detail::Engine& engine) noexcept {
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

    Result listen(const std::vector<EventType>& names, const std::vector<Pattern>& patterns) {
        return listening_.listen(*outbound_.started(), names, patterns);
    }
    void unlisten(const std::vector<EventType>& names, const std::vector<Pattern>& patterns) noexcept {
        detail::succeeds([&] { listening_.unlisten(names, patterns); });
    }

    bool drain(std::chrono::nanoseconds timeout) { return outbound_.drain(timeout); }
    void close() noexcept {
        outbound_.close();
        listening_.close();
    }
    Result shutdown(std::chrono::nanoseconds timeout) noexcept {
        close();
        return outbound_.shutdown(timeout == std::chrono::nanoseconds::max() ? timeout_ : timeout);
    }

    [[nodiscard]] Outgoing outgoing() const { return outbound_.outgoing(); }
    [[nodiscard]] RedisStats stats() const {
        RedisStats stats;
        stats.publisher = outbound_.stats();
        stats.untold = reports_.untold();
        listening_.stats(stats);
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

    const std::chrono::nanoseconds timeout_;
    detail::LateReports reports_;
    detail::Outbound outbound_;
    detail::PubSubListening listening_;
};

using RedisProvider = BasicRedisProvider<>;

static_assert(event_provider<RedisProvider>);

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
} // namespace gossip
