// One run of a batch: the callable gets the events, and each of them gets its end.
#pragma once

#include <gossip/batch/batch_chunk.hpp>
#include <gossip/batch/batch_options.hpp>
#include <gossip/batch/batch_result.hpp>
#include <gossip/core/context.hpp>
#include <gossip/core/errors.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/dispatch/run.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

template <class R>
inline constexpr bool is_batch_answer =
    std::is_void_v<R> || std::convertible_to<R, Result> || std::same_as<std::remove_cvref_t<R>, BatchResult>;

template <class F, class Span>
concept answers_batch = (std::invocable<F&, Context&, Span> &&
                         is_batch_answer<std::invoke_result_t<F&, Context&, Span>>) ||
                        (std::invocable<F&, Span> && is_batch_answer<std::invoke_result_t<F&, Span>>);

/// What a batch runs, its type forgotten.
class BatchCallable {
public:
    BatchCallable() = default;
    BatchCallable(const BatchCallable&) = delete;
    BatchCallable& operator=(const BatchCallable&) = delete;
    virtual ~BatchCallable() = default;

    /// Runs what is in the chunk, and ends each event.
    virtual void run(Engine& engine, Seat& seat, Subscriber& subscriber, BatchChunk& chunk,
                     const BatchChunk::Contents& contents) noexcept = 0;
};

/// The data of a chunk's events, side by side for a std::span<const T>.
///
/// Data is moved out of an event that owns it alone, and back if the event goes on; other data is copied.
template <class T>
class BatchData final : public BatchBuffer {
    static constexpr bool moves = !is_plain<T> && std::is_nothrow_move_constructible_v<T>;

public:
    explicit BatchData(std::size_t room) : data_(std::allocator<T>{}.allocate(room)), room_(room) {}
    ~BatchData() override { std::allocator<T>{}.deallocate(data_, room_); }

    [[nodiscard]] std::span<const T> span(std::size_t first, std::size_t count) const noexcept {
        return {data_ + first, count};
    }

    /// Throws what copying throws; nothing is there then.
    void fill(std::size_t place, Event& event) {
        const T& data = *event.data_if<T>(); // it was when it was collected
        if constexpr (moves) {
            if (owned(event)) {
                std::construct_at(data_ + place, std::move(const_cast<T&>(data)));
                return;
            }
        }
        std::construct_at(data_ + place, data);
    }
    void give_back(std::size_t place, Event& event) noexcept {
        if constexpr (moves) {
            if (owned(event)) {
                T& old = const_cast<T&>(EventAccess::known_data<T>(event));
                std::destroy_at(std::addressof(old));
                std::construct_at(std::addressof(old), std::move(data_[place]));
            }
        }
        std::destroy_at(data_ + place);
    }
    void drop(std::size_t first, std::size_t count) noexcept { std::destroy_n(data_ + first, count); }

    static constexpr bool fills_silently =
        std::is_nothrow_copy_constructible_v<T>; // where it moves, it may have to copy all the same

private:
    /// The event has a T that is nobody else's; what came over a wire is shared by all who have read it.
    [[nodiscard]] static bool owned(const Event& event) noexcept {
        return is_type<T>(EventAccess::ops(event)) && EventAccess::owns_data_alone(event);
    }

    T* data_;
    std::size_t room_;
};

/// A user's callable for batches of `T`.
template <class T, class F>
class BatchRunner final : public BatchCallable {
    static constexpr bool wants_data = answers_batch<F, std::span<const T>>;

public:
    BatchRunner(const BatchOptions& options, F f) : options_(options), f_(std::move(f)) {}

    void run(Engine& engine, Seat& seat, Subscriber& subscriber, BatchChunk& chunk,
             const BatchChunk::Contents& contents) noexcept override {
        Run host(engine, seat, chunk.event(0), Kind::event);
        Context context(host, contents.attempt);
        Job{engine, seat, subscriber, chunk, context, options_, f_, contents.simple}.run(0, chunk.size(),
                                                                                         options_.attempts);
    }

    /// What a chunk of that many events needs for its runs; null: nothing.
    [[nodiscard]] static std::unique_ptr<BatchBuffer> make_buffer([[maybe_unused]] std::size_t room) {
        if constexpr (wants_data) {
            return std::make_unique<BatchData<T>>(room);
        } else {
            return nullptr;
        }
    }

private:
    /// One run, on one thread.
    struct Job {
        Engine& engine;
        Seat& seat;
        Subscriber& subscriber;
        BatchChunk& chunk;
        Context& context;
        const BatchOptions& options;
        F& f;
        const bool simple;

        /// Calls for that part of the chunk until each of its events has had its end.
        void run(std::size_t first, std::size_t count, int attempts) noexcept {
            for (int attempt = 1; count != 0; ++attempt) {
                BatchResult each;
                const Result whole = call(first, count, each);
                if (whole && each.ok()) [[likely]] {
                    succeed(first, count);
                    return;
                }
                if (whole) {
                    count = fail_some(first, count, BatchFailures::sorted(each), attempt < attempts);
                    continue;
                }
                const Error error = whole.error();
                if (attempt < attempts && !is_fatal(error) && !is_validation(error) && may_go_on()) {
                    continue;
                }
                if (options.split && count > 1 && !engine.giving_up() && !context.stop_requested()) {
                    run(first, count / 2, 1);
                    run(first + count / 2, count - count / 2, 1);
                    return;
                }
                for (std::size_t i = first; i < first + count; ++i) {
                    settle(i, error);
                }
                return;
            }
        }

