// Events on their way to the server.
#pragma once

#include <gossip/concurrency/published.hpp>
#include <gossip/core/errors.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/core/random.hpp>
#include <gossip/core/shared_count.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/provider/outgoing_counts.hpp>
#include <gossip/provider/provider.hpp>
#include <gossip/provider/redis/command_end.hpp>
#include <gossip/provider/redis/delayed.hpp>
#include <gossip/provider/redis/encode_scope.hpp>
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

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// The field of a stream's entry that holds the event.
inline constexpr std::string_view stream_field = "event";

/// Encodes events on the threads that publish them, and gives them to the publisher.
///
/// Threads: every member from any thread.
/// Stalls:  `send` and `send_later` wait for room if they may, as long as the server is there; `close` ends that. They
///          don't where the publisher's hook runs: that thread is the one that makes room.
class Outbound final : public redis::PublisherListener {
public:
    Outbound(const RedisOptions& options, LateReports& reports)
        : options_(options),
          streams_(options.mode == RedisMode::streams),
          prefix_(options.prefix),
          confirm_timeout_(options.command_timeout),
          wire_(options.wire, options.max_event_bytes),
          reports_(reports),
          registry_(redis::stream_registry(options)),
          delayed_(redis::delayed_set(options)),
          publisher_(streams_ ? counting(options, restored_) : options, *this) {}

    void start(Engine& engine) noexcept {
        engine_.set(&engine); // [started] the engine is whole
    }

    /// Null before `start`.
    [[nodiscard]] Engine* started() const noexcept {
        return engine_.get(); // [started] nothing is asked of it before
    }

    /// `encode(text)` appends the data; `foreign`: by a codec that may not write JSON.
    template <class Encode>
    PublishStatus send(Event& event, bool may_wait, bool foreign, Encode&& encode) {
        const bool waits = may_wait && blocks();
        return transmit(
            event, foreign, std::forward<Encode>(encode),
            [&](std::string_view channel, std::string_view message) { return offer(channel, message, 0, waits); });
    }

    template <class Encode>
    Result send_sync(Event& event, bool foreign, Encode&& encode) {
        auto waiter = std::make_shared<CommandWaiter>();
        auto owner = std::make_unique<AwaitedEnd>(waiter, true);
        const PublishStatus status = transmit(event, foreign, std::forward<Encode>(encode),
                                              [&](std::string_view channel, std::string_view message) {
                                                  return offer(channel, message, owner->tag(), true);
                                              });
        if (status != PublishStatus::accepted) {
            return refusal_error(status);
        }
        static_cast<void>(owner.release()); // the listener's now
        return waiter->await(confirm_timeout_, "the server has not confirmed the event, and may do so later");
    }

    /// On streams: the server keeps the event until `delay` has passed. `ticket` names it for `take_back`.
    template <class Encode>
    PublishStatus send_later(Event& event, std::chrono::nanoseconds delay, bool foreign, std::string& ticket,
                             Encode&& encode) {
        open_mover();
        const std::int64_t due_ns = saturated_add(wall_now_ns(), delay.count());
        const std::uint64_t number = next_delayed_.add();
        auto owner = std::make_unique<DueEnd>(*this, deadline_in(delay));
        const PublishStatus status = transmit(
            event, foreign, std::forward<Encode>(encode), [&](std::string_view stream, std::string_view message) {
                ticket = redis::detail::delayed_member(due_ns, number, sender_, stream, message);
                const redis::detail::Number score{redis::detail::delayed_score(due_ns)};
                const std::array<std::string_view, 4> add{"ZADD", delayed_, score, ticket};
                return offer(redis::detail::Arguments{add}, owner->tag(), blocks());
            });
        if (status == PublishStatus::accepted) {
            static_cast<void>(owner.release()); // the listener's now
        }
        return status;
    }
    /// True if the server had it still, and has it no more. Waits for the server, up to command_timeout.
    bool take_back(const std::string& ticket) {
        auto waiter = std::make_shared<CommandWaiter>();
        auto owner = std::make_unique<AwaitedEnd>(waiter, false);
        const std::array<std::string_view, 3> remove{"ZREM", delayed_, ticket};
        const PublishStatus status = offer(redis::detail::Arguments{remove}, owner->tag(), true);
        if (status == PublishStatus::accepted) {
            static_cast<void>(owner.release()); // the listener's now
        }
        const Result answered =
            status == PublishStatus::accepted
                ? waiter->await(confirm_timeout_, "the server has not said whether it had the event still")
                : Result{refusal_error(status)};
        if (!answered && status != PublishStatus::closed) {
            engine().report(answered.error(), Event(EventType::literal("gossip.redis.cancel")), {}, {}, false);
        }
        return answered && waiter->answer() == 1;
    }
    /// From now on what is due is moved to its stream, whoever has sent it.
    void open_mover() {
        const std::lock_guard lock(mover_mutex_);
        if (mover_ == nullptr && !closed()) {
            mover_ = std::make_unique<redis::DelayedMover>(options_, stream_field);
        }
    }

