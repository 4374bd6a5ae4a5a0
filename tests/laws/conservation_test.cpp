#include <gossip/gossip.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/seed.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace conservation_test {

// Random programs over one bus. Whatever they do, what publish accepted ends once and is counted, keys keep their
// order, an ended processor does not run, and the buffer holds no more than it may.

using namespace std::chrono_literals;

namespace conservation_test {

using gossip_test::Bounded;
using gossip_test::Random;

struct Step {
    std::uint32_t publisher = 0;
    std::uint32_t number = 0; // of its key and publisher
    std::uint32_t key = 0;    // 0: none
};
inline constexpr gossip::Topic<Step> step{"law.step"};
inline constexpr gossip::Topic<int> nested{"law.nested"};
inline constexpr gossip::Topic<> unheard{"law.unheard"};

constexpr std::uint32_t publishers = 3;
constexpr std::uint32_t keys = 4;

/// What a program does, drawn from the seed.
struct Program {
    explicit Program(Random& random)
        : workers(static_cast<unsigned>(random.below(4))),
          buffer(std::size_t{2} << random.below(5)),
          overflow(static_cast<gossip::Overflow>(random.below(3))),
          steps(50 + random.below(300)),
          fail_one_in(2 + random.below(20)),
          defer_one_in(3 + random.below(20)),
          attempts(1 + static_cast<int>(random.below(3))),
          limit(random.one_in(2) ? 0 : 1 + random.below(2)),
          end(static_cast<End>(random.below(4))),
          // Keys wait for redeliveries, and publishers for keys: a long delay only where a shutdown ends it.
          redelivery_delay(random.one_in(2) &&
                                   (end == End::shutdown_while_publishing || end == End::deadline_while_publishing)
                               ? 10s
                               : std::chrono::nanoseconds(random.below(200'000))),
          patience(std::chrono::nanoseconds(random.below(2'000'000))),
          priorities(random.one_in(2)),
          batch{.size = 1 + random.below(8),
                .period = std::chrono::nanoseconds(random.below(500'000)),
                .concurrency = 1 + random.below(2),
                .by_key = random.one_in(3)} {}

    enum class End : std::uint8_t { drain_first, shutdown_while_publishing, deadline_while_publishing, deadline_after };

    unsigned workers;
    std::size_t buffer;
    gossip::Overflow overflow;
    std::uint64_t steps;
    std::uint64_t fail_one_in;
    std::uint64_t defer_one_in;
    int attempts;
    std::size_t limit;
    End end;
    std::chrono::nanoseconds redelivery_delay;
    std::chrono::nanoseconds patience;
    bool priorities;
    gossip::BatchOptions batch;
};

/// Takes deferrals from processors, and resolves or drops them later, on a thread of its own.
class Resolver {
public:
    explicit Resolver(std::uint64_t stream) : random_(stream), thread_([this] { run(); }) {}
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;
    ~Resolver() {
        over_ = true;
        thread_.join();
    }
    void take(gossip::Deferral deferral) {
        const std::lock_guard lock(mutex_);
        open_.push_back(std::move(deferral));
    }

private:
    void run() {
        for (;;) {
            const bool last = over_;
            std::optional<gossip::Deferral> deferral;
            {
                const std::lock_guard lock(mutex_);
                if (!open_.empty()) {
                    deferral = std::move(open_.front());
                    open_.pop_front();
                }
            }
            if (!deferral) {
                if (last) {
                    return;
                }
                std::this_thread::yield();
                continue;
            }
            switch (random_.below(4)) {
            case 0:
                deferral->fail(gossip::RetryableError{"later"});
                break;
            case 1:
                deferral.reset(); // dropped
                break;
            default:
                deferral->succeed();
            }
        }
    }

    Random random_;
    std::mutex mutex_;
    std::deque<gossip::Deferral> open_;
    std::atomic<bool> over_{false};
    std::thread thread_;
};

struct Observed {
    std::atomic<std::uint64_t> accepted{0};
    std::atomic<std::uint64_t> refused{0};
    std::atomic<std::uint64_t> dropped{0};
    std::atomic<std::uint64_t> abandoned_hook{0};
    std::atomic<std::uint64_t> failed_hook{0};
    std::atomic<std::uint64_t> letters{0};
    std::atomic<std::uint64_t> disorder{0};
    std::atomic<std::uint64_t> overlap{0};
    std::atomic<std::uint64_t> too_many_runs{0};
    std::atomic<std::uint64_t> runs_at_once{0};
    std::atomic<std::uint64_t> ran_after_end{0};
    std::atomic<std::uint64_t> sync_accepted{0};
    std::atomic<std::uint64_t> sync_failed{0};
    std::atomic<std::uint64_t> strange_status{0};
    std::atomic<std::uint64_t> begun{0};
    std::atomic<std::uint64_t> steps_accepted{0};
    std::atomic<std::uint64_t> steps_dropped{0};
    std::atomic<std::uint64_t> beyond_capacity{0};
    std::atomic<std::uint64_t> batched{0};
    std::atomic<std::uint64_t> bad_batches{0};
    std::atomic<std::uint64_t> put_off{0};
    std::atomic<std::uint64_t> refused_when_due{0};
    std::atomic<std::uint64_t> bad_cancels{0};
};

/// The newest step of each key and publisher that has begun; whether one of the key is running.
struct KeyState {
    std::atomic<int> running{0};
    std::array<std::uint32_t, publishers> latest{}; // guarded by the promise that is under test
};

thread_local std::optional<Random> processor_random;
Random& dice() {
    static std::atomic<std::uint64_t> streams{1000};
    if (!processor_random) {
        processor_random.emplace(streams.fetch_add(1));
    }
    return *processor_random;
}

void play(std::uint64_t round) {
    Random random(round * 64);
    const Program program(random);
    Observed observed;
    std::array<KeyState, keys> key_states;
    Resolver resolver(round * 64 + 1);
    std::optional<gossip::EventBus<>> bus;
    bus.emplace(gossip::Config{
        .workers = program.workers,
        .buffer_size = program.buffer,
        .overflow = program.overflow,
        .on_error =
            [&](const gossip::ErrorReport& report) {
                if (gossip::is(report.error, gossip::errors::full)) { // its time had come, and there was no room
                    ++observed.refused_when_due;
                } else {
                    observed.failed_hook += report.in_dead_letter ? 0 : 1;
                }
            },
        .on_drop =
            [&](const gossip::Event& event, gossip::DropReason reason) {
                ++(reason == gossip::DropReason::overflow ? observed.dropped : observed.abandoned_hook);
                observed.steps_dropped += event.type() == step.type() ? 1U : 0U;
            }});
    // What was accepted less what has begun or was dropped by a later look is less than what waited in between. Each
    // thread may have taken one that has not told us so yet, and may be dropping another.
    const std::uint64_t most_waiting = bus->stats().buffer_size * (program.priorities ? gossip::priority_count : 1) +
                                       2 * (program.workers + publishers + 1);
    const auto check_capacity = [&] {
        const std::uint64_t accepted = ++observed.steps_accepted;
        const std::uint64_t gone = observed.begun + observed.steps_dropped;
        observed.beyond_capacity += accepted > gone + most_waiting ? 1U : 0U;
    };
    const auto count = [&](gossip::PublishStatus status) {
        switch (status) {
        case gossip::PublishStatus::accepted:
            ++observed.accepted;
            break;
        case gossip::PublishStatus::full:
            ++observed.refused;
            break;
        case gossip::PublishStatus::closed:
            break;
        default:
            ++observed.strange_status;
        }
        return status;
    };
    const auto misbehave = [&](gossip::Context& context) -> gossip::Result {
        if (dice().one_in(program.defer_one_in)) {
            for (std::uint64_t n = 1 + dice().below(3); n != 0; --n) {
                resolver.take(context.defer());
            }
        }
        if (dice().one_in(8)) {
            count(bus->publish(nested, 0));
        }
        if (dice().one_in(16)) {
            const gossip::SyncResult result = bus->publish_sync(nested, 1);
            if (result.ok() || !gossip::is(result.errors()[0], gossip::errors::closed)) {
                ++observed.sync_accepted;
                observed.sync_failed += result.ok() ? 0 : 1;
            }
        }
        if (dice().one_in(program.fail_one_in)) {
            return gossip::RetryableError{"by chance"};
        }
        return {};
    };
    // Order per key is seen by a processor that never fails and is asked first; another one fails, defers, publishes.
    auto watcher = bus->subscribe(step,
                                  [&](const Step& s) {
                                      ++observed.begun;
                                      if (s.key == 0) {
                                          return;
                                      }
                                      KeyState& state = key_states[s.key - 1];
                                      observed.overlap += state.running.fetch_add(1) == 0 ? 0 : 1;
                                      std::uint32_t& latest = state.latest[s.publisher];
                                      observed.disorder += s.number > latest ? 0 : 1;
                                      latest = s.number;
                                      if (dice().one_in(4)) {
                                          std::this_thread::yield();
                                      }
                                      state.running.fetch_sub(1);
                                  },
                                  {.priority = 10});
    // One subscription runs an event as often as there are attempts, and never twice at once.
    struct Runs {
        std::atomic<int> in_all{0};
        std::atomic<int> now{0};
    };
    std::vector<Runs> runs(publishers * (keys + 1) * (program.steps + 1));
    auto trouble = bus->subscribe(
        step,
        [&](gossip::Context& context, const Step& s) {
            Runs& mine = runs[(s.publisher * (keys + 1) + s.key) * (program.steps + 1) + s.number];
            observed.runs_at_once += mine.now++ == 0 ? 0 : 1;
            observed.too_many_runs += ++mine.in_all == context.attempt() && mine.in_all <= program.attempts ? 0 : 1;
            gossip::Result result = misbehave(context);
            --mine.now;
            return result;
        },
        {.max_concurrency = program.limit,
         .redelivery = {.attempts = program.attempts, .first_delay = program.redelivery_delay, .growth = 1},
         .filter = [](const gossip::Event&) { return !dice().one_in(10); }});
    auto collects = bus->subscribe(step, gossip::batch<Step>(program.batch, [&](std::span<const Step> run) {
                                       observed.batched += run.size();
                                       observed.bad_batches += run.empty() || run.size() > program.batch.size ? 1U : 0U;
                                       for (const Step& s : run) {
                                           observed.bad_batches +=
                                               program.batch.by_key && s.key != run.front().key ? 1U : 0U;
                                       }
                                   }));
    auto inner = bus->subscribe(nested, [](int) {});
    auto letters = bus->subscribe(gossip::dead_letter, [&]() -> gossip::Result {
        ++observed.letters;
        return dice().one_in(5) ? gossip::Result{gossip::ProcessingError{"also here"}} : gossip::Result{};
    });

    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (std::uint32_t p = 0; p < publishers; ++p) {
        threads.emplace_back([&, p] {
            Random mine(round * 64 + 2 + p);
            std::array<std::uint32_t, keys + 1> next{};
            gossip::ScheduledId put_off;
            for (std::uint64_t i = 0; i < program.steps && !stop; ++i) {
                const auto key = static_cast<std::uint32_t>(mine.below(keys + 1));
                gossip::PublishOptions options;
                const std::string name = std::to_string(key);
                if (key != 0) {
                    options.key = name;
                }
                if (program.priorities) {
                    options.priority = static_cast<gossip::Priority>(mine.below(4));
                }
                if (mine.one_in(10)) {
                    put_off = bus->publish_after(std::chrono::nanoseconds(mine.below(500'000)), nested, 2);
                    observed.put_off += put_off.scheduled() != nullptr ? 1U : 0U;
                }
                if (mine.one_in(20)) {
                    const bool taken_back = bus->cancel(put_off);
                    observed.bad_cancels += taken_back && bus->cancel(put_off) ? 1U : 0U;
                }
                const Step s{p, ++next[key], key};
                gossip::PublishStatus status = gossip::PublishStatus::closed;
                const bool heard = !mine.one_in(20);
                if (!heard) {
                    status = bus->publish(unheard);
                } else if (mine.one_in(4)) {
                    status = bus->try_publish(step, Step(s), std::move(options));
                } else {
                    status = bus->publish(step, s, std::move(options));
                }
                if (count(status) == gossip::PublishStatus::closed) {
                    return;
                }
                if (heard && status == gossip::PublishStatus::accepted) {
                    check_capacity();
                }
                if (status == gossip::PublishStatus::full && program.workers == 0) {
                    bus->poll(1 + static_cast<std::size_t>(mine.below(4)));
                }
            }
        });
    }
    threads.emplace_back([&] { // subscribes and unsubscribes all the time
        Random mine(round * 64 + 9);
        while (!stop) {
            struct Probe {
                std::atomic<bool> over{false};
                std::atomic<int> running{0};
            };
            auto probe = std::make_shared<Probe>();
            gossip::SubscribeOptions options;
            if (mine.one_in(2)) {
                options.redelivery = {.attempts = 2, .first_delay = program.redelivery_delay};
            }
            options.max_concurrency = mine.below(3);
            const auto run = [probe, &observed, fails = mine.one_in(3)]() -> gossip::Result {
                ++probe->running;
                observed.ran_after_end += probe->over ? 1 : 0;
                std::this_thread::yield();
                --probe->running;
                return fails && dice().one_in(4) ? gossip::Result{gossip::RetryableError{"a guest"}} : gossip::Result{};
            };
            auto guest = mine.one_in(2) ? bus->subscribe(step, run, std::move(options))
                                        : bus->subscribe(gossip::Pattern{"law.*"}, run, std::move(options));
            gossip_test::a_moment(mine.below(50), 2ms);
            guest.unsubscribe();
            probe->over = true;
            observed.ran_after_end += probe->running == 0 ? 0U : 1U;
        }
    });
    if (program.workers == 0) {
        threads.emplace_back([&] {
            while (!stop) {
                bus->poll(3);
                std::this_thread::yield();
            }
        });
    }

    gossip::ShutdownReport report;
    const auto join = [&] {
        for (auto& thread : threads) {
            thread.join();
        }
        threads.clear();
    };
    switch (program.end) {
    case Program::End::drain_first:
    case Program::End::deadline_after:
        for (std::uint32_t p = 0; p < publishers; ++p) {
            threads[p].join();
        }
        threads.erase(threads.begin(), threads.begin() + publishers);
        if (program.end == Program::End::drain_first) {
            const bool drained = gossip_test::eventually([&] { return bus->drain(1s); }, 100s);
            CHECK(drained);
        }
        stop = true;
        join();
        report = program.end == Program::End::drain_first ? bus->shutdown() : bus->shutdown(program.patience);
        break;
    case Program::End::shutdown_while_publishing:
    case Program::End::deadline_while_publishing: {
        const std::uint64_t begun = random.below(program.steps);
        static_cast<void>(gossip_test::eventually([&] { return observed.accepted + observed.refused >= begun; }, 2s));
        report =
            program.end == Program::End::shutdown_while_publishing ? bus->shutdown() : bus->shutdown(program.patience);
        stop = true;
        join();
        break;
    }
    }
    const std::uint64_t accepted = observed.accepted;
    const gossip::ShutdownReport again = bus->shutdown();

    CHECK(report.complete);
    CHECK(report.adds_up());
    CHECK(again.adds_up());
    CHECK(report.accepted == again.accepted);
    CHECK(report.handled == again.handled);
    CHECK(report.failed == again.failed);
    CHECK(report.abandoned == again.abandoned);
    // What was put off was published when it was due, found no room then, or is counted as cancelled.
    CHECK(report.accepted + report.cancelled + observed.refused_when_due ==
          accepted + observed.sync_accepted + observed.put_off);
    CHECK(observed.bad_cancels == 0);
    // A refusal may be counted after the report: it was never accepted.
    CHECK(bus->stats().rejected == observed.refused + observed.refused_when_due);
    CHECK(report.dropped == observed.dropped);
    CHECK(report.failed == observed.failed_hook + observed.sync_failed);
    CHECK(report.dead_letters == report.failed - observed.sync_failed); // one for each, as somebody listens
    CHECK(observed.letters + report.dead_letters_abandoned == report.dead_letters);
    if (program.end == Program::End::drain_first || program.end == Program::End::shutdown_while_publishing) {
        CHECK(report.abandoned == 0);
        CHECK(report.dead_letters_abandoned == 0);
    }
    CHECK(observed.bad_batches == 0);
    CHECK(observed.batched <= observed.begun);
    if (report.abandoned == 0) {
        CHECK(observed.batched == observed.begun);
    }
    CHECK(observed.beyond_capacity == 0);
    CHECK(observed.disorder == 0);
    CHECK(observed.overlap == 0);
    CHECK(observed.too_many_runs == 0);
    CHECK(observed.runs_at_once == 0);
    CHECK(observed.ran_after_end == 0);
    CHECK(observed.strange_status == 0);
    CHECK(bus->stats().waiting == 0);
}

} // namespace conservation_test

using namespace conservation_test;

TEST_CASE("random programs: the counters add up, keys keep their order, what has ended does not run", "[laws]") {
    GOSSIP_INFO_SEED();
    for (const std::uint64_t round : gossip_test::Rounds(std::uint64_t{60}, 100s)) {
        INFO("round " << round);
        const std::string what =
            "random program, round " + std::to_string(round) + ", seed " + std::to_string(gossip_test::seed());
        const Bounded bounded(what.c_str());
        play(round);
    }
}

} // namespace conservation_test
