#include <gossip/concurrency/mpmc_queue.hpp>

#include "support/catch.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace mpmc_queue_test {

using gossip::MpmcQueue;

inline namespace parts {

/// Counts how many of it live; copies throw on demand.
struct Counted {
    static inline int alive = 0;
    static inline int copies = 0;
    static inline bool copies_throw = false;

    explicit Counted(int number) noexcept : value(number) { ++alive; }
    explicit Counted(const std::string& text) : value(std::stoi(text)) { ++alive; }
    Counted(Counted&& other) noexcept : value(std::exchange(other.value, -1)) { ++alive; }
    Counted(const Counted& other) : value(other.value) {
        if (copies_throw) {
            throw std::runtime_error("no copy");
        }
        ++copies;
        ++alive;
    }
    Counted& operator=(Counted&& other) noexcept {
        value = std::exchange(other.value, -1);
        return *this;
    }
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --alive; }

    int value;
};

/// Neither copied nor assigned.
struct Pinned {
    explicit Pinned(int number) noexcept : value(number) {}
    Pinned(Pinned&& other) noexcept = default;
    Pinned& operator=(Pinned&&) = delete;
    const int value;
};

struct alignas(128) Wide {
    int value = 0;
};

struct Fresh {
    Fresh() {
        Counted::alive = 0;
        Counted::copies = 0;
        Counted::copies_throw = false;
    }
};

template <class T>
concept pushes_copies = requires(MpmcQueue<T>& queue, const T& value) {
    queue.try_push(value);
};

static_assert(pushes_copies<int>);
static_assert(!pushes_copies<std::unique_ptr<int>>);
static_assert(!std::is_copy_constructible_v<MpmcQueue<int>> && !std::is_move_constructible_v<MpmcQueue<int>>);
static_assert(!std::is_convertible_v<std::size_t, MpmcQueue<int>>);
static_assert(noexcept(std::declval<MpmcQueue<Counted>&>().try_emplace(1)));
static_assert(!noexcept(std::declval<MpmcQueue<Counted>&>().try_emplace(std::string())));

} // namespace parts

TEST_CASE("a capacity is rounded up to a power of two, at least two", "[mpmc_queue]") {
    CHECK(MpmcQueue<int>(1).capacity() == 2);
    CHECK(MpmcQueue<int>(2).capacity() == 2);
    CHECK(MpmcQueue<int>(5).capacity() == 8);
    CHECK(MpmcQueue<int>(1000).capacity() == 1024);
}

TEST_CASE("a capacity that cannot be is refused", "[mpmc_queue]") {
    using Queue = MpmcQueue<int>;

    CHECK_THROWS_AS(Queue(0), std::invalid_argument);
    CHECK_THROWS_AS(Queue(Queue::max_capacity + 1), std::length_error);
    CHECK_THROWS_AS(Queue(std::numeric_limits<std::size_t>::max()), std::length_error);
}

TEST_CASE("values come out in the order in which they went in", "[mpmc_queue]") {
    MpmcQueue<int> queue(4);

    for (int lap = 0; lap < 100; ++lap) {
        for (int i = 0; i < 3; ++i) {
            REQUIRE(queue.try_push(lap * 3 + i));
        }
        for (int i = 0; i < 3; ++i) {
            CHECK(queue.try_pop() == lap * 3 + i);
        }
    }
    CHECK(queue.try_pop() == std::nullopt);
}

TEST_CASE("a full queue leaves the value with the caller", "[mpmc_queue]") {
    MpmcQueue<std::unique_ptr<int>> queue(2);
    REQUIRE(queue.try_push(std::make_unique<int>(1)));
    REQUIRE(queue.try_push(std::make_unique<int>(2)));

    auto rejected = std::make_unique<int>(3);
    CHECK_FALSE(queue.try_push(std::move(rejected)));
    CHECK_FALSE(queue.try_emplace(std::move(rejected)));

    REQUIRE(rejected != nullptr);
    CHECK(*rejected == 3);
}

TEST_CASE("an empty queue leaves the target alone", "[mpmc_queue]") {
    MpmcQueue<int> queue(2);

    int target = 7;
    CHECK_FALSE(queue.try_pop(target));
    CHECK(target == 7);

    REQUIRE(queue.try_push(8));
    CHECK(queue.try_pop(target));
    CHECK(target == 8);
}

TEST_CASE("the size counts what is in the queue", "[mpmc_queue]") {
    MpmcQueue<int> queue(2);
    CHECK(queue.empty_approx());

    REQUIRE(queue.try_push(1));
    CHECK(queue.size_approx() == 1);
    REQUIRE(queue.try_push(2));
    CHECK_FALSE(queue.try_push(3));
    CHECK(queue.size_approx() == 2);

    CHECK(queue.try_pop() == 1);
    CHECK(queue.size_approx() == 1);
    CHECK(queue.try_pop() == 2);
    CHECK(queue.empty_approx());
}

