#include <gossip/concurrency/timer_queue.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace timer_queue_test {

using gossip::TimerId;
using gossip::TimerQueue;

inline namespace parts {

constexpr std::int64_t never = TimerQueue<int>::never;
constexpr std::int64_t first_time = std::numeric_limits<std::int64_t>::min();

/// Runs `action` with its first allocation failing, then its second, and so on until it succeeds; `after_failure` is
/// called after each failure. Returns how many failed.
template <class Action, class Check>
int fail_each_allocation(Action action, Check after_failure) {
    for (int failures = 0;; ++failures) {
        support::fail_allocation_after(failures);
        try {
            action();
            support::fail_allocation_after(-1);
            return failures;
        } catch (const std::bad_alloc&) {
            support::fail_allocation_after(-1);
            after_failure();
        }
    }
}

std::uint64_t test_seed() {
    const char* const text = std::getenv("GOSSIP_TEST_SEED");
    return text != nullptr ? std::strtoull(text, nullptr, 0) : 20240229;
}

template <class Queue>
std::vector<int> pop_all(Queue& queue, std::int64_t now) {
    std::vector<int> values;
    while (auto value = queue.pop_due(now)) {
        values.push_back(*value);
    }
    return values;
}

/// An atomic that gives the processor away around every operation, so that threads meet between them.
template <class T>
class YieldingAtomic {
public:
    explicit YieldingAtomic(T value) noexcept : value_(value) {}

    T load(std::memory_order order) const noexcept {
        std::this_thread::yield();
        return value_.load(order);
    }

    void store(T value, std::memory_order order) noexcept {
        std::this_thread::yield();
        value_.store(value, order);
        std::this_thread::yield();
    }

private:
    std::atomic<T> value_;
};

} // namespace parts

TEST_CASE("timers come out by due time, and equal times in the order of adding", "[timer_queue]") {
    TimerQueue<int> queue;
    queue.add(30, 5);
    queue.add(10, 1);
    queue.add(20, 3);
    queue.add(10, 2);
    queue.add(20, 4);

    const auto values = pop_all(queue, 30);

    CHECK(values == std::vector<int>{1, 2, 3, 4, 5});
    CHECK(queue.empty());
}

