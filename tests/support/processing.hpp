#pragma once

// Running one processor without a bus.

#include <gossip/core/event.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/core/processor.hpp>

#include "support/fake_host.hpp"

#include <cstddef>
#include <utility>
#include <vector>

namespace support {

inline constexpr gossip::Topic<int> number{"test.number"};

/// A fake bus with one clock, that runs processors.
struct Rig {
    FakeClock clock;
    FakeHost host{clock};

    gossip::Result run(auto& bound, const gossip::Event& event, int attempt = 1) {
        gossip::Context context(host, attempt);
        return gossip::guard([&] { return bound(context, event); });
    }
    gossip::Result run(auto& bound, int data = 0) { return run(bound, gossip::Event{number, data}); }
};

template <class P>
auto bind(P&& processor) {
    return gossip::bind_processor<int>(std::forward<P>(processor));
}

/// Answers what it was told, one after another, then success; counts its calls.
class Script {
public:
    explicit Script(std::vector<gossip::Result> answers) : answers_(std::move(answers)) {}

    auto processor() {
        return [this](const int&) { return next(); };
    }
    gossip::Result next() {
        const auto call = static_cast<std::size_t>(calls++);
        return call < answers_.size() ? answers_[call] : gossip::Result{};
    }
    int calls = 0;

private:
    std::vector<gossip::Result> answers_;
};

} // namespace support
