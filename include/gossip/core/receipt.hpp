#pragma once

#include <gossip/version.hpp>

#include <cstdint>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

class Error;

/// The five ends of an event that was accepted, one of which each has.
enum class Ending : std::uint8_t { handled, failed, unrouted, dropped, abandoned };

namespace detail {

/// What a provider hangs on an event to hear of its end: to acknowledge it, bury it, or leave it to others.
///
/// Threads: `settled` is called once, on whatever thread ends the event, before the end is counted: when the bus is
///          quiet all receipts have been settled (past the deadline of a shutdown: when that returns). No lock of the
///          bus is held. It must not wait.
/// Owns:    itself, from the moment at which the engine has accepted the event: `settled` frees it if it needs that.
///          An event that the engine did not accept keeps its receipt, and whoever made both ends them.
class Receipt {
public:
    /// `error` is the first failure; null unless the event has failed.
    virtual void settled(Ending ending, const Error* error) noexcept = 0;

    /// A further attempt within this process has begun, number `attempt`, 2 and more; each subscription of the event
    /// tells its own. Before `settled`, on whatever thread runs it. A lock of the bus is held: it must not wait, nor
    /// call the bus.
    virtual void attempted(int /*attempt*/) noexcept {}

    /// Asked before each attempt, the first included. False: the event is another's by now, or has to wait for one that
    /// was left to others. It is not run and ends as abandoned. As for `attempted`, a lock may be held.
    virtual bool may_begin() noexcept { return true; }

    /// An event that has begun is left to others: it ends as abandoned, soon. Told before its key is passed on, so that
    /// what waits for the key can be kept from beginning. As for `attempted`, a lock is held.
    virtual void leaving() noexcept {}

protected:
    Receipt() = default;
    Receipt(const Receipt&) = default;
    Receipt& operator=(const Receipt&) = default;
    ~Receipt() = default;
};

} // namespace detail
} // namespace gossip::GOSSIP_VERSION_NAMESPACE
