#pragma once

// Random programs over real threads as values: what each publisher does, and what becomes of it, is drawn from the seed
// before they begin. When they run is the machine's choice, so that a program may break a law in some of its plays.

#include "laws/program.hpp"
#include "support/seed.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gossip_test::threads {

constexpr unsigned publishers = 3;
constexpr unsigned keys = 4;

/// How one step publishes.
enum Way : unsigned { publishes, tries, unheard, ways };

/// One publish of one publisher, and what the processors do about it.
struct Step {
    unsigned publisher = 0;
    unsigned key = 0; // 0: none
    unsigned priority = 1;
    unsigned way = publishes;
    unsigned put_off = 0;   // before it, a publish to come is put off by so many µs; 0: none
    unsigned cancels = 0;   // before it, the latest of those is cancelled
    unsigned fails = 0;     // so many attempts
    unsigned deferrals = 0; // of each attempt
    unsigned nested = 0;    // publishes while it is run
    unsigned sync = 0;      // the same, synchronously
    unsigned filtered = 0;  // the filter says no
};
constexpr std::array<unsigned Step::*, 11> numbers_of(const Step&) {
    return {&Step::publisher, &Step::key,       &Step::priority, &Step::way,  &Step::put_off, &Step::cancels,
            &Step::fails,     &Step::deferrals, &Step::nested,   &Step::sync, &Step::filtered};
}

enum End : unsigned { drain_first, shutdown_while_publishing, deadline_while_publishing, deadline_after, ends };

struct Program {
    unsigned workers = 1;
    unsigned buffer = 2;
    unsigned overflow = 0; // block, reject, drop_oldest
    unsigned end = drain_first;
    unsigned ends_after = 0; // so many publishes, where it ends while publishing
    unsigned patience_us = 0;
    unsigned attempts = 1;
    unsigned redelivery_us = 0;
    unsigned limit = 0; // of runs at once; 0: none
    unsigned batch_size = 1;
    unsigned batch_us = 0;
    unsigned batches_at_once = 1;
    unsigned batch_by_key = 0;
    unsigned guests = 0; // come and go, one after another
    std::vector<Step> steps{};
};
constexpr std::array<unsigned Program::*, 14> settings_of(const Program&) {
    return {&Program::workers,      &Program::buffer,      &Program::overflow, &Program::end,
            &Program::ends_after,   &Program::patience_us, &Program::attempts, &Program::redelivery_us,
            &Program::limit,        &Program::batch_size,  &Program::batch_us, &Program::batches_at_once,
            &Program::batch_by_key, &Program::guests};
}

inline Program draw_program(std::uint64_t stream) {
    Random random(stream);
    const auto below = [&random](std::uint64_t end) { return static_cast<unsigned>(random.below(end)); };
    const auto one_in = [&random](std::uint64_t chances) { return random.one_in(chances); };
    Program program;
    program.workers = below(4);
    program.buffer = 2U << below(5);
    program.overflow = below(3);
    const unsigned steps = 50 + below(300); // of each publisher
    const unsigned fail_one_in = 2 + below(20);
    const unsigned defer_one_in = 3 + below(20);
    program.attempts = 1 + below(3);
    program.limit = one_in(2) ? 0 : 1 + below(2);
    program.end = below(ends);
    // Keys wait for redeliveries, and publishers for keys: a long delay only where a shutdown ends it.
    const bool ends_early = program.end == shutdown_while_publishing || program.end == deadline_while_publishing;
    program.redelivery_us = one_in(2) && ends_early ? 10'000'000 : below(200);
    program.patience_us = below(2'000);
    program.ends_after = below(steps);
    const bool priorities = one_in(2);
    program.batch_size = 1 + below(8);
    program.batch_us = below(500);
    program.batches_at_once = 1 + below(2);
    program.batch_by_key = one_in(3) ? 1 : 0;
    program.guests = 1;
    for (unsigned i = 0; i < steps; ++i) {
        for (unsigned publisher = 0; publisher < publishers; ++publisher) {
            Step step{.publisher = publisher, .key = below(keys + 1)};
            step.priority = priorities ? below(4) : 1;
            step.way = one_in(20) ? static_cast<unsigned>(unheard) : one_in(4) ? tries : publishes;
            step.put_off = one_in(10) ? 1 + below(500) : 0;
            step.cancels = one_in(20) ? 1 : 0;
            step.fails = one_in(fail_one_in) ? 1 + below(3) : 0;
            step.deferrals = one_in(defer_one_in) ? 1 + below(3) : 0;
            step.nested = one_in(8) ? 1 : 0;
            step.sync = one_in(16) ? 1 : 0;
            step.filtered = one_in(10) ? 1 : 0;
            program.steps.push_back(step);
        }
    }
    return program;
}

/// As C++: what a test that plays it again would say.
inline std::string to_text(const Program& program) {
    std::string text = "Program{";
    for (unsigned Program::*const setting : settings_of(program)) {
        text += std::to_string(program.*setting) + ", ";
    }
    text += "{";
    for (const Step& step : program.steps) {
        text += "\n    {";
        for (unsigned Step::*const number : numbers_of(step)) {
            text += std::to_string(step.*number) + ", ";
        }
        text.resize(text.size() - 2);
        text += "},";
    }
    return text + "\n}}";
}

/// Whether some of a few plays breaks that law. `play` tells which one it has broken; empty: none.
template <class Play>
bool breaks_at_times(Play play, const std::string& law, unsigned plays = 20,
                     std::chrono::milliseconds patience = std::chrono::seconds(2)) {
    const auto end = std::chrono::steady_clock::now() + patience;
    bool broken = false;
    for (unsigned i = 0; i < plays && !broken && (i == 0 || std::chrono::steady_clock::now() < end); ++i) {
        broken = play() == law;
    }
    return broken;
}

} // namespace gossip_test::threads
