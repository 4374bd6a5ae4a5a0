// What collects events to run them together, and where a bus keeps track of it.
#pragma once

#include <gossip/concurrency/published.hpp>
#include <gossip/core/event.hpp>
#include <gossip/dispatch/seat.hpp>
#include <gossip/dispatch/settlement.hpp>
#include <gossip/dispatch/subscriber.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: each name stands at both of its ends in the code
//   [attached]  enlist's saying whose it is, after the collector knows its bus  happens before  belongs_to's look

/// What collects events to run them together: a batch.
///
/// Threads: every member from any thread. Those who run show the subscription as their seat's `current`.
/// Owns:    nothing of its subscription, which owns it.
class Collector {
public:
    Collector() = default;
    Collector(const Collector&) = delete;
    Collector& operator=(const Collector&) = delete;
    virtual ~Collector() = default;

    /// What there is to know of something collected besides the event.
    struct Mark {
        Settlement::Part* part = nullptr; // not null: the event is a copy, the settlement's is the one that counts
        int attempt = 1;
        Kind kind = Kind::event;
    };

    /// What has become of an event that was to be added; as it is made, nothing.
    struct Added {
        bool taken = false; // no: the collector is closed, and the event untouched
        bool more = false;  // `proceed` has to be called, as soon as the event's end is the collector's affair
        void* first_of = nullptr;
        std::uint64_t serial = 0;
    };
    /// The same as `try_add` for an event that is no more than its bytes, accepted into the inbox and on its first
    /// attempt, but only where nothing else is to be done: `proceed` need not be called.
    [[nodiscard]] virtual bool try_add_plain(Event& event) noexcept = 0;
    /// Moves from the event and adds it, if there is a place at once; waits for nothing and runs nothing.
    [[nodiscard]] virtual bool try_add(Event& event, Mark mark, Added& added) noexcept = 0;
    /// Moves from the event and adds it. The seat shows no processor. Waits while there is no room, or runs something
    /// to make some. Where this throws std::bad_alloc the event is untouched.
    virtual void add(Seat& seat, Event& event, const Mark& mark, Added& added) = 0;
    /// Sets the time, and runs what has to be run.
    virtual void proceed(Seat& seat, const Added& added) noexcept = 0;

    enum class Flushed : std::uint8_t { nothing, asked, no_memory };
    /// Asks a worker for a run of what there is.
    virtual Flushed flush() noexcept = 0;
    /// Runs what there is on this thread, if a run may begin.
    virtual void run_now(Seat& seat) noexcept = 0;
    /// Takes nothing more. What is there is run by the runs under way, or by `finish`.
    virtual void close() noexcept = 0;
    /// Closes, and runs what there is unless a run is under way, which takes it along. Then the callable is released.
    virtual void finish(Seat& seat) noexcept = 0;
    /// Closes, and gives up what there is: each event is abandoned.
    virtual void give_up(Seat& seat) noexcept = 0;

    /// Whether it collects for that subscription.
    [[nodiscard]] bool belongs_to(const Subscriber& subscriber) const noexcept {
        return home_.get() == &subscriber && id_ == subscriber.id; // [attached] its bus is known
    }

protected:
    [[nodiscard]] Engine& engine() const noexcept { return *engine_; }
    [[nodiscard]] Subscriber& subscriber() const noexcept { return *subscriber_; }

private:
    friend class CollectorList;

    Engine* engine_ = nullptr; // these three set once, with the first event
    Subscriber* subscriber_ = nullptr;
    SubscriptionId id_;
    Published<const Subscriber*> home_;
    std::shared_ptr<Collector> sibling_; // the next one of the same subscription
    Collector* previous_ = nullptr;      // these under the list's lock
    Collector* next_ = nullptr;
    bool listed_ = false;
    std::uint64_t number_ = 0; // in the order of enlisting
};

/// Where the event of a run is to be collected.
struct Collecting {
    Collector* collector = nullptr;   // its subscription owns it
    Subscriber* subscriber = nullptr; // in a list that the seat protects, or held by a part
    Collector::Added added{};
};

