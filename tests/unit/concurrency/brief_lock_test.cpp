#include <gossip/concurrency/brief_lock.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <mutex>
#include <thread>
#include <vector>

namespace brief_lock_test {

TEST_CASE("a brief lock lets one thread in at a time", "[brief_lock]") {
    gossip::detail::BriefLock lock;
    int count = 0; // guarded by the lock
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 20'000; ++i) {
                const std::lock_guard guard(lock);
                ++count;
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(count == 80'000);
}

TEST_CASE("those who wait for a brief lock get it however long it is held", "[brief_lock]") {
    gossip::detail::BriefLock lock;
    bool seen = false; // guarded by the lock
    lock.lock();
    std::thread waiter([&] {
        const std::lock_guard guard(lock);
        seen = !seen;
    });
    gossip_test::a_moment(2000);
    CHECK_FALSE(seen);
    lock.unlock();
    waiter.join();

    CHECK(seen);
}

} // namespace brief_lock_test
