#include <gossip/dispatch/engine.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/seed.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <set>
#include <string>
#include <utility>
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
        bool moved = false;
        const Refusal refusal = inbox.offer(event, moved);
        CHECK((refusal == Refusal::none || event.data<int>() == value));
        return refusal;
    }
    bool spill(int value, const std::string& key = "", Priority priority = Priority::normal) {
        Event event = Event{number, value}.with_key(key).with_priority(priority);
        return inbox.spill(event);
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

TEST_CASE("spilled events wait behind the buffer, and move in before outsiders find room", "[inbox]") {
    Box box(2);
    REQUIRE(box.put(0) == Refusal::none);
    REQUIRE(box.put(1) == Refusal::none);
    REQUIRE(box.spill(2));
    REQUIRE(box.spill(3));
    CHECK(box.inbox.waiting() == 4);
    for (int i = 0; i < 2; ++i) {
        CHECK(box.put(9) == Refusal::gated);
        CHECK(box.put(9, "k") == Refusal::gated);
        CHECK(box.take() == i);
    }
    CHECK(box.put(9) == Refusal::full); // both have moved in
    CHECK(box.inbox.waiting() == 2);
    CHECK(box.take() == 2);
    CHECK(box.put(9) == Refusal::none);
    CHECK(box.take() == 3);
    CHECK(box.take() == 9);
    CHECK(box.inbox.spilled_ever() == 2);
    CHECK(box.inbox.accepted() == 5);
    box.inbox.close();
    CHECK_FALSE(box.spill(1));
    CHECK(box.put(1) == Refusal::closed);
    CHECK(box.put(1, "k", Priority::low) == Refusal::closed);
}

TEST_CASE("spilled events are taken where nobody publishes any more, closed or not", "[inbox]") {
    const bool closed = GENERATE(false, true);
    Box box(2);
    for (int i = 0; i < 6; ++i) {
        REQUIRE((i < 2 ? box.put(i) == Refusal::none : box.spill(i)));
    }
    if (closed) {
        box.inbox.close();
    }
    for (int i = 0; i < 6; ++i) {
        CHECK(box.inbox.has_work());
        CHECK(box.take() == i);
    }
    CHECK_FALSE(box.inbox.has_work());
    CHECK(box.put(9) == (closed ? Refusal::closed : Refusal::none));
}

TEST_CASE("an event is spilled only while the buffer is full, whatever was spilled before", "[inbox]") {
    Box box(4);
    for (int i = 0; i < 4; ++i) {
        REQUIRE(box.put(i) == Refusal::none);
    }
    for (int i = 4; i < 7; ++i) {
        REQUIRE(box.spill(i, i % 2 == 0 ? "k" : ""));
    }
    CHECK(box.inbox.spilled_ever() == 3);
    for (int i = 0; i < 4; ++i) {
        CHECK(box.take() == i);
    }
    for (int i = 7; i < 100; ++i) { // four wait: what is taken has room for what it publishes
        CHECK(box.spill(i));
        CHECK(box.take() == i - 3);
    }
    CHECK(box.inbox.spilled_ever() == 3);
    CHECK(box.inbox.waiting() == 3);
}

TEST_CASE("events that wait for their key leave nothing to do when they move in, whatever their priority", "[inbox]") {
    const auto priority = GENERATE(Priority::low, Priority::normal, Priority::high);
    const auto lane = static_cast<std::size_t>(priority);
    Box box(2);
    REQUIRE(box.put(0, "k", priority) == Refusal::none);
    REQUIRE(box.take(Inbox::no_worker, false) == 0);
    REQUIRE(box.put(1, "k", priority) == Refusal::none);
    REQUIRE(box.put(2, "", priority) == Refusal::none);
    REQUIRE(box.spill(3, "k", priority));
    REQUIRE(box.take() == 2);
    REQUIRE(box.take() == -1);

    Event event = Event{number, 4}.with_priority(priority);
    bool moved = false;
    CHECK(box.inbox.offer(event, moved) == Refusal::full);
    CHECK(moved);
    CHECK(box.take() == -1);
    CHECK_FALSE(box.inbox.has_work());
    CHECK(box.inbox.really_full(lane));
    box.let_go("k");
    CHECK(box.take() == 1);
    CHECK(box.take() == 3);
    CHECK(box.inbox.waiting() == 0);
}

TEST_CASE("thousands of spilled events move in at once where there is room for all of them", "[inbox]") {
    Box box(1'024);
    for (int i = 0; i < 2'047; ++i) {
        REQUIRE((i < 1'024 ? box.put(i) == Refusal::none : box.spill(i)));
    }
    for (int i = 0; i < 1'024; ++i) {
        REQUIRE(box.take() == i);
    }
    CHECK(box.put(2'047) == Refusal::none);
    CHECK(box.put(2'048) == Refusal::full);
    for (int i = 1'024; i < 2'048; ++i) {
        CHECK(box.take() == i);
    }
}

/// What an inbox of one taker promises, kept in the plainest way.
class Promises {
public:
    struct Waiting {
        int value;
        std::string key;
        bool held; // its key: it may run
    };

    void accept(std::size_t lane, int value, const std::string& key) {
        lanes_[lane].push_back({value, key, !key.empty() && held_.insert(key).second});
        if (!key.empty() && !lanes_[lane].back().held) {
            behind_[key].push_back({lane, value});
        }
    }
    [[nodiscard]] std::size_t waiting(std::size_t lane) const { return lanes_[lane].size(); }
    /// The oldest that may run; -1 if none may.
    [[nodiscard]] int first(std::size_t lane) const {
        const auto found = find_first(lane);
        return found == lanes_[lane].end() ? -1 : found->value;
    }
    /// Its key.
    std::string begin(std::size_t lane) {
        const auto found = find_first(lane);
        std::string key = found->key;
        lanes_[lane].erase(found);
        return key;
    }
    void let_go(const std::string& key) {
        if (behind_[key].empty()) {
            held_.erase(key);
            return;
        }
        const auto [lane, value] = behind_[key].front();
        behind_[key].pop_front();
        for (Waiting& one : lanes_[lane]) {
            one.held = one.held || one.value == value;
        }
    }

private:
    [[nodiscard]] std::list<Waiting>::const_iterator find_first(std::size_t lane) const {
        return std::find_if(lanes_[lane].begin(), lanes_[lane].end(),
                            [](const Waiting& one) { return one.key.empty() || one.held; });
    }
    std::array<std::list<Waiting>, gossip::priority_count> lanes_;
    std::set<std::string> held_;
    std::map<std::string, std::deque<std::pair<std::size_t, int>>> behind_;
};

TEST_CASE("in each priority what may run is taken in the order of acceptance, and outsiders find room while the buffer "
          "is not full, whatever is spilled, moves in and waits for keys",
          "[inbox]") {
    GOSSIP_INFO_SEED();
    gossip_test::Random random(gossip_test::seed());
    for (int program = 0; program < 300; ++program) {
        Box box(std::size_t{2} << random.below(3), 1);
        const unsigned taker = random.below(2) == 0 ? 0 : Inbox::no_worker;
        const std::uint64_t lanes = random.below(2) == 0 ? 1 : gossip::priority_count;
        const std::uint64_t keys = random.below(5);
        const std::uint64_t eagerness = 2 + random.below(5); // of the taker: programs of long lists and of short ones
        Promises promises;
        std::vector<std::string> running; // the keys of what has begun and has not let go
        std::uint64_t accepted = 0;
        std::uint64_t spilled = 0;
        for (int step = 0; step < 400; ++step) {
            const auto lane = lanes == 1 ? Box::normal : static_cast<std::size_t>(random.below(lanes));
            const std::uint64_t act = random.below(8);
            if (act < eagerness) {
                TakenEvent event;
                if (!box.inbox.take_by_priority(taker, box.seat, event)) {
                    for (std::size_t i = 0; i < gossip::priority_count; ++i) {
                        REQUIRE(promises.first(i) == -1);
                    }
                } else {
                    const auto from = static_cast<std::size_t>(event->priority());
                    REQUIRE(event->data<int>() == promises.first(from));
                    const std::string key = promises.begin(from);
                    REQUIRE(event->key() == key);
                    if (!key.empty()) {
                        running.push_back(key);
                    }
                }
            } else if (act == 7 && !running.empty()) {
                const auto one = running.begin() + static_cast<std::ptrdiff_t>(random.below(running.size()));
                box.let_go(*one);
                promises.let_go(*one);
                running.erase(one);
            } else {
                const std::uint64_t number_of_key = random.below(2 * keys + 1);
                const std::string key = number_of_key <= keys ? "" : std::to_string(number_of_key);
                const bool full = promises.waiting(lane) >= box.inbox.capacity();
                const bool inside = random.below(2) == 0;
                const auto refusal = box.put(step, key, static_cast<Priority>(lane));
                // The slot of an event that got its key late is free only when those around it are.
                REQUIRE((keys == 0 ? (refusal == Refusal::none) == !full : refusal != Refusal::none || !full));
                if (refusal != Refusal::none && inside) {
                    REQUIRE(box.spill(step, key, static_cast<Priority>(lane)));
                    ++spilled;
                }
                if (refusal == Refusal::none || inside) {
                    promises.accept(lane, step, key);
                    ++accepted;
                }
            }
            std::size_t waiting = 0;
            for (std::size_t i = 0; i < gossip::priority_count; ++i) {
                waiting += promises.waiting(i);
            }
            REQUIRE(box.inbox.waiting() == waiting);
            REQUIRE(box.inbox.accepted() == accepted);
            REQUIRE(box.inbox.spilled_ever() == spilled);
        }
        box.inbox.close();
        std::size_t left = box.inbox.waiting();
        TakenEvent event;
        for (; box.inbox.take_any(event); --left) {
            event.reset();
        }
        REQUIRE(left == 0);
    }
}

TEST_CASE("everything that waits can be taken for giving it up, keys held or not", "[inbox]") {
    Box box(4, 1);
    REQUIRE(box.put(0, "k") == Refusal::none);
    REQUIRE(box.put(1, "k") == Refusal::none);
    REQUIRE(box.put(2, "k", Priority::high) == Refusal::none);
    REQUIRE(box.put(3) == Refusal::none);
    REQUIRE(box.put(4) == Refusal::none);
    REQUIRE(box.spill(5, "k"));
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
