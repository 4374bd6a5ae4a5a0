// Events on their way to the server.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/provider/provider.hpp>
#include <gossip/provider/redis/late_reports.hpp>
#include <gossip/provider/redis/listening.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/publisher.hpp>
#include <gossip/provider/redis/stream_entry.hpp>
#include <gossip/provider/redis/wire.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace gossip::detail {

/// The field of a stream's entry that holds the event.
inline constexpr std::string_view stream_field = "event";

/// What a thread encodes into; kept from event to event, unless it has grown large.
struct EncodeBuffers {
    std::string channel;
    std::string data;
    std::string message;
};
class EncodeScope {
public:
    EncodeScope() : nested_(std::exchange(in_use, true)) {}
    EncodeScope(const EncodeScope&) = delete;
    EncodeScope& operator=(const EncodeScope&) = delete;
    ~EncodeScope() {
        constexpr std::size_t large = std::size_t{1} << 20U;
        in_use = nested_;
        if (!nested_ && kept.message.capacity() + kept.data.capacity() > large) {
            kept = EncodeBuffers{};
        }
    }
    /// Empty; a codec that publishes while it encodes gets others.
    [[nodiscard]] EncodeBuffers& buffers() noexcept {
        EncodeBuffers& mine = nested_ ? own_ : kept;
        mine.channel.clear();
        mine.data.clear();
        mine.message.clear();
        return mine;
    }

private:
    inline static thread_local EncodeBuffers kept;
    inline static thread_local bool in_use = false;
    EncodeBuffers own_;
    const bool nested_;
};

/// Encodes events on the threads that publish them, and gives them to the publisher.
///
/// Threads: every member from any thread.
/// Stalls:  `send` waits for room if it may, as long as the server is there; `close` ends that.
class Outbound final : public redis::PublisherListener {
public:
    Outbound(const RedisOptions& options, LateReports& reports)
        : streams_(options.mode == RedisMode::streams),
          prefix_(options.prefix),
          confirm_timeout_(options.command_timeout),
          wire_(options.wire, options.max_event_bytes),
          reports_(reports),
          registry_(redis::stream_registry(options)),
          publisher_(streams_ ? counting(options, restored_) : options, *this) {}

    void start(Engine& engine) noexcept {
        engine_.store(&engine, std::memory_order_release); // [started] the engine is whole
    }

    /// Null before `start`.
    [[nodiscard]] Engine* started() const noexcept {
        return engine_.load(std::memory_order_acquire); // [started] nothing is asked of it before
    }

    /// `encode(text)` appends the data; `foreign`: by a codec that may not write JSON.
    template <class Encode>
    PublishStatus send(Event& event, bool may_wait, bool foreign, Encode&& encode) {
        return transmit(event, may_wait && engine().settings().overflow == Overflow::block, foreign, 0,
                        std::forward<Encode>(encode));
    }

