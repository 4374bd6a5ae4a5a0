#include <gossip/bus/dead_letters.hpp>
#include <gossip/bus/event_bus.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace dead_letters_test {

using namespace std::chrono_literals;
using gossip::Config;
using gossip::DeadLetter;
using gossip::DeadLetters;
using gossip::Event;
using gossip::EventBus;
using gossip::Result;

inline namespace parts {

constexpr gossip::Topic<int> number{"store.number"};
constexpr gossip::Topic<std::string> word{"store.word"};

DeadLetter letter_of(int n, std::string subscription = {}) {
    DeadLetter letter{Event{number, n}, gossip::errors::processing_failed};
    letter.subscription = std::move(subscription);
    return letter;
}
std::vector<int> numbers(const std::vector<DeadLetters::Kept>& list) {
    std::vector<int> found;
    for (const auto& kept : list) {
        found.push_back(kept.letter->event.data<int>());
    }
    return found;
}

/// A bus that takes what it is told to.
struct Taker {
    std::size_t room;
    std::vector<int> taken{};
    gossip::PublishStatus publish(const Event& event) {
        if (room == 0) {
            return gossip::PublishStatus::full;
        }
        --room;
        taken.push_back(event.data<int>());
        return gossip::PublishStatus::accepted;
    }
};

} // namespace parts

TEST_CASE("what fails on the bus is kept, with its error and the name of who failed it", "[dead_letters]") {
    EventBus bus{Config{.workers = 0}};
    DeadLetters letters;
    letters.attach(bus);
    auto s = bus.subscribe(number, [](const int&) -> Result { return gossip::FatalError{"no"}; }, {.name = "payer"});

    bus.publish(number, 5);
    REQUIRE(bus.drain(20s));

    const auto list = letters.list();
    REQUIRE(list.size() == 1);
    CHECK(list[0].number == 1);
    CHECK(list[0].letter->event.data<int>() == 5);
    CHECK(list[0].letter->subscription == "payer");
    CHECK(gossip::is_fatal(list[0].letter->error));
    CHECK(bus.stats().dead_letters == 1);
}

TEST_CASE("beyond the capacity the oldest letter goes, and is counted", "[dead_letters]") {
    DeadLetters letters{3};
    CHECK(letters.capacity() == 3);
    for (int i = 1; i <= 5; ++i) {
        CHECK(letters.keep(letter_of(i)) == static_cast<std::uint64_t>(i));
    }

    CHECK(numbers(letters.list()) == std::vector<int>{3, 4, 5});
    CHECK(letters.size() == 3);
    CHECK(letters.dropped() == 2);
}

TEST_CASE("a store without room is refused", "[dead_letters]") {
    CHECK_THROWS_AS(DeadLetters{0}, gossip::ValidationError);
}

TEST_CASE("letters are chosen by a predicate, a subscription or a type", "[dead_letters]") {
    DeadLetters letters;
    letters.keep(letter_of(1, "mail"));
    letters.keep(letter_of(2, "charge"));
    DeadLetter both = letter_of(3, "charge");
    both.failures = {{gossip::errors::fatal, {}, "charge", 1}, {gossip::errors::fatal, {}, "mail", 1}};
    letters.keep(both);
    letters.keep({Event{word, "four"}, gossip::errors::timeout});

    CHECK(numbers(letters.list(DeadLetters::by_subscription("mail"))) == std::vector<int>{1, 3});
    CHECK(numbers(letters.list(DeadLetters::by_type(number))) == std::vector<int>{1, 2, 3});
    CHECK(letters.list(DeadLetters::by_type(word.type())).size() == 1);
    CHECK(letters.list(DeadLetters::by_type(gossip::Pattern{"store.*"})).size() == 4);
    CHECK(letters.list([](const DeadLetter& letter) { return gossip::is_timeout(letter.error); }).size() == 1);
    CHECK(letters.list([](const DeadLetter&) { return false; }).empty());
}

TEST_CASE("a letter that is replayed is handled by who listens now, and leaves the store", "[dead_letters]") {
    bool broken = true;
    std::vector<int> healed;
    EventBus bus{Config{.workers = 0}};
    DeadLetters letters;
    letters.attach(bus);
    auto s = bus.subscribe(number, [&](const int& n) -> Result {
        if (broken) {
            return gossip::errors::processing_failed;
        }
        healed.push_back(n);
        return {};
    });
    for (int i = 1; i <= 4; ++i) {
        bus.publish(number, i);
    }
    REQUIRE(bus.drain(20s));
    REQUIRE(letters.size() == 4);
    broken = false;

    CHECK(letters.replay(bus, 2));
    CHECK_FALSE(letters.replay(bus, 2));
    CHECK(letters.replay(bus, [](const DeadLetter& letter) { return letter.event.data<int>() > 3; }) == 1);
    CHECK(numbers(letters.list()) == std::vector<int>{1, 3});
    CHECK(letters.replay(bus) == 2);
    REQUIRE(bus.drain(20s));

    CHECK(healed == std::vector<int>{2, 4, 1, 3});
    CHECK(letters.size() == 0);
}

TEST_CASE("an event that fails again after its replay is a new letter, once", "[dead_letters]") {
    EventBus bus{Config{.workers = 0}};
    DeadLetters letters{1};
    letters.attach(bus);
    auto s = bus.subscribe(number, [](const int&) -> Result { return gossip::errors::processing_failed; });
    bus.publish(number, 1);
    REQUIRE(bus.drain(20s));

    CHECK(letters.replay(bus) == 1);
    REQUIRE(bus.drain(20s));

    const auto list = letters.list();
    REQUIRE(list.size() == 1);
    CHECK(list[0].number == 2);
    CHECK(letters.dropped() == 0);
}

