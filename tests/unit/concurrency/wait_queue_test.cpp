#include <gossip/concurrency/wait_queue.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace wait_queue_test {

namespace wait_queue_test {

using gossip::WaitQueue;
using gossip_test::Bounded;
using gossip_test::eventually;

} // namespace wait_queue_test

using namespace wait_queue_test;

TEST_CASE("a waiter is in line once, and leaves it once", "[wait_queue]") {
    WaitQueue queue;
    WaitQueue::Waiter waiter;
    CHECK_FALSE(queue.any());
    queue.join(waiter);
    queue.join(waiter);
    CHECK(queue.any());
    CHECK(queue.leave(waiter));
    CHECK_FALSE(queue.any());
    CHECK_FALSE(queue.leave(waiter));
}

TEST_CASE("a waiter that was woken is told so when it leaves", "[wait_queue]") {
    WaitQueue queue;
    WaitQueue::Waiter waiter;
    queue.join(waiter);
    queue.wake_one();
    CHECK_FALSE(queue.any());
    queue.park(waiter, -1); // the permit is there already
    CHECK_FALSE(queue.leave(waiter));
    queue.wake_one(); // nobody
    queue.wake_all();
}

TEST_CASE("waiting ends after its time", "[wait_queue]") {
    WaitQueue queue;
    WaitQueue::Waiter waiter;
    queue.join(waiter);
    queue.park(waiter, 0);
    queue.park(waiter, 1'000'000);
    CHECK(queue.leave(waiter));
}

TEST_CASE("waiters leave from any place in line, and the rest stays in order", "[wait_queue]") {
    const std::size_t gone = GENERATE(0U, 1U, 2U);
    WaitQueue queue;
    std::array<WaitQueue::Waiter, 3> waiters;
    for (auto& waiter : waiters) {
        queue.join(waiter);
    }
    CHECK(queue.leave(waiters[gone]));
    queue.wake_one();
    const std::size_t first = gone == 0 ? 1 : 0;
    CHECK_FALSE(queue.leave(waiters[first])); // first come, first served
    CHECK(queue.leave(waiters[3 - gone - first]));
    queue.join(waiters[gone]);
    CHECK(queue.any());
    CHECK(queue.leave(waiters[gone]));
}

TEST_CASE("no wake-up is lost between the look at the condition and the sleep", "[wait_queue]") {
    const Bounded bounded("waiting for turns");
    constexpr int rounds = 5000;
    constexpr int threads = 3;
    WaitQueue queue;
    std::atomic<int> turn{0};
    std::vector<std::thread> players;
    for (int me = 0; me < threads; ++me) {
        players.emplace_back([&, me] {
            for (int round = 0; round < rounds; ++round) {
                const int mine = round * threads + me;
                WaitQueue::Waiter waiter;
                for (;;) {
                    queue.join(waiter);
                    if (turn.load() == mine) {
                        break;
                    }
                    queue.park(waiter, -1);
                }
                queue.leave(waiter);
                turn.store(mine + 1);
                if (queue.any()) {
                    queue.wake_all();
                }
            }
        });
    }
    for (auto& player : players) {
        player.join();
    }
    CHECK(turn == rounds * threads);
}

TEST_CASE("wake_one passed on by those who leave without need reaches somebody in need", "[wait_queue]") {
    const Bounded bounded("passing on");
    WaitQueue queue;
    std::atomic<int> tokens{0};
    std::atomic<int> taken{0};
    constexpr int all = 3000;
    std::vector<std::thread> takers;
    for (int t = 0; t < 3; ++t) {
        takers.emplace_back([&] {
            for (int i = 0; i < all / 3; ++i) {
                WaitQueue::Waiter waiter;
                const auto take = [&] {
                    int have = tokens.load();
                    while (have > 0) {
                        if (tokens.compare_exchange_weak(have, have - 1)) {
                            return true;
                        }
                    }
                    return false;
                };
                while (!take()) {
                    queue.join(waiter);
                    if (take()) {
                        break;
                    }
                    queue.park(waiter, -1);
                }
                if (!queue.leave(waiter) && tokens.load() > 0) {
                    queue.wake_one();
                }
                ++taken;
            }
        });
    }
    for (int i = 0; i < all; ++i) {
        tokens.fetch_add(1);
        if (queue.any()) {
            queue.wake_one();
        }
    }
    for (auto& taker : takers) {
        taker.join();
    }
    CHECK(taken == all);
    CHECK(tokens == 0);
}

TEST_CASE("a waiter's thread may end at once after it was woken", "[wait_queue]") {
    const Bounded bounded("short lives");
    for ([[maybe_unused]] const int round : gossip_test::Rounds(500)) {
        WaitQueue queue;
        std::atomic<bool> go{false};
        std::thread waiting([&] {
            WaitQueue::Waiter waiter;
            while (!go) {
                queue.join(waiter);
                if (!go) {
                    queue.park(waiter, 10'000);
                }
            }
            queue.leave(waiter);
        });
        while (!queue.any()) {
            std::this_thread::yield();
        }
        go = true;
        queue.wake_one();
        waiting.join();
    }
    SUCCEED();
}

} // namespace wait_queue_test
