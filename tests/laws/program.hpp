#pragma once

// Random programs as values: a list of steps that is drawn from the seed, printed as C++, and made smaller for as long
// as it goes on failing.

#include "support/seed.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gossip_test {

enum class Act : std::uint8_t {
    publish,       // `count` + 1 events
    try_publish,   // one
    publish_sync,  // one
    publish_after, // one, due in `count` seconds
    cancel,        // publish to come number `count`
    poll,          // at most `count` events; 0: all
    advance,       // the clock, by `count` seconds
    resolve,       // deferral number `count`, as `fate` says
    subscribe,     // a guest of kind `inside`
    unsubscribe,   // guest number `count`
    flush,
    drain,
    shutdown, // `count` 0: patient; otherwise: at once
    count_
};
inline constexpr std::array act_names{"publish", "try_publish", "publish_sync", "publish_after", "cancel",
                                      "poll",    "advance",     "resolve",      "subscribe",     "unsubscribe",
                                      "flush",   "drain",       "shutdown"};
static_assert(act_names.size() == static_cast<std::size_t>(Act::count_));

/// What processors do about an event: 0 to 3: fail so many times. Of a deferral: succeed, fail, or be dropped.
enum Fate : unsigned {
    fine,
    fails_once,
    fails_twice,
    fails_for_good,
    fatal,
    deferred,
    deferred_twice,
    deferred_and_fails, // the run, besides
    fates
};

/// What a processor asks of the bus, or throws, while it runs an event.
enum Inside : unsigned {
    nothing,
    publishes,
    publishes_sync,
    publishes_later,
    subscribes,
    unsubscribes,
    flushes,
    drains,
    throws,
    shuts_down,
    insides
};

struct Step {
    Act act = Act::publish;
    unsigned key = 0; // 0: none
    unsigned priority = 1;
    unsigned fate = fine;
    unsigned inside = nothing;
    unsigned count = 0;
};
constexpr std::array<unsigned Step::*, 5> numbers_of(const Step&) {
    return {&Step::key, &Step::priority, &Step::fate, &Step::inside, &Step::count};
}

struct Program {
    std::size_t buffer = 2;
    unsigned overflow = 0; // block, reject, drop_oldest
    bool patient = true;   // how it is shut down at its end, unless a step has done that
    std::vector<Step> steps{};
};
constexpr std::array<unsigned Program::*, 0> settings_of(const Program&) { return {}; } // those stay as they are

inline Program draw_program(std::uint64_t stream) {
    Random random(stream);
    const auto below = [&random](unsigned end) { return static_cast<unsigned>(random.below(end)); };
    Program program{.buffer = std::size_t{2} << random.below(5), .overflow = below(3), .patient = !random.one_in(3)};
    const bool keyed = !random.one_in(4);
    const bool nests = !random.one_in(4);
    const bool fails = !random.one_in(4);
    const std::uint64_t steps = 10 + random.below(90);
    for (std::uint64_t i = 0; i < steps; ++i) {
        Step step;
        // Half of all steps publish; few programs end early.
        const unsigned drawn = below(24);
        step.act = drawn < static_cast<unsigned>(Act::shutdown) ? static_cast<Act>(drawn) : Act::publish;
        if (drawn == 23 && random.one_in(10)) {
            step.act = Act::shutdown;
        }
        if (drawn == 22 || drawn == 21) {
            step.act = Act::poll;
        }
        step.key = keyed ? below(4) : 0;
        step.priority = random.one_in(2) ? 1 : below(4);
        step.fate = fails && random.one_in(2) ? below(fates) : static_cast<unsigned>(fine);
        step.inside = nests && random.one_in(3) ? below(insides) : static_cast<unsigned>(nothing);
        if (step.inside == shuts_down && !random.one_in(10)) {
            step.inside = publishes;
        }
        step.count = random.one_in(8) ? below(24) : below(4);
        program.steps.push_back(step);
    }
    return program;
}

/// As C++: what a test that plays it again would say.
inline std::string to_text(const Program& program) {
    std::string text = "Program{.buffer = " + std::to_string(program.buffer) +
                       ", .overflow = " + std::to_string(program.overflow) +
                       ", .patient = " + (program.patient ? "true" : "false") + ", .steps = {";
    for (const Step& step : program.steps) {
        text += "\n    {Act::" + std::string(act_names[static_cast<std::size_t>(step.act)]);
        for (unsigned Step::*const number : numbers_of(step)) {
            text += ", " + std::to_string(step.*number);
        }
        text += "},";
    }
    return text + "\n}}";
}

/// A smaller program that fails as well: no step can be left out, no number of a step and no setting be made what it is
/// by default. Where programs take long to fail it is what was found in `patience`; where they fail at times, what has
/// failed last.
template <class Program, class Fails>
Program shrink(Program program, Fails fails, std::chrono::seconds patience = std::chrono::seconds(20)) {
    const auto end = std::chrono::steady_clock::now() + patience;
    const auto try_out = [&](Program candidate) {
        const bool as_bad = std::chrono::steady_clock::now() < end && fails(std::as_const(candidate));
        if (as_bad) {
            program = std::move(candidate);
        }
        return as_bad;
    };
    for (bool smaller = true; smaller;) {
        smaller = false;
        for (std::size_t chunk = std::max<std::size_t>(program.steps.size() / 2, 1); chunk != 0; chunk /= 2) {
            for (std::size_t at = 0; at < program.steps.size();) {
                Program candidate = program;
                const auto first = candidate.steps.begin() + static_cast<std::ptrdiff_t>(at);
                const std::size_t left = candidate.steps.size() - at;
                candidate.steps.erase(first, first + static_cast<std::ptrdiff_t>(std::min(chunk, left)));
                if (try_out(std::move(candidate))) {
                    smaller = true;
                } else {
                    at += chunk;
                }
            }
        }
        for (std::size_t at = 0; at < program.steps.size(); ++at) {
            const typename decltype(program.steps)::value_type plain{};
            for (const auto number : numbers_of(plain)) {
                if (program.steps[at].*number != plain.*number) {
                    Program candidate = program;
                    candidate.steps[at].*number = plain.*number;
                    smaller = try_out(std::move(candidate)) || smaller;
                }
            }
        }
        const Program plain{};
        for (const auto setting : settings_of(plain)) {
            if (program.*setting != plain.*setting) {
                Program candidate = program;
                candidate.*setting = plain.*setting;
                smaller = try_out(std::move(candidate)) || smaller;
            }
        }
    }
    return program;
}

} // namespace gossip_test
