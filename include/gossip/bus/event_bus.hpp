#pragma once

#include <gossip/bus/accounting.hpp>
#include <gossip/bus/carrier.hpp>
#include <gossip/bus/config.hpp>
#include <gossip/bus/owned_processor.hpp>
#include <gossip/bus/report.hpp>
#include <gossip/core/outgoing.hpp>
#include <gossip/core/processor.hpp>
#include <gossip/core/topic.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/dispatch/scheduled.hpp>
#include <gossip/dispatch/subscription.hpp>
#include <gossip/fwd.hpp>
#include <gossip/provider/memory_provider.hpp>
#include <gossip/provider/provider.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// Publish once, let everyone listen in.
///
/// Threads: every member from any thread, also from inside processors; the destructor when nobody else uses the bus.
/// Order:   one worker: events of one priority in the order of their acceptance. Any number: events of one key, one at
///          a time, in that order. Higher priorities first; a lower one waits for 16 events of higher priority on each
///          worker, then it is next.
/// Cost:    a publish without key, priority and metadata is one compare-exchange and allocates nothing if the data fits
///          into 64 bytes; a system call only if nobody is awake to see it.
/// Stalls:  publish waits for room if the buffer is full (`Overflow::block`), unless it is called from inside a
///          processor of this bus. unsubscribe, drain and shutdown wait as they say.
/// Owns:    the threads, the subscriptions and what is in flight. The destructor is `shutdown()` without a deadline.
/// Errors:  ValidationError for a bad configuration, name or option; std::bad_alloc leaves everything as it was.
template <class Provider>
class EventBus {
public:
    EventBus() requires std::default_initializable<Provider> : EventBus(Config{}) {}
    explicit EventBus(Config config) requires std::default_initializable<Provider>
        : middleware_(std::move(config.middleware)), engine_(make_engine(std::move(config))) {
        carrier_.start(*engine_);
    }
    /// With what the provider wants to know.
    template <class Options>
    requires std::constructible_from<Provider, Options>
    explicit EventBus(Options options, Config config = {})
        : middleware_(std::move(config.middleware)),
          engine_(make_engine(std::move(config))),
          carrier_(std::move(options)) {
        carrier_.start(*engine_);
    }
    EventBus(const EventBus&) = delete;
    EventBus& operator=(const EventBus&) = delete;
    ~EventBus() { shutdown(); }

    // Publishing: `accepted` means that it will be handled, and counted, whatever happens later

    template <detail::event_data T>
    PublishStatus publish(const Topic<T>& topic, std::type_identity_t<T>&& data) {
        if constexpr (requires(Provider & to) { to.template send_data<T>(*engine_, topic.type(), std::move(data)); }) {
            if (detail::outgoing_metadata == nullptr) [[likely]] {
                return carrier_.provider().template send_data<T>(*engine_, topic.type(), std::move(data));
            }
        }
        return send_as<T>(make<T>(topic, std::move(data)));
    }
    template <detail::event_data T>
    requires std::copy_constructible<T> PublishStatus publish(const Topic<T>& topic,
                                                              const std::type_identity_t<T>& data) {
        return publish(topic, T(data));
    }
    template <detail::event_data T>
    PublishStatus publish(const Topic<T>& topic, std::type_identity_t<T> data, PublishOptions options) {
        return send_as<T>(make<T>(topic, std::move(data), std::move(options)));
    }
    PublishStatus publish(const Topic<>& topic, PublishOptions options = {}) {
        return send(bare(topic, engine_->stamp(), std::move(options)));
    }
    /// An event that was made by hand, or a dead letter's, again.
    PublishStatus publish(Event event) { return send(std::move(event)); }