    template <class Encode>
    Result send_sync(Event& event, bool foreign, Encode&& encode) {
        auto waiter = std::make_shared<Waiter>();
        auto* const kept = new std::shared_ptr<Waiter>(waiter);
        std::unique_ptr<std::shared_ptr<Waiter>> owner(kept);
        const PublishStatus status =
            transmit(event, true, foreign, static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(kept)),
                     std::forward<Encode>(encode));
        if (status != PublishStatus::accepted) {
            return refusal_error(status);
        }
        static_cast<void>(owner.release()); // the listener's now
        std::unique_lock lock(waiter->mutex);
        if (!waiter->changed.wait_for(lock, confirm_timeout_, [&] { return waiter->done; })) {
            return TimeoutError{confirm_timeout_, "the server has not confirmed the event, and may do so later"};
        }
        return waiter->result;
    }

    bool drain(std::chrono::steady_clock::time_point until) { return publisher_.drain(until); }

    /// `send` says `closed` from here on, also where it waits.
    void close() noexcept {
        closed_.store(true, std::memory_order_relaxed); // relaxed: looked at every 20 ms
    }
    Result shutdown(std::chrono::steady_clock::time_point until) noexcept {
        publisher_.shutdown(until);
        const std::uint64_t lost = abandoned_.load(std::memory_order_relaxed); // relaxed: its thread has been joined
        if (lost != 0) {
            const std::string text = std::to_string(lost) + " events were not confirmed by the server";
            return ProcessingError{text, errors::abandoned};
        }
        return {};
    }

    [[nodiscard]] Outgoing outgoing() const noexcept {
        Outgoing out; // the ends before the beginnings: no end without its beginning
        out.sent = sent_.load(std::memory_order_acquire);           // [ended] with its beginning
        out.dropped = dropped_.load(std::memory_order_acquire);     // [ended] with its beginning
        out.abandoned = abandoned_.load(std::memory_order_acquire); // [ended] with its beginning
        out.accepted = accepted_.load(std::memory_order_relaxed);   // relaxed: after the ends
        out.rejected = rejected_.load(std::memory_order_relaxed);   // relaxed: a count
        return out;
    }
    [[nodiscard]] redis::PublisherStats stats() const { return publisher_.stats(); }

    void confirmed(std::uint64_t tag, const redis::Confirmation&) noexcept override {
        if (tag != registration) {
            sent_.fetch_add(1, std::memory_order_release); // [ended] after it was accepted
            end(tag, {});
        }
    }
    void failed(std::uint64_t tag, const Error& error) noexcept override {
        const bool is_abandoned = is(error, errors::abandoned);
        if (tag != registration) {
            (is_abandoned ? abandoned_ : dropped_).fetch_add(1, std::memory_order_release); // [ended] as above
        }
        if (tag > registration) {
            end(tag, error);
        } else if (!is_abandoned) {
            succeeds([&] { reports_.tell(engine(), error, Event(EventType::literal("gossip.redis.refused"))); });
        }
    }

