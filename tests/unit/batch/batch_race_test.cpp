#include <gossip/gossip.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/seed.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace batch_race_test {

// Random programs over batches. Whatever they do, what publish accepted ends once and is counted, each event is in
// exactly one run that succeeds or fails for good, and no run comes after the end of its subscription.

using namespace std::chrono_literals;

inline namespace parts {

using gossip_test::Bounded;
using gossip_test::Random;

inline constexpr gossip::Topic<std::uint32_t> number{"batch_race.number"};

/// What a program does, drawn from the seed.
struct Program {
    explicit Program(Random& random)
        : workers(1 + static_cast<unsigned>(random.below(3))),
          publishers(1 + static_cast<std::uint32_t>(random.below(2))),
          events(50 + static_cast<std::uint32_t>(random.below(200))),
          batches(1 + random.below(2)),
          fail_one_in(2 + random.below(12)),
          end(static_cast<End>(random.below(4))),
          patience(random.below(2'000'000)) {
        options.size = 1 + random.below(12);
        options.period = random.one_in(3) ? 0ns : random.one_in(2) ? 100us : 1h;
        options.concurrency = 1 + random.below(3);
        options.by_key = random.one_in(2);
        options.attempts = 1 + static_cast<int>(random.below(2));
        options.split = random.one_in(2);
        if (random.one_in(3)) {
            redelivery = {.attempts = 2, .first_delay = 10us};
        }
    }

    enum class End : std::uint8_t { drain_first, unsubscribe, shutdown, deadline };

    unsigned workers;
    std::uint32_t publishers;
    std::uint32_t events;
    std::size_t batches;
    std::uint64_t fail_one_in;
    End end;
    std::chrono::nanoseconds patience;
    gossip::BatchOptions options;
    gossip::Redelivery redelivery{};
};

/// What is known of the events of one batch.
struct Observed {
    explicit Observed(std::size_t events) : succeeded(events) {}
    std::vector<std::atomic<std::uint32_t>> succeeded; // by number: how often
    std::atomic<std::size_t> running{0};
    std::atomic<std::uint32_t> too_many{0};
    std::atomic<std::uint32_t> too_large{0};
    std::atomic<std::uint32_t> after_end{0};
    std::atomic<std::uint32_t> mixed{0};
    std::atomic<bool> ended{false};
};

void play(std::uint64_t round) {
    Random random(round * 16);
    const Program program(random);
    const std::uint32_t all = program.publishers * program.events;
    std::vector<std::unique_ptr<Observed>> observed;
    std::atomic<std::uint64_t> accepted{0};
    std::atomic<std::uint64_t> failed{0};
    gossip::EventBus<> bus{gossip::Config{
        .workers = program.workers, .buffer_size = 64, .on_error = [&](const gossip::ErrorReport&) { ++failed; }}};
    std::vector<gossip::Subscription> subscriptions;
    for (std::size_t b = 0; b < program.batches; ++b) {
        Observed& mine = *observed.emplace_back(std::make_unique<Observed>(all));
        const auto run = [&, salt = random()](std::span<const gossip::Event> events) {
            mine.too_many += ++mine.running > program.options.concurrency ? 1U : 0U;
            mine.too_large += events.size() > program.options.size ? 1U : 0U;
            mine.after_end += mine.ended ? 1U : 0U;
            gossip::BatchResult result;
            bool whole = true;
            for (std::size_t i = 0; i < events.size(); ++i) {
                const auto n = events[i].data<std::uint32_t>();
                mine.mixed += program.options.by_key && events[i].key() != events[0].key() ? 1U : 0U;
                if ((n * 2654435761U + salt) % program.fail_one_in == 0) {
                    if (n % 2 == 0) {
                        whole = false;
                    }
                    result.fail(i, gossip::RetryableError{"unlucky"});
                }
            }
            if (!whole) {
                --mine.running;
                throw gossip::RetryableError{"unlucky as a whole"};
            }
            for (std::size_t i = 0; i < events.size(); ++i) {
                mine.succeeded[events[i].data<std::uint32_t>()] += result.of(i).ok() ? 1U : 0U;
            }
            --mine.running;
            return result;
        };
        subscriptions.push_back(bus.subscribe(number, gossip::batch<std::uint32_t>(program.options, run),
                                              {.redelivery = program.redelivery}));
    }

    std::atomic<std::uint32_t> publishing{program.publishers};
    std::vector<std::thread> threads;
    for (std::uint32_t p = 0; p < program.publishers; ++p) {
        threads.emplace_back([&, p] {
            Random mine(round * 16 + 1 + p);
            for (std::uint32_t i = 0; i < program.events; ++i) {
                const std::uint32_t n = p * program.events + i;
                const std::string key = mine.one_in(2) ? std::to_string(mine.below(4)) : std::string();
                if (bus.publish(number, n, {.key = key}) == gossip::PublishStatus::accepted) {
                    ++accepted;
                }
                if (mine.one_in(40)) {
                    bus.flush();
                }
            }
            --publishing;
        });
    }
    const auto end_one = [&](std::size_t b) {
        subscriptions[b].unsubscribe();
        observed[b]->ended = true;
    };
    gossip_test::a_moment(random.below(2000)); // some part of the way
    gossip::ShutdownReport report;
    switch (program.end) {
    case Program::End::drain_first:
        while (publishing != 0) {
            bus.flush();
            std::this_thread::yield();
        }
        bus.flush();
        static_cast<void>(bus.drain(program.patience));
        report = bus.shutdown();
        break;
    case Program::End::unsubscribe:
        threads.emplace_back([&] { end_one(0); });
        bus.unsubscribe(subscriptions.back().id()); // perhaps the same one
        report = bus.shutdown();
        break;
    case Program::End::shutdown:
        report = bus.shutdown();
        break;
    case Program::End::deadline:
        report = bus.shutdown(program.patience);
        break;
    }
    for (std::thread& thread : threads) {
        thread.join();
    }

    INFO("round " << round);
    CHECK(report.complete);
    CHECK(report.adds_up());
    CHECK(report.accepted == accepted);
    CHECK(report.failed == failed);
    CHECK((report.abandoned == 0 || program.end == Program::End::deadline));
    CHECK(bus.stats().timers == 0);
    std::uint64_t well = 0; // events that each batch has run well
    std::uint64_t twice = 0;
    for (std::uint32_t n = 0; n < all; ++n) {
        bool everywhere = true;
        for (const auto& batch : observed) {
            const std::uint32_t times = batch->succeeded[n];
            twice += times > 1 ? 1U : 0U;
            everywhere = everywhere && times == 1;
        }
        well += everywhere ? 1U : 0U;
    }
    CHECK(twice == 0);
    if (program.end == Program::End::unsubscribe) {
        CHECK(well <= report.handled); // for some a subscription had ended before they came
    } else if (program.end != Program::End::deadline) {
        CHECK(well == report.handled);
    } else {
        CHECK(well >= report.handled); // of those abandoned some have run in one of two batches
    }
    for (const auto& batch : observed) {
        CHECK(batch->too_many == 0);
        CHECK(batch->too_large == 0);
        CHECK(batch->after_end == 0);
        CHECK(batch->mixed == 0);
    }
}

} // namespace parts

TEST_CASE("whatever happens to batches, the counters add up and each event is in one run", "[batch_race]") {
    GOSSIP_INFO_SEED();
    const Bounded bounded("random programs over batches");
    for (const std::uint64_t round : gossip_test::Rounds(std::uint64_t{60}, 60s)) {
        play(round);
    }
}

} // namespace batch_race_test
