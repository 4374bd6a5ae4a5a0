#include <gossip/dispatch/ledger.hpp>
#include <gossip/dispatch/task.hpp>

#include "support/catch.hpp"

#include <memory>
#include <thread>
#include <vector>

namespace task_test {

using gossip::Tally;
using gossip::detail::Engine;
using gossip::detail::Seat;
using gossip::detail::Task;
using gossip::detail::TaskQueue;

class Numbered final : public Task {
public:
    Numbered(int number, int& alive) : number_(number), alive_(alive) { ++alive_; }
    ~Numbered() override { --alive_; }
    void run(Engine&, Seat&) noexcept override {}
    void give_up(Engine&, Seat&) noexcept override {}
    [[nodiscard]] int number() const { return number_; }

private:
    int number_;
    int& alive_;
};

TEST_CASE("tasks come out in the order in which they went in, and those left are destroyed with the queue", "[task]") {
    int alive = 0;
    {
        TaskQueue queue;
        CHECK(queue.pop() == nullptr);
        for (int round = 0; round < 2; ++round) {
            for (int i = 0; i < 3; ++i) {
                queue.push(std::make_unique<Numbered>(i, alive));
            }
            CHECK(queue.size() == 3);
            for (int i = 0; i < 3; ++i) {
                const std::unique_ptr<Task> task = queue.pop();
                REQUIRE(task != nullptr);
                CHECK(static_cast<const Numbered&>(*task).number() == i);
            }
            CHECK(queue.pop() == nullptr);
            CHECK(queue.size() == 0);
        }
        for (int i = 0; i < 100'000; ++i) {
            queue.push(std::make_unique<Numbered>(i, alive));
        }
        CHECK(alive == 100'000);
    }
    CHECK(alive == 0);
}

TEST_CASE("a shard sums up the five ends and nothing else", "[ledger]") {
    gossip::LedgerShard shard;
    for (std::size_t i = 0; i < static_cast<std::size_t>(Tally::count_); ++i) {
        shard.add(static_cast<Tally>(i), i + 1);
        CHECK(shard.of(static_cast<Tally>(i)) == i + 1);
    }
    CHECK(shard.ended() == 2 + 3 + 4 + 5 + 6);
}

TEST_CASE("who sees an end in a shard has seen its beginning", "[ledger]") {
    gossip::LedgerShard shard;
    bool ahead = false;
    std::thread reader([&] {
        for (std::uint64_t ended = 0; ended < 20'000;) {
            ended = shard.ended();
            ahead = ahead || ended > shard.of(Tally::accepted);
        }
    });
    for (int i = 0; i < 20'000; ++i) {
        shard.add(Tally::accepted);
        shard.add(i % 2 == 0 ? Tally::handled : Tally::failed);
    }
    reader.join();
    CHECK_FALSE(ahead);
}

} // namespace task_test
