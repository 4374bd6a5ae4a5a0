#include <gossip/concurrency/parking_lot.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace parking_lot_test {

namespace parking_lot_test {

using gossip_test::Bounded;
using gossip_test::eventually;
using Lot = gossip::ParkingLot<>;

/// What a sleeper is told.
struct Source {
    std::atomic<bool> work{false};
    std::atomic<bool> ending{false};
    std::atomic<std::int64_t> due{Lot::never};
    std::atomic<bool> moving{false}; // whether worker 0 seems to do something all the time
    mutable std::atomic<std::uint64_t> steps{0};
    [[nodiscard]] bool has_work() const { return work; }
    [[nodiscard]] bool stopping() const { return ending; }
    [[nodiscard]] std::int64_t until_due() const { return due; }
    [[nodiscard]] std::uint64_t progress(unsigned) const { return moving ? ++steps : steps.load(); }
};

/// A worker that sleeps once.
struct Sleeper {
    Sleeper(Lot& lot, unsigned me, const Source& source)
        : thread([this, &lot, me, &source] {
              lot.sleep(me, source);
              awake = true;
          }) {}
    Sleeper(const Sleeper&) = delete;
    Sleeper& operator=(const Sleeper&) = delete;
    ~Sleeper() { thread.join(); }
    std::atomic<bool> awake{false};
    std::thread thread;
};

/// Passes a sleeper's time for it: the script says whether it was unparked, given for how long it would sleep.
struct ScriptedParker {
    static inline std::int64_t time = 0;
    static inline int unparks = 0;
    static inline std::function<bool(std::int64_t)> script;
    static std::int64_t now_ns() { return time; }
    bool park(std::int64_t timeout) { return script(timeout); }
    void unpark() { ++unparks; }
};
using ScriptedLot = gossip::ParkingLot<std::atomic, ScriptedParker, std::mutex>;

/// Counts how often it is taken, on one thread.
struct CountedMutex {
    static inline int count = 0;
    static void lock() { ++count; }
    static void unlock() {}
};

} // namespace parking_lot_test

using namespace parking_lot_test;

TEST_CASE("with everybody awake nothing is unattended", "[parking_lot]") {
    Lot lot(2);
    CHECK_FALSE(lot.unattended());
    CHECK_FALSE(lot.has_sleepers());
    CHECK_FALSE(lot.has_owner());
    lot.wake_one();
    lot.wake_all();
    lot.timer_moved();
}

TEST_CASE("one worker is on duty at a time", "[parking_lot]") {
    Lot lot(2);
    CHECK(lot.take_duty(0));
    CHECK(lot.take_duty(0));
    CHECK_FALSE(lot.take_duty(1));
    CHECK(lot.on_duty(0));
    CHECK_FALSE(lot.on_duty(1));
    lot.resign(1);
    CHECK(lot.on_duty(0));
    lot.resign(0);
    CHECK_FALSE(lot.has_owner());
    CHECK(lot.take_duty(1));
}

TEST_CASE("who finds work on its way to sleep stays awake", "[parking_lot]") {
    Lot lot(1);
    Source source;
    source.work = true;
    lot.sleep(0, source);
    CHECK_FALSE(lot.has_sleepers());
    source.work = false;
    source.ending = true;
    lot.sleep(0, source);
    CHECK_FALSE(lot.has_sleepers());
    source.ending = false;
    source.due = 0;
    lot.sleep(0, source);
    CHECK_FALSE(lot.has_sleepers());
}

TEST_CASE("waking takes a sleeper and puts it on duty", "[parking_lot]") {
    const Bounded bounded("waking one");
    Lot lot(2);
    Source source;
    Sleeper sleeper(lot, 1, source);
    REQUIRE(eventually([&] { return lot.has_sleepers(); }));
    CHECK(lot.unattended());

    lot.wake_one();

    CHECK(eventually([&] { return sleeper.awake.load(); }));
    CHECK(lot.on_duty(1));
    CHECK_FALSE(lot.unattended());
    CHECK_FALSE(lot.has_sleepers());
}

