#include <gossip/concurrency/worker_pool.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace worker_pool_test {

namespace worker_pool_test {

using gossip_test::Bounded;
using gossip_test::eventually;
using gossip_test::Gate;

/// Counts as work.
struct Counter {
    std::atomic<std::int64_t> waiting{0};
    std::atomic<std::int64_t> done{0};
    std::atomic<std::int64_t> due_at{0}; // 0: no timer
    std::atomic<bool> block{false};
    std::atomic<bool> stranded{false}; // whoever blocks was not told to go on
    Gate go_on;

    bool work(unsigned) {
        std::int64_t have = waiting.load();
        while (have > 0) {
            if (waiting.compare_exchange_weak(have, have - 1)) {
                if (block.exchange(false) && !go_on.pass()) {
                    stranded = true;
                }
                ++done;
                return true;
            }
        }
        if (due_at != 0 && gossip::platform::monotonic_ns() >= due_at && due_at.exchange(0) != 0) {
            ++done;
            return true;
        }
        return false;
    }
    [[nodiscard]] bool has_work() const { return waiting.load() > 0; }
    [[nodiscard]] std::int64_t until_due() const {
        const std::int64_t at = due_at;
        return at == 0 ? gossip::ParkingLot<>::never : at - gossip::platform::monotonic_ns();
    }
};
static_assert(gossip::work_source<Counter>);

} // namespace worker_pool_test

using namespace worker_pool_test;

TEST_CASE("workers do all the work that is announced", "[worker_pool]") {
    const unsigned workers = GENERATE(1U, 2U, 4U);
    const auto idle = GENERATE(gossip::Idle::sleep, gossip::Idle::spin);
    const Bounded bounded("announced work");
    Counter counter;
    gossip::WorkerPool<Counter> pool(counter, workers, idle);
    pool.start();
    CHECK(pool.size() == workers);
    for (int i = 1; i <= 2000; ++i) {
        counter.waiting.fetch_add(1);
        pool.notify();
        if (i % 10 == 0) {
            REQUIRE(eventually([&] { return counter.done == i; }));
        }
    }
    pool.stop();
    CHECK(counter.done == 2000);
}

TEST_CASE("work that is left when the pool stops stays in the source", "[worker_pool]") {
    Counter counter;
    counter.block = true;
    counter.waiting = 100;
    gossip::WorkerPool<Counter> pool(counter, 1);
    pool.start();
    REQUIRE(eventually([&] { return counter.waiting == 99; }));
    std::thread opener([&] { counter.go_on.open(); });
    pool.stop();
    opener.join();
    CHECK(counter.done + counter.waiting == 100);
    pool.stop();
}

TEST_CASE("a pool that was never started, or has no workers, stops", "[worker_pool]") {
    Counter counter;
    gossip::WorkerPool<Counter> never(counter, 3);
    never.stop();
    gossip::WorkerPool<Counter> none(counter, 0);
    none.start();
    none.notify();
    none.notify_timer();
    none.stop();
    CHECK(counter.done == 0);
}

TEST_CASE("a pool has at most as many workers as can be told apart", "[worker_pool]") {
    Counter counter;
    CHECK_NOTHROW(gossip::WorkerPool<Counter>(counter, 65'535));
    CHECK_THROWS_AS(gossip::WorkerPool<Counter>(counter, 65'536), std::invalid_argument);
    CHECK_THROWS_AS(gossip::ParkingLot<>(~0U), std::invalid_argument);
}

TEST_CASE("a worker that blocks strands nothing: another takes what waits", "[worker_pool]") {
    const Bounded bounded("a blocked worker");
    for (int round = 0; round < 20; ++round) {
        Counter counter;
        counter.block = true;
        gossip::WorkerPool<Counter> pool(counter, 2);
        pool.start();
        counter.waiting.fetch_add(1);
        pool.notify();
        REQUIRE(eventually([&] { return counter.waiting == 0; }));
        for (int i = 0; i < 10; ++i) {
            counter.waiting.fetch_add(1);
            pool.notify();
        }
        REQUIRE(eventually([&] { return counter.done >= 10; }));
        CHECK_FALSE(counter.stranded);
        counter.go_on.open();
    }
}

TEST_CASE("a timer gets a sleeping worker up", "[worker_pool]") {
    const Bounded bounded("a timer");
    Counter counter;
    gossip::WorkerPool<Counter> pool(counter, 2);
    pool.start();
    for (int i = 1; i <= 50; ++i) {
        counter.due_at = gossip::platform::monotonic_ns() + 200'000;
        pool.notify_timer();
        REQUIRE(eventually([&] { return counter.done == i; }));
    }
}

} // namespace worker_pool_test
