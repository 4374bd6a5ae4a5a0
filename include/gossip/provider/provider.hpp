#pragma once

#include <gossip/core/event.hpp>
#include <gossip/dispatch/engine.hpp>

#include <concepts>
#include <vector>

/// How to write a provider: it carries an accepted event to an engine, the delivering half of a bus; at once, or over a
/// wire. A bus asks one small duty at a time of it, each a concept below; a type that lacks one is told so in one
/// sentence. The bus calls `start` once before all else, and `shutdown` once after the engine has been shut down.
namespace gossip {

/// `send` takes the event on: moves from it and says `accepted`, or leaves it with the caller. `may_wait` says that the
/// caller is ready to wait for room.
template <class P>
concept sends_events = requires(P& provider, detail::Engine& engine, Event& event, bool may_wait) {
    { provider.send(engine, event, may_wait) } -> std::same_as<PublishStatus>;
};

/// `listen` is told what the bus wants to hear before a subscription becomes active; it returns when the transport has
/// confirmed.
template <class P>
concept listens = requires(P& provider, const std::vector<EventType>& names, const std::vector<Pattern>& patterns) {
    { provider.listen(names, patterns) } -> std::same_as<Result>;
};

/// `start` gets the engine that it is to deliver to.
template <class P>
concept starts = requires(P& provider, detail::Engine& engine) {
    { provider.start(engine) } -> std::same_as<void>;
};

/// `shutdown` ends the transport. It runs from destructors, hence noexcept.
template <class P>
concept shuts_down = requires(P& provider) {
    { provider.shutdown() } -> std::same_as<Result>;
    requires noexcept(provider.shutdown());
};

template <class P>
concept event_provider = sends_events<P> && listens<P> && starts<P> && shuts_down<P>;

} // namespace gossip