    bool drain(std::chrono::steady_clock::time_point until) { return publisher_.drain(until); }

    /// `send` says `closed` from here on, also where it waits.
    void close() noexcept {
        closed_.store(true, std::memory_order_relaxed); // relaxed: looked at every 20 ms
    }
    Result shutdown(std::chrono::steady_clock::time_point until) noexcept {
        publisher_.shutdown(until);
        std::unique_ptr<redis::DelayedMover> mover; // ends without the lock, for its hook may publish
        {
            const std::lock_guard lock(mover_mutex_);
            mover = std::move(mover_);
        }
        mover.reset(); // what is not moved by now is moved by others, or later
        const std::uint64_t lost = counts_.read().abandoned;
        if (lost != 0) {
            const std::string text = std::to_string(lost) + " events were not confirmed by the server";
            return ProcessingError{text, errors::abandoned};
        }
        return {};
    }

    [[nodiscard]] Outgoing outgoing() const noexcept { return counts_.read(); }
    [[nodiscard]] redis::PublisherStats stats() const { return publisher_.stats(); }

    void confirmed(std::uint64_t tag, const redis::Confirmation& confirmation) noexcept override {
        const std::unique_ptr<CommandEnd> end = end_of(tag);
        if (tag != registration && (end == nullptr || end->is_event)) {
            counts_.sent();
        }
        if (end != nullptr) {
            end->confirmed(confirmation.integer);
        }
    }
    void failed(std::uint64_t tag, const Error& error) noexcept override {
        const bool is_abandoned = is(error, errors::abandoned);
        const std::unique_ptr<CommandEnd> end = end_of(tag);
        if (tag != registration && (end == nullptr || end->is_event)) {
            is_abandoned ? counts_.abandoned() : counts_.dropped();
        }
        if ((end == nullptr || !end->failed(error)) && !is_abandoned) {
            succeeds([&] { reports_.tell(engine(), error, Event(EventType::literal("gossip.redis.refused"))); });
        }
    }

private:
    /// Of an event to come: its time is told to the mover when the server has it.
    struct DueEnd final : CommandEnd {
        DueEnd(Outbound& outbound, std::chrono::steady_clock::time_point time) noexcept
            : CommandEnd(true), home(outbound), due(time) {}
        void confirmed(std::int64_t) noexcept override {
            const std::lock_guard lock(home.mover_mutex_);
            if (home.mover_ != nullptr) {
                succeeds([&] { home.mover_->expect(due); }); // without memory it is found at the next look
            }
        }
        bool failed(const Error&) noexcept override { return false; }
        Outbound& home;
        const std::chrono::steady_clock::time_point due;
    };

    // Edges: each name stands at both of its ends in the code
    //   [started]  start's saying which engine it is happens before an I/O thread's seeing that: it is whole

    [[nodiscard]] Engine& engine() const noexcept {
        return *engine_.get(); // [started] nothing is sent before
    }

    /// Counts an event as accepted, for its end may be counted before anybody knows; not if it turns out that it was
    /// not, or if that is not known because something was thrown.
    class Acceptance {
    public:
        Acceptance(OutgoingCounts& counts, const PublishStatus& status) noexcept : counts_(counts), status_(status) {
            counts_.accepted();
        }
        Acceptance(const Acceptance&) = delete;
        Acceptance& operator=(const Acceptance&) = delete;
        ~Acceptance() {
            if (status_ != PublishStatus::accepted) {
                counts_.not_accepted();
            }
        }

    private:
        OutgoingCounts& counts_;
        const PublishStatus& status_;
    };