TEST_CASE("a hundred thousand equal times keep the order of adding", "[timer_queue]") {
    TimerQueue<int> queue;
    for (int i = 0; i < 100'000; ++i) {
        queue.add(7, int{i});
    }

    const auto values = pop_all(queue, 7);

    REQUIRE(values.size() == 100'000);
    CHECK(std::is_sorted(values.begin(), values.end()));
}

TEST_CASE("a timer is due at its time, not before", "[timer_queue]") {
    TimerQueue<int> queue;
    queue.add(10, 1);

    CHECK_FALSE(queue.pop_due(9));
    CHECK(queue.size() == 1);

    CHECK(queue.pop_due(10) == 1);
    CHECK_FALSE(queue.pop_due(10));
}

TEST_CASE("cancel gives the value back exactly once", "[timer_queue]") {
    TimerQueue<std::unique_ptr<int>> queue;
    const TimerId id = queue.add(10, std::make_unique<int>(1));

    auto first = queue.cancel(id);
    auto second = queue.cancel(id);

    REQUIRE(first);
    CHECK(**first == 1);
    CHECK_FALSE(second);
    CHECK(queue.empty());
}

TEST_CASE("a timer that was popped or taken cannot be cancelled", "[timer_queue]") {
    TimerQueue<int> queue;
    const TimerId popped = queue.add(1, 1);
    const TimerId taken_by_predicate = queue.add(2, 2);
    const TimerId taken_with_all = queue.add(3, 3);
    REQUIRE(queue.pop_due(1) == 1);
    REQUIRE(queue.take_if([](int value) { return value == 2; }) == std::vector<int>{2});
    REQUIRE(queue.take_all() == std::vector<int>{3});

    CHECK_FALSE(queue.cancel(popped));
    CHECK_FALSE(queue.cancel(taken_by_predicate));
    CHECK_FALSE(queue.cancel(taken_with_all));
}

TEST_CASE("an old id never means the timer that now has its place", "[timer_queue]") {
    TimerQueue<int> queue;
    std::vector<TimerId> old;
    for (int i = 0; i < 200; ++i) {
        old.push_back(queue.add(i, int{i}));
    }
    SECTION("after cancelling") {
        for (const TimerId id : old) {
            REQUIRE(queue.cancel(id));
        }
    }
    SECTION("after popping") { REQUIRE(pop_all(queue, never).size() == 200); }
    SECTION("after taking all") { REQUIRE(queue.take_all().size() == 200); }

    for (int i = 0; i < 200; ++i) {
        const TimerId id = queue.add(i, int{i});
        CHECK(std::find(old.begin(), old.end(), id) == old.end());
    }

    for (const TimerId id : old) {
        CHECK_FALSE(queue.cancel(id));
    }
    CHECK(queue.size() == 200);
}

TEST_CASE("an id made by default names no timer", "[timer_queue]") {
    TimerQueue<int> queue;

    CHECK_FALSE(TimerId{});
    CHECK_FALSE(queue.cancel(TimerId{}));

    CHECK(queue.add(1, 1));
    CHECK_FALSE(queue.cancel(TimerId{}));
    CHECK(queue.size() == 1);
}

TEST_CASE("next_due follows every change of the earliest timer", "[timer_queue]") {
    TimerQueue<int> queue;
    CHECK(queue.next_due() == never);

    queue.add(50, 5);
    const TimerId third = queue.add(30, 3);
    queue.add(40, 4);
    queue.add(20, 2);
    CHECK(queue.next_due() == 20);

    REQUIRE(queue.pop_due(20));
    CHECK(queue.next_due() == 30);

    REQUIRE(queue.cancel(third));
    CHECK(queue.next_due() == 40);

    REQUIRE(queue.take_if([](int value) { return value == 4; }).size() == 1);
    CHECK(queue.next_due() == 50);

    REQUIRE(queue.take_all().size() == 1);
    CHECK(queue.next_due() == never);
}

TEST_CASE("an adder learns whether its timer became the earliest", "[timer_queue]") {
    TimerQueue<int> queue;
    const auto becomes_earliest = [&queue](std::int64_t due) {
        bool earliest = queue.size() % 2 == 0; // it is written in either case
        queue.add(due, 0, &earliest);
        return earliest;
    };

    CHECK(becomes_earliest(50));
    CHECK_FALSE(becomes_earliest(50));
    CHECK_FALSE(becomes_earliest(60));
    CHECK(becomes_earliest(40));
    CHECK(becomes_earliest(first_time));

    REQUIRE(queue.pop_due(0));
    CHECK(becomes_earliest(39));
}

TEST_CASE("every time is valid, from the first to never", "[timer_queue]") {
    TimerQueue<int> queue;
    bool earliest = true;

    queue.add(never, 5, &earliest);
    CHECK_FALSE(earliest); // nobody need wake up for it
    CHECK(queue.next_due() == never);
    CHECK(queue.size() == 1);
    CHECK_FALSE(queue.empty());

    queue.add(never - 1, 4);
    queue.add(0, 3);
    queue.add(-1, 2);
    queue.add(first_time, 1);
    CHECK(queue.next_due() == first_time);

    CHECK(pop_all(queue, first_time) == std::vector<int>{1});
    CHECK(pop_all(queue, -1) == std::vector<int>{2});
    CHECK(pop_all(queue, never - 1) == std::vector<int>{3, 4});
    CHECK(pop_all(queue, never) == std::vector<int>{5});
}

TEST_CASE("a timer at never can be cancelled", "[timer_queue]") {
    TimerQueue<int> queue;
    const TimerId id = queue.add(never, 1);

    CHECK(queue.cancel(id) == 1);
    CHECK(queue.empty());
}

TEST_CASE("due_after stops at the ends of time", "[timer_queue]") {
    using Queue = TimerQueue<int>;

    STATIC_REQUIRE(Queue::due_after(5, 3) == 8);
    STATIC_REQUIRE(Queue::due_after(5, -8) == -3);
    STATIC_REQUIRE(Queue::due_after(5, 0) == 5);
    STATIC_REQUIRE(Queue::due_after(1, never) == never);
    STATIC_REQUIRE(Queue::due_after(0, never) == never);
    STATIC_REQUIRE(Queue::due_after(-1, never) == never - 1);
    STATIC_REQUIRE(Queue::due_after(never, never) == never);
    STATIC_REQUIRE(Queue::due_after(never, 1) == never);
    STATIC_REQUIRE(Queue::due_after(never, first_time) == -1);
    STATIC_REQUIRE(Queue::due_after(first_time, first_time) == first_time);
    STATIC_REQUIRE(Queue::due_after(first_time, -1) == first_time);
    STATIC_REQUIRE(Queue::due_after(-1, first_time) == first_time);
    STATIC_REQUIRE(Queue::due_after(0, first_time) == first_time);
    STATIC_REQUIRE(Queue::due_after(first_time, never) == -1);
}

TEST_CASE("take_all gives everything in the order of due times", "[timer_queue]") {
    TimerQueue<int> queue;
    queue.add(never, 4);
    queue.add(20, 2);
    queue.add(10, 1);
    queue.add(20, 3);

    CHECK(queue.take_all() == std::vector<int>{1, 2, 3, 4});

    CHECK(queue.empty());
    CHECK(queue.take_all().empty());
    queue.add(5, 6);
    CHECK(queue.pop_due(5) == 6);
}

TEST_CASE("take_if takes what it is told, in the order of due times, and leaves the rest in theirs", "[timer_queue]") {
    TimerQueue<int> queue;
    std::vector<TimerId> ids;
    for (int i = 0; i < 1000; ++i) {
        ids.push_back(queue.add((i * 37) % 1000, (i * 37) % 1000));
    }
    int asked = 0;

    const auto taken = queue.take_if([&asked](const int& value) {
        ++asked;
        return value % 3 == 0;
    });

    CHECK(asked == 1000);
    CHECK(taken.size() == 334);
    CHECK(std::is_sorted(taken.begin(), taken.end()));
    CHECK(queue.cancel(ids[1]) == 37);
    const auto rest = pop_all(queue, 1000);
    CHECK(rest.size() == 665);
    CHECK(std::is_sorted(rest.begin(), rest.end()));
}

TEST_CASE("a predicate that throws leaves every timer where it was", "[timer_queue]") {
    TimerQueue<int> queue;
    std::vector<TimerId> ids;
    for (int i = 0; i < 100; ++i) {
        ids.push_back(queue.add(100 - i, int{i}));
    }
    int asked = 0;

    CHECK_THROWS_AS(queue.take_if([&asked](int value) {
        return ++asked > 60 ? throw std::runtime_error("no answer") : value % 2 == 0;
    }),
                    std::runtime_error);

    CHECK(queue.size() == 100);
    CHECK(queue.next_due() == 1);
    for (int i = 0; i < 100; i += 3) {
        CHECK(queue.cancel(ids[static_cast<std::size_t>(i)]) == i);
    }
    const auto rest = pop_all(queue, 1000);
    CHECK(rest.size() == 66);
    CHECK(std::is_sorted(rest.rbegin(), rest.rend()));
}

TEST_CASE("add without memory leaves the queue as it was and the value with the caller", "[timer_queue]") {
    TimerQueue<std::unique_ptr<int>> queue;
    int failures = 0;
    for (int i = 0; i < 300; ++i) {
        auto value = std::make_unique<int>(i);
        bool earliest = false;
        const std::size_t size = queue.size();
        const std::int64_t next_due = queue.next_due();

        failures += fail_each_allocation([&] { queue.add(1000 - i, std::move(value), &earliest); },
                                         [&] {
                                             REQUIRE(value != nullptr);
                                             REQUIRE(*value == i);
                                             REQUIRE_FALSE(earliest);
                                             REQUIRE(queue.size() == size);
                                             REQUIRE(queue.next_due() == next_due);
                                         });

        REQUIRE(value == nullptr);
        REQUIRE(earliest);
    }
    CHECK((failures > 0) == support::allocations_are_counted());

    for (int i = 299; i >= 0; --i) {
        const auto value = queue.pop_due(1000);
        REQUIRE(value);
        REQUIRE(**value == i);
    }
    CHECK(queue.empty());
}

TEST_CASE("taking without memory leaves the queue as it was, and popping needs none", "[timer_queue]") {
    TimerQueue<int> queue;
    for (int i = 0; i < 100; ++i) {
        queue.add(100 - i, int{i});
    }
    const auto unchanged = [&queue] {
        REQUIRE(queue.size() == 100);
        REQUIRE(queue.next_due() == 1);
    };

    SECTION("take_all") {
        std::vector<int> taken;
        const int failures = fail_each_allocation([&] { taken = queue.take_all(); }, unchanged);
        CHECK((failures > 0) == support::allocations_are_counted());
        CHECK(taken.size() == 100);
        CHECK(std::is_sorted(taken.rbegin(), taken.rend()));
    }
    SECTION("take_if") {
        std::vector<int> taken;
        const int failures =
            fail_each_allocation([&] { taken = queue.take_if([](int value) { return value < 10; }); }, unchanged);
        CHECK((failures > 0) == support::allocations_are_counted());
        CHECK(taken == std::vector<int>{9, 8, 7, 6, 5, 4, 3, 2, 1, 0});
        CHECK(queue.size() == 90);
    }
    SECTION("take_some") {
        std::array<int, 4> room{};
        std::vector<int> taken;
        support::fail_allocation_after(0);
        const std::size_t first = queue.take_some([](int value) { return value < 10; }, room);
        support::fail_allocation_after(-1);
        CHECK(first == room.size());
        for (std::size_t count = first; count != 0;
             count = queue.take_some([](int value) { return value < 10; }, room)) {
            taken.insert(taken.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(count));
        }
        std::sort(taken.begin(), taken.end());
        CHECK(taken == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
        const std::vector<int> left = pop_all(queue, never);
        CHECK(left.size() == 90);
        CHECK(left.front() == 99);
        CHECK(std::is_sorted(left.rbegin(), left.rend()));
    }
    SECTION("pop_due and cancel") {
        const TimerId id = queue.add(0, 1000);
        support::fail_allocation_after(0);
        const auto cancelled = queue.cancel(id);
        const auto popped = queue.pop_due(1);
        support::fail_allocation_after(-1);
        CHECK(cancelled == 1000);
        CHECK(popped == 99);
    }
}

TEST_CASE("a value may call the queue when it is destroyed", "[timer_queue]") {
    struct Caller {
        TimerQueue<std::unique_ptr<int, Caller>>* queue;
        void operator()(const int* value) const {
            (void)queue->size(); // would wait for ever if the lock were held
            delete value;
        }
    };
    TimerQueue<std::unique_ptr<int, Caller>> queue;
    std::vector<TimerId> ids;
    for (int i = 0; i < 8; ++i) {
        ids.push_back(queue.add(i, {new int(i), Caller{&queue}}));
    }

    (void)queue.cancel(ids[3]);
    (void)queue.pop_due(0);
    (void)queue.take_if([](const auto& value) { return *value > 5; });
    (void)queue.take_all();

    CHECK(queue.empty());
}

TEST_CASE("values still pending are destroyed with the queue", "[timer_queue]") {
    const auto witness = std::make_shared<int>(0);
    {
        TimerQueue<std::shared_ptr<int>> queue;
        for (int i = 0; i < 100; ++i) {
            queue.add(i, std::shared_ptr<int>(witness));
        }
        (void)queue.pop_due(50);
        REQUIRE(witness.use_count() == 100);
    }

    CHECK(witness.use_count() == 1);
}

TEST_CASE("values keep the alignment they ask for", "[timer_queue]") {
    struct alignas(64) Wide {
        const Wide* born = nullptr;
    };
    TimerQueue<Wide> queue;
    for (int i = 0; i < 200; ++i) {
        queue.add(i, Wide{});
    }

    bool aligned = true;
    (void)queue.take_if([&aligned](const Wide& value) {
        aligned = aligned && reinterpret_cast<std::uintptr_t>(&value) % alignof(Wide) == 0;
        return false;
    });

    CHECK(aligned);
}

TEST_CASE("random operations do what a multimap does", "[timer_queue][model]") {
    struct Pending {
        int value;
        TimerId id;
    };
    const std::uint64_t seed = test_seed();
    INFO("GOSSIP_TEST_SEED=" << seed);
    std::mt19937_64 random(seed);
    const auto below = [&random](std::uint64_t bound) { return static_cast<std::int64_t>(random() % bound); };

    TimerQueue<int> queue;
    std::multimap<std::int64_t, Pending> model; // insert() puts equal keys last: the order of adding
    std::vector<TimerId> ids;                   // of all timers ever, most of them gone
    std::int64_t now = 0;
    int next_value = 0;
    const auto model_next = [&model] { return model.empty() ? never : model.begin()->first; };

    for (int step = 0; step < 60'000; ++step) {
        INFO("step " << step);
        const bool filling = step / 3000 % 2 == 0; // long ups and downs, so that the queue is deep and then empty
        const std::int64_t action = below(1000);
        if (action < (filling ? 600 : 300)) {
            const std::int64_t kind = below(50);
            const std::int64_t due = kind == 0   ? never
                                     : kind == 1 ? first_time
                                     : kind < 5  ? now - below(100)
                                                 : TimerQueue<int>::due_after(now, below(300));
            const bool expected = due < model_next();
            bool earliest = !expected;
            const TimerId id = queue.add(due, int{next_value}, &earliest);
            model.insert({due, {next_value, id}});
            ids.push_back(id);
            ++next_value;
            REQUIRE(earliest == expected);
        } else if (action < 700 && !ids.empty()) {
            const std::int64_t reach = std::min<std::int64_t>(static_cast<std::int64_t>(ids.size()), 500);
            const TimerId id = ids[ids.size() - 1 - static_cast<std::size_t>(below(static_cast<std::uint64_t>(reach)))];
            const auto found =
                std::find_if(model.begin(), model.end(), [id](const auto& entry) { return entry.second.id == id; });
            const auto cancelled = queue.cancel(id);
            REQUIRE(cancelled.has_value() == (found != model.end()));
            if (cancelled) {
                REQUIRE(*cancelled == found->second.value);
                model.erase(found);
            }
        } else if (action < 990) {
            now += below(filling ? 2 : 4);
            const auto popped = queue.pop_due(now);
            REQUIRE(popped.has_value() == (model_next() <= now && !model.empty()));
            if (popped) {
                REQUIRE(*popped == model.begin()->second.value);
                model.erase(model.begin());
            }
        } else if (action < 999) {
            const auto divisor = static_cast<int>(below(20)) + 2;
            std::vector<int> expected;
            for (auto entry = model.begin(); entry != model.end();) {
                if (entry->second.value % divisor == 0) {
                    expected.push_back(entry->second.value);
                    entry = model.erase(entry);
                } else {
                    ++entry;
                }
            }
            REQUIRE(queue.take_if([divisor](int value) { return value % divisor == 0; }) == expected);
        } else if (below(4) == 0) {
            std::vector<int> expected;
            for (const auto& entry : model) {
                expected.push_back(entry.second.value);
            }
            model.clear();
            REQUIRE(queue.take_all() == expected);
        }
        REQUIRE(queue.next_due() == model_next());
        REQUIRE(queue.size() == model.size());
    }
    CHECK(ids.size() > 10'000);
}

TEST_CASE("of all threads that cancel, pop and take, exactly one gets each value", "[timer_queue][threads]") {
    constexpr int adders = 2;
    constexpr int per_adder = 5000;
    TimerQueue<std::unique_ptr<int>> queue;
    std::vector<std::atomic<int>> seen(adders * per_adder);
    std::atomic<int> adding{adders};
    const auto count = [&seen](const std::unique_ptr<int>& value) { ++seen[static_cast<std::size_t>(*value)]; };

    std::vector<std::thread> threads;
    for (int adder = 0; adder < adders; ++adder) {
        threads.emplace_back([&, adder] {
            for (int i = 0; i < per_adder; ++i) {
                const int value = adder * per_adder + i;
                const TimerId id = queue.add((value * 7919) % 1000, std::make_unique<int>(value));
                if (i % 2 == 0) {
                    if (const auto cancelled = queue.cancel(id)) {
                        count(*cancelled);
                    }
                }
            }
            --adding;
        });
    }
    threads.emplace_back([&] {
        while (adding != 0 || !queue.empty()) {
            while (const auto value = queue.pop_due(queue.next_due())) {
                count(*value);
            }
            std::this_thread::yield();
        }
    });
    threads.emplace_back([&] {
        while (adding != 0) {
            for (const auto& value : queue.take_if([](const auto& pending) { return *pending % 5 == 0; })) {
                count(value);
            }
            for (const auto& value : queue.take_all()) {
                count(value);
            }
        }
    });
    for (auto& thread : threads) {
        thread.join();
    }

    CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& times) { return times == 1; }));
}