TEST_CASE("while somebody is on duty nobody else is woken, except as a helper", "[parking_lot]") {
    const Bounded bounded("helpers");
    Lot lot(3);
    Source source;
    source.moving = true; // the lookout has nothing to take over
    Sleeper a(lot, 1, source);
    Sleeper b(lot, 2, source);
    REQUIRE(eventually([&] { return lot.has_sleepers(); }));
    REQUIRE(lot.take_duty(0));
    lot.wake_one();
    CHECK_FALSE(a.awake);
    CHECK_FALSE(b.awake);
    CHECK_FALSE(lot.unattended());

    lot.wake_helper();
    CHECK(eventually([&] { return a.awake || b.awake; }));
    CHECK(lot.on_duty(0));
    CHECK(eventually([&] {
        lot.wake_all(); // again: the other may just be lying down
        return a.awake && b.awake;
    }));
}

TEST_CASE("the lookout takes over from an owner that makes no progress", "[parking_lot]") {
    const Bounded bounded("the lookout");
    Lot lot(2);
    Source source;
    source.moving = true;
    REQUIRE(lot.take_duty(0));
    Sleeper lookout(lot, 1, source);
    REQUIRE(eventually([&] { return lot.has_sleepers(); }));
    CHECK(lot.watched());
    source.work = true;    // left to the owner,
    source.moving = false; // which is stuck from here on

    CHECK(eventually([&] { return lookout.awake.load(); }));
    CHECK(lot.on_duty(1));
}

TEST_CASE("the lookout takes over, however often timers move", "[parking_lot]") {
    constexpr std::int64_t often = 50'000;
    ScriptedLot lot(2);
    Source source;
    source.due = 10'000'000'000;
    REQUIRE(lot.take_duty(0)); // and is stuck
    ScriptedParker::time = 0;
    int parks = 0;
    ScriptedParker::script = [&](std::int64_t timeout) {
        source.work = true; // from when it lies down
        if (++parks == 1'000) {
            lot.wake_helper();
        }
        ScriptedParker::time += timeout < often ? timeout : often;
        return timeout > often;
    };

    lot.sleep(1, source);

    CHECK(lot.on_duty(1));
    CHECK(ScriptedParker::time == 2 * ScriptedLot::lookout_period_ns);
}

TEST_CASE("a lookout that keeps the time as well gives nobody less time for a timer that is gone", "[parking_lot]") {
    ScriptedLot lot(2);
    Source source;
    source.work = true;
    source.due = 100; // each time it is asked, and never over
    REQUIRE(lot.take_duty(0));
    ScriptedParker::time = 0;
    ScriptedParker::script = [&](std::int64_t timeout) {
        ScriptedParker::time += timeout;
        return false;
    };

    lot.sleep(1, source);

    CHECK(lot.on_duty(1));
    CHECK(ScriptedParker::time == 2 * ScriptedLot::lookout_period_ns);
}