    /// Never waits. On anything but `accepted` the event is still the caller's.
    [[nodiscard]] PublishStatus try_publish(Event& event) {
        detail::check(event);
        detail::add_outgoing(event);
        return carrier_.template send<void>(*engine_, event, false);
    }
    [[nodiscard]] PublishStatus try_publish(Event&& event) { return try_publish(event); }
    template <detail::event_data T>
    [[nodiscard]] PublishStatus try_publish(const Topic<T>& topic, std::type_identity_t<T>&& data,
                                            PublishOptions options = {}) {
        static_assert(
            std::is_nothrow_move_constructible_v<T> || std::is_move_assignable_v<T>,
            "gossip: try_publish gives the data back when it is refused, so T must move without throwing, or be "
            "assignable");
        Event event = make<T>(topic, std::move(data), std::move(options));
        detail::add_outgoing(event);
        const PublishStatus status = carrier_.template send<T>(*engine_, event, false);
        if (status != PublishStatus::accepted) {
            T& kept = const_cast<T&>(EventAccess::known_data<T>(event)); // made from `data` above, shared with nobody
            if constexpr (std::is_nothrow_move_constructible_v<T>) {
                std::destroy_at(std::addressof(data));
                std::construct_at(std::addressof(data), std::move(kept));
            } else {
                data = std::move(kept);
            }
        }
        return status;
    }
    [[nodiscard]] PublishStatus try_publish(const Topic<>& topic, PublishOptions options = {}) {
        return try_publish(bare(topic, engine_->stamp(), std::move(options)));
    }

    /// Runs the processors before it returns, on this thread, outside of the order of keys, and hands back every error:
    /// no redelivery, no dead letter.
    template <detail::event_data T>
    SyncResult publish_sync(const Topic<T>& topic, std::type_identity_t<T> data, PublishOptions options) {
        return run(make<T>(topic, std::move(data), std::move(options)));
    }
    template <detail::event_data T>
    SyncResult publish_sync(const Topic<T>& topic, std::type_identity_t<T>&& data) {
        if constexpr (!leaves_process<Provider>) {
            detail::SyncOutcome outcome;
            switch (engine_->publish_sync(topic.type(), &detail::payload_ops<T>, std::addressof(data), outcome)) {
            case detail::Engine::Sync::done:
                return detail::sync_result(outcome);
            case detail::Engine::Sync::wants_event:
                break;
            case detail::Engine::Sync::closed:
                return detail::sync_result(errors::closed);
            }
        }
        return run(make<T>(topic, std::move(data)));
    }
    template <detail::event_data T>
    requires std::copy_constructible<T> SyncResult publish_sync(const Topic<T>& topic,
                                                                const std::type_identity_t<T>& data) {
        return publish_sync(topic, T(data));
    }
    SyncResult publish_sync(const Topic<>& topic, PublishOptions options = {}) {
        return run(bare(topic, engine_->stamp(), std::move(options)));
    }
    SyncResult publish_sync(Event event) { return run(std::move(event)); }

    // What can't be published, in one sentence

    template <class T, class D, class... More>
    requires(!std::convertible_to<D, T>) PublishStatus publish(const Topic<T>&, D&&, More&&...) {
        static_assert(std::convertible_to<D, T>,
                      "gossip: the data of a publish must be what its Topic<T> carries, a T");
        return PublishStatus::closed;
    }
    template <class T, class D, class... More>
    requires(!std::convertible_to<D, T>) SyncResult publish_sync(const Topic<T>&, D&&, More&&...) {
        static_assert(std::convertible_to<D, T>,
                      "gossip: the data of a publish_sync must be what its Topic<T> carries, a T");
        return {};
    }
    template <class... More>
    PublishStatus publish(const Pattern&, More&&...) {
        static_assert(sizeof...(More) == ~std::size_t{0},
                      "gossip: a Pattern is for listening; publish on a Topic or an EventType");
        return PublishStatus::closed;
    }

    // Publishing later: by a timer of this process, in the ledger from when it is due. A transport that keeps events
    // (Redis Streams) is given those with a delay at once: they are accepted now, sent when the transport has them,
    // stamped with the time at which they are due, and arrive also if this process has ended by then.

