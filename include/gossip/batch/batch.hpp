#pragma once

#include <gossip/batch/batch_collector.hpp>
#include <gossip/batch/batch_options.hpp>
#include <gossip/batch/batch_result.hpp>
#include <gossip/batch/batch_run.hpp>
#include <gossip/core/errors.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/processor.hpp>
#include <gossip/core/wrapped.hpp>
#include <gossip/dispatch/run.hpp>

#include <memory>
#include <span>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// A callable that can run a batch of `T`.
template <class F, class T>
concept batch_processor_of =
    detail::answers_batch<F, std::span<const T>> || detail::answers_batch<F, std::span<const Event>>;

namespace detail {

/// Enlists the collector with its first event; and tells of those that have no business here.
[[nodiscard, gnu::cold, gnu::noinline]] inline Result collect_first(Run* run,
                                                                    const std::shared_ptr<BatchCollector>& collector) {
    if (run == nullptr) {
        return ProcessingError{"a batch collects what a bus gives to its processor: not outside of one, not on a "
                               "helper's thread, not inside of another batch"};
    }
    switch (run->engine().collectors().enlist(run->engine(), run->subscriber(), collector)) {
    case CollectorList::Enlisted::yes:
        break;
    case CollectorList::Enlisted::ended:
        return {}; // as a processor that is not called any more
    case CollectorList::Enlisted::elsewhere:
        return ProcessingError{"a batch collects for one subscription"};
    }
    run->collect(*collector);
    return {};
}

/// Tells the run that `host` belongs to that its event goes to this collector.
[[nodiscard]] inline Result collect_in(ContextHost* host, const std::shared_ptr<BatchCollector>& collector) {
    Run* const run = host == nullptr ? nullptr : host->bus_run();
    if (run != nullptr && collector->belongs_to(run->subscriber())) [[likely]] {
        run->collect(*collector);
        return {};
    }
    return collect_first(run, collector);
}

/// The processor behind a batch: hands each event to the collector of its subscription.
template <class T>
class BatchProcessor {
public:
    explicit BatchProcessor(std::shared_ptr<BatchCollector> collector) noexcept : collector_(std::move(collector)) {}

    Result operator()(Context& context, const Event& event) {
        if (event.data_if<T>() == nullptr) [[unlikely]] {
            return wrong_data<T>(event);
        }
        return collect_in(context.host(), collector_);
    }

private:
    std::shared_ptr<BatchCollector> collector_;
};

/// A batch that does not know its topic yet.
template <class T, class F>
class Batch {
public:
    Batch(const BatchOptions& options, F f) : options_(options), f_(std::move(f)) {}

    template <class Data>
    auto bind() && {
        static_assert(std::is_void_v<Data> || std::is_same_v<Data, T>,
                      "gossip: batch<T> collects the data of a Topic<T>; this topic carries another type");
        using Runner = BatchRunner<T, F>;
        auto runner = std::make_unique<Runner>(options_, std::move(f_));
        return BatchProcessor<T>(std::make_shared<BatchCollector>(options_, std::move(runner), &Runner::make_buffer));
    }
    template <class Data>
    auto bind() const& {
        return Batch(*this).template bind<Data>();
    }

    /// The same batch of what `make` makes of its callable.
    template <class Make>
    [[nodiscard]] auto replace_callable(const Make& make) && {
        auto made = make(std::move(f_));
        return Batch<T, decltype(made)>(options_, std::move(made));
    }

private:
    BatchOptions options_;
    F f_;
};

/// In place of a batch that can't be made: the sentence that says why stays the only error.
struct NoBatch {
    Result operator()(Context&, const Event&) const noexcept { return {}; }
};

template <class T, class F>
consteval bool batch_can_be_made() {
    if constexpr (std::is_void_v<T>) {
        static_assert(!std::is_void_v<T>,
                      "gossip: batch<T> needs a topic with data; there is nothing to collect of a Topic<>");
        return false;
    } else if constexpr (!batch_processor_of<F, T>) {
        static_assert(
            batch_processor_of<F, T>,
            "gossip: a batch processor takes (std::span<const T>) or (std::span<const Event>), or one of these after "
            "(Context&), and returns void, something convertible to Result, or a BatchResult");
        return false;
    } else if constexpr (answers_batch<F, std::span<const T>> && !std::is_copy_constructible_v<T>) {
        static_assert(std::is_copy_constructible_v<T>,
                      "gossip: a std::span<const T> needs data that can be copied, as events may share it; take "
                      "(std::span<const Event>)");
        return false;
    } else {
        return true;
    }
}

} // namespace detail

/// Collects events and runs them together: `batch<Email>({.size = 100, .period = 1s}, [](std::span<const Email> emails)
/// {...})`. The callable takes `std::span<const T>` or `std::span<const Event>`, the context first if it wants it, and
/// returns nothing, a Result (for all of them), or a BatchResult (for each). It runs when `size` events are there,
/// `period` after the first of them came, on `flush`, when its subscription ends, and at shutdown. Whoever adds the
/// last event that makes a run runs it; otherwise a worker does.
///
/// An event is handled only when its batch has run. A failed batch is a failed event each, redelivered by itself if the
/// subscription says so; the context's `attempt()` is then the highest of theirs. Before that, in the same run, the
/// batch can be called again as a whole (`attempts`) unless the error is fatal or one of validation, and then in halves
/// and halves of these (`split`), each once: `attempts + 2 * (size - 1)` calls at most. Of what a BatchResult fails
/// only that is called again, `attempts` times in all.
/// With `split` a fatal error or one of validation is tried again in this one place, in halves: one event may have
/// failed all the others.
///
/// Middleware around a batch sees each event being collected, and not the runs: metrics() counts what was collected,
/// each a success that took no time, and rate_limit() takes a token for each event. What would mean something else
/// than it says there does not compile.
///
/// Threads: one run at a time, `concurrency` at most. By key: one run of a key at a time.
/// Order:   a run has the events in the order of their collecting; one run at a time keeps it from run to run, and by
///          key it is kept for each key. An event lets its key go when it has been collected.
/// Cost:    nothing is allocated once the batch is warm, but for a timer each period, and for new keys. Data for a
///          std::span<const T> is moved out of its events, or copied where other events share it.
/// Stalls:  a batch collects at most `size` for each run and `size` more; by key, twice the size for each key and
///          `capacity` in all. A worker that would add to it waits: a slow batch is back-pressure. Where many keys fill
///          it up, the one that has waited longest runs with what it has. Inside of a batch's run nobody waits, and the
///          bound does not hold for what is published synchronously there.
/// Owns:    the callable, until its subscription has ended; the memory of its largest moment, as long.
/// Errors:  ValidationError for options that break a rule. Data that can't be copied fails its event alone.
template <class T, class F>
[[nodiscard]] auto batch(const BatchOptions& options, F f) {
    if constexpr (detail::batch_can_be_made<T, F>()) {
        detail::check(options);
        return detail::Batch<T, F>(options, std::move(f));
    } else {
        return detail::NoBatch{};
    }
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE

template <class T>
inline constexpr bool gossip::detail::collects<gossip::detail::BatchProcessor<T>> = true;

/// Collecting does not fail, and what the run of a batch makes of its events no middleware hears.
template <class T>
inline constexpr bool gossip::detail::never_fails<gossip::detail::BatchProcessor<T>> = true;
