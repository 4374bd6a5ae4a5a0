#include <gossip/concurrency/mpmc_queue.hpp>
#include <gossip/concurrency/ticket_ring.hpp>

#include "support/catch.hpp"
#include "support/seed.hpp"
#include "support/shaken_atomic.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace queue_schedule_test {

// Many threads over the shipped headers, with ShakenAtomic for std::atomic. Threads only count what went wrong; the
// test's own thread asserts, since the test framework's assertions are for one thread. Their counters are relaxed, lest
// they order what only the code under test may order: a missing edge would hide from the thread sanitizer.

inline namespace parts {

using gossip_test::ShakenAtomic;
using gossip_test::thread_random;

using Ring = gossip::TicketRing<std::uint64_t, ShakenAtomic>;
using Queue = gossip::MpmcQueue<std::unique_ptr<std::uint64_t>, ShakenAtomic>;

constexpr auto relaxed = std::memory_order_relaxed;
constexpr std::uint64_t values_per_producer = 400;

std::uint64_t value_of(std::uint64_t producer, std::uint64_t number) { return producer << 32U | number; }

/// Turns a lost wake-up or a lost slot into a failure that names its seed.
class Patience {
public:
    [[nodiscard]] bool over() const { return std::chrono::steady_clock::now() > end_; }

private:
    std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + std::chrono::seconds(200);
};

/// Yields until `done`; false, and `stuck` counts it, when patience is over.
template <class Done>
bool until(Done done, std::atomic<int>& stuck, const Patience& patience) {
    while (!done()) {
        if (patience.over()) {
            ++stuck;
            return false;
        }
        std::this_thread::yield();
    }
    return true;
}

template <class Work>
std::vector<std::thread> start(std::uint64_t threads, Work work) {
    std::vector<std::thread> started;
    for (std::uint64_t i = 0; i < threads; ++i) {
        started.emplace_back(work, i);
    }
    return started;
}

void join(std::vector<std::thread>& threads) {
    for (auto& thread : threads) {
        thread.join();
    }
}

/// Which values came out: each one wanted once, and, where one consumer sees all, each producer's in order.
class Tally {
public:
    explicit Tally(std::uint64_t producers) : seen_(producers * values_per_producer), last_(producers) {}

    void count(std::uint64_t value) {
        seen_[(value >> 32U) * values_per_producer + (value & 0xffffffffU)].fetch_add(1, relaxed);
    }

    void count_in_order(std::uint64_t value) {
        count(value);
        std::uint64_t& last = last_[value >> 32U];
        disorder_ += (value & 0xffffffffU) + 1 > last ? 0 : 1;
        last = (value & 0xffffffffU) + 1;
    }

    [[nodiscard]] std::uint64_t not_once() const {
        std::uint64_t wrong = 0;
        for (const auto& times : seen_) {
            wrong += times == 1 ? 0U : 1U;
        }
        return wrong;
    }
    [[nodiscard]] std::uint64_t disorder() const { return disorder_; }

private:
    std::vector<std::atomic<int>> seen_;
    std::vector<std::uint64_t> last_; // of one consumer
    std::uint64_t disorder_ = 0;
};

/// As many values as the capacity go in, no more, and they come out: no slot was lost on the way.
std::size_t usable(Queue& queue) {
    std::size_t pushed = 0;
    while (queue.try_push(std::make_unique<std::uint64_t>(pushed))) {
        ++pushed;
    }
    std::size_t popped = 0;
    while (queue.try_pop()) {
        ++popped;
    }
    return pushed == popped ? pushed : 0;
}

std::size_t usable(Ring& ring) {
    Ring::Ticket ticket = 0;
    std::size_t drawn = 0;
    while (ring.reserve(ticket) == Ring::Refusal::none) {
        ring.commit(ticket);
        ++drawn;
    }
    std::size_t claimed = 0;
    while (ring.claim(1).count == 1) {
        ++claimed;
    }
    return drawn == claimed ? drawn : 0;
}

} // namespace parts