TEST_CASE("a run takes the oldest values, up to as many as asked for", "[mpmc_queue]") {
    MpmcQueue<std::unique_ptr<int>> queue(8);
    for (int i = 0; i < 5; ++i) {
        REQUIRE(queue.try_emplace(std::make_unique<int>(i)));
    }
    std::vector<int> got;
    const auto sink = [&](std::unique_ptr<int>&& value) noexcept { got.push_back(*value); };

    CHECK(queue.try_pop_run(0, sink) == 0);
    CHECK(queue.try_pop_run(3, sink) == 3);
    CHECK(got == std::vector{0, 1, 2});
    CHECK(queue.try_pop_run(std::numeric_limits<std::size_t>::max(), sink) == 2);
    CHECK(got == std::vector{0, 1, 2, 3, 4});
    CHECK(queue.try_pop_run(3, sink) == 0);
}

TEST_CASE("a run moves to the front of a span and leaves the rest of it", "[mpmc_queue]") {
    MpmcQueue<int> queue(4);
    REQUIRE(queue.try_push(1));
    REQUIRE(queue.try_push(2));

    std::array into{-1, -1, -1};
    CHECK(queue.try_pop_run(into) == 2);
    CHECK(into == std::array{1, 2, -1});
    CHECK(queue.try_pop_run(std::span<int>{}) == 0);
}

TEST_CASE("each slot of a run is free once its value has been handed over", "[mpmc_queue]") {
    MpmcQueue<int> queue(2);
    REQUIRE(queue.try_push(1));
    REQUIRE(queue.try_push(2));

    std::vector<bool> pushed;
    const auto sink = [&](int&& value) noexcept { pushed.push_back(queue.try_push(value + 10)); };
    CHECK(queue.try_pop_run(2, sink) == 2);

    CHECK(pushed == std::vector{false, true});
    CHECK(queue.try_pop() == 12);
}

TEST_CASE("every value is destroyed once, those left in the queue too", "[mpmc_queue]") {
    const Fresh fresh;
    {
        MpmcQueue<Counted> queue(4);
        for (int i = 0; i < 4; ++i) {
            REQUIRE(queue.try_emplace(i));
        }
        CHECK(Counted::alive == 4);
        CHECK(queue.try_pop()->value == 0);
        CHECK(queue.try_pop_run(1, [](Counted&&) noexcept {}) == 1);
        CHECK(Counted::alive == 2);
        REQUIRE(queue.try_push(Counted(4)));
        CHECK(Counted::alive == 3);
    }
    CHECK(Counted::alive == 0);
}

TEST_CASE("a copy that throws adds nothing", "[mpmc_queue]") {
    const Fresh fresh;
    MpmcQueue<Counted> queue(2);
    const Counted original(1);

    Counted::copies_throw = true;
    CHECK_THROWS_AS(queue.try_push(original), std::runtime_error);
    CHECK_THROWS_AS(queue.try_emplace(std::string("no number")), std::invalid_argument);
    CHECK(queue.empty_approx());
    CHECK(queue.try_pop() == std::nullopt);

    Counted::copies_throw = false;
    CHECK(queue.try_push(original));
    CHECK(queue.try_emplace(std::string("2")));
    CHECK(queue.try_pop()->value == 1);
    CHECK(queue.try_pop()->value == 2);
}

TEST_CASE("a full queue makes no copy", "[mpmc_queue]") {
    const Fresh fresh;
    MpmcQueue<Counted> queue(2);
    const Counted original(1);
    REQUIRE(queue.try_push(original));
    REQUIRE(queue.try_push(original));

    CHECK_FALSE(queue.try_push(original));

    CHECK(Counted::copies == 2);
}

TEST_CASE("values that cannot be assigned can be queued", "[mpmc_queue]") {
    MpmcQueue<Pinned> queue(2);

    REQUIRE(queue.try_emplace(1));
    const auto value = queue.try_pop();

    REQUIRE(value);
    CHECK(value->value == 1);
}

TEST_CASE("values of wide alignment are aligned in their slots", "[mpmc_queue]") {
    MpmcQueue<Wide> queue(4);
    int misaligned = 0;
    for (int i = 0; i < 4; ++i) {
        REQUIRE(queue.try_push(Wide{i}));
    }

    const auto sink = [&](Wide&& value) noexcept {
        misaligned += reinterpret_cast<std::uintptr_t>(&value) % alignof(Wide) == 0 ? 0 : 1;
    };
    CHECK(queue.try_pop_run(4, sink) == 4);

    CHECK(misaligned == 0);
}

} // namespace mpmc_queue_test
