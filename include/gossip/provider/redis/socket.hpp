// Sockets of our own: made non-blocking and close-on-exec at once, written to without SIGPIPE, waited for together with
// an eventfd, so that whoever waits can be stopped at any moment. What hiredis offers for connecting, reading and
// writing does none of this.
//
// Edges: each name stands at both of its ends in the code
//   [stopped]  stop's saying so  happens before  whoever sees it in stopped()
#pragma once

#include <gossip/concurrency/published.hpp>
#include <gossip/core/errors.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

using SteadyClock = std::chrono::steady_clock;
using Deadline = SteadyClock::time_point;

[[nodiscard]] inline std::string system_text(int code) {
    return std::error_code(code, std::system_category()).message();
}

/// Owns a file descriptor.
class Descriptor {
public:
    Descriptor() noexcept = default;
    explicit Descriptor(int number) noexcept : number_(number) {}
    Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(number_, other.number_);
        return *this;
    }
    ~Descriptor() { close(); }

    [[nodiscard]] int number() const noexcept { return number_; }
    [[nodiscard]] bool is_open() const noexcept { return number_ >= 0; }
    void close() noexcept {
        if (number_ >= 0) {
            ::close(std::exchange(number_, -1));
        }
    }

private:
    int number_ = -1;
};

/// Ends the waits of the one thread that serves a connection.
///
/// Threads: wake, stop and stopped by anybody; the rest by that thread.
/// Cost:    wake and stop are a system call each, and 5 to 9 µs where they end a sleep.
class Interrupt {
public:
    Interrupt() : event_{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
        if (!event_.is_open()) {
            GOSSIP_THROW(FatalError{"eventfd: " + system_text(errno)});
        }
    }

    void wake() noexcept {
        const std::uint64_t one = 1;
        static_cast<void>(::write(event_.number(), &one, sizeof one) < 0); // full: it is awake enough
    }
    void stop() noexcept {
        stopped_.set(true); // [stopped] with what was decided before
        wake();
    }
    [[nodiscard]] bool stopped() const noexcept {
        return stopped_.get(); // [stopped] sees what was decided before
    }
    /// Takes the wake-ups there were; what they announce has to be looked at after this.
    void clear() noexcept {
        std::uint64_t count = 0;
        static_cast<void>(::read(event_.number(), &count, sizeof count) < 0); // empty: nothing to take
    }
    [[nodiscard]] int descriptor() const noexcept { return event_.number(); }

private:
    Descriptor event_;
    gossip::detail::Published<bool> stopped_;
};

[[nodiscard]] inline int poll_milliseconds(Deadline until) noexcept {
    const auto left = until - SteadyClock::now();
    if (left <= SteadyClock::duration::zero()) {
        return 0;
    }
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    return static_cast<int>(std::min<std::int64_t>(milliseconds, 3'600'000));
}

/// What a wait ended with: the descriptor's events, a wake-up, or neither: its time.
struct Waited {
    short events = 0;
    short other_events = 0;
    bool woken = false;
};

/// Waits for `events` of `descriptor` (and for input of `other`), a wake-up, or the deadline. Negative descriptors are
/// left out. Wake-ups are taken.
inline Waited wait_for(int descriptor, short events, Deadline until, Interrupt& interrupt, int other = -1,
                       short other_events = POLLIN) noexcept {
    pollfd polled[3] = {{interrupt.descriptor(), POLLIN, 0}, {descriptor, events, 0}, {other, other_events, 0}};
    const int found = ::poll(polled, 3, poll_milliseconds(until));
    if (found <= 0) {
        return {};
    }
    const bool woken = polled[0].revents != 0;
    if (woken) {
        interrupt.clear();
    }
    return {polled[1].revents, polled[2].revents, woken};
}

/// Sleeps until the deadline; false if it was stopped.
inline bool sleep_until(Deadline until, Interrupt& interrupt) noexcept {
    while (!interrupt.stopped() && SteadyClock::now() < until) {
        wait_for(-1, 0, until, interrupt);
    }
    return !interrupt.stopped();
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
