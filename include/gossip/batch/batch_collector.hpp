// What waits in a batch, and who runs it when.
#pragma once

#include <gossip/batch/batch_chunk.hpp>
#include <gossip/batch/batch_options.hpp>
#include <gossip/batch/batch_run.hpp>
#include <gossip/batch/batch_store.hpp>
#include <gossip/concurrency/brief_lock.hpp>
#include <gossip/concurrency/wait_queue.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/core/outgoing.hpp>
#include <gossip/dispatch/collector.hpp>
#include <gossip/dispatch/engine.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: those of gossip/dispatch/engine.hpp

/// How many runs of batches are under way on this thread, one inside another.
[[gnu::visibility("default")]] inline constinit thread_local unsigned batch_runs_here = 0;

/// What waits in a batch, and who runs it when: whoever fills it up, a worker when its time has come or somebody has
/// asked, and whoever ends its subscription.
///
/// Threads: every member from any thread. No user code runs under the lock.
/// Order:   chunks of a group run in the order in which they were filled, events in that of their adding.
/// Cost:    adding is one read-modify-write and a move of the event; it allocates nothing once the batch is warm.
/// Stalls:  `add` waits while there is no room, but not inside of a batch's run, which room might be waiting for.
/// Owns:    the callable, until the batch is closed and nothing of it is left; the events.
class BatchCollector final : public Collector {
public:
    using MakeBuffer = std::unique_ptr<BatchBuffer> (*)(std::size_t room);

    BatchCollector(const BatchOptions& options, std::unique_ptr<BatchCallable> callable, MakeBuffer make_buffer)
        : options_(options), make_buffer_(make_buffer), callable_(std::move(callable)), store_(options) {}

    bool try_add_plain(Event& event) noexcept override {
        const std::lock_guard lock(lock_);
        return !closed_ && store_.try_add_plain(event);
    }

    bool try_add(Event& event, Mark mark, Added& added) noexcept override {
        lock_.lock();
        BatchGroup* const group = closed_ ? nullptr : store_.open_group_of(event);
        if (group == nullptr) [[unlikely]] {
            lock_.unlock();
            return false;
        }
        fill_place(*group, event, mark, added);
        return true;
    }

    void add(Seat& seat, Event& event, const Mark& mark, Added& added) override {
        std::unique_ptr<BatchChunk> spare; // made without the lock
        Lock lock(lock_);
        BatchGroup* group = nullptr;
        for (;;) {
            if (closed_) {
                return;
            }
            group = &store_.group_of(event);
            if (store_.is_full(*group) && batch_runs_here == 0 && !engine().giving_up()) [[unlikely]] {
                make_room(lock, seat, event);
            } else if (group->open == nullptr) {
                if (!store_.open(*group, spare)) [[unlikely]] {
                    new_chunk(lock, *group, spare);
                }
            } else if (group->open->growing) [[unlikely]] {
                yield(lock);
            } else if (group->open->size() == group->open->room()) [[unlikely]] {
                grow(lock, seat, *group);
            } else {
                break;
            }
        }
        lock.release();
        fill_place(*group, event, mark, added);
    }

    void proceed(Seat& seat, const Added& added) noexcept override {
        if (added.first_of != nullptr) {
            const std::int64_t now = engine().now();
            {
                const Lock lock(lock_);
                store_.set_time(*static_cast<BatchChunk*>(added.first_of), added.serial, now);
            }
            arm();
        }
        run_next(seat);
    }

    Flushed flush() noexcept override {
        {
            const Lock lock(lock_);
            if (closed_ || !store_.make_all_due()) {
                return Flushed::nothing;
            }
            if (!store_.can_run() || std::exchange(asked_, true)) {
                return Flushed::asked; // those who run take it along, or somebody has asked already
            }
        }
        return ask_for_run() ? Flushed::asked : Flushed::no_memory;
    }

    void run_now(Seat& seat) noexcept override {
        {
            const Lock lock(lock_);
            store_.make_all_due();
        }
        run_next(seat);
    }

    void close() noexcept override {
        TimerId timer;
        {
            const Lock lock(lock_);
            closed_ = true;
            armed_ = false;
            timer = std::exchange(timer_, {});
            store_.make_all_due();
        }
        engine().withdraw(timer).reset(); // it would keep the subscription
        room_.wake_all();
    }

    void finish(Seat& seat) noexcept override {
        close();
        {
            Lock lock(lock_);
            settle_down(lock);
        }
        run_next(seat, true);
        if (engine().giving_up()) {
            give_up(seat);
        }
    }