    template <detail::event_data T>
    ScheduledId publish_after(std::chrono::nanoseconds delay, const Topic<T>& topic, std::type_identity_t<T> data,
                              PublishOptions options = {}) {
        return later(delay, make<T>(topic, std::move(data), std::move(options)), true);
    }
    ScheduledId publish_after(std::chrono::nanoseconds delay, const Topic<>& topic, PublishOptions options = {}) {
        return later(delay, bare(topic, 0, std::move(options)), true);
    }
    ScheduledId publish_after(std::chrono::nanoseconds delay, Event event) {
        return later(delay, std::move(event), false);
    }

    /// At a time of the wall clock, as it is set now; a time that has passed is due at once.
    template <detail::event_data T>
    ScheduledId publish_at(std::chrono::system_clock::time_point time, const Topic<T>& topic,
                           std::type_identity_t<T> data, PublishOptions options = {}) {
        return publish_after(until(time), topic, std::move(data), std::move(options));
    }
    ScheduledId publish_at(std::chrono::system_clock::time_point time, const Topic<>& topic,
                           PublishOptions options = {}) {
        return publish_after(until(time), topic, std::move(options));
    }
    ScheduledId publish_at(std::chrono::system_clock::time_point time, Event event) {
        return publish_after(until(time), std::move(event));
    }

    /// Again and again, the first time after one period. Periods that were missed are not made up for. Always by a
    /// timer of this process, and ends with it.
    template <detail::event_data T>
    requires std::copy_constructible<T> ScheduledId publish_every(std::chrono::nanoseconds period,
                                                                  const Topic<T>& topic, std::type_identity_t<T> data,
                                                                  PublishOptions options = {}) {
        return again(period, make<T>(topic, std::move(data), std::move(options)));
    }
    ScheduledId publish_every(std::chrono::nanoseconds period, const Topic<>& topic, PublishOptions options = {}) {
        return again(period, bare(topic, 0, std::move(options)));
    }
    /// Copies of an event that was made by hand; each has a time and, unless that was set, an id of its own.
    ScheduledId publish_every(std::chrono::nanoseconds period, Event event) { return again(period, std::move(event)); }

    /// Takes a publish back; false if it has happened, or was taken back before. Of those that come again and again
    /// none comes after that, but for one whose period has begun, which a worker may be publishing now.
    /// Where the transport keeps it, this waits for its answer; false also if none comes in time, which the error hook
    /// is told, or if an outage has taken the answer along.
    bool cancel(const ScheduledId& id) {
        return id.ticket() != nullptr ? carrier_.take_back(*engine_, *id.ticket())
                                      : id.scheduled() != nullptr && id.scheduled()->cancel(*engine_);
    }

    // Subscribing

    template <class T, class F>
    [[nodiscard]] Subscription subscribe(const Topic<T>& topic, F&& processor, SubscribeOptions options = {}) {
        carrier_.template meet<T>();
        return add(bind_processor<T>(std::forward<F>(processor)), std::move(options), {topic.type()}, {});
    }
    template <class F>
    [[nodiscard]] Subscription subscribe(const EventType& type, F&& processor, SubscribeOptions options = {}) {
        return add(bind_processor<void>(std::forward<F>(processor)), std::move(options), {type}, {});
    }
    template <class F>
    [[nodiscard]] Subscription subscribe(const Pattern& pattern, F&& processor, SubscribeOptions options = {}) {
        return add(bind_processor<void>(std::forward<F>(processor)), std::move(options), {}, {pattern});
    }
    /// One processor for many names, as one subscription.
    template <class F>
    [[nodiscard]] Subscription subscribe_many(std::vector<EventType> types, F&& processor,
                                              SubscribeOptions options = {}) {
        return add(bind_processor<void>(std::forward<F>(processor)), std::move(options), std::move(types), {});
    }
    /// Ends by itself with the first event after the owner is gone. The owner lives while the processor runs, also in a
    /// batch or on a helper thread. The processor may be a member function of it. An owner that is gone already makes
    /// an inert subscription.
    template <class T, class Owner, class F>
    [[nodiscard]] Subscription subscribe(const Topic<T>& topic, std::weak_ptr<Owner> owner, F&& processor,
                                         SubscribeOptions options = {}) {
        carrier_.template meet<T>();
        return add_owned<T>(std::move(owner), std::forward<F>(processor), std::move(options), {topic.type()}, {});
    }
    template <class Owner, class F>
    [[nodiscard]] Subscription subscribe(const EventType& type, std::weak_ptr<Owner> owner, F&& processor,
                                         SubscribeOptions options = {}) {
        return add_owned<void>(std::move(owner), std::forward<F>(processor), std::move(options), {type}, {});
    }
    template <class Owner, class F>
    [[nodiscard]] Subscription subscribe(const Pattern& pattern, std::weak_ptr<Owner> owner, F&& processor,
                                         SubscribeOptions options = {}) {
        return add_owned<void>(std::move(owner), std::forward<F>(processor), std::move(options), {}, {pattern});
    }

