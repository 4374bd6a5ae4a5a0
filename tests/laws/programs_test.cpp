#include <gossip/gossip.hpp>
#include <gossip/testing.hpp>

#include "laws/program.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/seed.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace programs_test {

// Random programs on one thread and a manual clock, so that each does the same whenever it is played. What breaks a law
// is played again and again with less, and printed as the smallest program that still breaks it.

using namespace std::chrono_literals;

inline namespace parts {

using gossip_test::Act;
using gossip_test::Program;
using gossip_test::Step;

/// Guests: what they subscribe to, and how.
enum Guest : unsigned { plain, limited, tries_again, batched, filtered, guests };

struct Item {
    std::uint32_t number = 0; // in the order of acceptance, but for those that come later
    unsigned key = 0;
    unsigned priority = 1;
    unsigned fate = gossip_test::fine;
    unsigned inside = gossip_test::nothing;
    enum class Way : std::uint8_t { plain, sync, later } way = Way::plain;
};
inline constexpr gossip::Topic<Item> item{"law.item"};
inline constexpr gossip::Topic<> other{"law.other"};

/// What became of one item.
struct Life {
    Item item{};
    bool accepted = false;
    bool from_inside = false; // published by a processor
    unsigned began = 0;
    unsigned dropped = 0;
    unsigned abandoned = 0;
    unsigned refused = 0; // when its time had come
    unsigned batched = 0;
    unsigned errors = 0;
    unsigned letters = 0;
    int attempts = 0;
    unsigned deferrals = 0; // that are open
    bool failed = false;    // something of the latest attempt
    bool open = false;      // deferred, or waits to be tried again
    bool cancelled = false;
    bool sync_failed = false;
};

/// One program being played. `broken` names the first law that it has broken.
class Play {
public:
    explicit Play(const Program& program)
        : program_(program),
          bus_(gossip::Config{.workers = 0,
                              .buffer_size = program.buffer,
                              .overflow = static_cast<gossip::Overflow>(program.overflow % 3),
                              .clock = &clock_,
                              .on_error = [this](const gossip::ErrorReport& report) { told(report); },
                              .on_drop =
                                  [this](const gossip::Event& event, gossip::DropReason reason) {
                                      if (const Item* const one = event.data_if<Item>()) {
                                          Life& life = lives_[one->number];
                                          if (reason == gossip::DropReason::overflow) {
                                              ++life.dropped;
                                              leave(*one);
                                          } else {
                                              ++life.abandoned;
                                          }
                                      }
                                  }}),
          watcher_(bus_.subscribe(item, [this](const Item& one) { begin(one); }, {.priority = 10})),
          trouble_(bus_.subscribe(item,
                                  [this](gossip::Context& context, const Item& one) { return misbehave(context, one); },
                                  {.redelivery = {.attempts = attempts, .first_delay = 1s, .growth = 1, .jitter = 0}})),
          collects_(bus_.subscribe(item, gossip::batch<Item>({.size = 3, .period = 2s},
                                                             [this](std::span<const Item> run) {
                                                                 law(!run.empty() && run.size() <= 3, "batch size");
                                                                 for (const Item& one : run) {
                                                                     ++lives_[one.number].batched;
                                                                 }
                                                             }))),
          hears_(bus_.subscribe(gossip::dead_letter, [this](const gossip::DeadLetter& letter) -> gossip::Result {
              ++letters_;
              if (const Item* const one = letter.event.data_if<Item>()) {
                  ++lives_[one->number].letters;
                  law(one->way != Item::Way::sync, "no dead letter of publish_sync");
              }
              return letters_ % 5 == 0 ? gossip::Result{gossip::errors::processing_failed} : gossip::Result{};
          })) {}

    void play() {
        for (const Step& step : program_.steps) {
            take(step);
            look();
        }
        end(program_.patient);
        law(bus_.shutdown().abandoned == report_.abandoned, "a second shutdown says the same");
        look();
        judge();
        open_.clear();
        law(bus_.stats().adds_up() && bus_.stats().abandoned == report_.abandoned, "late ends change nothing");
        guests_.clear();
    }

    void law(bool holds, const char* name) {
        if (!holds && broken.empty()) {
            broken = name;
        }
    }

    std::string broken;
    std::map<std::uint32_t, Life> lives_;

private:
    static constexpr int attempts = 3;
    static constexpr unsigned priorities = 4;
    static constexpr unsigned most_overtaken = 16 + 2; // and a turn for each of the two others that have waited so long

    struct Visitor {
        gossip::Subscription subscription;
        std::shared_ptr<bool> over = std::make_shared<bool>(false);
    };

    // What the program does

    void take(const Step& step) {
        switch (step.act) {
        case Act::publish:
            for (unsigned i = 0; i <= step.count; ++i) {
                publish(step, false);
            }
            break;
        case Act::try_publish:
            publish(step, true);
            break;
        case Act::publish_sync:
            publish_sync(step.key, step.fate, step.inside);
            break;
        case Act::publish_after:
            publish_after(step);
            break;
        case Act::cancel:
            if (!later_.empty()) {
                auto& [number, id] = later_[step.count % later_.size()];
                Life& life = lives_[number];
                const bool fired = life.began + life.dropped + life.abandoned + life.refused != 0;
                const bool cancelled = bus_.cancel(id);
                law(!cancelled || (!life.cancelled && !fired), "cancel takes back what has not happened, once");
                life.cancelled = life.cancelled || cancelled;
            }
            break;
        case Act::poll:
            bus_.poll(step.count == 0 ? ~std::size_t{0} : step.count);
            break;
        case Act::advance:
            clock_.advance(std::chrono::seconds(step.count));
            break;
        case Act::resolve:
            if (!open_.empty()) {
                const std::size_t at = step.count % open_.size();
                auto [number, deferral] = std::move(open_[at]);
                open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(at));
                resolve(number, std::move(deferral), step.fate);
            }
            break;
        case Act::subscribe:
            subscribe(step.inside);
            break;
        case Act::unsubscribe:
            unsubscribe(step.count);
            break;
        case Act::flush:
            bus_.flush();
            break;
        case Act::drain:
            static_cast<void>(bus_.drain(5s));
            break;
        case Act::shutdown:
            end(step.count == 0);
            break;
        case Act::count_:
            break;
        }
    }

    Item next(unsigned key, unsigned priority, unsigned fate, unsigned inside, Item::Way way) {
        const Item one{++numbers_, key, priority % priorities, fate, inside, way};
        lives_[one.number].item = one;
        return one;
    }
    static gossip::PublishOptions options_of(const Item& one) {
        static const std::array<std::string, 8> names{"", "a", "b", "c", "d", "e", "f", "g"};
        return {.key = names[one.key % names.size()], .priority = static_cast<gossip::Priority>(one.priority)};
    }

    void publish(const Step& step, bool only_try) {
        const Item one = next(step.key, step.priority, step.fate, step.inside, Item::Way::plain);
        count(one,
              only_try ? bus_.try_publish(item, Item(one), options_of(one)) : bus_.publish(item, one, options_of(one)));
    }
    void count(const Item& one, gossip::PublishStatus status) {
        switch (status) {
        case gossip::PublishStatus::accepted:
            law(!shut_, "nothing is accepted after a shutdown");
            ++accepted_;
            lives_[one.number].accepted = true;
            lives_[one.number].from_inside = inside_ != 0;
            ++waiting_[one.priority];
            if (bus_.stats().spilled == 0) {
                law(waiting_[one.priority] <= bus_.stats().buffer_size, "capacity is a maximum");
            }
            break;
        case gossip::PublishStatus::full:
            ++refused_;
            law(program_.overflow != 2 || inside_ != 0, "drop_oldest makes room");
            break;
        case gossip::PublishStatus::closed:
            law(shut_, "closed is said of a bus that was shut down");
            break;
        default:
            law(false, "a status of one process");
        }
    }
    void publish_sync(unsigned key, unsigned fate, unsigned inside) {
        const Item one = next(key, 1, fate, inside, Item::Way::sync);
        const gossip::SyncResult result = bus_.publish_sync(item, one, options_of(one));
        if (!result.ok() && gossip::is(result.errors()[0], gossip::errors::closed)) {
            law(shut_, "closed is said of a bus that was shut down");
            return;
        }
        ++sync_accepted_;
        lives_[one.number].accepted = true;
        lives_[one.number].sync_failed = !result.ok();
        law(lives_[one.number].began == 1, "publish_sync runs its processors before it returns");
    }
    void publish_after(const Step& step) {
        const Item one = next(step.key, step.priority, step.fate, step.inside, Item::Way::later);
        const gossip::ScheduledId id = bus_.publish_after(std::chrono::seconds(step.count), item, one, options_of(one));
        if (id.scheduled() == nullptr) {
            law(shut_, "closed is said of a bus that was shut down");
            lives_.erase(one.number);
            return;
        }
        ++scheduled_;
        later_.emplace_back(one.number, id);
    }
    void resolve(std::uint32_t number, gossip::Deferral deferral, unsigned fate) {
        Life& life = lives_[number];
        life.failed = life.failed || fate % 3 != 0;
        life.open = --life.deferrals != 0 || (life.failed && life.attempts < attempts);
        switch (fate % 3) {
        case 0:
            deferral.succeed();
            break;
        case 1:
            deferral.fail(gossip::RetryableError{"late"});
            break;
        default:
            break; // dropped
        }
    }
    void subscribe(unsigned kind) {
        Visitor visitor;
        const auto over = visitor.over;
        const auto heard = [this, over] { law(!*over, "nothing runs after unsubscribe has returned"); };
        const auto run = [heard] { heard(); };
        switch (kind % guests) {
        case plain:
            visitor.subscription = bus_.subscribe(gossip::Pattern{"law.*"}, run);
            break;
        case limited:
            visitor.subscription = bus_.subscribe(gossip::Pattern{"law.*"}, run, {.max_concurrency = 1});
            break;
        case tries_again:
            visitor.subscription = bus_.subscribe(item,
                                                  [heard](gossip::Context& context, const Item& one) -> gossip::Result {
                                                      heard();
                                                      return context.attempt() == 1 && one.number % 3 == 0
                                                                 ? gossip::Result{gossip::errors::retryable}
                                                                 : gossip::Result{};
                                                  },
                                                  {.redelivery = {.attempts = 2, .first_delay = 2s, .jitter = 0}});
            break;
        case batched:
            visitor.subscription = bus_.subscribe(
                item, gossip::batch<Item>({.size = 2, .period = 3s}, [heard](std::span<const Item>) { heard(); }));
            break;
        default:
            visitor.subscription =
                bus_.subscribe(gossip::Pattern{"law.*"}, run, {.filter = [heard](const gossip::Event&) {
                                   heard();
                                   return false;
                               }});
        }
        law(visitor.subscription.active() != shut_, "a subscription is active until the bus is shut down");
        guests_.push_back(std::move(visitor));
    }
    void unsubscribe(unsigned which) {
        if (guests_.empty()) {
            return;
        }
        const std::size_t at = which % guests_.size();
        Visitor gone = std::move(guests_[at]);
        guests_.erase(guests_.begin() + static_cast<std::ptrdiff_t>(at));
        gone.subscription.unsubscribe();
        *gone.over = true;
    }
    void end(bool patient) {
        if (patient) { // what stays deferred nobody would resolve
            may_defer_ = false;
            while (!open_.empty()) {
                auto [number, deferral] = std::move(open_.front());
                open_.pop_front();
                resolve(number, std::move(deferral), gossip_test::fine);
            }
        }
        shut_ = true;
        const gossip::ShutdownReport report = patient ? bus_.shutdown() : bus_.shutdown(0ns);
        law(report.complete, "a shutdown from outside is complete");
        if (!bus_complete_) {
            report_ = report;
            patient_ = patient;
        }
        bus_complete_ = true;
    }

    // What its processors do

    void leave(const Item& one) {
        if (one.way == Item::Way::plain) {
            --waiting_[one.priority];
        }
    }
    void begin(const Item& one) {
        Life& life = lives_[one.number];
        law(++life.began == 1, "an event begins once");
        law(life.dropped == 0, "what was dropped does not begin");
        law(!life.cancelled, "what was cancelled does not begin");
        if (one.way == Item::Way::sync) {
            return;
        }
        leave(one);
        if (one.key != 0) {
            if (one.way == Item::Way::plain) {
                law(latest_[one.key] < one.number, "events of a key begin in the order of acceptance");
                latest_[one.key] = one.number;
            }
            if (!shut_) { // which lets go of keys whose events wait to be tried again
                Life* const before = holder_[one.key];
                law(before == nullptr || !before->open, "a key is held until its event has ended");
            }
            holder_[one.key] = &life;
        }
        for (unsigned lane = 0; lane < priorities; ++lane) {
            if (lane < one.priority && inside_ == 0 && has_waited(lane)) {
                law(++overtaken_[lane] <= most_overtaken, "a lower priority is not starved");
            } else if (lane == one.priority || !has_waited(lane)) {
                overtaken_[lane] = 0;
            }
        }
    }
    /// Whether an event of that lane waits that waits for nothing but its turn: not for its key, nor for the next poll,
    /// as those do that came in during one.
    [[nodiscard]] bool has_waited(unsigned lane) const {
        if (waiting_[lane] == 0) {
            return false;
        }
        for (const auto& [number, life] : lives_) {
            if (life.accepted && !life.from_inside && life.item.way == Item::Way::plain && life.item.priority == lane &&
                life.item.key == 0 && life.began + life.dropped + life.abandoned == 0) {
                return true;
            }
        }
        return false;
    }

    gossip::Result misbehave(gossip::Context& context, const Item& one) {
        Life& life = lives_[one.number];
        law(context.attempt() == life.attempts + 1, "attempts are counted one by one");
        law(life.deferrals == 0, "no attempt begins before the one before has ended");
        life.attempts = context.attempt();
        life.failed = false;
        life.open = false;
        if (context.attempt() == 1) {
            ++inside_;
            call(one);
            --inside_;
            if (one.inside == gossip_test::throws) {
                life.open = one.way != Item::Way::sync;
                throw std::runtime_error("by the program");
            }
        }
        const bool sync = one.way == Item::Way::sync;
        if (one.fate >= gossip_test::deferred) {
            if (!may_defer_ || sync) {
                return {};
            }
            life.deferrals = one.fate == gossip_test::deferred_twice ? 2 : 1;
            life.failed = one.fate == gossip_test::deferred_and_fails;
            life.open = true;
            for (unsigned i = 0; i < life.deferrals; ++i) {
                open_.emplace_back(one.number, context.defer());
            }
            return life.failed ? gossip::Result{gossip::RetryableError{"by the program"}} : gossip::Result{};
        }
        if (one.fate == gossip_test::fatal) {
            return gossip::FatalError{"by the program"};
        }
        if (context.attempt() <= static_cast<int>(one.fate)) {
            life.open = !sync && context.attempt() < attempts;
            return gossip::RetryableError{"by the program"};
        }
        return {};
    }
    void call(const Item& one) {
        switch (one.inside) {
        case gossip_test::publishes: {
            const Item inner = next(one.key, one.priority, gossip_test::fine, gossip_test::nothing, Item::Way::plain);
            count(inner, bus_.publish(item, inner, options_of(inner)));
            break;
        }
        case gossip_test::publishes_sync:
            publish_sync(one.key, gossip_test::fine, gossip_test::nothing);
            if (bus_.publish_sync(other).ok()) {
                ++sync_accepted_;
            }
            break;
        case gossip_test::publishes_later:
            publish_after({.act = Act::publish_after, .key = one.key, .count = 1});
            break;
        case gossip_test::subscribes:
            subscribe(one.number);
            break;
        case gossip_test::unsubscribes:
            unsubscribe(one.number);
            break;
        case gossip_test::flushes:
            bus_.flush();
            break;
        case gossip_test::drains:
            static_cast<void>(bus_.drain(5s));
            break;
        case gossip_test::shuts_down:
            shut_ = true;
            law(bus_.shutdown().complete == bus_complete_, "a shutdown from inside is not complete");
            break;
        default:
            break;
        }
    }
    void told(const gossip::ErrorReport& report) {
        if (report.in_dead_letter) {
            ++letter_errors_;
            return;
        }
        const Item* const one = report.event.data_if<Item>();
        law(one != nullptr, "the error hook is told of which event");
        if (one == nullptr) {
            return;
        }
        if (gossip::is(report.error, gossip::errors::full)) {
            ++lives_[one->number].refused;
            ++refused_;
        } else {
            ++lives_[one->number].errors;
        }
    }

    // What must hold

    void look() {
        const gossip::Stats stats = bus_.stats();
        const std::uint64_t ended = stats.handled + stats.failed + stats.unrouted + stats.dropped + stats.abandoned;
        law(stats.accepted >= ended, "nothing ends that was not accepted");
        law(stats.waiting <= stats.buffer_size * priorities + stats.spilled, "no more waits than may");
        law(stats.rejected == refused_, "each refusal is counted");
        law(stats.dead_letters >= letters_, "a dead letter is counted before it is read");
    }
    void judge() {
        const gossip::ShutdownReport& r = report_;
        law(r.adds_up(), "the counters add up");
        std::uint64_t failed = 0;
        std::uint64_t failed_sync = 0;
        std::uint64_t fired = 0;
        std::uint64_t cancelled = 0;
        std::uint64_t dropped = 0;
        for (const auto& [number, life] : lives_) {
            const bool later = life.item.way == Item::Way::later;
            const bool reached = life.began + life.dropped + life.abandoned != 0;
            law(life.began <= 1 && life.dropped <= 1 && life.abandoned <= 1, "an event ends once");
            law(life.letters <= 1 && life.errors <= 1, "a failed event is one dead letter, and told of once");
            law(life.dropped == 0 || life.began == 0, "what is dropped has not begun");
            law(later || life.accepted == reached, "what was accepted begins, is dropped or is abandoned");
            law(life.batched <= life.began, "a batch runs an event once");
            law(r.abandoned != 0 || life.batched == life.began, "a batch runs all that it was given");
            law(life.attempts <= attempts, "no more attempts than there are");
            law(life.refused == 0 || (later && !reached), "what is refused does not begin");
            fired += later && (reached || life.refused != 0) ? 1U : 0U;
            cancelled += life.cancelled ? 1U : 0U;
            dropped += life.dropped;
            const bool sync = life.item.way == Item::Way::sync;
            failed += life.errors != 0 || life.sync_failed ? 1U : 0U;
            failed_sync += sync && (life.errors != 0 || life.sync_failed) ? 1U : 0U;
        }
        std::uint64_t later_accepted = 0;
        for (const auto& [number, life] : lives_) {
            later_accepted +=
                life.item.way == Item::Way::later && life.began + life.dropped + life.abandoned != 0 ? 1U : 0U;
        }
        law(r.accepted == accepted_ + sync_accepted_ + later_accepted, "accepted is what publish has said");
        law(r.dropped == dropped, "each drop is told of");
        law(r.cancelled == scheduled_ - fired, "a publish to come happens, or is counted as cancelled");
        law(r.cancelled >= cancelled, "what was cancelled is counted");
        // Of publish_sync the caller is told; the event ends when its batch does, and may be abandoned until then.
        law(r.failed <= failed && failed <= r.failed + (failed_sync == 0 ? 0 : r.abandoned),
            "each failed event is told of once");
        law(r.dead_letters == failed - failed_sync, "each failed event is one dead letter");
        law(letters_ + r.dead_letters_abandoned == r.dead_letters, "each dead letter is read, or abandoned");
        law(r.dead_letters_failed == letter_errors_, "a failed dead letter is told of, and no more");
        law(!patient_ || (r.abandoned == 0 && r.dead_letters_abandoned == 0),
            "nothing is abandoned without a deadline");
        law(bus_.stats().waiting == 0 && bus_.stats().timers == 0, "nothing is left");
    }

    const Program& program_;
    std::uint32_t numbers_ = 0;
    std::uint64_t accepted_ = 0;
    std::uint64_t sync_accepted_ = 0;
    std::uint64_t refused_ = 0;
    std::uint64_t scheduled_ = 0;
    std::uint64_t letter_errors_ = 0;
    std::uint64_t letters_ = 0;
    unsigned inside_ = 0;
    bool may_defer_ = true;
    bool shut_ = false;
    bool bus_complete_ = false;
    bool patient_ = true;
    std::array<std::uint64_t, priorities> waiting_{};
    std::array<unsigned, priorities> overtaken_{};
    std::array<std::uint32_t, 8> latest_{};
    std::array<Life*, 8> holder_{};
    gossip::testing::ManualClock clock_;
    std::deque<std::pair<std::uint32_t, gossip::Deferral>> open_;
    std::vector<std::pair<std::uint32_t, gossip::ScheduledId>> later_;
    gossip::ShutdownReport report_;
    gossip::EventBus<> bus_;
    std::vector<Visitor> guests_;
    gossip::Subscription watcher_;
    gossip::Subscription trouble_;
    gossip::Subscription collects_;
    gossip::Subscription hears_;
};