    void give_up(Seat& seat) noexcept override {
        close();
        std::unique_ptr<BatchCallable> released;
        ChunkQueue left;
        {
            Lock lock(lock_);
            settle_down(lock);
            store_.take_all(left);
        }
        while (BatchChunk* const chunk = left.pop()) {
            static_cast<void>(chunk->await());
            for (std::size_t i = 0; i < chunk->size(); ++i) {
                if (const Mark mark = chunk->mark(i); mark.part == nullptr) {
                    engine().abandon(seat, chunk->event(i), mark.kind);
                } else {
                    const OwnScope own(mark.kind == Kind::letter);
                    mark.part->home->settle_collected(seat, *mark.part, {}); // abandoned as a whole before
                }
            }
            put_away(*chunk, 0);
        }
        const Lock lock(lock_);
        release_if_over(released);
    }

private:
    using Lock = std::unique_lock<BriefLock>;

    /// Its time may have come, or somebody has asked for a run.
    class RunTask final : public Task {
    public:
        RunTask(BatchCollector& batch, bool timer) noexcept
            : owner_(Ref<Subscriber>::share(&batch.subscriber())), batch_(batch), timer_(timer) {}
        void run(Engine&, Seat& seat) noexcept override { batch_.due(seat, timer_); }
        void give_up(Engine&, Seat&) noexcept override {}
        [[nodiscard]] Waiting waits() const noexcept override { return Waiting::nothing; }

    private:
        const Ref<Subscriber> owner_; // of the batch, but not of its callable once it has ended
        BatchCollector& batch_;
        const bool timer_;
    };

    void release_if_over(std::unique_ptr<BatchCallable>& released) noexcept {
        if (closed_ && store_.runs() == 0 && store_.size() == 0) {
            released = std::move(callable_);
        }
    }
    /// After the end of every growth under way all that is there is due.
    void settle_down(Lock& lock) noexcept {
        while (growing_ != 0) {
            yield(lock);
        }
        store_.make_all_due();
    }

    /// With the lock, which it lets go of. Precondition: there is a place in the group's open chunk.
    void fill_place(BatchGroup& group, Event& event, const Mark& mark, Added& added) noexcept {
        BatchChunk& chunk = *group.open;
        const std::size_t place = chunk.size();
        const bool plain = chunk.takes_plain() && BatchChunk::is_plain(event, mark);
        if (plain) {
            chunk.put_plain(event);
        } else {
            static_cast<void>(chunk.claim());
        }
        if (place == 0 && options_.period.count() != 0 && options_.size != 1) {
            added.first_of = &chunk;
            added.serial = chunk.serial;
        }
        store_.added(group);
        added.more = place == 0 || store_.can_run();
        lock_.unlock();
        if (!plain) {
            chunk.put(place, event, mark); // moves its data, which may be user code
        }
        added.taken = true;
    }

    // With the lock, which they let go of for a while

    static void yield(Lock& lock) noexcept {
        lock.unlock();
        std::this_thread::yield();
        lock.lock();
    }

    /// Runs something, or waits until somebody has.
    [[gnu::cold, gnu::noinline]] void make_room(Lock& lock, Seat& seat, const Event& event) noexcept {
        constexpr std::int64_t look_again_ns = 10'000'000; // whether a shutdown has run out of patience
        // Many keys may fill a batch up without a full run: then that which has waited longest runs with what it has.
        if (store_.can_run() || (store_.may_run() && store_.make_first_due())) {
            lock.unlock();
            run_next(seat);
        } else {
            lock.unlock();
            WaitQueue::Waiter waiter;
            room_.join(waiter);
            lock.lock();
            const bool waits = !closed_ && store_.is_full_for(event);
            lock.unlock();
            if (waits) {
                room_.park(waiter, look_again_ns);
            }
            room_.leave(waiter);
        }
        lock.lock();
    }

    [[gnu::cold, gnu::noinline]] void new_chunk(Lock& lock, BatchGroup& group, std::unique_ptr<BatchChunk>& spare) {
        const std::size_t room = options_.by_key ? 8 : 256;
        store_.tidy(group); // it may be all there is of its key when memory has run out
        lock.unlock();
        spare = make_chunk(room);
        lock.lock();
    }

    [[gnu::cold, gnu::noinline]] void grow(Lock& lock, Seat& seat, BatchGroup& group) {
        BatchChunk& chunk = *group.open;
        chunk.growing = true;
        ++growing_;
        store_.list(group); // nobody runs it meanwhile, though it may be due already
        lock.unlock();
        std::unique_ptr<BatchChunk> other;
        const Result made = guard([&] { other = make_chunk(chunk.room() * 2); });
        if (made) {
            static_cast<void>(chunk.await());
            other->take_over(chunk);
        }
        lock.lock();
        if (made) {
            chunk.swap_memory(*other);
        }
        chunk.growing = false;
        --growing_;
        store_.list(group); // it may have become due
        lock.unlock();
        if (!made) {
            run_next(seat); // whoever has asked for a run meanwhile has found nothing to run
            made.error().rethrow();
        }
        other->clear();
        lock.lock();
    }

    // Without the lock

    [[nodiscard]] std::unique_ptr<BatchChunk> make_chunk(std::size_t room) const {
        room = room < options_.size ? room : options_.size;
        return std::make_unique<BatchChunk>(room, make_buffer_(room));
    }

