#include <gossip/gossip.hpp>

#include "laws/threads_program.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/seed.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace conservation_test {

// Random programs over real threads and one bus. Whatever they do, what publish accepted ends once and is counted, keys
// keep their order, an ended processor does not run, and the buffer holds no more than it may. What breaks a law is
// played again and again with less, several times each, and printed as the smallest program that has broken it.

using namespace std::chrono_literals;

namespace conservation_test {

using gossip_test::Bounded;
using gossip_test::Random;

using namespace gossip_test::threads;

/// What publishers publish: where it stands in the program.
struct Item {
    std::uint32_t at = 0;
    std::uint32_t number = 0; // of its key and publisher
};
inline constexpr gossip::Topic<Item> item{"law.step"};
inline constexpr gossip::Topic<int> nested{"law.nested"};
inline constexpr gossip::Topic<> nobody_hears{"law.unheard"};

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
    std::atomic<std::uint64_t> failures{0};                      // of single attempts
    std::array<std::atomic<std::uint64_t>, keys + 1> begun_of{}; // by key
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

/// What a test may ask of a play besides the laws.
using Extra = std::function<const char*(const Program&, const Observed&)>;

/// The first law that this play of the program breaks; empty: none. Dice are drawn from the streams after `stream`.
std::string play(const Program& program, std::uint64_t stream, const Extra& extra = {}) {
    const std::string text = "random program, seed " + std::to_string(gossip_test::seed()) + '\n' + to_text(program);
    const Bounded bounded(text.c_str());
    const auto redelivery_delay = std::chrono::microseconds(program.redelivery_us);
    const auto patience = std::chrono::microseconds(program.patience_us);
    Observed observed;
    std::array<KeyState, keys> key_states;
    Resolver resolver(stream + 1);
    std::optional<gossip::EventBus<>> bus;
    bus.emplace(gossip::Config{
        .workers = program.workers,
        .buffer_size = program.buffer,
        .overflow = static_cast<gossip::Overflow>(program.overflow % 3),
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
                observed.steps_dropped += event.type() == item.type() ? 1U : 0U;
            }});
    std::array<bool, gossip::priority_count> in_use{};
    for (const Step& step : program.steps) {
        in_use[step.priority % gossip::priority_count] = true;
    }
    const auto lanes = static_cast<std::uint64_t>(std::count(in_use.begin(), in_use.end(), true));
    // What was accepted less what has begun or was dropped by a later look is less than what waited in between. Each
    // thread may have taken one that has not told us so yet, and may be dropping another.
    const std::uint64_t most_waiting = bus->stats().buffer_size * lanes + 2 * (program.workers + publishers + 1);
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
    const auto misbehave = [&](gossip::Context& context, const Step& step) -> gossip::Result {
        for (unsigned n = 0; n < step.deferrals; ++n) {
            resolver.take(context.defer());
        }
        if (step.nested != 0) {
            count(bus->publish(nested, 0));
        }
        if (step.sync != 0) {
            const gossip::SyncResult result = bus->publish_sync(nested, 1);
            if (result.ok() || !gossip::is(result.errors()[0], gossip::errors::closed)) {
                ++observed.sync_accepted;
                observed.sync_failed += result.ok() ? 0 : 1;
            }
        }
        if (context.attempt() <= static_cast<int>(step.fails)) {
            ++observed.failures;
            return gossip::RetryableError{"by the program"};
        }
        return {};
    };
    // Order per key is seen by a processor that never fails and is asked first; another one fails, defers, publishes.
    auto watcher = bus->subscribe(item,
                                  [&](const Item& one) {
                                      const Step& step = program.steps[one.at];
                                      ++observed.begun;
                                      ++observed.begun_of[step.key];
                                      if (step.key == 0) {
                                          return;
                                      }
                                      KeyState& state = key_states[step.key - 1];
                                      observed.overlap += state.running.fetch_add(1) == 0 ? 0 : 1;
                                      std::uint32_t& latest = state.latest[step.publisher];
                                      observed.disorder += one.number > latest ? 0 : 1;
                                      latest = one.number;
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
    std::vector<Runs> runs(program.steps.size());
    auto trouble = bus->subscribe(
        item,
        [&](gossip::Context& context, const Item& one) {
            Runs& mine = runs[one.at];
            observed.runs_at_once += mine.now++ == 0 ? 0 : 1;
            observed.too_many_runs +=
                ++mine.in_all == context.attempt() && mine.in_all <= static_cast<int>(program.attempts) ? 0 : 1;
            gossip::Result result = misbehave(context, program.steps[one.at]);
            --mine.now;
            return result;
        },
        {.max_concurrency = program.limit,
         .redelivery = {.attempts = static_cast<int>(program.attempts), .first_delay = redelivery_delay, .growth = 1},
         .filter = [&](const gossip::Event& event) { return program.steps[event.data_if<Item>()->at].filtered == 0; }});
    const gossip::BatchOptions batch{.size = program.batch_size,
                                     .period = std::chrono::microseconds(program.batch_us),
                                     .concurrency = program.batches_at_once,
                                     .by_key = program.batch_by_key != 0};
    auto collects = bus->subscribe(item, gossip::batch<Item>(batch, [&](std::span<const Item> run) {
                                       observed.batched += run.size();
                                       observed.bad_batches += run.empty() || run.size() > batch.size ? 1U : 0U;
                                       const auto key_of = [&](const Item& one) { return program.steps[one.at].key; };
                                       for (const Item& one : run) {
                                           observed.bad_batches +=
                                               batch.by_key && key_of(one) != key_of(run.front()) ? 1U : 0U;
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
            Random mine(stream + 2 + p);
            std::array<std::uint32_t, keys + 1> next{};
            gossip::ScheduledId put_off;
            for (std::uint32_t at = 0; at < program.steps.size() && !stop; ++at) {
                const Step& step = program.steps[at];
                if (step.publisher != p) {
                    continue;
                }
                gossip::PublishOptions options;
                const std::string name = std::to_string(step.key);
                if (step.key != 0) {
                    options.key = name;
                }
                options.priority = static_cast<gossip::Priority>(step.priority);
                if (step.put_off != 0) {
                    put_off = bus->publish_after(std::chrono::microseconds(step.put_off), nested, 2);
                    observed.put_off += put_off.scheduled() != nullptr ? 1U : 0U;
                }
                if (step.cancels != 0) {
                    const bool taken_back = bus->cancel(put_off);
                    observed.bad_cancels += taken_back && bus->cancel(put_off) ? 1U : 0U;
                }
                const Item one{at, ++next[step.key]};
                gossip::PublishStatus status = gossip::PublishStatus::closed;
                if (step.way == unheard) {
                    status = bus->publish(nobody_hears);
                } else if (step.way == tries) {
                    status = bus->try_publish(item, Item(one), std::move(options));
                } else {
                    status = bus->publish(item, one, std::move(options));
                }
                if (count(status) == gossip::PublishStatus::closed) {
                    return;
                }
                if (step.way != unheard && status == gossip::PublishStatus::accepted) {
                    check_capacity();
                }
                if (status == gossip::PublishStatus::full && program.workers == 0) {
                    bus->poll(1 + static_cast<std::size_t>(mine.below(4)));
                }
            }
        });
    }
    threads.emplace_back([&] { // subscribes and unsubscribes all the time
        Random mine(stream + 9);
        while (!stop && program.guests != 0) {
            struct Probe {
                std::atomic<bool> over{false};
                std::atomic<int> running{0};
            };
            auto probe = std::make_shared<Probe>();
            gossip::SubscribeOptions options;
            if (mine.one_in(2)) {
                options.redelivery = {.attempts = 2, .first_delay = redelivery_delay};
            }
            options.max_concurrency = mine.below(3);
            const auto run = [probe, &observed, fails = mine.one_in(3)]() -> gossip::Result {
                ++probe->running;
                observed.ran_after_end += probe->over ? 1 : 0;
                std::this_thread::yield();
                --probe->running;
                return fails && dice().one_in(4) ? gossip::Result{gossip::RetryableError{"a guest"}} : gossip::Result{};
            };
            auto guest = mine.one_in(2) ? bus->subscribe(item, run, std::move(options))
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

    std::string broken;
    const auto law = [&broken](bool holds, const char* name) {
        if (!holds && broken.empty()) {
            broken = name;
        }
    };
    gossip::ShutdownReport report;
    const auto join = [&] {
        for (auto& thread : threads) {
            thread.join();
        }
        threads.clear();
    };
    switch (program.end % ends) {
    case drain_first:
    case deadline_after:
        for (std::uint32_t p = 0; p < publishers; ++p) {
            threads[p].join();
        }
        threads.erase(threads.begin(), threads.begin() + publishers);
        if (program.end == drain_first) {
            law(gossip_test::eventually([&] { return bus->drain(1s); }, 100s),
                "a bus that is left alone comes to rest");
        }
        stop = true;
        join();
        report = program.end == drain_first ? bus->shutdown() : bus->shutdown(patience);
        break;
    case shutdown_while_publishing:
    case deadline_while_publishing: {
        // Where there are fewer they have all been made.
        const std::uint64_t after = std::min<std::uint64_t>(program.ends_after, program.steps.size());
        static_cast<void>(gossip_test::eventually([&] { return observed.accepted + observed.refused >= after; }, 2s));
        report = program.end == shutdown_while_publishing ? bus->shutdown() : bus->shutdown(patience);
        stop = true;
        join();
        break;
    }
    }
    const std::uint64_t accepted = observed.accepted;
    const gossip::ShutdownReport again = bus->shutdown();

    law(report.complete, "a shutdown from outside is complete");
    law(report.adds_up() && again.adds_up(), "the counters add up");
    law(report.accepted == again.accepted && report.handled == again.handled && report.failed == again.failed &&
            report.abandoned == again.abandoned,
        "a second shutdown says the same");
    law(report.accepted + report.cancelled + observed.refused_when_due ==
            accepted + observed.sync_accepted + observed.put_off,
        "what was put off is published when it is due, finds no room then, or is counted as cancelled");
    law(observed.bad_cancels == 0, "cancel takes back once");
    // A refusal may be counted after the report: it was never accepted.
    law(bus->stats().rejected == observed.refused + observed.refused_when_due, "each refusal is counted");
    law(report.dropped == observed.dropped, "each drop is told of");
    law(report.failed == observed.failed_hook + observed.sync_failed, "each failed event is told of once");
    law(report.dead_letters == report.failed - observed.sync_failed, "each failed event is one dead letter");
    law(observed.letters + report.dead_letters_abandoned == report.dead_letters,
        "each dead letter is read, or abandoned");
    law(report.abandoned + report.dead_letters_abandoned == 0 ||
            (program.end != drain_first && program.end != shutdown_while_publishing),
        "nothing is abandoned without a deadline");
    law(observed.bad_batches == 0, "a batch is no larger than it may be, and of one key if it is to be");
    law(observed.batched <= observed.begun, "a batch runs an event once");
    law(report.abandoned != 0 || observed.batched == observed.begun, "a batch runs all that it was given");
    law(observed.beyond_capacity == 0, "no more waits than may");
    law(observed.disorder == 0, "events of a key begin in the order of acceptance");
    law(observed.overlap == 0, "events of a key run one at a time");
    law(observed.too_many_runs == 0, "attempts are counted one by one, and no more than there are");
    law(observed.runs_at_once == 0, "no attempt begins before the one before has ended");
    law(observed.ran_after_end == 0, "what has ended does not run");
    law(observed.strange_status == 0, "publish says accepted, full or closed");
    law(bus->stats().waiting == 0, "nothing is left");
    if (const char* const besides = extra ? extra(program, observed) : nullptr) {
        law(false, besides);
    }
    return broken;
}

} // namespace conservation_test

using namespace conservation_test;

TEST_CASE("random programs over threads keep every law, or are shrunk to the few steps that break one", "[laws]") {
    GOSSIP_INFO_SEED();
    for (const std::uint64_t round : gossip_test::Rounds(std::uint64_t{60}, 100s)) {
        INFO("round " << round);
        const Program program = draw_program(round * 64);
        const std::string broken = play(program, round * 64);
        CHECK(broken.empty());
        if (!broken.empty()) {
            const Program small = gossip_test::shrink(
                program,
                [&](const Program& less) { return breaks_at_times([&] { return play(less, round * 64); }, broken); },
                60s);
            FAIL("broken: " << broken << "\nby, in some of its plays,\n" << to_text(small));
        }
    }
}

TEST_CASE("a law that is wrong is broken by a program over threads that shrinks to the step that matters", "[laws]") {
    GOSSIP_INFO_SEED();
    static constexpr const char* wrong = "no event of the second key begins";
    const unsigned plays_until_it_shows = GENERATE(1U, 3U);
    unsigned plays = 0;
    // In one play of three, as if it were a race.
    const Extra none_begins = [&](const Program&, const Observed& observed) {
        return observed.begun_of[2] != 0 && ++plays % plays_until_it_shows == 0 ? wrong : nullptr;
    };
    Program program = draw_program(6'400'000);
    program.end = drain_first; // what was published runs
    program.redelivery_us = 0;
    program.steps.resize(90);
    program.steps[40].key = 2;
    program.steps[40].way = publishes;
    program.overflow = 0;

    REQUIRE(breaks_at_times([&] { return play(program, 1, none_begins); }, wrong));
    const Program small = gossip_test::shrink(
        program,
        [&](const Program& less) { return breaks_at_times([&] { return play(less, 1, none_begins); }, wrong); }, 100s);

    INFO(to_text(program) << "\nshrinks to\n" << to_text(small));
    REQUIRE(small.steps.size() == 1);
    CHECK(small.steps.front().key == 2);
    for (unsigned Step::*const number : numbers_of(Step{})) {
        CHECK((number == &Step::key || small.steps.front().*number == Step{}.*number));
    }
    for (unsigned Program::*const setting : settings_of(Program{})) {
        CHECK(small.*setting == Program{}.*setting);
    }
    CHECK(play(small, 1).empty());
}

} // namespace conservation_test