/// The first law that the program breaks; empty: none. `extra` is one more law, about what became of the items.
std::string broken_by(const Program& program, const std::function<void(Play&)>& extra = {}) {
    const std::string text = to_text(program);
    const gossip_test::Bounded bounded(text.c_str());
    Play play(program);
    play.play();
    if (extra) {
        extra(play);
    }
    return play.broken;
}

} // namespace parts

TEST_CASE("random programs on one thread keep every law, or are shrunk to the few steps that break one", "[laws]") {
    GOSSIP_INFO_SEED();
    for (std::uint64_t round = 0; round < 800; ++round) {
        INFO("round " << round);
        const Program program = gossip_test::draw_program(200'000 + round);
        const std::string broken = broken_by(program);
        CHECK(broken.empty());
        if (!broken.empty()) {
            const Program small =
                gossip_test::shrink(program, [&](const Program& less) { return broken_by(less) == broken; });
            FAIL("broken: " << broken << "\nby\n" << to_text(small));
        }
    }
}

TEST_CASE("a law that is wrong is broken by a program that shrinks to the one step that matters", "[laws]") {
    GOSSIP_INFO_SEED();
    constexpr const char* wrong = "no event of the second key is fatal";
    const auto none_is_fatal = [](Play& play) {
        for (const auto& [number, life] : play.lives_) {
            play.law(life.item.key != 2 || life.item.fate != gossip_test::fatal || life.attempts == 0, wrong);
        }
    };
    bool found = false;
    for (std::uint64_t round = 0; round < 200 && !found; ++round) {
        Program program = gossip_test::draw_program(300'000 + round);
        if (program.steps.size() < 10) {
            continue; // too little to take away
        }
        program.patient = true; // what was published runs, also without a poll
        std::erase_if(program.steps, [](const Step& step) {
            return step.act == Act::publish_after && step.fate == gossip_test::fatal; // two steps: one makes it due
        });
        found = broken_by(program, none_is_fatal) == wrong;
        if (found) {
            const Program small = gossip_test::shrink(
                program, [&](const Program& less) { return broken_by(less, none_is_fatal) == wrong; });
            INFO(to_text(program) << "\nshrinks to\n" << to_text(small));
            REQUIRE(small.steps.size() == 1);
            const Step& left = small.steps.front();
            CHECK(left.key == 2);
            CHECK(left.fate == gossip_test::fatal);
            CHECK(left.priority == Step{}.priority);
            CHECK(left.inside == gossip_test::nothing);
            CHECK(left.count == 0);
            CHECK(broken_by(small, none_is_fatal) == wrong); // a program is a value: it does the same again
            CHECK(broken_by(small).empty());
        }
    }
    CHECK(found);
}

TEST_CASE("a program shrinks to what a full buffer takes, and to no fewer steps", "[laws]") {
    const auto nothing_is_dropped = [](Play& play) {
        for (const auto& [number, life] : play.lives_) {
            play.law(life.dropped == 0, "nothing is dropped");
        }
    };
    Program program{.buffer = 4, .overflow = 2};
    for (unsigned i = 0; i < 40; ++i) {
        program.steps.push_back({.act = i % 5 == 4 ? Act::advance : Act::publish, .priority = i % 2, .fate = i % 3});
    }
    const Program small = gossip_test::shrink(
        program, [&](const Program& less) { return broken_by(less, nothing_is_dropped) == "nothing is dropped"; });
    INFO(to_text(small));
    CHECK(small.steps.size() == 5);
    for (const Step& step : small.steps) {
        CHECK(step.act == Act::publish);
        CHECK(step.fate == gossip_test::fine);
        CHECK(step.priority == small.steps.front().priority);
    }
    CHECK(to_text(small).find("{Act::publish, 0, ") != std::string::npos);
}

} // namespace programs_test
