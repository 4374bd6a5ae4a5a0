#pragma once

// Runs a small program of a few threads again and again, each time in another order, one thread at a time: first every
// order within some bounds, then orders drawn at random from the seed. The threads are fibers of one real thread, and
// a thread gives way only where it asks for it: before each operation of an ExploredAtomic, a mutex or a parker (see
// explored_atomic.hpp and explored_parker.hpp). So an execution is a list of choices, and can be repeated.
//
// A program is a class with `static constexpr unsigned threads`, `void run(unsigned me)`, which each thread calls once,
// and `void end()`, called after all of them. Its constructor happens before the threads, `end` after them. It tells a
// mistake by `require`; that all threads wait is one, too, and so is an execution that does not end.

#include "support/seed.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <ucontext.h>

namespace gossip_test {

constexpr unsigned most_explored_threads = 4;

/// When each thread did what is known here: the happens-before relation, as a vector clock.
class HappenedBefore {
public:
    void join(const HappenedBefore& other) {
        for (std::size_t i = 0; i < moments_.size(); ++i) {
            moments_[i] = std::max(moments_[i], other.moments_[i]);
        }
    }
    void advance(unsigned thread) { ++moments_[thread]; }
    [[nodiscard]] std::uint32_t moment(unsigned thread) const { return moments_[thread]; }
    /// Whether what `thread` did at `moment` (0: never) is known.
    [[nodiscard]] bool knows(unsigned thread, std::uint32_t moment) const {
        return moment != 0 && moment <= moments_[thread];
    }

    static constexpr unsigned outside = most_explored_threads; // who builds the program and ends it
    static constexpr unsigned threads = most_explored_threads + 1;

private:
    std::array<std::uint32_t, threads> moments_{};
};

/// How far an execution may stray from the plainest one, in which each thread runs until it waits and reads what is
/// newest.
struct Bounds {
    unsigned preemptions = 0;
    unsigned stale_reads = 0;
    unsigned spurious_failures = 0; // of weak compare-exchanges
    unsigned early_timeouts = 0;    // that happen although somebody could run; each is a preemption, too
    unsigned timeouts = 0;          // in all: more than that mean that nothing but a timeout helps
};

/// What exploring has come to.
struct Explored {
    std::uint64_t executions = 0;
    std::string failure{}; // empty: none
    std::string story{};   // what happened in the execution that failed, one operation a line
};

/// The choices of one execution: those of an earlier one up to a point, or random ones.
class Choices {
public:
    explicit Choices(Random* random = nullptr) : random_(random) {}

    /// A number below `options`; 0 is the plain choice.
    unsigned pick(unsigned options) {
        if (at_ == taken_.size()) {
            const bool astray = random_ != nullptr && random_->one_in(3);
            taken_.push_back({astray ? static_cast<unsigned>(random_->below(options)) : 0, options});
        }
        return taken_[at_++].number;
    }

    /// The same choices again.
    void repeat() { at_ = 0; }
    /// Goes to the next list of choices; false when all were made.
    bool next() {
        at_ = 0;
        if (random_ != nullptr) {
            taken_.clear();
            return true;
        }
        while (!taken_.empty() && ++taken_.back().number == taken_.back().options) {
            taken_.pop_back();
        }
        return !taken_.empty();
    }

private:
    struct Choice {
        unsigned number;
        unsigned options;
    };
    Random* random_;
    std::vector<Choice> taken_;
    std::size_t at_ = 0;
};

/// One execution of a program: its threads, what each of them knows, and who runs.
class Execution {
public:
    Execution(Choices& choices, const Bounds& bounds, unsigned threads, std::function<void(unsigned)> body,
              std::string* story)
        : choices_(choices), left_(bounds), threads_(threads), body_(std::move(body)), story_(story) {
        knows_[HappenedBefore::outside].advance(HappenedBefore::outside);
        running_now() = this;
    }
    Execution(const Execution&) = delete;
    Execution& operator=(const Execution&) = delete;
    ~Execution() { running_now() = nullptr; }

    static Execution& now() { return *running_now(); }

    /// All threads, from beginning to end; false if something was wrong.
    bool run() {
        for (unsigned i = 0; i < threads_; ++i) {
            knows_[i] = knows_[HappenedBefore::outside];
            knows_[i].advance(i);
            begin_fiber(i);
        }
        me_ = 0;
        swapcontext(&outside_, &fibers_[0]);
        me_ = HappenedBefore::outside;
        for (unsigned i = 0; i < threads_; ++i) {
            knows_[me_].join(knows_[i]);
        }
        return failure_.empty();
    }

    [[nodiscard]] unsigned me() const { return me_; }
    [[nodiscard]] HappenedBefore& known() { return knows_[me_]; }
    [[nodiscard]] const std::string& failure() const { return failure_; }
    [[nodiscard]] std::int64_t time() const { return time_; }