private:
    struct Waiter {
        std::mutex mutex;
        std::condition_variable changed;
        bool done = false; // these two under mutex
        Result result;
    };

    // Edges: each name stands at both of its ends in the code
    //   [started]  start's store(release) happens before an I/O thread's load(acquire): the engine is whole
    //   [ended]    an end's count (release) happens before outgoing's load(acquire): what was accepted before is seen

    [[nodiscard]] Engine& engine() const noexcept {
        return *engine_.load(std::memory_order_acquire); // [started] nothing is sent before
    }

    static void end(std::uint64_t tag, Result result) noexcept {
        if (tag <= registration) {
            return;
        }
        const std::unique_ptr<std::shared_ptr<Waiter>> kept(
            reinterpret_cast<std::shared_ptr<Waiter>*>(static_cast<std::uintptr_t>(tag)));
        Waiter& waiter = **kept;
        const std::lock_guard lock(waiter.mutex);
        waiter.done = true;
        waiter.result = std::move(result);
        waiter.changed.notify_all();
    }

    template <class Encode>
    PublishStatus transmit(Event& event, bool waits, bool foreign, std::uint64_t tag, Encode&& encode) {
        if (closed()) {
            return PublishStatus::closed;
        }
        EncodeScope scope;
        EncodeBuffers& buffers = scope.buffers();
        const Result encoded = guard([&] {
            encode(buffers.data);
            const RawData* const raw = EventAccess::raw_data(event); // goes on in the version in which it came
            wire_.write(buffers.message, event, buffers.data, foreign, 1, raw != nullptr ? raw->version() : 0);
        });
        if (!encoded) {
            return refuse(event, encoded.error());
        }
        std::string_view channel = EventAccess::name(event);
        if (!prefix_.empty()) {
            channel = buffers.channel.append(prefix_).append(channel);
        }
        accepted_.fetch_add(1, std::memory_order_relaxed); // relaxed: the publisher's lock comes between it and its end
        PublishStatus status = PublishStatus::closed;
        const Result offered = guard([&] { status = offer(channel, buffers.message, tag, waits); });
        if (status != PublishStatus::accepted) {
            accepted_.fetch_sub(1, std::memory_order_relaxed); // relaxed: it was not
        }
        if (!offered) {
            offered.error().rethrow();
        }
        if (status == PublishStatus::too_large) {
            return refuse(event, errors::too_large);
        }
        if (status != PublishStatus::accepted && status != PublishStatus::closed) {
            count_rejected();
        }
        return status;
    }

    PublishStatus offer(std::string_view channel, std::string_view message, std::uint64_t tag, bool waits) {
        using redis::OfferStatus;
        const std::array<std::string_view, 3> publish{"PUBLISH", channel, message};
        const std::array<std::string_view, 5> add{"XADD", channel, "*", stream_field, message};
        const redis::detail::Arguments arguments =
            streams_ ? redis::detail::Arguments{add} : redis::detail::Arguments{publish};
        if (streams_) {
            announce(channel);
        }
        OfferStatus status = publisher_.offer(tag, arguments);
        while (status == OfferStatus::full && waits && !closed()) {
            status = publisher_.offer_wait(tag, arguments, std::chrono::steady_clock::now() + look_again);
        }
        switch (status) {
        case OfferStatus::accepted:
            return PublishStatus::accepted;
        case OfferStatus::full:
            return closed() ? PublishStatus::closed : PublishStatus::full;
        case OfferStatus::unavailable:
            return PublishStatus::unavailable;
        case OfferStatus::too_large:
            return PublishStatus::too_large;
        case OfferStatus::closed:
            break;
        }
        return PublishStatus::closed;
    }

    /// Readers of patterns find streams in a set that the writers fill.
    void announce(std::string_view stream) {
        {
            const std::lock_guard lock(announced_mutex_);
            const std::uint64_t restored =
                restored_->load(std::memory_order_relaxed); // relaxed: late by an event or two
            if (restored != announced_after_) {
                announced_.clear(); // the server may have forgotten
                announced_after_ = restored;
            }
            if (announced_.contains(stream)) {
                return;
            }
        }
        if (publisher_.offer(registration, {"SADD", registry_, stream}) == redis::OfferStatus::accepted) {
            const std::lock_guard lock(announced_mutex_);
            announced_.emplace(stream);
        }
    }

    /// The options with a hook that counts how often the publisher's connection came back.
    static RedisOptions counting(RedisOptions options, std::shared_ptr<std::atomic<std::uint64_t>> restored) {
        options.on_connection = [hook = std::move(options.on_connection),
                                 restored = std::move(restored)](const ConnectionEvent& event) {
            if (event.kind == ConnectionEvent::Kind::restored) {
                restored->fetch_add(1, std::memory_order_relaxed); // relaxed: a count
            }
            if (hook) {
                hook(event);
            }
        };
        return options;
    }

    /// The status has no room for the reason: the error hook is told it, on the thread that publishes.
    [[gnu::cold]] PublishStatus refuse(const Event& event, const Error& error) {
        count_rejected();
        engine().report(error, event, {}, {}, false);
        const std::optional<ValidationError> why = as<ValidationError>(error);
        const bool large = is(error, errors::too_large) || (why && why->field() == "event size");
        return large ? PublishStatus::too_large : PublishStatus::not_encodable;
    }
    void count_rejected() noexcept { rejected_.fetch_add(1, std::memory_order_relaxed); } // relaxed: a count
    [[nodiscard]] bool closed() const noexcept {
        return closed_.load(std::memory_order_relaxed); // relaxed: looked at every 20 ms
    }

    static constexpr std::chrono::milliseconds look_again{20};
    static constexpr std::uint64_t registration = 1; // a tag that is no event's

    const bool streams_;
    const std::string prefix_;
    const std::chrono::milliseconds confirm_timeout_;
    const Wire wire_;
    LateReports& reports_;
    std::atomic<Engine*> engine_{nullptr};
    std::atomic<bool> closed_{false};
    std::atomic<std::uint64_t> accepted_{0};
    std::atomic<std::uint64_t> sent_{0};
    std::atomic<std::uint64_t> dropped_{0};
    std::atomic<std::uint64_t> abandoned_{0};
    std::atomic<std::uint64_t> rejected_{0};
    const std::string registry_;
    const std::shared_ptr<std::atomic<std::uint64_t>> restored_ = std::make_shared<std::atomic<std::uint64_t>>(0);
    std::mutex announced_mutex_;
    std::set<std::string, std::less<>> announced_; // these two under announced_mutex_
    std::uint64_t announced_after_ = 0;
    redis::Publisher publisher_; // last: its thread calls this
};

} // namespace gossip::detail
