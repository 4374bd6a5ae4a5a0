#pragma once

#include <gossip/core/event.hpp>
#include <gossip/dispatch/engine.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <string>
#include <vector>

/// How to write a provider: it carries an accepted event to an engine, the delivering half of a bus; at once, or over a
/// wire. A bus asks one small duty at a time of it, each a concept below; a type that lacks one is told so in one
/// sentence.
///
/// Within the process four duties will do: `start` once before all else, `send`, `listen`, and `shutdown` once after
/// the engine has been shut down. See gossip/provider/memory_provider.hpp.
///
/// A provider that has `outgoing()` leaves the process: what it sends is out of the bus's hands, and what arrives comes
/// from anybody. It owes four more: `send_sync`, `unlisten`, `drain`, `close`. What arrives it gives to
/// `engine.receive(event, patience)`, again and again while the answer is `full`, so that it can stop in between; what
/// it has read and can't hand over any more to `engine.lose(event)`. `detail::Receipt` tells it of an event's further
/// attempts and of its end. Names under `gossip.` stay in the process and never reach it. It may also keep events that
/// are published later, see `keeps_events`.
///
/// Typed data: `template <class T> static detail::WireType& wire_type()` says how data of type T is written and read
/// (gossip/provider/wire_type.hpp makes it from a codec), `send_as<T>` sends with it. An event that arrives has the
/// text as its data, `EventAccess::make<detail::RawData>(...)`; a worker reads it when somebody asks for it.
///
/// A single event need not wait for a worker to wake up: `engine.borrow_place()` before it is given, with that place,
/// to `receive`, and `engine.work_in(place)` afterwards, if there still is one, run it on the thread that brings it.
/// User code runs there then, so somebody else has to read on where it takes long (gossip/provider/redis/readers.hpp).
///
/// tests/conformance/suite.hpp proves a provider: it is included by a test of yours, which says how to make one.
/// examples/loopback is a whole one.
namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// What a provider has taken out of the process. When nothing is under way, `accepted == sent + dropped + abandoned`.
struct Outgoing {
    std::uint64_t accepted = 0;  // send said so
    std::uint64_t sent = 0;      // the transport has confirmed it
    std::uint64_t dropped = 0;   // accepted, and refused by the transport for good
    std::uint64_t abandoned = 0; // not confirmed when it was shut down
    std::uint64_t rejected = 0;  // never accepted: full, unavailable, too large, not encodable
};

/// `send` takes the event on: moves from it and says `accepted`, or leaves it with the caller. `may_wait` says that the
/// caller is ready to wait for room.
template <class P>
concept sends_events = requires(P& provider, detail::Engine& engine, Event& event, bool may_wait) {
    { provider.send(engine, event, may_wait) } -> std::same_as<PublishStatus>;
};

/// `listen` is told what the bus wants to hear; it returns when the transport has confirmed. After an error nothing
/// more is listened for than before. The same name may be asked for many times. Where events leave the process the
/// subscription is there when it is called, and what arrives meanwhile finds it; else it is called before.
template <class P>
concept listens = requires(P& provider, const std::vector<EventType>& names, const std::vector<Pattern>& patterns) {
    { provider.listen(names, patterns) } -> std::same_as<Result>;
};

/// `start` gets the engine that it is to deliver to. It must not wait.
template <class P>
concept starts = requires(P& provider, detail::Engine& engine) {
    { provider.start(engine) } -> std::same_as<void>;
};

/// `shutdown` ends the transport: what is not out by then is given up, and counted; the Result is in the bus's report.
/// It runs from destructors, hence noexcept; without a deadline `timeout` is the largest there is, and a transport that
/// may be away for ever has an end of its own.
template <class P>
concept shuts_down = requires(P& provider, std::chrono::nanoseconds timeout) {
    { provider.shutdown(timeout) } -> std::same_as<Result>;
    requires noexcept(provider.shutdown(timeout));
};

/// `outgoing` are the counters of what leaves the process; to have them means that events do.
template <class P>
concept leaves_process = requires(const P& provider) {
    { provider.outgoing() } -> std::same_as<Outgoing>;
};

/// `send_sync` returns when the transport has confirmed the event, or says why it has not.
template <class P>
concept sends_confirmed = requires(P& provider, detail::Engine& engine, Event& event) {
    { provider.send_sync(engine, event) } -> std::same_as<Result>;
};

/// `unlisten` takes one `listen` with the same arguments back. It must not wait for the transport.
template <class P>
concept unlistens = requires(P& provider, const std::vector<EventType>& names, const std::vector<Pattern>& patterns) {
    { provider.unlisten(names, patterns) } -> std::same_as<void>;
    requires noexcept(provider.unlisten(names, patterns));
};

/// `drain` is true at a moment when all that was accepted has been confirmed, or given up.
template <class P>
concept drains = requires(P& provider, std::chrono::nanoseconds timeout) {
    { provider.drain(timeout) } -> std::same_as<bool>;
};

/// `close` ends the intake: `send` says `closed` from here on, and when it returns nothing more is given to the engine.
/// Receipts still arrive. It may be called many times, from any thread, also from inside processors, and returns soon.
template <class P>
concept closes = requires(P& provider) {
    { provider.close() } -> std::same_as<void>;
    requires noexcept(provider.close());
};

/// By choice: `send_later` takes the event on as `send` does, waiting for room if the bus's options say so, and the
/// transport keeps it until `delay` has passed, also when this process has ended by then; it arrives like any other.
/// The provider counts it at once: accepted, and sent when the transport has confirmed that it keeps it. `ticket` is a
/// text of the provider's own, not empty, that names it. `take_back` is true if the transport had it still and has it
/// no more; it may wait for the transport, within bounds, and tells the engine's error hook if that does not answer.
/// `keeps` says whether any of this is to be had as the provider was made. Without these a bus publishes later by a
/// timer of its own.
template <class P>
concept keeps_events = requires(P& provider, const P& constant, detail::Engine& engine, Event& event,
                                std::chrono::nanoseconds delay, std::string& ticket, const std::string& given) {
    { constant.keeps() } -> std::same_as<bool>;
    { provider.send_later(engine, event, delay, ticket) } -> std::same_as<PublishStatus>;
    { provider.take_back(given) } -> std::same_as<bool>;
};

/// Has a part of it.
template <class P>
concept claims_to_keep = requires {
    &P::keeps;
}
|| requires { &P::send_later; }
|| requires { &P::take_back; };

template <class P>
concept event_provider = sends_events<P> && listens<P> && starts<P> && shuts_down<P> &&
                         (!leaves_process<P> || (sends_confirmed<P> && unlistens<P> && drains<P> && closes<P>)) &&
                         (!claims_to_keep<P> || (leaves_process<P> && keeps_events<P>));

/// Whether data of type T can go over the provider's wire.
template <class P>
concept has_codec = requires {
    { P::template wire_type<int>() } -> std::same_as<detail::WireType&>;
};

/// Specialize as true for data that never leaves the process and needs no codec, although the bus does.
template <class T>
inline constexpr bool local_data = false;
template <>
inline constexpr bool local_data<DeadLetter> = true;

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