    /// One timer at a time: when it fires too early for what waits by then, it is set anew. `run_next` has to follow.
    void arm() noexcept {
        std::int64_t due_ns = 0;
        std::uint64_t round = 0;
        {
            const Lock lock(lock_);
            if (armed_ || closed_ || !store_.next_due(due_ns)) {
                return;
            }
            armed_ = true;
            round = ++arm_round_;
        }
        TimerId timer;
        const bool set = succeeds([&] { timer = engine().schedule(due_ns, std::make_unique<RunTask>(*this, true)); });
        {
            const Lock lock(lock_);
            if (armed_ && round == arm_round_) {
                armed_ = set;
                timer_ = std::exchange(timer, {});
            }
            if (!set) {
                store_.make_first_due(); // without memory for a timer its time is now
            }
        }
        if (timer) {
            engine().withdraw(timer).reset(); // it was closed meanwhile
        }
    }

    void due(Seat& seat, bool timer) noexcept {
        const std::int64_t now = engine().now();
        {
            const Lock lock(lock_);
            (timer ? armed_ : asked_) = false;
            if (closed_) {
                return;
            }
            for (std::int64_t due_ns = 0; store_.next_due(due_ns) && due_ns <= now;) {
                store_.make_first_due();
            }
        }
        arm();
        run_next(seat);
    }

    /// False without memory for it.
    bool ask_for_run() noexcept {
        if (succeeds([&] { engine().enqueue(std::make_unique<RunTask>(*this, false)); })) {
            return true;
        }
        const Lock lock(lock_);
        asked_ = false;
        return false;
    }

    /// Runs what there is to run, as long as there is something. Once it is closed that is for whoever finishes it, and
    /// for those who are at it.
    void run_next(Seat& seat, bool finishing = false) noexcept {
        const NoOutgoingScope other_events;
        const void* const before = seat.current.own();
        seat.current.show(&subscriber()); // [running] shown before it takes anything
        engine().tell_enders();
        ++batch_runs_here;
        BatchChunk* chunk = nullptr;
        {
            const Lock lock(lock_);
            if (finishing ? store_.runs() == 0 : !closed_) {
                chunk = next_run();
            }
        }
        while (chunk != nullptr) {
            if (options_.concurrency > 1) {
                call_for_help();
            }
            chunk = run_one(seat, *chunk);
        }
        --batch_runs_here;
        bool abandoned = false;
        std::unique_ptr<BatchCallable> released; // user code: after the lock
        {
            const Lock lock(lock_);
            abandoned = closed_ && store_.size() != 0 && engine().giving_up();
            release_if_over(released);
        }
        released.reset();
        if (abandoned) {
            give_up(seat); // it is on no list any more where a shutdown would find it
        }
        seat.current.show(before); // [running] it has returned
        engine().tell_enders();
    }
    [[nodiscard]] BatchChunk* next_run() noexcept { return engine().giving_up() ? nullptr : store_.begin_run(); }

    /// Runs one chunk; returns the next.
    BatchChunk* run_one(Seat& seat, BatchChunk& chunk) noexcept {
        const BatchChunk::Contents contents = chunk.await();
        const auto letters = static_cast<std::uint32_t>(contents.letters);
        const auto events = static_cast<std::uint32_t>(chunk.size()) - letters;
        Frame& frame = *innermost;
        frame.letters += letters;
        frame.events += events;
        callable_->run(engine(), seat, subscriber(), chunk, contents); // which takes each off again with its end
        return put_away(chunk, 1, contents.simple);
    }

    /// After a run, or none: the next one, if it was one.
    BatchChunk* put_away(BatchChunk& chunk, std::size_t runs, bool simple = false) noexcept {
        const std::size_t count = chunk.size();
        chunk.clear(simple);
        BatchChunk* next = nullptr;
        {
            const Lock lock(lock_);
            store_.put_away(chunk, count, runs);
            if (runs != 0) {
                next = next_run();
            }
        }
        if (room_.any()) {
            room_.wake_all();
        }
        return next;
    }

    /// Several may run at once: whoever begins a run sees to it that somebody begins the next.
    void call_for_help() noexcept {
        {
            const Lock lock(lock_);
            if (!store_.can_run() || std::exchange(asked_, true)) {
                return;
            }
        }
        static_cast<void>(ask_for_run()); // or we do it ourselves, later
    }

    const BatchOptions options_;
    const MakeBuffer make_buffer_;
    std::unique_ptr<BatchCallable> callable_; // null once it is over
    WaitQueue room_;                          // those who would add

    BriefLock lock_; // over all below
    BatchStore store_;
    std::size_t growing_ = 0;
    std::uint64_t arm_round_ = 0;
    TimerId timer_;
    bool armed_ = false;
    bool asked_ = false;
    bool closed_ = false;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
