#include <gossip/dispatch/engine.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace inbox_test {

using gossip::Event;
using gossip::Priority;
using gossip::detail::Inbox;
using gossip::detail::Seat;
using gossip::detail::TakenEvent;
using Refusal = gossip::detail::EventRing::Refusal;

inline constexpr gossip::Topic<int> number{"inbox.number"};

struct Box {
    Inbox inbox;
    Seat seat{};

    explicit Box(std::size_t capacity, unsigned workers = 0) : inbox(capacity, workers) {}

    Refusal put(int value, const std::string& key = "", Priority priority = Priority::normal) {
        Event event = Event{number, value}.with_key(key).with_priority(priority);
        const Refusal refusal = inbox.offer(event);
        CHECK((refusal == Refusal::none || event.data<int>() == value));
        return refusal;
    }
    /// -1: nothing may run.
    int take(unsigned worker = Inbox::no_worker, bool let_go = true) {
        TakenEvent event;
        if (!inbox.take_by_priority(worker, seat, event)) {
            return -1;
        }
        const int value = event->data<int>();
        if (let_go && event->has_key()) {
            static_cast<void>(inbox.pass_key_on(*event));
        }
        return value;
    }
    void let_go(const std::string& key) { static_cast<void>(inbox.pass_key_on(Event{number, 0}.with_key(key))); }
    static constexpr std::size_t normal = Inbox::normal;
};

TEST_CASE("a publisher may sleep while a lane is full of events that wait for their key", "[inbox]") {
    Box box(2, 1);
    REQUIRE(box.put(0, "k") == Refusal::none);
    REQUIRE(box.put(1, "k") == Refusal::none);
    REQUIRE(box.take(0, false) == 0);
    REQUIRE(box.put(2, "k") == Refusal::none);
    REQUIRE(box.put(3) == Refusal::full);
    REQUIRE(box.take(0) == -1); // consumers step over what is parked

    CHECK(box.inbox.really_full(Box::normal));
    CHECK_FALSE(box.inbox.has_work());
    box.let_go("k");
    CHECK(box.inbox.has_work());
    CHECK(box.take(0, false) == 1);
    CHECK_FALSE(box.inbox.really_full(Box::normal));
}

TEST_CASE("who claims ahead is told when it has kept something that nobody could see before", "[inbox]") {
    Box box(16, 2);
    for (int i = 0; i < 5; ++i) {
        REQUIRE(box.put(i) == Refusal::none);
    }
    const auto keeps = [&box](unsigned worker, std::uint32_t most) {
        TakenEvent event;
        bool kept = false;
        REQUIRE(box.inbox.take_plain(worker, most, event, kept));
        return kept;
    };

    CHECK_FALSE(keeps(0, 1));
    CHECK(keeps(0, 3));
    CHECK_FALSE(keeps(0, 3)); // of what it has kept
    CHECK(box.inbox.has_run(0));
    CHECK_FALSE(keeps(1, 3)); // the last one in line
    CHECK_FALSE(box.inbox.has_run(1));
}

TEST_CASE("what has got its key takes its turn by its ticket among those that never waited", "[inbox]") {
    const unsigned worker = GENERATE(0U, Inbox::no_worker);
    Box box(16, 1);
    for (int i = 0; i < 12; ++i) {
        REQUIRE(box.put(i, i % 4 == 1 || i % 4 == 2 ? "k" : "") == Refusal::none);
    }
    for (int i = 0; i < 12; ++i) {
        CHECK(box.take(worker) == i);
    }
    CHECK(box.take(worker) == -1);
}