        /// Waits before another attempt; false if there is no time for one.
        bool may_go_on() noexcept {
            bool go_on = !engine.giving_up() && !context.stop_requested();
            if (go_on && options.retry_delay.count() != 0) {
                go_on = succeeds([&] { go_on = context.sleep_for(options.retry_delay); }) && go_on;
            }
            return go_on;
        }

        /// One call. Events whose data can't be copied fail by themselves; `count` is that of the others.
        Result call(std::size_t first, std::size_t& count, BatchResult& each) noexcept {
            Result whole;
            if constexpr (wants_data) {
                auto* const data = static_cast<BatchData<T>*>(chunk.buffer.get());
                count = fill(*data, first, count);
                if (count != 0) {
                    whole = guard([&]() -> Result { return invoke(data->span(first, count), each); });
                    check(count, each, whole);
                }
                if (whole && each.ok()) [[likely]] {
                    data->drop(first, count);
                } else {
                    for (std::size_t i = first; i < first + count; ++i) {
                        data->give_back(i, chunk.event(i));
                    }
                }
            } else {
                whole = guard([&]() -> Result { return invoke(chunk.events(first, count), each); });
                check(count, each, whole);
            }
            return whole;
        }

        std::size_t fill(BatchData<T>& data, std::size_t first, std::size_t count) noexcept requires wants_data {
            if constexpr (BatchData<T>::fills_silently) {
                for (std::size_t i = first; i < first + count; ++i) {
                    data.fill(i, chunk.event(i));
                }
                return count;
            } else {
                std::size_t kept = first;
                for (std::size_t i = first; i < first + count; ++i) {
                    if (const Result filled = guard([&] { data.fill(kept, chunk.event(i)); }); filled) {
                        if (kept != i) {
                            chunk.exchange(kept, i);
                        }
                        ++kept;
                    } else {
                        settle(i, filled);
                    }
                }
                return kept - first;
            }
        }

        static void check(std::size_t count, BatchResult& each, Result& whole) noexcept {
            if (whole && !each.ok()) [[unlikely]] {
                const std::size_t last = BatchFailures::sorted(each).back().first;
                if (last >= count) {
                    whole = ValidationError{"index", last, "must be that of an item of the batch"};
                }
            }
        }

        template <class Span>
        Result invoke(Span span, BatchResult& each) {
            const auto called = [&]() -> decltype(auto) {
                if constexpr (answers_with_context<Span>) {
                    return std::invoke(f, context, span);
                } else {
                    return std::invoke(f, span);
                }
            };
            using Answer = decltype(called());
            if constexpr (std::is_void_v<Answer>) {
                called();
                return {};
            } else if constexpr (std::same_as<std::remove_cvref_t<Answer>, BatchResult>) {
                each = called();
                return {};
            } else {
                return called();
            }
        }
        template <class Span>
        static constexpr bool answers_with_context = std::invocable<F&, Context&, Span>;

        void succeed(std::size_t first, std::size_t count) noexcept {
            std::uint64_t handled = simple ? count : 0;
            for (std::size_t i = first; i < first + count && !simple; ++i) {
                const Collector::Mark mark = chunk.mark(i);
                if (mark.part == nullptr && mark.kind != Kind::letter) [[likely]] {
                    Engine::settle_receipt(chunk.event(i), Ending::handled, nullptr);
                    ++handled;
                } else {
                    settle(i, {});
                }
            }
            if (handled != 0) {
                seat.ledger.add(Tally::handled, handled);
                innermost->events -= static_cast<std::uint32_t>(handled); // no longer this run's own
            }
        }

        /// Ends what has succeeded, and what has failed for good; the others come first after that. Their number.
        std::size_t fail_some(std::size_t first, std::size_t count, BatchFailures::List& failures,
                              bool again) noexcept {
            std::size_t next = 0;
            std::size_t kept = 0;
            for (std::size_t i = 0; i < count; ++i) {
                if (next == failures.size() || failures[next].first != i) {
                    succeed(first + i, 1);
                    continue;
                }
                const Error error = failures[next++].second;
                if (!again || is_fatal(error) || is_validation(error)) {
                    settle(first + i, error);
                    continue;
                }
                if (kept != i) {
                    chunk.exchange(first + kept, first + i);
                }
                failures[kept++].second = error;
            }
            if (kept != 0 && !may_go_on()) {
                for (std::size_t i = 0; i < kept; ++i) {
                    settle(first + i, failures[i].second);
                }
                kept = 0;
            }
            return kept;
        }

        void settle(std::size_t place, Result result) noexcept {
            const Collector::Mark mark = chunk.mark(place);
            engine.settle_item(seat, chunk.event(place), mark.part, mark.kind, mark.attempt, subscriber,
                               std::move(result));
            --(mark.kind == Kind::letter ? innermost->letters : innermost->events); // or others have it still
        }
    };

    const BatchOptions options_;
    F f_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