    /// Ends a subscription by its id; false if there is none.
    bool unsubscribe(SubscriptionId id) { return engine_->unsubscribe(id); }

    // Waiting, pumping, ending

    /// True at a moment when nothing is in flight; false when `timeout` (real time) has passed. Flushes nothing, and
    /// does not wait for timers that are not due. Inside a processor it ignores the events that this thread is running.
    /// Without workers, or on a manual clock, it pumps, and is false once nothing more is due.
    bool drain(std::chrono::nanoseconds timeout) {
        detail::check_duration("timeout", timeout);
        return carrier_.drain(*engine_, timeout);
    }
    /// Asks every batch to run with what it has.
    void flush() { engine_->flush(); }
    /// Runs what is due, then at most `most` events that were there at its start; returns the number of events.
    std::size_t poll(std::size_t most = ~std::size_t{0}) { return engine_->poll(most); }

    /// Takes no more events, handles all that were accepted, joins the workers, and says what became of each.
    ShutdownReport shutdown() { return finish(std::nullopt); }
    /// The same, for at most `timeout` (real time). After that running processors are asked to stop, none is started,
    /// and what is left is reported as abandoned. A processor that ignores its stop token is waited for all the same.
    ShutdownReport shutdown(std::chrono::nanoseconds timeout) {
        detail::check_duration("timeout", timeout);
        return finish(timeout);
    }

    [[nodiscard]] Stats stats() const { return detail::stats_of(*engine_, counters()); }
    [[nodiscard]] Provider& provider() noexcept { return carrier_.provider(); }

private:
    static std::shared_ptr<detail::Engine> make_engine(Config config) {
        detail::check(config);
        return std::make_shared<detail::Engine>(
            detail::EngineSettings{config.workers, config.buffer_size, config.overflow, config.clock, config.idle,
                                   std::move(config.on_error), std::move(config.on_drop)});
    }

