#include "interleavings/programs.hpp"

#include "support/catch.hpp"
#include "support/explored_atomic.hpp"
#include "support/explored_parker.hpp"
#include "support/explorer.hpp"
#include "support/seed.hpp"

#include <array>
#include <atomic>
#include <string>
#include <vector>

namespace exploring_test {

inline namespace parts {

using namespace gossip_test;

constexpr auto relaxed = std::memory_order_relaxed;

void check_every_execution(const std::vector<Program>& programs) {
    for (const Program& program : programs) {
        const Explored explored = program.explore(program.bounds);
        INFO(program.name << ", execution " << explored.executions << ":\n" << explored.story);
        CHECK(explored.failure == "");
    }
}

void check_random_executions(const std::vector<Program>& programs) {
    for (const Program& program : programs) {
        const Explored explored = program.explore_at_random(program.bounds, 10'000);
        INFO(program.name << ", execution " << explored.executions << ":\n" << explored.story);
        CHECK(explored.failure == "");
    }
}

/// Two threads, two atomics: what one load and the other saw. The textbook's examples, with the orders given.
template <std::memory_order store_order, std::memory_order load_order>
struct StoreThenLoad {
    static constexpr unsigned threads = 2;
    std::array<ExploredAtomic<int>, 2> shared;
    std::array<int, 2> saw{};

    void run(unsigned me) {
        shared[me].store(1, store_order);
        saw[me] = shared[1 - me].load(load_order);
    }
    void end() { require(saw[0] == 1 || saw[1] == 1, "both missed each other"); }
};

template <std::memory_order store_order, std::memory_order load_order>
struct Message {
    static constexpr unsigned threads = 2;
    ExploredValue message{0};
    ExploredAtomic<bool> sent{false};

    void run(unsigned me) {
        if (me == 0) {
            message = ExploredValue(1);
            sent.store(true, store_order);
        } else if (sent.load(load_order)) {
            require(message.get() == 1, "an old message was read");
        }
    }
    void end() {}
};

/// A value only ever grows; one thread's loads of it do not go back, whatever their order.
struct GoesUp {
    static constexpr unsigned threads = 2;
    ExploredAtomic<int> shared;

    void run(unsigned me) {
        if (me == 0) {
            shared.store(1, relaxed);
            shared.store(2, relaxed);
        } else {
            const int first = shared.load(relaxed);
            require(shared.load(relaxed) >= first, "a load read what is older than an earlier one had read");
        }
    }
    void end() {}
};

struct CountsToTwo {
    static constexpr unsigned threads = 2;
    ExploredAtomic<int> shared;

    void run(unsigned) { shared.store(shared.load() + 1); }
    void end() { require(shared.load() == 2, "a step was lost"); }
};

struct WaitsForNobody {
    static constexpr unsigned threads = 2;
    ExploredParker parker;
    ExploredAtomic<bool> ready;

    void run(unsigned me) {
        if (me == 0) {
            ready.store(true);
        } else if (!ready.load()) {
            parker.park(-1);
        }
    }
    void end() {}
};

constexpr Bounds bounds{.preemptions = 2, .stale_reads = 1};

template <class P>
std::string failure_of() {
    return explore<P>(bounds).failure;
}

} // namespace parts

TEST_CASE("the explorer finds what textbooks say can happen, and nothing else", "[exploring]") {
    constexpr auto acquire = std::memory_order_acquire;
    constexpr auto release = std::memory_order_release;
    constexpr auto seq_cst = std::memory_order_seq_cst;

    CHECK(failure_of<StoreThenLoad<seq_cst, seq_cst>>() == "");
    CHECK(failure_of<StoreThenLoad<release, seq_cst>>() == "both missed each other");
    CHECK(failure_of<StoreThenLoad<seq_cst, acquire>>() == "both missed each other");
    CHECK(failure_of<Message<release, acquire>>() == "");
    CHECK(failure_of<Message<release, relaxed>>() == "a data race");
    CHECK(failure_of<Message<relaxed, acquire>>() == "a data race");
    CHECK(failure_of<GoesUp>() == "");
    CHECK(failure_of<CountsToTwo>() == "a step was lost");
    CHECK(failure_of<WaitsForNobody>() == "all threads wait");
}

TEST_CASE("the explorer tells the story of the execution that failed", "[exploring]") {
    const Explored explored = explore<CountsToTwo>(bounds);

    CHECK(explored.story.find("thread 0: load exploring_test.cpp:") != std::string::npos);
    CHECK(explored.story.find("thread 1: store exploring_test.cpp:") != std::string::npos);
}

TEST_CASE("every execution of the queue within the bounds keeps its values", "[exploring]") {
    check_every_execution(queue_programs_all());
}

TEST_CASE("every execution of the parking lot within the bounds keeps its wake-ups", "[exploring]") {
    check_every_execution(parking_programs_all());
}

TEST_CASE("in every execution within the bounds somebody reads on", "[exploring]") {
    check_every_execution(reading_programs_all());
}

TEST_CASE("every execution of the inbox's parts within the bounds keeps its events", "[exploring]") {
    check_every_execution(inbox_programs_all());
}

TEST_CASE("every execution of what threads wait with within the bounds comes to its end", "[exploring]") {
    check_every_execution(waiting_programs_all());
}

TEST_CASE("in every execution within the bounds what may still be used is not freed", "[exploring]") {
    check_every_execution(reclaim_programs_all());
}

TEST_CASE("in every execution within the bounds an event ends once, and with all its failures", "[exploring]") {
    check_every_execution(settling_programs_all());
}

TEST_CASE("in every execution within the bounds what one is told of is there", "[exploring]") {
    check_every_execution(message_programs_all());
}

TEST_CASE("in every execution within the bounds numbers add up", "[exploring]") {
    check_every_execution(counting_programs_all());
}

TEST_CASE("random executions beyond the bounds keep all of that", "[exploring][random]") {
    GOSSIP_INFO_SEED();
    check_random_executions(programs_all());
}

} // namespace exploring_test
