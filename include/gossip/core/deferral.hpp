#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/event.hpp>

#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

namespace detail {

/// An event whose end is open. Each `Deferral` of it is one reason why.
class OpenEnd {
public:
    OpenEnd(const OpenEnd&) = delete;
    OpenEnd& operator=(const OpenEnd&) = delete;

    /// Ends one deferral, made for `who`; the last one settles the event. Called exactly once for each.
    virtual void resolve(void* who, Result result) noexcept = 0;
    [[nodiscard]] virtual const Event& event() const noexcept = 0;

protected:
    OpenEnd() = default;
    ~OpenEnd() = default;
};

} // namespace detail

/// The right, and the duty, to end an event later: from another thread, a batch, a callback, a coroutine.
/// Taken with `Context::defer()`; the event is settled when its last deferral is.
///
/// Threads: one at a time; may be moved to any thread, and may outlive the processor, the subscription and the bus.
/// Cost:    resolving the last deferral settles the event on the calling thread (some 100 ns; no user code but the
///          destructors of the event's data, and the error hook if it failed).
/// Owns:    a share in the event: its data stays reachable until the deferral is resolved.
/// Errors:  destroyed unresolved it fails the event with `errors::deferral_dropped`.
class [[nodiscard]] Deferral {
public:
    /// For the library: takes over one open end.
    Deferral(detail::OpenEnd& end, void* who) noexcept : end_(&end), who_(who) {}

    Deferral(Deferral&& other) noexcept : end_(std::exchange(other.end_, nullptr)), who_(other.who_) {}
    Deferral& operator=(Deferral&& other) noexcept {
        if (this != &other) {
            drop();
            end_ = std::exchange(other.end_, nullptr);
            who_ = other.who_;
        }
        return *this;
    }
    ~Deferral() { drop(); }

    /// Whether the end is still open.
    [[nodiscard]] bool pending() const noexcept { return end_ != nullptr; }

    /// The deferred event; only while pending.
    [[nodiscard]] const Event& event() const noexcept { return end_->event(); }

    void succeed() noexcept { resolve({}); }
    void fail(const Error& error) noexcept { resolve(error); }
    /// A second call does nothing.
    void resolve(Result result) noexcept {
        if (end_ != nullptr) {
            std::exchange(end_, nullptr)->resolve(who_, std::move(result));
        }
    }

private:
    /// Out of line: inlined into the destructor of a std::optional<Deferral> it makes GCC warn of what is not so.
    [[gnu::noinline]] void drop() noexcept {
        if (end_ != nullptr) {
            resolve(errors::deferral_dropped);
        }
    }

    detail::OpenEnd* end_;
    void* who_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