TEST_CASE("every value pushed is popped once, and the capacity is never exceeded", "[mpmc_queue]") {
    GOSSIP_INFO_SEED();
    const auto [producers, consumers] =
        GENERATE(std::pair{1U, 1U}, std::pair{4U, 1U}, std::pair{1U, 4U}, std::pair{2U, 2U}, std::pair{4U, 4U});
    const std::size_t capacity = GENERATE(2U, 4U, 16U);
    CAPTURE(producers, consumers, capacity);
    Queue queue(capacity);
    Tally tally(producers);
    const Patience patience;
    const std::uint64_t all = producers * values_per_producer;
    const bool one_consumer = consumers == 1;
    std::atomic<std::uint64_t> pushed{0};  // pushes that have returned
    std::atomic<std::uint64_t> popping{0}; // pops that have taken a value, or still may
    std::atomic<std::uint64_t> popped{0};
    std::atomic<int> over_capacity{0};
    std::atomic<int> stuck{0};

    auto threads = start(producers, [&](std::uint64_t me) {
        for (std::uint64_t i = 0; i < values_per_producer; ++i) {
            auto value = std::make_unique<std::uint64_t>(value_of(me, i));
            if (!until([&] { return queue.try_push(std::move(value)); }, stuck, patience)) {
                return;
            }
            const std::uint64_t in = 1 + pushed.fetch_add(1, std::memory_order_acq_rel); // sees what the others saw
            over_capacity.fetch_add(in > popping.load(relaxed) + capacity ? 1 : 0, relaxed);
        }
    });
    auto poppers = start(consumers, [&](std::uint64_t) {
        const auto count = [&](std::unique_ptr<std::uint64_t>&& value) noexcept {
            const auto owned = std::move(value);
            one_consumer ? tally.count_in_order(*owned) : tally.count(*owned);
        };
        const auto pop = [&] {
            const std::size_t most = 1 + thread_random().below(4);
            popping.fetch_add(most, relaxed);
            const std::size_t got = queue.try_pop_run(most, count);
            popping.fetch_sub(most - got, relaxed);
            return popped.fetch_add(got, relaxed) + got;
        };
        until([&] { return pop() >= all; }, stuck, patience);
    });
    join(threads);
    join(poppers);

    CHECK(stuck == 0);
    CHECK(over_capacity == 0);
    CHECK(tally.not_once() == 0);
    CHECK(tally.disorder() == 0);
    CHECK(queue.size_approx() == 0);
    CHECK(usable(queue) == capacity);
}

TEST_CASE("a refused value stays with its producer and goes in later", "[mpmc_queue]") {
    GOSSIP_INFO_SEED();
    Queue queue(2);
    const Patience patience;
    std::atomic<int> robbed{0};
    std::atomic<int> stuck{0};
    std::atomic<std::uint64_t> popped{0};

    auto threads = start(2, [&](std::uint64_t me) {
        for (std::uint64_t i = 0; i < values_per_producer; ++i) {
            auto value = std::make_unique<std::uint64_t>(value_of(me, i));
            until(
                [&] {
                    if (queue.try_push(std::move(value))) {
                        return true;
                    }
                    robbed += value == nullptr || *value != value_of(me, i) ? 1 : 0;
                    return false;
                },
                stuck, patience);
        }
    });
    until([&] { return (popped += queue.try_pop() ? 1U : 0U) == 2 * values_per_producer; }, stuck, patience);
    join(threads);

    CHECK(stuck == 0);
    CHECK(robbed == 0);
}