/// The collectors of one bus.
///
/// Threads: every member from any thread. Cost: O(1) but for `for_each`; allocates nothing.
/// Owns:    nothing: a subscription owns its collectors, which are on the list until it has ended.
class CollectorList {
public:
    enum class Enlisted : std::uint8_t { yes, ended, elsewhere };

    /// Makes the collector one of the subscription's, if it is none yet.
    [[nodiscard]] Enlisted enlist(Engine& engine, Subscriber& subscriber, const std::shared_ptr<Collector>& collector) {
        const std::lock_guard lock(mutex_);
        if (collector->subscriber_ != nullptr) {
            return collector->belongs_to(subscriber) ? Enlisted::yes : Enlisted::elsewhere;
        }
        if (!subscriber.collects) {
            return Enlisted::ended;
        }
        collector->engine_ = &engine;
        collector->subscriber_ = &subscriber;
        collector->id_ = subscriber.id;
        collector->number_ = ++enlisted_;
        collector->sibling_ = std::move(subscriber.collectors);
        subscriber.collectors = collector;
        collector->next_ = first_;
        if (first_ != nullptr) {
            first_->previous_ = collector.get();
        }
        first_ = collector.get();
        collector->listed_ = true;
        collector->home_.set(&subscriber); // [attached] all of the above
        return Enlisted::yes;
    }

    /// Under the lock: `visit` runs no user code.
    template <class F>
    void for_each(F&& visit) noexcept {
        const std::lock_guard lock(mutex_);
        for (Collector* collector = first_; collector != nullptr; collector = collector->next_) {
            visit(*collector);
        }
    }

    /// `run_now` for each, without the lock; those that come or go meanwhile may be left out.
    void run_all(Seat& seat) noexcept {
        for (std::uint64_t before = 0;;) {
            Ref<Subscriber> owner;
            Collector* next = nullptr;
            {
                const std::lock_guard lock(mutex_);
                for (Collector* collector = first_; collector != nullptr; collector = collector->next_) {
                    if (collector->number_ > before && (next == nullptr || collector->number_ < next->number_)) {
                        next = collector;
                    }
                }
                if (next == nullptr) {
                    return;
                }
                owner = Ref<Subscriber>::share(next->subscriber_);
                before = next->number_;
            }
            next->run_now(seat);
        }
    }

    /// From here on no collector gets enlisted for that subscription, and those that it has are off the list.
    void end(Subscriber& subscriber) noexcept {
        const std::lock_guard lock(mutex_);
        subscriber.collects = false;
        for (Collector* own = subscriber.collectors.get(); own != nullptr; own = own->sibling_.get()) {
            take_off(*own);
        }
    }
    /// The collectors of a subscription for which `end` was called: they change no more.
    template <class F>
    static void for_each_of(const Subscriber& subscriber, F&& visit) noexcept {
        for (Collector* own = subscriber.collectors.get(); own != nullptr; own = own->sibling_.get()) {
            visit(*own);
        }
    }

    /// Takes collectors off the list until there is none, and calls `visit` with each, without the lock.
    template <class F>
    void drain(F&& visit) noexcept {
        for (;;) {
            Ref<Subscriber> owner;
            Collector* collector = nullptr;
            {
                const std::lock_guard lock(mutex_);
                if (first_ == nullptr) {
                    return;
                }
                collector = first_;
                owner = Ref<Subscriber>::share(collector->subscriber_);
                take_off(*collector);
            }
            visit(*collector);
        }
    }

private:
    void take_off(Collector& collector) noexcept {
        if (!collector.listed_) {
            return;
        }
        (collector.previous_ == nullptr ? first_ : collector.previous_->next_) = collector.next_;
        if (collector.next_ != nullptr) {
            collector.next_->previous_ = collector.previous_;
        }
        collector.previous_ = collector.next_ = nullptr;
        collector.listed_ = false;
    }

    std::mutex mutex_;
    Collector* first_ = nullptr;
    std::uint64_t enlisted_ = 0;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
