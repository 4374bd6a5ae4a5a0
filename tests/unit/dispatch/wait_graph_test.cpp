#include <gossip/dispatch/wait_graph.hpp>

#include <gossip/gossip.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"

#include <array>
#include <atomic>
#include <memory>
#include <thread>

namespace wait_graph_test {

using namespace std::chrono_literals;
using gossip_test::Bounded;
using gossip_test::eventually;

inline namespace parts {

inline constexpr gossip::Topic<> ping{"test.ping"};
inline constexpr gossip::Topic<> pong{"test.pong"};

/// Lets each thread go on when both have come.
class Meeting {
public:
    void wait() {
        ++here_;
        static_cast<void>(eventually([this] { return here_ >= 2; }));
    }

private:
    std::atomic<int> here_{0};
};

} // namespace parts

TEST_CASE("limited processors that publish synchronously into each other do not wait for each other", "[wait_graph]") {
    const Bounded bounded("two limited processors inside of each other");
    for (int round = 0; round < 20; ++round) {
        gossip::EventBus bus{gossip::Config{.workers = 0}};
        Meeting meeting;
        std::atomic<int> runs{0};
        std::atomic<int> refused{0};
        const auto publish_into = [&](const gossip::Topic<>& other) {
            if (++runs <= 2) { // the two that were published from outside
                meeting.wait();
                const gossip::SyncResult result = bus.publish_sync(other);
                if (!result.ok()) {
                    refused += gossip::is(result.errors().front(), gossip::errors::deadlock) ? 1 : 100;
                }
            }
        };
        auto a = bus.subscribe(ping, [&] { publish_into(pong); }, {.max_concurrency = 1});
        auto b = bus.subscribe(pong, [&] { publish_into(ping); }, {.max_concurrency = 1});
        std::thread first([&] { static_cast<void>(bus.publish_sync(ping)); });
        std::thread second([&] { static_cast<void>(bus.publish_sync(pong)); });
        first.join();
        second.join();

        REQUIRE(refused == 1); // one of the two makes way for the other
        REQUIRE(runs == 3);
        REQUIRE(bus.stats().adds_up());
        REQUIRE(bus.stats().failed == 1);
        REQUIRE(bus.stats().handled == 3);
    }
}

TEST_CASE("a turn that will come free is waited for, however many wait for it", "[wait_graph]") {
    const Bounded bounded("waiting for a turn");
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    std::atomic<bool> inside{false};
    std::atomic<bool> go_on{false};
    std::atomic<int> runs{0};
    auto s = bus.subscribe(ping,
                           [&] {
                               if (++runs == 1) {
                                   inside = true;
                                   static_cast<void>(eventually([&] { return go_on.load(); }));
                               }
                           },
                           {.max_concurrency = 1});
    std::thread holder([&] { static_cast<void>(bus.publish_sync(ping)); });
    static_cast<void>(eventually([&] { return inside.load(); }));
    std::atomic<int> ok{0};
    std::array<std::thread, 3> waiting;
    for (std::thread& thread : waiting) {
        thread = std::thread([&] { ok += bus.publish_sync(ping).ok() ? 1 : 0; });
    }
    static_cast<void>(eventually([&] { return bus.stats().accepted == 4; }));
    gossip_test::a_moment(1000);
    CHECK(runs == 1);
    go_on = true;
    holder.join();
    for (std::thread& thread : waiting) {
        thread.join();
    }
    CHECK(ok == 3);
    CHECK(runs == 4);
}

TEST_CASE("processors of two buses that end each other do not deadlock", "[wait_graph]") {
    const Bounded bounded("a cycle over two buses");
    for (int round = 0; round < 20; ++round) {
        gossip::EventBus one{gossip::Config{.workers = 1}};
        gossip::EventBus two{gossip::Config{.workers = 1}};
        Meeting meeting;
        std::atomic<int> done{0};
        gossip::Subscription first;
        gossip::Subscription second;
        first = one.subscribe(ping, [&, mine = std::make_unique<int>(1)] {
            meeting.wait();
            second.unsubscribe();
            done += *mine;
        });
        second = two.subscribe(ping, [&, mine = std::make_unique<int>(1)] {
            meeting.wait();
            first.unsubscribe();
            done += *mine;
        });
        one.publish(ping);
        two.publish(ping);
        REQUIRE(one.drain(20s));
        REQUIRE(two.drain(20s));
        REQUIRE(done == 2);
    }
}

TEST_CASE("who ends a processor that waits for a turn of one's own does not wait for ever", "[wait_graph]") {
    const Bounded bounded("a cycle of an end and a turn");
    for (int round = 0; round < 20; ++round) {
        gossip::EventBus bus{gossip::Config{.workers = 0}};
        Meeting meeting;
        std::atomic<int> done{0};
        gossip::Subscription ends_other;
        gossip::Subscription wants_turn;
        ends_other = bus.subscribe(ping,
                                   [&] {
                                       if (done == 0) {
                                           meeting.wait();
                                           wants_turn.unsubscribe();
                                           ++done;
                                       }
                                   },
                                   {.max_concurrency = 1});
        wants_turn = bus.subscribe(pong, [&, mine = std::make_unique<int>(1)] {
            meeting.wait();
            static_cast<void>(bus.publish_sync(ping));
            done += *mine;
        });
        std::thread first([&] { static_cast<void>(bus.publish_sync(ping)); });
        std::thread second([&] { static_cast<void>(bus.publish_sync(pong)); });
        first.join();
        second.join();

        REQUIRE(done == 2);
        REQUIRE(bus.stats().adds_up());
    }
}

TEST_CASE("a circle of waits is seen where each turn in it has two holders", "[wait_graph]") {
    using namespace gossip::detail;
    using Until = WaitGraph::Until;
    using Outlook = WaitGraph::Outlook;
    const Bounded bounded("threads that look at their waits, one after another");
    // Each thread runs a processor of its own. The first two want turns: of one limit, which c and d have, and of
    // another, which e and f have. c waits for the end of b's processor, d for e's, e for a's, f for c's.
    enum Who : std::size_t { a, b, c, d, e, f, count };
    const auto make = [] {
        return Ref<Subscriber>(
            new Subscriber(gossip::SubscriptionId{1}, Processor(gossip::bind_processor<void>([] {})), {}));
    };
    const std::array<Ref<Subscriber>, count> own{make(), make(), make(), make(), make(), make()};
    const Ref<Subscriber> first = make();
    const Ref<Subscriber> second = make();
    SeatTable seats;
    const gossip::detail::SharedCount<std::size_t> none;
    std::atomic<int> seated{0};
    std::atomic<int> turn{0};
    std::atomic<bool> over{false};
    std::array<Outlook, count> outlook{};
    Outlook again{};
    const auto wait = [&](Who me, int order, const Subscriber* holds, const Subscriber& target, Until until) {
        Seat& mine = seats.sit_down();
        Seat& other = seats.sit_down();
        mine.current.show(own[me].get());
        other.current.show(holds);
        ++seated;
        static_cast<void>(eventually([&] { return turn == order; }));
        WaitGraph::Waiter waiter(seats, target, until, &none);
        outlook[me] = wait_graph.look(waiter);
        ++turn;
        if (me == a) { // who waits for a turn looks again and again
            static_cast<void>(eventually([&] { return turn == count; }));
            again = wait_graph.look(waiter);
            ++turn;
        }
        static_cast<void>(eventually([&] { return over.load(); }));
        mine.current.show(nullptr);
        other.current.show(nullptr);
    };
    turn = -1;
    std::array<std::thread, count> threads{
        std::thread([&] { wait(a, 4, nullptr, *first, Until::one_returns); }),
        std::thread([&] { wait(b, 5, nullptr, *second, Until::one_returns); }),
        std::thread([&] { wait(c, 0, first.get(), *own[b], Until::all_return); }),
        std::thread([&] { wait(d, 1, first.get(), *own[e], Until::all_return); }),
        std::thread([&] { wait(e, 2, second.get(), *own[a], Until::all_return); }),
        std::thread([&] { wait(f, 3, second.get(), *own[c], Until::all_return); }),
    };
    static_cast<void>(eventually([&] { return seated == count; }));
    turn = 0;
    static_cast<void>(eventually([&] { return turn == count + 1; }));
    over = true;
    for (std::thread& thread : threads) {
        thread.join();
    }

    for (const Who who : {a, c, d, e, f}) {
        CHECK(outlook[who] == Outlook::worth_it);
    }
    CHECK(outlook[b] == Outlook::hopeless); // it has closed the circle
    CHECK(again == Outlook::worth_it);      // and made way, so that nobody else has to
}

} // namespace wait_graph_test