TEST_CASE("what the bus refuses stays in its place", "[dead_letters]") {
    DeadLetters letters;
    for (int i = 1; i <= 5; ++i) {
        letters.keep(letter_of(i));
    }
    SECTION("because it is full") {
        Taker bus{2};
        CHECK(letters.replay(bus) == 2);
        CHECK(bus.taken == std::vector<int>{1, 2});
        CHECK(numbers(letters.list()) == std::vector<int>{3, 4, 5});
    }
    SECTION("because it is closed") {
        EventBus bus{Config{.workers = 0}};
        bus.shutdown();
        CHECK_FALSE(letters.replay(bus, 3));
        CHECK(letters.replay(bus) == 0);
        CHECK(numbers(letters.list()) == std::vector<int>{1, 2, 3, 4, 5});
    }
    SECTION("because the publish threw") {
        struct Thrower {
            gossip::PublishStatus publish(const Event&) { throw std::runtime_error{"wire"}; }
        } bus;
        CHECK_THROWS_AS(letters.replay(bus, 3), std::runtime_error);
        CHECK(letters.size() == 5);
    }
}

TEST_CASE("a letter that comes back to a store that is full by then is the oldest, and goes", "[dead_letters]") {
    DeadLetters letters{2};
    struct Filler {
        DeadLetters& store;
        gossip::PublishStatus publish(const Event&) {
            CHECK(store.size() == 1); // what is being replayed has been taken out
            store.keep(letter_of(8));
            store.keep(letter_of(9));
            return gossip::PublishStatus::full;
        }
    } bus{letters};
    letters.keep(letter_of(1));
    letters.keep(letter_of(2));

    CHECK(letters.replay(bus) == 0);

    CHECK(numbers(letters.list()) == std::vector<int>{8, 9});
    CHECK(letters.dropped() == 2);
}

TEST_CASE("letters can be taken out", "[dead_letters]") {
    DeadLetters letters;
    for (int i = 1; i <= 4; ++i) {
        letters.keep(letter_of(i));
    }
    CHECK(letters.remove(1));
    CHECK_FALSE(letters.remove(1));
    CHECK(letters.remove([](const DeadLetter& letter) { return letter.event.data<int>() > 2; }) == 2);
    CHECK(numbers(letters.list()) == std::vector<int>{2});
    CHECK(letters.dropped() == 0);
}

TEST_CASE("each letter is exported as a line of JSON, with data where somebody can write it", "[dead_letters]") {
    DeadLetters letters;
    CHECK(letters.json_lines().empty());
    letters.keep(letter_of(1));
    letters.keep(letter_of(2));

    const std::string lines = letters.json_lines();
    CHECK(std::count(lines.begin(), lines.end(), '\n') == 2);
    CHECK(lines.starts_with(R"({"number":1,"type":"store.number",)"));
    CHECK(lines.find("\n{\"number\":2,") != std::string::npos);
    CHECK(lines.find(R"("data":null)") != std::string::npos);

    const std::string with_data =
        letters.json_lines([](const Event& event) { return std::to_string(event.data<int>()); });
    CHECK(with_data.find(R"("data":1,)") != std::string::npos);
    CHECK(with_data.find(R"("data":2,)") != std::string::npos);
}

TEST_CASE("one store may listen to several buses, and outlive them", "[dead_letters]") {
    DeadLetters letters;
    for (int i = 1; i <= 2; ++i) {
        EventBus bus{Config{.workers = 1}};
        letters.attach(bus);
        auto s = bus.subscribe(number, [](const int&) -> Result { return gossip::errors::fatal; });
        bus.publish(number, i);
        CHECK(bus.shutdown().failed == 1);
    }
    CHECK(numbers(letters.list()) == std::vector<int>{1, 2});
}

TEST_CASE("a store that goes before its bus hears of nothing more", "[dead_letters]") {
    EventBus bus{Config{.workers = 1}};
    auto s = bus.subscribe(number, [](const int&) -> Result { return gossip::errors::fatal; });
    {
        DeadLetters letters;
        letters.attach(bus);
        bus.publish(number, 1);
        REQUIRE(bus.drain(20s));
        CHECK(letters.size() == 1);
    }
    bus.publish(number, 2);
    REQUIRE(bus.drain(20s));
    CHECK(bus.stats().failed == 2);
}

TEST_CASE("predicates and publishes may use the store: no lock is held while they run", "[dead_letters]") {
    const gossip_test::Bounded bound("a predicate that uses the store");
    DeadLetters letters;
    letters.keep(letter_of(1));
    letters.keep(letter_of(2));
    CHECK(letters.list([&](const DeadLetter&) { return letters.remove(2) || letters.size() == 1; }).size() == 2);
    CHECK(letters.size() == 1);
}

TEST_CASE("many threads keep and replay: each letter is accepted once", "[dead_letters]") {
    constexpr int each = 500;
    struct Counter {
        std::atomic<int> accepted{0};
        std::atomic<int> asked{0};
        gossip::PublishStatus publish(const Event&) {
            if (++asked % 3 == 0) {
                return gossip::PublishStatus::full;
            }
            ++accepted;
            return gossip::PublishStatus::accepted;
        }
    } bus;
    DeadLetters letters{2 * each};
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 2; ++t) {
            threads.emplace_back([&] {
                for (int i = 0; i < each; ++i) {
                    letters.keep(letter_of(i));
                }
            });
            threads.emplace_back([&] {
                while (bus.accepted < 2 * each) {
                    letters.replay(bus);
                    std::this_thread::yield();
                }
            });
        }
    }
    CHECK(bus.accepted == 2 * each);
    CHECK(letters.size() == 0);
    CHECK(letters.dropped() == 0);
}

} // namespace dead_letters_test