    /// Before each operation that others can see: perhaps they run first. It is a new moment for this thread.
    void step() {
        if (me_ != HappenedBefore::outside) {
            if (++steps_ > most_steps) {
                fail("an execution does not end");
            }
            give_way(State::ready);
        }
        known().advance(me_);
    }
    /// This thread has nothing to do until another has run.
    void yield() { give_way(State::yielded); }
    /// Waits for `wake(on)`; false if the time came first (negative: it never comes).
    bool wait(const void* on, std::int64_t timeout) {
        Thread& mine = of_[me_];
        mine.on = on;
        mine.until = timeout < 0 || timeout == forever ? forever : time_ + timeout;
        mine.timed_out = false;
        give_way(State::waiting);
        return !mine.timed_out;
    }
    void wake(const void* on) {
        for (unsigned i = 0; i < threads_; ++i) {
            if (of_[i].state == State::waiting && of_[i].on == on) {
                of_[i].state = State::ready;
            }
        }
    }

    /// A fence in every thread at once: what any of them has done by now is known to all.
    void order_all() {
        HappenedBefore all;
        for (const HappenedBefore& known : knows_) {
            all.join(known);
        }
        for (HappenedBefore& known : knows_) {
            known.join(all);
        }
    }
    /// A fence in this thread: it is one in a row of all that there are.
    void order_me() {
        fenced_.join(known());
        known().join(fenced_);
    }

    /// Which of the values that may be read is read: 0 is the newest.
    unsigned pick_age(unsigned options) { return pick(options, left_.stale_reads); }
    bool fails_for_no_reason() { return pick(2, left_.spurious_failures) != 0; }

    /// The execution was wrong, and ends here; called outside the threads it only notes that.
    void fail(const std::string& what) {
        if (failure_.empty()) {
            failure_ = what;
        }
        if (me_ != HappenedBefore::outside) {
            setcontext(&outside_); // the fibers are left as they are
        }
    }

    /// One line of the story, if it is told.
    template <class... Words>
    void tell(const Words&... words) {
        if (story_ != nullptr) {
            std::ostringstream line;
            line << "  " << (me_ == HappenedBefore::outside ? "outside" : "thread " + std::to_string(me_)) << ": ";
            (line << ... << words) << '\n';
            *story_ += line.str();
        }
    }

    /// Accesses of plain memory: of two that do not happen one before the other, none may be a write.
    void access(const void* what, bool write) {
        known().advance(me_);
        const auto found =
            std::find_if(accesses_.begin(), accesses_.end(), [&](const Accesses& a) { return a.to == what; });
        Accesses& mine = found != accesses_.end() ? *found : accesses_.emplace_back(Accesses{what, {}, {}});
        for (unsigned i = 0; i < HappenedBefore::threads; ++i) {
            const std::uint32_t theirs = write ? std::max(mine.written[i], mine.read[i]) : mine.written[i];
            if (theirs > known().moment(i)) {
                fail("a data race");
            }
        }
        (write ? mine.written : mine.read)[me_] = known().moment(me_);
    }

    /// What was at these addresses is no more: the allocator has given them to somebody again.
    void forget(const void* begin, std::size_t size) {
        const auto* const first = static_cast<const char*>(begin);
        std::erase_if(accesses_, [&](const Accesses& a) {
            const auto* const at = static_cast<const char*>(a.to);
            return !std::less<>{}(at, first) && std::less<>{}(at, first + size);
        });
    }

private:
    enum class State : std::uint8_t { ready, yielded, waiting, finished };
    struct Thread {
        State state = State::ready;
        const void* on = nullptr;
        std::int64_t until = forever;
        bool timed_out = false;
    };
    struct Accesses {
        const void* to;
        std::array<std::uint32_t, HappenedBefore::threads> written;
        std::array<std::uint32_t, HappenedBefore::threads> read;
    };

    static constexpr std::int64_t forever = INT64_MAX;
    static constexpr unsigned most_steps = 3000;
    static constexpr std::size_t stack_size = 64 * 1024;

    static Execution*& running_now() {
        static Execution* execution = nullptr;
        return execution;
    }

    unsigned pick(unsigned options, unsigned& left) {
        const unsigned taken = left == 0 || options < 2 || me_ == HappenedBefore::outside ? 0 : choices_.pick(options);
        left -= taken == 0 ? 0 : 1;
        return taken;
    }

    void begin_fiber(unsigned i) {
        static std::array<std::unique_ptr<char[]>, most_explored_threads> stacks;
        if (stacks[i] == nullptr) {
            stacks[i] = std::make_unique<char[]>(stack_size);
        }
        getcontext(&fibers_[i]);
        fibers_[i].uc_stack.ss_sp = stacks[i].get();
        fibers_[i].uc_stack.ss_size = stack_size;
        fibers_[i].uc_link = nullptr;
        makecontext(
            &fibers_[i],
            +[] {
                Execution& execution = now();
                execution.body_(execution.me_);
                execution.give_way(State::finished);
            },
            0);
    }

