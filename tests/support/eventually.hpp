#pragma once

// Waiting for what other threads do, with an end: a condition that does not come true is a failure, not a hang.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace gossip_test {

/// Waits until `done()`; false when that takes longer than anything but a mistake would. It yields a little, and then
/// leaves the machine to whom it waits for: it looks again every millisecond.
template <class Done>
[[nodiscard]] bool eventually(Done done, std::chrono::milliseconds patience = std::chrono::seconds(60)) {
    const auto end = std::chrono::steady_clock::now() + patience;
    std::mutex mutex;
    std::condition_variable never;
    for (int yields = 100; !done();) {
        if (std::chrono::steady_clock::now() > end) {
            return done();
        }
        if (yields != 0) {
            --yields;
            std::this_thread::yield();
        } else {
            std::unique_lock lock(mutex);
            never.wait_for(lock, std::chrono::milliseconds(1));
        }
    }
    return true;
}

/// Lets others run for a while: so many times, and no longer than `most`. Where many programs share a machine each
/// yield takes milliseconds. What a test says must be true however long or short that was.
inline void a_moment(std::uint64_t yields, std::chrono::milliseconds most = std::chrono::milliseconds(20)) {
    const auto end = std::chrono::steady_clock::now() + most;
    while (yields-- != 0 && std::chrono::steady_clock::now() < end) {
        std::this_thread::yield();
    }
}

/// For a race that is run again and again, `for (const int round : Rounds(500))`: so many times, or once and then as
/// often as there is time. Where each round costs a thread or two a busy machine takes a thousand times longer for it.
template <class T>
class Rounds {
public:
    explicit Rounds(T most, std::chrono::seconds patience = std::chrono::seconds(10))
        : most_(most), end_(std::chrono::steady_clock::now() + patience) {}

    struct End {};
    struct Iterator {
        const Rounds& all;
        T round{};

        T operator*() const { return round; }
        Iterator& operator++() {
            ++round;
            return *this;
        }
        bool operator!=(End) const {
            return round < all.most_ && (round == T{} || std::chrono::steady_clock::now() < all.end_);
        }
    };
    [[nodiscard]] Iterator begin() const { return {*this}; }
    [[nodiscard]] End end() const { return {}; }

private:
    T most_;
    std::chrono::steady_clock::time_point end_;
};

/// Ends the process with a message if its scope takes too long: for calls that would hang if they were wrong. The
/// patience is short of ctest's, and far beyond what a sanitizer on a busy machine needs.
class Bounded {
public:
    explicit Bounded(const char* what, std::chrono::seconds patience = std::chrono::seconds(240))
        : thread_([this, what, patience] {
              std::unique_lock lock(mutex_);
              if (!over_changed_.wait_for(lock, patience, [this] { return over_; })) {
                  std::fprintf(stderr, "hangs: %s\n", what);
                  std::abort();
              }
          }) {}
    Bounded(const Bounded&) = delete;
    Bounded& operator=(const Bounded&) = delete;
    ~Bounded() {
        {
            const std::lock_guard lock(mutex_);
            over_ = true;
        }
        over_changed_.notify_all();
        thread_.join();
    }

private:
    std::mutex mutex_;
    std::condition_variable over_changed_;
    bool over_ = false;
    std::thread thread_;
};

/// A door that threads wait at until somebody opens it.
class Gate {
public:
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    /// False if nobody opened it in time.
    bool pass() {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(60), [this] { return open_; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
};

} // namespace gossip_test
