// Carrier: a bus's provider, and all that differs where events leave the process.
#pragma once

#include <gossip/bus/accounting.hpp>
#include <gossip/bus/report.hpp>
#include <gossip/core/errors.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/dispatch/scheduled.hpp>
#include <gossip/provider/provider.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// Names that belong to the library stay in the process.
[[nodiscard]] inline bool stays_here(std::string_view name) noexcept { return name.starts_with("gossip."); }

/// The way from a subscription back to the provider, for as long as there is one.
template <class Provider>
struct WayBack {
    std::mutex mutex;
    Provider* provider; // under mutex; null once it has ended
};

/// What one subscription listens for; taken back when it ends.
template <class Provider>
class Listening {
public:
    Listening(std::shared_ptr<WayBack<Provider>> way, std::vector<EventType> names, std::vector<Pattern> patterns)
        : way_(std::move(way)), names_(std::move(names)), patterns_(std::move(patterns)) {}
    Listening(const Listening&) = delete;
    Listening& operator=(const Listening&) = delete;
    ~Listening() {
        const std::lock_guard lock(way_->mutex);
        if (listens_ && way_->provider != nullptr) {
            way_->provider->unlisten(names_, patterns_);
        }
    }
    /// Throws what keeps the provider from listening.
    void begin(Provider& provider) {
        if (const Result heard = provider.listen(names_, patterns_); !heard) {
            heard.error().rethrow();
        }
        listens_ = true;
    }

private:
    std::shared_ptr<WayBack<Provider>> way_;
    std::vector<EventType> names_;
    std::vector<Pattern> patterns_;
    bool listens_ = false;
};

/// Threads: every member from any thread.
/// Cost:    nothing beside the provider's where events stay in the process.
template <class Provider>
class Carrier {
    static_assert(starts<Provider>,
                  "gossip: Provider needs `void start(detail::Engine&)`; see gossip/provider/provider.hpp");
    static_assert(sends_events<Provider>,
                  "gossip: Provider needs `PublishStatus send(detail::Engine&, Event&, bool may_wait)`; "
                  "see gossip/provider/provider.hpp");
    static_assert(listens<Provider>, "gossip: Provider needs `Result listen(const std::vector<EventType>&, const "
                                     "std::vector<Pattern>&)`; see gossip/provider/provider.hpp");
    static_assert(shuts_down<Provider>, "gossip: Provider needs `Result shutdown(std::chrono::nanoseconds) noexcept`; "
                                        "see gossip/provider/provider.hpp");
    static constexpr bool leaves = leaves_process<Provider>;
    static_assert(!leaves || sends_confirmed<Provider>,
                  "gossip: a Provider with outgoing() needs `Result send_sync(detail::Engine&, Event&)`; "
                  "see gossip/provider/provider.hpp");
    static_assert(!leaves || unlistens<Provider>,
                  "gossip: a Provider with outgoing() needs `void unlisten(const std::vector<EventType>&, const "
                  "std::vector<Pattern>&) noexcept`; see gossip/provider/provider.hpp");
    static_assert(!leaves || drains<Provider>,
                  "gossip: a Provider with outgoing() needs `bool drain(std::chrono::nanoseconds)`; "
                  "see gossip/provider/provider.hpp");
    static_assert(!leaves || closes<Provider>, "gossip: a Provider with outgoing() needs `void close() noexcept`; "
                                               "see gossip/provider/provider.hpp");
    static_assert(!claims_to_keep<Provider> || keeps_events<Provider>,
                  "gossip: a Provider that keeps events to come needs `bool keeps() const`, `PublishStatus "
                  "send_later(detail::Engine&, Event&, std::chrono::nanoseconds, std::string& ticket)` and `bool "
                  "take_back(const std::string& ticket)`; see gossip/provider/provider.hpp");
    static_assert(!claims_to_keep<Provider> || leaves,
                  "gossip: a Provider that keeps events to come needs outgoing(), for they leave the process; see "
                  "gossip/provider/provider.hpp");

public:
    Carrier() requires std::default_initializable<Provider>
    = default;
    template <class Options>
    requires(!std::same_as<std::remove_cvref_t<Options>, Carrier>)
        // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): the line above
        explicit Carrier(Options&& options)
        : provider_(std::forward<Options>(options)) {}
    Carrier(const Carrier&) = delete;
    Carrier& operator=(const Carrier&) = delete;

    [[nodiscard]] Provider& provider() noexcept { return provider_; }

    void start(Engine& engine) {
        engine_ = &engine;
        provider_.start(engine);
    }

    /// Data of type T may come and go from now on. Cost: a load, after the first time.
    template <class T>
    static void meet() noexcept {
        if constexpr (leaves && has_codec<Provider> && !std::is_void_v<T>) {
            if constexpr (!local_data<T>) {
                list_wire_type(Provider::template wire_type<T>());
            }
        }
    }

    /// T: the type of the event's data, or void if that is not known.
    template <class T>
    PublishStatus send(Engine& engine, Event& event, bool may_wait) {
        if constexpr (leaves) {
            if (stays_here(EventAccess::name(event))) [[unlikely]] {
                const PublishStatus status = engine.publish(event, may_wait);
                if (status == PublishStatus::accepted) {
                    engine.count(Tally::local);
                }
                return status;
            }
        }
        if constexpr (requires { provider_.template send_as<T>(engine, event, may_wait); } && !std::is_void_v<T>) {
            return provider_.template send_as<T>(engine, event, may_wait);
        } else {
            return provider_.send(engine, event, may_wait);
        }
    }