    /// Chooses who runs now; this thread goes on when it is its turn again.
    void give_way(State mine) {
        of_[me_].state = mine;
        const unsigned next = choose();
        if (next == HappenedBefore::outside) {
            setcontext(&outside_);
        }
        const unsigned before = std::exchange(me_, next);
        if (next != before) {
            swapcontext(&fibers_[before], &fibers_[next]);
        }
    }

    unsigned choose() {
        std::array<unsigned, 2 * most_explored_threads> options{}; // as it was numbered; and those whose time comes
        unsigned count = 0;
        const bool fair = of_[me_].state == State::ready || of_[me_].state == State::yielded; // others have to wait
        for (unsigned i = 0; i < threads_; ++i) { // whoever runs comes first, then the others in a circle
            const unsigned who = (me_ + i) % threads_;
            if (of_[who].state == State::ready) {
                options[count++] = who;
            }
        }
        if (count == 0) { // those that had nothing to do look again
            for (unsigned i = 0; i < threads_; ++i) {
                const unsigned who = (me_ + 1 + i) % threads_;
                if (of_[who].state == State::yielded) {
                    options[count++] = who;
                }
            }
        }
        unsigned sleeper = HappenedBefore::outside; // whose time comes next
        bool all_finished = true;
        for (unsigned i = 0; i < threads_; ++i) {
            all_finished = all_finished && of_[i].state == State::finished;
            if (of_[i].state == State::waiting && of_[i].until != forever &&
                (sleeper == HappenedBefore::outside || of_[i].until < of_[sleeper].until)) {
                sleeper = i;
            }
        }
        if (all_finished) {
            return HappenedBefore::outside;
        }
        const bool may_time_out = sleeper != HappenedBefore::outside && left_.timeouts != 0;
        if (count == 0) {
            if (!may_time_out) {
                fail("all threads wait");
            }
            return time_out(sleeper);
        }
        const unsigned ready = count;
        if (may_time_out && left_.early_timeouts != 0) {
            options[count++] = sleeper;
        }
        unsigned free_choice = 1;
        const unsigned taken = pick(count, fair ? left_.preemptions : free_choice);
        for (unsigned i = 0; i < threads_; ++i) {
            of_[i].state = of_[i].state == State::yielded ? State::ready : of_[i].state;
        }
        if (taken >= ready) {
            --left_.early_timeouts;
            return time_out(sleeper);
        }
        return options[taken];
    }

    unsigned time_out(unsigned sleeper) {
        --left_.timeouts;
        time_ = std::max(time_, of_[sleeper].until);
        of_[sleeper].timed_out = true;
        of_[sleeper].state = State::ready;
        tell("time passes for thread ", sleeper);
        return sleeper;
    }

    Choices& choices_;
    Bounds left_;
    const unsigned threads_;
    const std::function<void(unsigned)> body_;
    std::string* const story_;
    unsigned me_ = HappenedBefore::outside;
    unsigned steps_ = 0;
    std::int64_t time_ = 0;
    std::array<Thread, most_explored_threads> of_{};
    std::array<HappenedBefore, HappenedBefore::threads> knows_{};
    HappenedBefore fenced_;
    std::array<ucontext_t, most_explored_threads> fibers_;
    ucontext_t outside_;
    std::vector<Accesses> accesses_;
    std::string failure_;
};

/// What must hold in every execution.
inline void require(bool holds, const char* what) {
    if (!holds) {
        Execution::now().fail(what);
    }
}

namespace detail {

/// What was wrong; empty if nothing.
template <class Program>
std::string execute(Choices& choices, const Bounds& bounds, std::string* story) {
    static_assert(Program::threads <= most_explored_threads);
    Program* program = nullptr;
    Execution execution(
        choices, bounds, Program::threads, [&](unsigned me) { program->run(me); }, story);
    program = new Program; // lost if the execution is wrong: its threads may be anywhere
    if (execution.run()) {
        program->end();
        if (execution.failure().empty()) {
            delete program;
        }
    }
    return execution.failure();
}

template <class Program>
Explored explore(Choices& choices, const Bounds& bounds, std::uint64_t most) {
    Explored explored;
    do {
        ++explored.executions;
        explored.failure = execute<Program>(choices, bounds, nullptr);
        if (!explored.failure.empty()) {
            choices.repeat();
            execute<Program>(choices, bounds, &explored.story);
            break;
        }
    } while (explored.executions < most && choices.next());
    return explored;
}

} // namespace detail

/// Every execution within the bounds; ends at the first that is wrong.
template <class Program>
Explored explore(const Bounds& bounds) {
    Choices choices;
    return detail::explore<Program>(choices, bounds, UINT64_MAX);
}

/// So many random executions, with wide bounds; those for time are as given.
template <class Program>
Explored explore_at_random(const Bounds& bounds, std::uint64_t executions) {
    Random random(0x1e55);
    Choices choices(&random);
    const Bounds wide{20, 10, 4, bounds.early_timeouts, bounds.timeouts};
    return detail::explore<Program>(choices, wide, executions);
}

} // namespace gossip_test