    /// `hand_over(channel, message)` gives it to the publisher. Errors: std::bad_alloc, and nothing has happened.
    template <class Encode, class HandOver>
    PublishStatus transmit(Event& event, bool foreign, Encode&& encode, HandOver&& hand_over) {
        if (closed()) {
            return PublishStatus::closed;
        }
        EncodeScope scope;
        EncodeBuffers& buffers = scope.buffers();
        const Result encoded = guard_unless_out_of_memory([&] {
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
        PublishStatus status = PublishStatus::closed;
        {
            const Acceptance counted(counts_, status);
            status = hand_over(channel, buffers.message);
        }
        if (status == PublishStatus::too_large) {
            return refuse(event, errors::too_large);
        }
        if (status != PublishStatus::accepted && status != PublishStatus::closed) {
            counts_.rejected();
        }
        return status;
    }

    PublishStatus offer(std::string_view channel, std::string_view message, std::uint64_t tag, bool waits) {
        const std::array<std::string_view, 3> publish{"PUBLISH", channel, message};
        const std::array<std::string_view, 5> add{"XADD", channel, "*", stream_field, message};
        if (streams_) {
            if (const PublishStatus announced = announce(channel, waits); announced != PublishStatus::accepted) {
                return announced;
            }
        }
        return offer(streams_ ? redis::detail::Arguments{add} : redis::detail::Arguments{publish}, tag, waits);
    }

    PublishStatus offer(redis::detail::Arguments arguments, std::uint64_t tag, bool waits) {
        using redis::OfferStatus;
        OfferStatus status = publisher_.offer(tag, arguments);
        while (status == OfferStatus::full && waits && !closed() && !publisher_.is_this_thread()) {
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

    /// Readers of patterns find streams in a set that the writers fill. No event goes before its stream is on its way
    /// into the set: no pattern would hear it.
    PublishStatus announce(std::string_view stream, bool waits) {
        {
            const std::lock_guard lock(announced_mutex_);
            const std::uint64_t restored = restored_->get(); // late by an event or two
            if (restored != announced_after_) {
                announced_.clear(); // the server may have forgotten
                announced_after_ = restored;
            }
            if (announced_.contains(stream)) {
                return PublishStatus::accepted;
            }
        }
        const std::array<std::string_view, 3> add{"SADD", registry_, stream};
        const PublishStatus status = offer(redis::detail::Arguments{add}, registration, waits);
        if (status == PublishStatus::accepted) {
            const std::lock_guard lock(announced_mutex_);
            announced_.emplace(stream);
        }
        return status;
    }

    /// The options with a hook that counts how often the publisher's connection came back.
    static RedisOptions counting(RedisOptions options, std::shared_ptr<SharedCount<>> restored) {
        options.on_connection = [hook = std::move(options.on_connection),
                                 restored = std::move(restored)](const ConnectionEvent& event) {
            if (event.kind == ConnectionEvent::Kind::restored) {
                restored->add();
            }
            if (hook) {
                hook(event);
            }
        };
        return options;
    }

    /// The status has no room for the reason: the error hook is told it, on the thread that publishes.
    [[gnu::cold]] PublishStatus refuse(const Event& event, const Error& error) {
        counts_.rejected();
        engine().report(error, event, {}, {}, false);
        const std::optional<ValidationError> why = as<ValidationError>(error);
        const bool large = is(error, errors::too_large) || (why && why->field() == "event size");
        return large ? PublishStatus::too_large : PublishStatus::not_encodable;
    }
    [[nodiscard]] bool blocks() const noexcept { return engine().settings().overflow == Overflow::block; }
    [[nodiscard]] bool closed() const noexcept {
        return closed_.load(std::memory_order_relaxed); // relaxed: looked at every 20 ms
    }

    static constexpr std::chrono::milliseconds look_again{20};
    static constexpr std::uint64_t registration = CommandEnd::first_tag - 1; // a tag that is no event's

    const RedisOptions options_;
    const bool streams_;
    const std::string prefix_;
    const std::chrono::milliseconds confirm_timeout_;
    const Wire wire_;
    LateReports& reports_;
    Published<Engine*> engine_;
    std::atomic<bool> closed_{false};
    OutgoingCounts counts_;
    const std::string registry_;
    const std::shared_ptr<SharedCount<>> restored_ = std::make_shared<SharedCount<>>();
    std::mutex announced_mutex_;
    std::set<std::string, std::less<>> announced_; // these two under announced_mutex_
    std::uint64_t announced_after_ = 0;
    const std::string delayed_;
    const std::uint64_t sender_ = random_bits();
    SharedCount<> next_delayed_;
    std::mutex mover_mutex_;
    std::unique_ptr<redis::DelayedMover> mover_; // under mover_mutex_
    redis::Publisher publisher_;                 // last: its thread calls this
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