TEMPLATE_TEST_CASE("either the sleeper sees the new timer or the adder sees the sleeper", "[timer_queue][threads]",
                   (TimerQueue<int>), (TimerQueue<int, YieldingAtomic>)) {
    constexpr int rounds = 4000;
    TestType queue;
    std::atomic<bool> sleeping{false};
    std::atomic<int> arrived{0};
    bool adder_saw = false;
    bool sleeper_saw = false;
    const auto meet = [&arrived](int goal) { // both threads leave at about the same time
        ++arrived;
        while (arrived < goal) {
            std::this_thread::yield();
        }
    };

    int missed = 0;
    std::thread sleeper([&] {
        for (int i = 0; i < rounds; ++i) {
            meet(4 * i + 2);
            sleeping.store(true);
            sleeper_saw = queue.next_due() == 1;
            meet(4 * i + 4);
        }
    });
    for (int i = 0; i < rounds; ++i) {
        adder_saw = sleeper_saw = false;
        sleeping = false;
        meet(4 * i + 2);
        bool earliest = false;
        queue.add(1, int{i}, &earliest);
        adder_saw = earliest && sleeping.load();
        meet(4 * i + 4);
        missed += !adder_saw && !sleeper_saw;
        missed += queue.pop_due(1) != i;
    }
    sleeper.join();

    CHECK(missed == 0);
}

} // namespace timer_queue_test