    template <class T, class D>
    Event make(const Topic<T>& topic, D&& data) const {
        detail::Carrier<Provider>::template meet<T>();
        return EventAccess::make<T>(topic.type(), engine_->stamp(), Priority::normal, std::forward<D>(data));
    }
    template <class T, class D>
    Event make(const Topic<T>& topic, D&& data, PublishOptions options) const {
        return detail::with(make<T>(topic, std::forward<D>(data)), std::move(options));
    }
    static Event bare(const Topic<>& topic, std::int64_t stamp, PublishOptions options) {
        return detail::with(EventAccess::make(topic.type(), stamp, Priority::normal), std::move(options));
    }
    PublishStatus send(Event event) {
        detail::check(event);
        return send_as<void>(std::move(event));
    }
    template <class T>
    PublishStatus send_as(Event event) {
        detail::add_outgoing(event);
        return carrier_.template send<T>(*engine_, event, true);
    }
    SyncResult run(Event event) {
        detail::check(event);
        detail::add_outgoing(event);
        return carrier_.send_sync(*engine_, event);
    }
    [[nodiscard]] std::chrono::nanoseconds until(std::chrono::system_clock::time_point time) const noexcept {
        const std::chrono::nanoseconds since_1970 = time.time_since_epoch();
        const std::int64_t delay = detail::saturated_add(since_1970.count(), -engine_->stamp());
        return std::chrono::nanoseconds{delay < 0 ? 0 : delay};
    }
    ScheduledId later(std::chrono::nanoseconds delay, Event event, bool restamp) {
        detail::check_duration("delay", delay);
        if (delay.count() != 0 && carrier_.keeps(event)) {
            detail::add_outgoing(event);
            if (restamp) {
                EventAccess::set_time_ns(event, detail::saturated_add(engine_->stamp(), delay.count()));
            }
            return ScheduledId(carrier_.send_later(*engine_, event, delay));
        }
        return schedule(delay, std::make_shared<detail::Scheduled>(std::move(event), restamp, 0, carrier_.route()));
    }
    ScheduledId again(std::chrono::nanoseconds period, Event event) {
        detail::check_duration("period", period);
        if (period.count() == 0) {
            GOSSIP_THROW(ValidationError{"period", period, "must be above zero"});
        }
        return schedule(period,
                        std::make_shared<detail::Scheduled>(std::move(event), true, period.count(), carrier_.route()));
    }
    ScheduledId schedule(std::chrono::nanoseconds delay, std::shared_ptr<detail::Scheduled> scheduled) {
        detail::check(scheduled->event());
        detail::add_outgoing(scheduled->event());
        if (engine_->closed() || !scheduled->start(*engine_, detail::saturated_add(engine_->now(), delay.count()))) {
            return {};
        }
        return ScheduledId(std::move(scheduled));
    }

    Subscription add(event_processor auto processor, SubscribeOptions options, std::vector<EventType> names,
                     std::vector<Pattern> patterns) {
        detail::check(options);
        detail::check(names, patterns);
        const auto listening = carrier_.listening(*engine_, names, patterns);
        detail::Processor wrapped = middleware_.around(detail::Processor(std::move(processor)), names, patterns);
        Subscription subscription(engine_, engine_->subscribe(std::move(wrapped), std::move(options), std::move(names),
                                                              std::move(patterns), listening));
        carrier_.begin(listening);
        return subscription;
    }
    template <class T, class Owner, class F>
    Subscription add_owned(std::weak_ptr<Owner> owner, F&& processor, SubscribeOptions options,
                           std::vector<EventType> names, std::vector<Pattern> patterns) {
        if (owner.expired()) {
            return {};
        }
        auto membership = std::make_shared<detail::Membership>(engine_);
        Subscription subscription =
            add(detail::own_processor<T>(std::move(owner), std::forward<F>(processor), membership), std::move(options),
                std::move(names), std::move(patterns));
        membership->set(subscription.id());
        return subscription;
    }

    ShutdownReport finish(std::optional<std::chrono::nanoseconds> timeout) {
        const detail::Patience patience(timeout);
        carrier_.close();
        const bool complete = engine_->shutdown(timeout);
        if (complete) {
            std::call_once(ended_, [&] {
                report_.transport = carrier_.shutdown(patience);
                static_cast<Counters&>(report_) = counters();
            });
            return report_;
        }
        return ShutdownReport{counters(), complete};
    }
    [[nodiscard]] Counters counters() const { return carrier_.counters(*engine_); }

    const BusMiddleware middleware_;
    std::shared_ptr<detail::Engine> engine_;
    detail::Carrier<Provider> carrier_;
    std::once_flag ended_;
    ShutdownReport report_; // once it has ended
};

EventBus()->EventBus<MemoryProvider>;
EventBus(Config)->EventBus<MemoryProvider>;

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
