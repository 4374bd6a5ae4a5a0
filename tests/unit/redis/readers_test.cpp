#include <gossip/provider/redis/readers.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/few_threads.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <system_error>
#include <thread>
#include <utility>

namespace readers_test {

using gossip::redis::detail::Readers;
using gossip_test::Bounded;
using gossip_test::eventually;

TEST_CASE("while one runs what is long, the other one reads on; when it is over both end", "[readers]") {
    const Bounded bounded("two that read by turns");
    std::atomic<int> read{0};
    std::atomic<int> wrong{0};
    std::atomic<bool> may_end{false};
    std::atomic<int> replaced{0};
    std::array<std::thread::id, 2> who;
    Readers readers;
    readers.start([&] {
        for (;;) {
            wrong += readers.read_here() ? 0 : 1;
            const int message = read;
            who[static_cast<std::size_t>(message)] = std::this_thread::get_id();
            ++read;
            if (message == 1) {
                return;
            }
            wrong += eventually([&] { return readers.may_step_out(); }) ? 0 : 1;
            const bool is_mine = readers.run_outside([&] {
                wrong += readers.read_here() ? 1 : 0;
                readers.await_end(); // of the other's reading
                wrong += read == 2 ? 0 : 1;
                readers.join(); // on one of them: returns at once
                wrong += eventually([&] { return may_end.load(); }) ? 0 : 1;
            });
            if (!is_mine) {
                ++replaced;
                return;
            }
        }
    });
    readers.await_end();
    CHECK(read == 2);
    may_end = true;
    readers.join();
    CHECK(wrong == 0);
    CHECK(replaced == 1);
    CHECK(who[0] != who[1]);
    readers.join();
}

TEST_CASE("of two that read by turns one reads at a time, and nothing is read twice", "[readers]") {
    const Bounded bounded("many turns");
    constexpr int messages = 10'000;
    std::atomic<int> run{0};
    std::atomic<int> wrong{0};
    int read = 0; // of whose turn it is
    bool reads = false;
    Readers readers;
    readers.start([&] {
        while (read < messages) {
            wrong += std::exchange(reads, true) ? 1 : 0;
            ++read;
            reads = false;
            if (!readers.may_step_out()) {
                ++run;
            } else if (!readers.run_outside([&] { ++run; })) {
                return;
            }
        }
    });
    readers.await_end();
    readers.join();
    CHECK(read == messages);
    CHECK(run == messages);
    CHECK(wrong == 0);
}

TEST_CASE("where the system refuses a second thread the first one ends, having read nothing", "[readers]") {
    const Bounded bounded("readers without threads");
    std::atomic<int> reads{0};
    const auto read = [&] { ++reads; };
    {
        const support::NoThreads none;
        Readers readers;
        CHECK_THROWS_AS(readers.start(read), std::system_error);
    }
    if (!support::sanitized) {
        const support::OneThread one;
        Readers readers;
        CHECK_THROWS_AS(readers.start(read), std::system_error);
    }
    CHECK(reads == 0);
}

} // namespace readers_test
