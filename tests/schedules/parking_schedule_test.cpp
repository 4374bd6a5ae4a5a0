#include <gossip/concurrency/worker_pool.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/seed.hpp"
#include "support/shaken_atomic.hpp"

#include <atomic>
#include <cstdint>
#include <limits>
#include <string>
#include <thread>
#include <vector>

namespace parking_schedule_test {

// The shipped parking lot and worker pool over ShakenAtomic. A lost wake-up is a wait that does not end.

namespace parking_schedule_test {

using gossip_test::Bounded;
using gossip_test::eventually;
using gossip_test::shake;
using gossip_test::ShakenAtomic;
using gossip_test::thread_random;

/// Tickets, as in the inbox: published with one seq_cst operation, then the look whether somebody sleeps.
struct Tickets {
    ShakenAtomic<std::uint64_t> tail{0};
    ShakenAtomic<std::uint64_t> head{0};
    std::atomic<std::uint64_t> done{0};

    void publish() { tail.fetch_add(1, std::memory_order_seq_cst); }
    [[nodiscard]] bool has_work() const {
        return head.load(std::memory_order_seq_cst) < tail.load(std::memory_order_seq_cst);
    }
    [[nodiscard]] std::int64_t until_due() const { return gossip::ParkingLot<>::never; }
    bool take() {
        std::uint64_t at = head.load(std::memory_order_seq_cst);
        while (at < tail.load(std::memory_order_seq_cst)) {
            if (head.compare_exchange_weak(at, at + 1, std::memory_order_seq_cst, std::memory_order_seq_cst)) {
                return true;
            }
        }
        return false;
    }
};

/// Workers as the engine's: brief ones claim while on duty, others leave before they begin.
struct Source {
    Tickets tickets;
    gossip::WorkerPool<Source, ShakenAtomic>* pool = nullptr;
    bool brief = false;

    bool work(unsigned worker) {
        const bool ahead = pool->attend(worker, brief);
        if (!tickets.take()) {
            return false;
        }
        pool->progressed(worker);
        if (!ahead) {
            pool->leaving(worker);
        }
        shake();
        tickets.done.fetch_add(1);
        return true;
    }
    [[nodiscard]] bool has_work() const { return tickets.has_work(); }
    [[nodiscard]] std::int64_t until_due() const { return tickets.until_due(); }
};

void wait_a_little() {
    for (std::uint64_t n = thread_random().below(200); n != 0; --n) {
        gossip::platform::cpu_pause();
    }
}

} // namespace parking_schedule_test

using namespace parking_schedule_test;

TEST_CASE("no wake-up is lost between busy and idle", "[parking]") {
    GOSSIP_INFO_SEED();
    const unsigned workers = GENERATE(1U, 2U, 3U);
    const unsigned producers = GENERATE(1U, 3U);
    const bool brief = GENERATE(false, true);
    INFO("workers " << workers << ", producers " << producers << ", brief " << brief);
    const std::string what = "parking, seed " + std::to_string(gossip_test::seed());
    const Bounded bounded(what.c_str());
    Source source;
    source.brief = brief;
    gossip::WorkerPool<Source, ShakenAtomic> pool(source, workers);
    source.pool = &pool;
    pool.start();
    std::vector<std::thread> threads;
    std::atomic<int> stuck{0};
    for (unsigned p = 0; p < producers; ++p) {
        threads.emplace_back([&] {
            for (int burst = 0; burst < 400; ++burst) {
                for (std::uint64_t n = 1 + thread_random().below(3); n != 0; --n) {
                    source.tickets.publish();
                    pool.notify();
                }
                if (thread_random().one_in(2)) { // until all is done, and somebody may have gone to sleep
                    stuck += eventually([&] { return !source.has_work(); }) ? 0 : 1;
                    if (thread_random().one_in(8)) {
                        const std::int64_t rested =
                            gossip::platform::monotonic_ns() + 100'000; // longer than workers search
                        while (gossip::platform::monotonic_ns() < rested) {
                            std::this_thread::yield();
                        }
                    }
                } else {
                    wait_a_little();
                }
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    CHECK(eventually([&] { return source.tickets.done == source.tickets.tail.load(); }));
    CHECK(stuck == 0);
}

TEST_CASE("a wake-up comes to a lot whose sleepers lie down at that moment", "[parking]") {
    // The bare protocol: one sleeper that looks once, one publisher, again and again.
    GOSSIP_INFO_SEED();
    struct Looks {
        ShakenAtomic<bool> work{false};
        ShakenAtomic<bool> ending{false};
        [[nodiscard]] bool has_work() const { return work.load(std::memory_order_seq_cst); }
        [[nodiscard]] bool stopping() const { return ending.load(std::memory_order_seq_cst); }
        [[nodiscard]] std::int64_t until_due() const { return gossip::ParkingLot<>::never; }
        [[nodiscard]] std::uint64_t progress(unsigned) const { return 0; }
    };
    const std::string what = "lying down, seed " + std::to_string(gossip_test::seed());
    const Bounded bounded(what.c_str());
    gossip::ParkingLot<ShakenAtomic> lot(1);
    Looks looks;
    std::atomic<int> served{0};
    constexpr int rounds = 5000;
    std::thread sleeper([&] {
        while (served < rounds) {
            if (looks.work.exchange(false, std::memory_order_seq_cst)) {
                ++served;
                continue;
            }
            lot.resign(0);
            lot.sleep(0, looks);
        }
    });
    int stuck = 0;
    for (int round = 0; round < rounds; ++round) {
        looks.work.store(true, std::memory_order_seq_cst);
        if (lot.unattended()) {
            lot.wake_one();
        }
        stuck += eventually([&] { return served > round; }) ? 0 : 1;
        if (stuck != 0) {
            break;
        }
    }
    served = rounds;
    lot.wake_all();
    looks.work.store(true, std::memory_order_seq_cst);
    lot.wake_all();
    sleeper.join();
    CHECK(stuck == 0);
}

TEST_CASE("a parker sleeps until it is woken, however long it may sleep", "[parking]") {
    const Bounded bounded("a parker");
    const auto most = GENERATE(std::int64_t{-1}, std::numeric_limits<std::int64_t>::max());
    gossip::platform::Parker parker;
    bool woken = false;
    std::thread sleeper([&] { woken = parker.park(most); });
    gossip_test::a_moment(1000);
    parker.unpark();
    sleeper.join();

    CHECK(woken);
    CHECK_FALSE(parker.park(1000));
}

} // namespace parking_schedule_test