TEST_CASE("the number of waiting events is exact while nobody is publishing or taking", "[inbox]") {
    Box box(4);
    for (int lap = 0; lap < 9; ++lap) {
        CHECK(box.put(0, "k") == Refusal::none);
        CHECK(box.put(1, "k") == Refusal::none);
        CHECK(box.put(2) == Refusal::none);
        CHECK(box.inbox.waiting() == 3);
        CHECK(box.take(Inbox::no_worker, false) == 0);
        CHECK(box.inbox.waiting() == 2);
        CHECK(box.take() == 2);
        CHECK(box.take() == -1);
        CHECK(box.inbox.waiting() == 1);
        CHECK(box.put(3) == Refusal::none);
        CHECK(box.put(4, "k") == Refusal::none);
        CHECK(box.put(5) == Refusal::none);
        CHECK(box.put(6) == Refusal::full);
        CHECK(box.inbox.waiting() == 4);
        box.let_go("k");
        CHECK(box.inbox.waiting() == 4);
        CHECK(box.take() == 1);
        CHECK(box.take() == 3);
        CHECK(box.take() == 4);
        CHECK(box.take() == 5);
        CHECK(box.inbox.waiting() == 0);
    }
    CHECK(box.inbox.accepted() == 54);
}

TEST_CASE("a worker's claimed run counts as waiting and can be taken over in order by others", "[inbox]") {
    Box box(16, 2);
    for (int i = 0; i < 9; ++i) {
        REQUIRE(box.put(i) == Refusal::none);
    }
    TakenEvent event;
    bool kept = false;
    REQUIRE(box.inbox.take_plain(0, 32, event, kept)); // worker 0 holds 1 to 8
    CHECK(event->data<int>() == 0);
    event.reset();
    CHECK(box.inbox.waiting() == 8);
    CHECK(box.inbox.unclaimed() == 0);
    CHECK(box.inbox.has_work());

    std::vector<int> stolen;
    while (box.inbox.steal(1, event)) {
        stolen.push_back(event->data<int>());
        event.reset();
        while (box.inbox.take_plain(1, 1, event, kept)) {
            stolen.push_back(event->data<int>());
            event.reset();
        }
    }
    CHECK(stolen == std::vector<int>{5, 6, 7, 8, 3, 4, 2, 1});
    CHECK_FALSE(box.inbox.take_plain(0, 32, event, kept));
    CHECK(box.inbox.waiting() == 0);
    CHECK_FALSE(box.inbox.has_work());
}

TEST_CASE("what a worker has claimed and does not begin is taken over by those who always find something else",
          "[inbox]") {
    Box box(256, 3);
    for (int i = 0; i < 5; ++i) {
        REQUIRE(box.put(i) == Refusal::none);
    }
    TakenEvent event;
    bool kept = false;
    REQUIRE(box.inbox.take_plain(0, 32, event, kept)); // worker 0 holds 1 to 4
    REQUIRE(kept);
    event.reset();
    std::vector<int> taken_over;
    std::size_t turns = 0;
    const auto note = [&](int value) {
        if (value < 100) {
            taken_over.push_back(value);
        }
    };

    SECTION("the plain way") {
        for (; taken_over.size() < 4 && turns < 1'000; ++turns) {
            REQUIRE(box.put(100) == Refusal::none);
            REQUIRE((box.inbox.take_overdue(1, box.seat, event) || box.inbox.take_plain(1, 1, event, kept)));
            note(event->data<int>());
            event.reset();
        }
        CHECK(turns == 2 * Inbox::turns_a_look + 3);
    }
    SECTION("while something wants attention") {
        const unsigned taker = GENERATE(1U, Inbox::no_worker);
        for (; taken_over.size() < 4 && turns < 1'000; ++turns) {
            REQUIRE(box.put(100) == Refusal::none);
            note(box.take(taker));
        }
        CHECK(turns == 2 * Inbox::turns_a_look + 3);
    }
    SECTION("while there is always something of higher priority") {
        for (; taken_over.size() < 4 && turns < 1'000; ++turns) {
            REQUIRE(box.put(100, "", Priority::high) == Refusal::none);
            note(box.take(1));
        }
        CHECK(turns == 4 * (Inbox::patience + 1));
        std::sort(taken_over.begin(), taken_over.end());
    }
    CHECK(taken_over == std::vector<int>{1, 2, 3, 4});
    CHECK_FALSE(box.inbox.has_run(0));
}

TEST_CASE("a run from which its worker goes on taking is not taken over while there is something else", "[inbox]") {
    Box box(64, 2);
    for (int i = 0; i < 10; ++i) {
        REQUIRE(box.put(i) == Refusal::none);
    }
    TakenEvent event;
    bool kept = false;
    for (int i = 0; i < 10; ++i) {
        REQUIRE(box.inbox.take_plain(0, 32, event, kept));
        CHECK(event->data<int>() == i);
        event.reset();
        for (int turn = 0; turn < Inbox::turns_a_look; ++turn) {
            CHECK_FALSE(box.inbox.take_overdue(1, box.seat, event));
        }
    }
}

