// Who wants to know the end of a command that went to the publisher.
#pragma once

#include <gossip/core/errors.hpp>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// Told of the end of one command; its address is the command's tag. Tags below `first_tag` are no addresses.
/// Owns: itself once the publisher has accepted the command: whoever is told of its end takes it with `end_of`.
class CommandEnd {
public:
    static constexpr std::uint64_t first_tag = 2;

    explicit CommandEnd(bool event) noexcept : is_event(event) {}
    CommandEnd(const CommandEnd&) = delete;
    CommandEnd& operator=(const CommandEnd&) = delete;
    virtual ~CommandEnd() = default;

    /// `answer`: the server's, where it is a number.
    virtual void confirmed(std::int64_t answer) noexcept = 0;
    /// False: nobody has been told.
    virtual bool failed(const Error& error) noexcept = 0;

    [[nodiscard]] std::uint64_t tag() noexcept {
        return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(this));
    }

    const bool is_event; // and so in the ledger
};

[[nodiscard]] inline std::unique_ptr<CommandEnd> end_of(std::uint64_t tag) noexcept {
    return std::unique_ptr<CommandEnd>(
        tag < CommandEnd::first_tag ? nullptr : reinterpret_cast<CommandEnd*>(static_cast<std::uintptr_t>(tag)));
}

/// A thread that waits for a command's end.
class CommandWaiter {
public:
    /// `late`: what it is if there is no answer in time.
    Result await(std::chrono::milliseconds patience, std::string_view late) {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, patience, [&] { return done_; })) {
            return TimeoutError{patience, late};
        }
        return result_;
    }
    /// After a success.
    [[nodiscard]] std::int64_t answer() {
        const std::lock_guard lock(mutex_);
        return answer_;
    }
    void tell(Result result, std::int64_t answer) noexcept {
        const std::lock_guard lock(mutex_);
        done_ = true;
        result_ = std::move(result);
        answer_ = answer;
        changed_.notify_all();
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool done_ = false; // these three under mutex_
    Result result_;
    std::int64_t answer_ = 0;
};

class AwaitedEnd final : public CommandEnd {
public:
    AwaitedEnd(std::shared_ptr<CommandWaiter> waiter, bool event) noexcept
        : CommandEnd(event), waiter_(std::move(waiter)) {}
    void confirmed(std::int64_t answer) noexcept override { waiter_->tell({}, answer); }
    bool failed(const Error& error) noexcept override {
        waiter_->tell(error, 0);
        return true;
    }

private:
    const std::shared_ptr<CommandWaiter> waiter_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