TEST_CASE("parked slots vacated by others in any order lose no value, no slot and no order", "[ticket_ring]") {
    GOSSIP_INFO_SEED();
    const auto [producers, consumers] = GENERATE(std::pair{2U, 1U}, std::pair{3U, 1U}, std::pair{2U, 2U});
    const std::size_t capacity = GENERATE(2U, 4U, 8U);
    const std::uint64_t one_parked_in = GENERATE(2U, 8U);
    CAPTURE(producers, consumers, capacity, one_parked_in);
    Ring ring(capacity);
    Tally tally(producers);
    Tally* const in_line = &tally;
    const Patience patience;
    const std::uint64_t all = producers * values_per_producer;
    const bool one_consumer = consumers == 1;
    std::atomic<std::uint64_t> occupied{0}; // raised after a reserve, lowered before a vacate: never above the truth
    std::atomic<std::uint64_t> finished{0};
    std::atomic<int> over_capacity{0};
    std::atomic<int> stuck{0};
    std::mutex mutex;
    std::vector<Ring::Ticket> parked;

    auto threads = start(producers, [&](std::uint64_t me) {
        for (std::uint64_t i = 0; i < values_per_producer; ++i) {
            Ring::Ticket ticket = 0;
            if (!until([&] { return ring.reserve(ticket) == Ring::Refusal::none; }, stuck, patience)) {
                return;
            }
            over_capacity.fetch_add(occupied.fetch_add(1, relaxed) >= capacity ? 1 : 0, relaxed);
            ::new (ring.storage(ticket)) std::uint64_t(value_of(me, i));
            if (thread_random().one_in(one_parked_in)) {
                ring.commit_parked(ticket);
                const std::lock_guard lock(mutex);
                parked.push_back(ticket);
            } else {
                ring.commit(ticket);
            }
        }
    });
    auto poppers = start(consumers, [&](std::uint64_t) {
        const auto claim = [&] {
            const auto run = ring.claim(1 + static_cast<std::uint32_t>(thread_random().below(4)));
            const bool backwards = thread_random().one_in(2);
            for (std::uint64_t i = 0; i < run.count; ++i) {
                const std::uint64_t value = *ring.address(run.first + i);
                one_consumer ? in_line->count_in_order(value) : in_line->count(value);
            }
            for (std::uint64_t i = 0; i < run.count; ++i) {
                occupied.fetch_sub(1, relaxed);
                ring.vacate(run.first + (backwards ? run.count - 1 - i : i));
            }
            return finished.fetch_add(run.count, relaxed) + run.count >= all;
        };
        until(claim, stuck, patience);
    });
    auto vacaters = start(2, [&](std::uint64_t) {
        const auto vacate = [&] {
            std::optional<Ring::Ticket> ticket;
            {
                const std::lock_guard lock(mutex);
                if (!parked.empty()) {
                    std::swap(parked[thread_random().below(parked.size())], parked.back());
                    ticket = parked.back();
                    parked.pop_back();
                }
            }
            if (ticket) {
                tally.count(*ring.address(*ticket));
                occupied.fetch_sub(1, relaxed);
                ring.vacate_parked(*ticket);
                finished.fetch_add(1, relaxed);
            }
            return finished.load(relaxed) >= all;
        };
        until(vacate, stuck, patience);
    });
    join(threads);
    join(poppers);
    join(vacaters);

    CHECK(stuck == 0);
    CHECK(over_capacity == 0);
    CHECK(tally.not_once() == 0);
    CHECK(tally.disorder() == 0);
    CHECK(ring.claim(1).count == 0);
    CHECK_FALSE(ring.pending());
    CHECK(ring.tail() - ring.stepped_over() == all);
    CHECK(usable(ring) == capacity);
}

TEST_CASE("after close has returned no ticket is drawn, and every ticket drawn is claimed", "[ticket_ring]") {
    GOSSIP_INFO_SEED();
    for (int round = 0; round < 40; ++round) {
        Ring ring(4);
        const Patience patience;
        std::atomic<bool> close_returned{false};
        std::atomic<std::uint64_t> drawn{0};
        std::atomic<std::uint64_t> claimed{0};
        std::atomic<int> late{0};
        std::atomic<int> strange{0};
        std::atomic<int> stuck{0};

        auto producers = start(3, [&](std::uint64_t me) {
            until(
                [&] {
                    const bool too_late = close_returned;
                    Ring::Ticket ticket = 0;
                    const auto refusal = ring.reserve(ticket);
                    if (refusal == Ring::Refusal::none) {
                        drawn.fetch_add(1, relaxed);
                        late.fetch_add(too_late ? 1 : 0, relaxed);
                        ::new (ring.storage(ticket)) std::uint64_t(me);
                        ring.commit(ticket);
                    }
                    return refusal == Ring::Refusal::closed;
                },
                stuck, patience);
        });
        auto consumers = start(2, [&](std::uint64_t) {
            until(
                [&] {
                    const bool last = ring.closed() && !ring.pending();
                    const auto run = ring.claim(2);
                    late.fetch_add(last && run.count != 0 ? 1 : 0, relaxed);
                    claimed.fetch_add(run.count, relaxed);
                    for (std::uint64_t i = 0; i < run.count; ++i) {
                        strange.fetch_add(*ring.address(run.first + i) < 3 ? 0 : 1, relaxed);
                        ring.vacate(run.first + i);
                    }
                    return last;
                },
                stuck, patience);
        });
        const std::uint64_t enough = thread_random().below(200);
        until([&] { return drawn.load(relaxed) >= enough; }, stuck, patience);
        ring.close();
        const std::uint64_t tail = ring.tail();
        close_returned = true;
        join(producers);
        join(consumers);

        REQUIRE(stuck == 0);
        REQUIRE(late == 0);
        REQUIRE(strange == 0);
        REQUIRE(drawn == tail);
        REQUIRE(claimed == tail);
        REQUIRE(ring.tail() == tail);
    }
}