TEST_CASE("dropping the oldest finds it in a run, in line, and among those that wait for their key", "[inbox]") {
    Box box(8, 1);
    REQUIRE(box.put(0) == Refusal::none);
    REQUIRE(box.put(1) == Refusal::none);
    TakenEvent event;
    bool kept = false;
    REQUIRE(box.inbox.take_plain(0, 32, event, kept)); // 1 is claimed
    event.reset();
    REQUIRE(box.put(2, "k") == Refusal::none);
    REQUIRE(box.put(3, "k") == Refusal::none);
    REQUIRE(box.put(4) == Refusal::none);

    std::vector<int> dropped;
    std::vector<bool> held;
    bool held_key = false;
    while (box.inbox.drop_oldest(Box::normal, event, held_key)) {
        dropped.push_back(event->data<int>());
        held.push_back(held_key);
        if (held_key) {
            static_cast<void>(box.inbox.pass_key_on(*event));
        }
        event.reset();
    }
    CHECK(dropped == std::vector<int>{1, 2, 3, 4});
    CHECK(held == std::vector<bool>{false, true, true, false});
    CHECK_FALSE(box.inbox.drop_oldest(Box::normal, event, held_key));
    CHECK_FALSE(box.inbox.drop_oldest(static_cast<std::size_t>(Priority::low), event, held_key));
}

TEST_CASE("spilled events wait behind the buffer, close the gate, and open it when the last is taken", "[inbox]") {
    Box box(2);
    REQUIRE(box.put(0) == Refusal::none);
    REQUIRE(box.put(1) == Refusal::none);
    for (int i = 2; i < 4; ++i) {
        Event event{number, i};
        REQUIRE(box.inbox.spill(event));
    }
    CHECK(box.inbox.waiting() == 4);
    for (int i = 0; i < 4; ++i) {
        CHECK(box.put(9) != Refusal::none);
        CHECK(box.take() == i);
    }
    CHECK(box.put(9) == Refusal::none);
    CHECK(box.inbox.spilled_ever() == 2);
    CHECK(box.inbox.accepted() == 5);
    box.inbox.close();
    Event late{number, 1};
    CHECK_FALSE(box.inbox.spill(late));
    CHECK(box.put(1) == Refusal::closed);
    CHECK(box.put(1, "k", Priority::low) == Refusal::closed);
}

TEST_CASE("everything that waits can be taken for giving it up, keys held or not", "[inbox]") {
    Box box(4, 1);
    REQUIRE(box.put(0, "k") == Refusal::none);
    REQUIRE(box.put(1, "k") == Refusal::none);
    REQUIRE(box.put(2, "k", Priority::high) == Refusal::none);
    REQUIRE(box.put(3) == Refusal::none);
    REQUIRE(box.put(4) == Refusal::none);
    Event spilled = Event{number, 5}.with_key("k");
    REQUIRE(box.inbox.spill(spilled));
    box.inbox.close();

    int taken = 0;
    TakenEvent event;
    while (box.inbox.take_any(event)) {
        ++taken;
        event.reset();
    }
    CHECK(taken == 6);
    CHECK(box.inbox.waiting() == 0);
}

TEST_CASE("giving up what waits for 100,000 keys takes its time once, not once for each key", "[inbox]") {
    constexpr int keys = 100'000;
    Box box(2 * keys, 1);
    for (int i = 0; i < 2 * keys; ++i) {
        REQUIRE(box.put(i, std::to_string(i % keys)) == Refusal::none);
    }
    box.inbox.close();
    const gossip_test::Bounded bounded("giving up what waits for many keys");

    int taken = 0;
    TakenEvent event;
    while (box.inbox.take_any(event)) {
        ++taken;
        event.reset();
    }
    CHECK(taken == 2 * keys);
    CHECK(box.inbox.waiting() == 0);
}

} // namespace inbox_test
