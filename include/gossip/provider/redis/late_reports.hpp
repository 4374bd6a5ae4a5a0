// Errors that have no caller, told to the bus's error hook by its workers: an I/O thread does not run it while they are
// there.
#pragma once

#include <gossip/core/error.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/core/shared_count.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/provider/redis/hook_frame.hpp>

#include <cstdint>
#include <memory>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// Threads: `tell` from any thread. At most 1,024 reports wait; what more there is is counted and not told.
class LateReports {
public:
    void tell(Engine& engine, const Error& error, Event event) noexcept {
        if (engine.complete()) { // the workers have gone
            const InsideFrame inside(engine);
            engine.report(error, event, {}, {}, false);
            return;
        }
        Place place(waiting_);
        const bool told = place.number() < most && succeeds([&] {
                              engine.enqueue(std::make_unique<ReportTask>(error, std::move(event), std::move(place)));
                          });
        if (!told) {
            untold_.add();
        }
    }
    [[nodiscard]] std::uint64_t untold() const noexcept { return untold_.get(); }

private:
    static constexpr std::uint32_t most = 1024;
    using Count = std::shared_ptr<SharedCount<std::uint32_t>>;

    /// One of those that may wait.
    class Place {
    public:
        explicit Place(Count count) noexcept
            : count_(std::move(count)), number_(count_->add()) {} // the bound need not be sharp
        Place(Place&& other) noexcept = default;
        Place& operator=(Place&&) = delete;
        ~Place() {
            if (count_ != nullptr) {
                count_->take();
            }
        }
        [[nodiscard]] std::uint32_t number() const noexcept { return number_; }

    private:
        Count count_;
        std::uint32_t number_;
    };

    class ReportTask final : public Task {
    public:
        ReportTask(const Error& error, Event event, Place place) noexcept
            : error_(error), event_(std::move(event)), place_(std::move(place)) {}
        void run(Engine& engine, Seat&) noexcept override { engine.report(error_, event_, {}, {}, false); }
        void give_up(Engine& engine, Seat&) noexcept override { engine.report(error_, event_, {}, {}, false); }
        [[nodiscard]] Waiting waits() const noexcept override { return Waiting::nothing; }

    private:
        Error error_;
        Event event_;
        Place place_;
    };

    Count waiting_ = std::make_shared<SharedCount<std::uint32_t>>();
    SharedCount<> untold_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
