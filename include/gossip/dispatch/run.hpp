#pragma once

#include <gossip/core/context.hpp>
#include <gossip/core/deferral.hpp>
#include <gossip/core/error.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/dispatch/collector.hpp>
#include <gossip/dispatch/settlement.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: those of gossip/dispatch/engine.hpp

/// One event in one worker's hands: the host of the contexts that its processors get.
class Run final : public ContextHost {
public:
    Run(Engine& engine, Seat& seat, Event& event, Kind kind) noexcept
        : engine_(engine), seat_(seat), event_(event), kind_(kind), attempt_(EventAccess::attempt(event)) {}

    Deferral defer() override {
        if (subscriber_ == nullptr) {
            GOSSIP_THROW(ProcessingError{"a batch is one run of many events: none of them can be deferred"});
        }
        const bool again = parts_ != nullptr && parts_->subscriber.get() == subscriber_;
        Settlement::Part& part = again ? *parts_ : open_part(*subscriber_);
        part.defer();
        ++deferrals_;
        return Deferral(*settlement_, &part);
    }
    [[nodiscard]] Run* bus_run() noexcept override { return subscriber_ == nullptr ? nullptr : this; }
    // Below, where the engine is known.
    [[nodiscard]] inline std::shared_ptr<void> stop_at(std::int64_t due_ns, std::stop_source source) override;
    [[nodiscard]] inline std::stop_token stop_token() const override;
    [[nodiscard]] inline bool stop_requested() const noexcept override;
    [[nodiscard]] inline std::int64_t patience_ns() const noexcept override;
    [[nodiscard]] inline Clock* clock() const noexcept override;
    [[nodiscard]] std::size_t put_off() const noexcept override {
        const std::size_t besides = open_ends_ == nullptr ? 0 : open_ends_->collecting.size();
        return deferrals_ + besides + (collecting_.collector == nullptr ? 0 : 1);
    }
    [[nodiscard]] inline Ended ended() const noexcept override;
    [[nodiscard]] inline std::shared_ptr<HelperThreads> helpers() const noexcept override;
    [[nodiscard]] inline std::shared_ptr<HelperRun> helper_run() override;
    [[nodiscard]] inline std::unique_ptr<ListedWait> list_wait(Awaited& awaited, bool has_end) override;

    /// The running processor is a batch: the event goes to `collector` when all processors have run.
    void collect(Collector& collector) {
        if (collecting_.collector == nullptr) [[likely]] {
            collecting_.collector = &collector;
            collecting_.subscriber = subscriber_;
        } else {
            collect_too(collector);
        }
    }
    [[nodiscard]] Subscriber& subscriber() const noexcept { return *subscriber_; }
    [[nodiscard]] Engine& engine() const noexcept { return engine_; }

private:
    friend class Engine;

    struct Failed {
        Subscriber* subscriber; // in a list that the seat protects, or held by a part
        Error error;
        bool by_filter;
    };

    /// What most runs do not have.
    struct OpenEnds {
        std::vector<Failed> failed;
        std::vector<Collecting> collecting; // besides the first
    };
    template <class F>
    void for_each_collecting(F&& visit) {
        if (collecting_.collector != nullptr) {
            visit(collecting_);
            if (open_ends_ != nullptr) {
                for (Collecting& to : open_ends_->collecting) {
                    visit(to);
                }
            }
        }
    }
    template <class F>
    void for_each_failure(F&& visit) {
        if (failed_without_memory_ != nullptr) {
            visit(*failed_without_memory_, errors::out_of_memory, false);
        }
        if (open_ends_ != nullptr) {
            for (const Failed& failed : open_ends_->failed) {
                visit(*failed.subscriber, failed.error, failed.by_filter);
            }
        }
    }
    OpenEnds& open_ends() {
        if (open_ends_ == nullptr) {
            open_ends_ = std::make_unique<OpenEnds>();
        }
        return *open_ends_;
    }
    void add_failure(Subscriber& subscriber, const Error& error, bool by_filter = false) noexcept {
        if (!guard([&] { open_ends().failed.push_back({&subscriber, error, by_filter}); })) {
            failed_without_memory_ = &subscriber;
        }
    }

    [[gnu::cold, gnu::noinline]] void collect_too(Collector& collector) {
        open_ends().collecting.push_back({&collector, subscriber_, {}});
    }

    /// The part in which this run has a share for that subscription, if there is one.
    [[nodiscard]] Settlement::Part* find_part(const Subscriber& subscriber) const noexcept {
        Settlement::Part* part = parts_;
        while (part != nullptr && part->subscriber.get() != &subscriber) {
            part = part->next_of_run;
        }
        return part;
    }
    Settlement::Part& open_part(Subscriber& subscriber) {
        Settlement::Part& part = settle_later().open(subscriber, attempt_, true);
        part.next_of_run = std::exchange(parts_, &part);
        return part;
    }
    /// Closes the run's share in each, in the order in which they were opened.
    inline void close_shares() noexcept;
    /// The settlement of this event; made with a copy of it, as its processors are still looking at the original.
    inline Settlement& settle_later();

    Engine& engine_;
    Seat& seat_;
    Event& event_;
    const Kind kind_;
    int attempt_;
    std::uint32_t deferrals_ = 0;
    Subscriber* subscriber_ = nullptr;
    Settlement* settlement_ = nullptr;
    Collecting collecting_{};
    Settlement::Part* parts_ = nullptr; // in which this run has a share
    std::unique_ptr<OpenEnds> open_ends_;
    Subscriber* failed_without_memory_ = nullptr;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail

#include <gossip/dispatch/engine.hpp> // it knows runs by the class above

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

inline std::shared_ptr<void> Run::stop_at(std::int64_t due_ns, std::stop_source source) {
    return engine_.stop_at(due_ns, std::move(source));
}
inline std::stop_token Run::stop_token() const { return engine_.stop_token_; }
inline bool Run::stop_requested() const noexcept {
    return engine_.stop_token_.stop_requested() || engine_.patience_ns() == 0;
}
inline Ended Run::ended() const noexcept {
    if (subscriber_ != nullptr && !subscriber_->tenure.goes_on()) { // [running] somebody ends it
        return Ended::itself;
    }
    return Engine::ended_around_here() ? Ended::around_it : Ended::no;
}
inline std::int64_t Run::patience_ns() const noexcept { return engine_.patience_ns(); }
inline Clock* Run::clock() const noexcept { return engine_.settings_.clock; }
inline std::shared_ptr<HelperThreads> Run::helpers() const noexcept { return engine_.helpers_; }

inline void Run::close_shares() noexcept {
    Settlement::Part* first = nullptr;
    while (parts_ != nullptr) {
        Settlement::Part* const part = std::exchange(parts_, parts_->next_of_run);
        part->next_of_run = std::exchange(first, part);
    }
    while (first != nullptr) {
        Settlement::Part& part = *std::exchange(first, first->next_of_run);
        settlement_->settle(seat_, part, {});
    }
}

inline Settlement& Run::settle_later() {
    if (settlement_ == nullptr) {
        settlement_ = new Settlement(engine_.shared_from_this(), event_, kind_);
        EventAccess::pass_receipt(event_, settlement_->event());
        engine_.link(*settlement_);
    }
    return *settlement_;
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
