#pragma once

#include <gossip/provider/redis/connection.hpp>
#include <gossip/provider/redis/outbox.hpp>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>

#include <sys/uio.h>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// An outbox, and the right to write from it, which one thread has at a time and keeps without the lock.
///
/// Threads: all under its owner's lock, which `write` and `await_writer` let go of meanwhile.
/// Stalls:  await_writer waits for one system call of another thread.
class Pipe {
public:
    Pipe(std::size_t commands, std::size_t bytes) : outbox_(commands, bytes) {}

    [[nodiscard]] Outbox& outbox() noexcept { return outbox_; }
    [[nodiscard]] bool is_writing() const noexcept { return writing_; }
    /// The socket took less than it was given; whoever sees it writable again says so with `unblock`.
    [[nodiscard]] bool is_blocked() const noexcept { return blocked_; }
    [[nodiscard]] int error() const noexcept { return error_; }
    void unblock() noexcept { blocked_ = false; }
    void reset() noexcept {
        blocked_ = false;
        error_ = 0;
    }

    /// Writes once what has gathered; false if the socket did not take all of it.
    bool write(std::unique_lock<std::mutex>& lock, Connection& connection) {
        std::array<iovec, 64> pieces;
        const std::size_t count = outbox_.gather(pieces.data(), pieces.size());
        std::size_t size = 0;
        for (std::size_t i = 0; i < count; ++i) {
            size += pieces[i].iov_len;
        }
        begin_writing();
        lock.unlock();
        const ssize_t sent = connection.send(pieces.data(), count);
        const int code = sent < 0 && !Connection::would_wait() ? errno : 0;
        lock.lock();
        end_writing();
        if (sent > 0) {
            outbox_.sent(static_cast<std::size_t>(sent));
        }
        if (code != 0) {
            error_ = code;
        }
        blocked_ = std::cmp_less(sent, size) || connection.has_backlog();
        return !blocked_;
    }

    void begin_writing() noexcept { writing_ = true; }
    void end_writing() noexcept {
        writing_ = false;
        if (awaited_) {
            written_.notify_one();
        }
    }

    /// For one thread.
    void await_writer(std::unique_lock<std::mutex>& lock) {
        awaited_ = true;
        written_.wait(lock, [this] { return !writing_; });
        awaited_ = false;
    }

private:
    Outbox outbox_;
    std::condition_variable written_;
    int error_ = 0;
    bool writing_ = false;
    bool awaited_ = false;
    bool blocked_ = false;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
