// Hooks that run on I/O threads, as user code of their bus.
#pragma once

#include <gossip/concurrency/published.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/dispatch/seat.hpp>
#include <gossip/provider/redis/options.hpp>

#include <memory>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// While it lives its thread is inside of the bus, as one that runs a processor is: a shutdown that is asked for there
/// closes the intake and is finished by a call from outside, for it would wait for this very thread.
class InsideFrame {
public:
    explicit InsideFrame(Engine& engine) noexcept : seat_(engine.seats().sit_down()), frame_(&engine, seat_) {}
    InsideFrame(const InsideFrame&) = delete;
    InsideFrame& operator=(const InsideFrame&) = delete;
    ~InsideFrame() { SeatTable::stand_up(seat_); }

private:
    Seat& seat_;
    const FrameScope frame_;
};

/// Calls connection hooks in such a frame.
///
/// Threads: every member from any thread.
class HookFrame {
public:
    /// The options, their hook in this frame.
    [[nodiscard]] RedisOptions around(RedisOptions options) const {
        if (options.on_connection) {
            options.on_connection = [hook = std::move(options.on_connection),
                                     home = home_](const ConnectionEvent& event) {
                Engine* const engine = home->get(); // [started] the engine is whole
                if (engine == nullptr) {
                    hook(event);
                } else {
                    const InsideFrame inside(*engine);
                    hook(event);
                }
            };
        }
        return options;
    }
    void start(Engine& engine) const noexcept {
        home_->set(&engine); // [started] the engine is whole
    }

private:
    // Edges: each name stands at both of its ends in the code
    //   [started]  start's saying which engine it is happens before an I/O thread's seeing that: it is whole

    const std::shared_ptr<Published<Engine*>> home_ = std::make_shared<Published<Engine*>>();
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