    SyncResult send_sync(Engine& engine, Event& event) {
        if constexpr (leaves) {
            if (!stays_here(EventAccess::name(event))) {
                return sync_result(provider_.send_sync(engine, event));
            }
        }
        SyncOutcome outcome;
        if (!engine.publish_sync(event, outcome)) {
            return sync_result(errors::closed);
        }
        if constexpr (leaves) {
            engine.count(Tally::local);
        }
        return sync_result(outcome);
    }

    /// Whether the transport keeps this event until its time has come.
    [[nodiscard]] bool keeps(const Event& event) const noexcept {
        if constexpr (keeps_events<Provider>) {
            return provider_.keeps() && !stays_here(EventAccess::name(event));
        } else {
            static_cast<void>(event);
            return false;
        }
    }
    /// What names it from now on; empty if it was refused, which the error hook is told, or the bus is closed.
    std::string send_later(Engine& engine, Event& event, std::chrono::nanoseconds delay) {
        std::string ticket;
        if constexpr (keeps_events<Provider>) {
            const PublishStatus status = provider_.send_later(engine, event, delay, ticket);
            if (status != PublishStatus::accepted) {
                ticket.clear();
                if (status == PublishStatus::full ||
                    status == PublishStatus::unavailable) { // the provider tells others
                    engine.report(refusal_error(status), event, {}, {}, false);
                }
            }
        }
        return ticket;
    }
    bool take_back(Engine& engine, const std::string& ticket) {
        if constexpr (keeps_events<Provider>) {
            if (provider_.take_back(ticket)) {
                engine.count(Tally::cancelled);
                return true;
            }
        }
        return false;
    }

    /// Where events go whose time has come.
    [[nodiscard]] PublishRoute route() noexcept {
        if constexpr (leaves) {
            return {[](void* self, Event& event, bool may_wait) {
                        auto& carrier = *static_cast<Carrier*>(self);
                        return carrier.template send<void>(*carrier.engine_, event, may_wait);
                    },
                    this};
        } else {
            return {};
        }
    }

    /// What the subscription is to keep as long as it lives; null where there is nothing to listen for. Where events
    /// stay in the process it throws what the provider has to say against it.
    [[nodiscard]] std::shared_ptr<Listening<Provider>>
    listening(const Engine& engine, const std::vector<EventType>& names, const std::vector<Pattern>& patterns) {
        if constexpr (leaves) {
            std::vector<EventType> foreign;
            std::vector<Pattern> wide;
            std::copy_if(names.begin(), names.end(), std::back_inserter(foreign),
                         [](const EventType& name) { return !stays_here(name.name()); });
            std::copy_if(patterns.begin(), patterns.end(), std::back_inserter(wide),
                         [](const Pattern& pattern) { return !stays_here(pattern.text()); });
            if ((foreign.empty() && wide.empty()) || engine.closed()) {
                return nullptr;
            }
            return std::make_shared<Listening<Provider>>(way_back_, std::move(foreign), std::move(wide));
        } else {
            static_cast<void>(engine);
            if (const Result heard = provider_.listen(names, patterns); !heard) {
                heard.error().rethrow();
            }
            return nullptr;
        }
    }
    /// Begins to listen, for a subscription that is there: what arrives at once finds it. Throws what the provider has
    /// to say against it.
    void begin(const std::shared_ptr<Listening<Provider>>& listening) {
        if constexpr (leaves) {
            if (listening != nullptr) {
                listening->begin(provider_);
            }
        }
    }

    /// Quiet on both sides at one moment: neither has begun anything while first the one and then the other was.
    bool drain(Engine& engine, std::chrono::nanoseconds timeout) {
        if constexpr (leaves) {
            const Patience patience(timeout);
            const auto left = [&] { return std::chrono::nanoseconds(patience.left()); };
            for (;;) {
                const std::uint64_t begun = engine.totals()[Tally::accepted] + provider_.outgoing().accepted;
                if (!engine.drain(left()) || !provider_.drain(left())) {
                    return false;
                }
                if (engine.totals()[Tally::accepted] + provider_.outgoing().accepted == begun) {
                    return true;
                }
            }
        } else {
            return engine.drain(timeout);
        }
    }

    /// The first step of a shutdown: nothing comes in any more.
    void close() noexcept {
        if constexpr (leaves) {
            provider_.close();
        }
    }
    /// The last step, when all that has arrived has ended. Called once.
    Result shutdown(const Patience& patience) noexcept {
        if constexpr (leaves) {
            const std::lock_guard lock(way_back_->mutex);
            way_back_->provider = nullptr;
        }
        return provider_.shutdown(std::chrono::nanoseconds(patience.left()));
    }

    [[nodiscard]] Counters counters(const Engine& engine) const noexcept {
        if constexpr (leaves) {
            return counters_of(engine, provider_.outgoing());
        } else {
            return counters_of(engine);
        }
    }

private:
    struct Nothing {};
    static auto make_way_back(Provider& provider) {
        if constexpr (leaves) {
            auto way = std::make_shared<WayBack<Provider>>();
            way->provider = &provider;
            return way;
        } else {
            static_cast<void>(provider);
            return Nothing{};
        }
    }

    Provider provider_{};
    [[no_unique_address]] decltype(make_way_back(std::declval<Provider&>())) way_back_ = make_way_back(provider_);
    Engine* engine_ = nullptr; // constant from start() on
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