TEST_CASE("while the gate is down only those who may pass it draw tickets", "[ticket_ring]") {
    GOSSIP_INFO_SEED();
    Ring ring(4);
    const Patience patience;
    std::atomic<std::uint64_t> epoch{0}; // odd: the gate is surely down
    std::atomic<std::uint64_t> passed{0};
    std::atomic<int> slipped_through{0};
    std::atomic<int> stuck{0};

    auto producers = start(3, [&](std::uint64_t me) {
        const bool may_pass = me == 0;
        until(
            [&] {
                const std::uint64_t before = epoch;
                Ring::Ticket ticket = 0;
                const auto refusal = ring.reserve(ticket, may_pass);
                if (refusal == Ring::Refusal::none) {
                    const bool was_down = before % 2 == 1 && epoch == before;
                    slipped_through += was_down && !may_pass ? 1 : 0;
                    passed += was_down && may_pass ? 1 : 0;
                    ring.commit(ticket);
                }
                return refusal == Ring::Refusal::closed;
            },
            stuck, patience);
    });
    auto consumers = start(1, [&](std::uint64_t) {
        until(
            [&] {
                const bool last = ring.closed() && !ring.pending();
                if (const auto run = ring.claim(1); run.count != 0) {
                    ring.vacate(run.first);
                }
                return last;
            },
            stuck, patience);
    });
    for (int i = 0; i < 100; ++i) {
        ring.lower_gate();
        ++epoch;
        const std::uint64_t already = passed;
        until([&] { return passed > already; }, stuck, patience);
        ++epoch;
        ring.raise_gate();
        const Ring::Ticket tail = ring.tail();
        until([&] { return ring.tail() > tail; }, stuck, patience);
    }
    ring.close();
    join(producers);
    join(consumers);

    CHECK(stuck == 0);
    CHECK(slipped_through == 0);
}

TEST_CASE("a producer sees who announced its sleep, or the sleeper sees the ticket", "[ticket_ring]") {
    GOSSIP_INFO_SEED();
    constexpr int rounds = 1000;
    std::vector<std::unique_ptr<Ring>> rings;
    for (int i = 0; i < rounds; ++i) {
        rings.push_back(std::make_unique<Ring>(2));
    }
    std::vector<ShakenAtomic<bool>> asleep(rounds);
    std::vector<char> producer_saw(rounds);
    std::vector<char> sleeper_saw(rounds);
    std::atomic<int> arrived{0};
    std::atomic<int> stuck{0};
    const Patience patience;

    auto threads = start(2, [&](std::uint64_t me) {
        for (int i = 0; i < rounds; ++i) {
            const auto at = static_cast<std::size_t>(i);
            ++arrived;
            if (!until([&] { return arrived >= 2 * (i + 1); }, stuck, patience)) {
                return;
            }
            if (me == 0) {
                Ring::Ticket ticket = 0;
                producer_saw[at] = rings[at]->reserve(ticket) == Ring::Refusal::none && asleep[at].load() ? 1 : 0;
            } else {
                asleep[at].store(true);
                sleeper_saw[at] = rings[at]->pending() ? 1 : 0;
            }
        }
    });
    join(threads);

    CHECK(stuck == 0);
    int missed = 0;
    for (std::size_t i = 0; i < rounds; ++i) {
        missed += producer_saw[i] == 0 && sleeper_saw[i] == 0 ? 1 : 0;
    }
    CHECK(missed == 0);
}

} // namespace queue_schedule_test