TEST_CASE("a timer moves nobody who will be up in time for it", "[parking_lot]") {
    ScriptedLot lot(1);
    Source source;
    source.due = 1'000;
    ScriptedParker::time = 0;
    ScriptedParker::unparks = 0;
    int parks = 0;
    ScriptedParker::script = [&](std::int64_t timeout) {
        CHECK(timeout == 1'000);
        ScriptedParker::time += 400;
        lot.timer_moved(2'000);
        lot.timer_moved(600);
        CHECK(ScriptedParker::unparks == 0);
        lot.timer_moved(599);
        CHECK(ScriptedParker::unparks == 1);
        lot.timer_moved(); // the clock may have jumped
        CHECK(ScriptedParker::unparks == 2);
        ++parks;
        lot.wake_one();
        return true;
    };

    lot.sleep(0, source);

    CHECK(parks == 1);
}

TEST_CASE("without work the lookout lets the duty go, and sleeps on", "[parking_lot]") {
    const Bounded bounded("a lookout without work");
    Lot lot(2);
    Source source;
    REQUIRE(lot.take_duty(0));
    Sleeper lookout(lot, 1, source);
    CHECK(eventually([&] { return !lot.has_owner(); }));
    CHECK_FALSE(lookout.awake);
    CHECK(lot.unattended());
    lot.wake_one();
}

TEST_CASE("a timer that becomes due, or moves nearer, gets the timekeeper up", "[parking_lot]") {
    const Bounded bounded("the timekeeper");
    Lot lot(2);
    Source source;
    {
        source.due = 2'000'000;
        Sleeper keeper(lot, 0, source);
        CHECK_FALSE(keeper.awake);
        source.due = 0; // as time passes
        CHECK(eventually([&] { return keeper.awake.load(); }));
    }
    source.due = Lot::never;
    Sleeper keeper(lot, 0, source);
    REQUIRE(eventually([&] { return lot.has_sleepers(); }));
    source.due = 0;
    lot.timer_moved();
    CHECK(eventually([&] { return keeper.awake.load(); }));
}

TEST_CASE("when the timekeeper is woken for other things somebody else keeps the time", "[parking_lot]") {
    const Bounded bounded("a new timekeeper");
    Lot lot(2);
    Source source;
    Sleeper a(lot, 0, source);
    REQUIRE(eventually([&] { return lot.has_sleepers(); }));
    Sleeper b(lot, 1, source);
    lot.wake_helper();
    REQUIRE(eventually([&] { return a.awake || b.awake; }));
    source.due = 0;
    lot.timer_moved();
    CHECK(eventually([&] {
        lot.timer_moved(); // b may still have been on its way to sleep
        return a.awake && b.awake;
    }));
}

TEST_CASE("no lock is held while the source is asked for its next timer", "[parking_lot]") {
    struct Asking : Source { // as if a clock of the user's published something while it is read
        explicit Asking(Lot& its) : lot(its) {}
        [[nodiscard]] std::int64_t until_due() const {
            if (++asked < 4) {
                lot.timer_moved();
            }
            return due;
        }
        Lot& lot;
        mutable std::atomic<int> asked{0};
    };
    const Bounded bounded("a source that uses the parking lot");
    Lot lot(1);
    Asking source(lot);
    std::thread sleeper([&] { lot.sleep(0, source); });
    CHECK(eventually([&] { return source.asked >= 4; }));
    lot.wake_one();
    sleeper.join();
}

TEST_CASE("who borrows a place is on duty, and the sleeper sleeps on until it is given back", "[parking_lot]") {
    const Bounded bounded("a place that is lent");
    Lot lot(1);
    Source source;
    Sleeper sleeper(lot, 0, source);
    REQUIRE(eventually([&] { return lot.has_sleepers(); }));

    const unsigned place = lot.borrow(source);
    REQUIRE(place == 0);
    CHECK(lot.on_duty(0));
    CHECK_FALSE(lot.unattended());
    CHECK_FALSE(lot.has_sleepers());
    CHECK(lot.borrow(source) == Lot::nobody);
    lot.resign(place);
    lot.wake_one();
    lot.wake_all();
    lot.timer_moved();
    CHECK_FALSE(sleeper.awake);

    lot.give_back(place, source);
    CHECK_FALSE(sleeper.awake);
    CHECK(lot.unattended());
    lot.wake_one();
    CHECK(eventually([&] { return sleeper.awake.load(); }));
    CHECK(lot.on_duty(0));
}

TEST_CASE("nobody's place is borrowed while somebody is on duty, none sleeps, or they are to stop", "[parking_lot]") {
    const Bounded bounded("places that are not lent");
    Lot lot(2);
    Source source;
    CHECK(lot.borrow(source) == Lot::nobody);
    Sleeper sleeper(lot, 1, source);
    REQUIRE(eventually([&] { return lot.has_sleepers(); }));
    REQUIRE(lot.take_duty(0));
    CHECK(lot.borrow(source) == Lot::nobody);
    lot.resign(0);
    source.ending = true;
    CHECK(lot.borrow(source) == Lot::nobody);
    CHECK_FALSE(sleeper.awake);
    lot.wake_all();
}

TEST_CASE("a place that is given back with work, or where workers are to stop, wakes its sleeper", "[parking_lot]") {
    const Bounded bounded("a place that comes back");
    for (const bool ends : {false, true}) {
        Lot lot(1);
        Source source;
        Sleeper sleeper(lot, 0, source);
        REQUIRE(eventually([&] { return lot.has_sleepers(); }));
        const unsigned place = lot.borrow(source);
        REQUIRE(place == 0);
        (ends ? source.ending : source.work) = true;
        lot.give_back(place, source);
        CHECK(eventually([&] { return sleeper.awake.load(); }));
        CHECK_FALSE(lot.has_owner());
    }
}

TEST_CASE("a timekeeper that has lent its place keeps its time for when it is back", "[parking_lot]") {
    ScriptedLot lot(1);
    Source source;
    source.due = 1'000;
    ScriptedParker::time = 0;
    ScriptedParker::unparks = 0;
    std::vector<std::int64_t> timeouts;
    ScriptedParker::script = [&](std::int64_t timeout) {
        timeouts.push_back(timeout);
        if (timeouts.size() == 1) { // back in time: it sleeps on
            CHECK(lot.borrow(source) == 0);
            lot.give_back(0, source);
            CHECK(ScriptedParker::unparks == 0);
            CHECK(lot.borrow(source) == 0);
            ScriptedParker::time += 1'000; // and now the timer is due while its place is lent
            source.due = 0;
            return false;
        }
        if (timeouts.size() == 2) {
            lot.give_back(0, source);
            CHECK(ScriptedParker::unparks == 1);
            return true;
        }
        lot.wake_one(); // it would sleep for ever
        return true;
    };

    lot.sleep(0, source);

    CHECK(timeouts == std::vector<std::int64_t>{1'000, -1});
}

TEST_CASE("who lies down while the timekeeper's place is lent keeps the time", "[parking_lot]") {
    ScriptedLot lot(2);
    Source source;
    source.due = 1'000;
    ScriptedParker::time = 0;
    std::vector<std::int64_t> timeouts;
    ScriptedParker::script = [&](std::int64_t timeout) {
        timeouts.push_back(timeout);
        if (timeouts.size() == 1) {
            CHECK(lot.borrow(source) == 0);
            lot.resign(0); // what is begun there may take long
            lot.sleep(1, source);
            source.work = true;
            lot.give_back(0, source);
            return true;
        }
        ScriptedParker::time += 1'000; // of the other one
        source.due = 0;
        if (timeout < 0) {
            lot.wake_one(); // it would sleep for ever
        }
        return false;
    };

    lot.sleep(0, source);

    CHECK(timeouts == std::vector<std::int64_t>{1'000, 1'000});
}

TEST_CASE("borrowing and giving back a place take the lock three times and wake nobody", "[parking_lot]") {
    gossip::ParkingLot<std::atomic, ScriptedParker, CountedMutex> lot(1);
    Source source;
    int locks = 0;
    int unparks = 0;
    ScriptedParker::script = [&](std::int64_t) {
        const int locks_before = CountedMutex::count;
        const int unparks_before = ScriptedParker::unparks;
        CHECK(lot.borrow(source) == 0);
        lot.give_back(0, source);
        locks = CountedMutex::count - locks_before;
        unparks = ScriptedParker::unparks - unparks_before;
        lot.wake_one();
        return true;
    };

    lot.sleep(0, source);

    CHECK(locks == 3);
    CHECK(unparks == 0);
}

} // namespace parking_lot_test
