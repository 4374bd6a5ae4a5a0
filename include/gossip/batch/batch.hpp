#pragma once

#include <gossip/batch/batch_collector.hpp>
#include <gossip/core/errors.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/processor.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

namespace gossip {

/// A callable that can run a batch of `T`.
template <class F, class T>
concept batch_processor_of =
    detail::answers_batch<F, std::span<const T>> || detail::answers_batch<F, std::span<const Event>>;

namespace detail {

/// The processor behind a batch: hands each event to the collector of its subscription.
template <class T, class F>
class BatchProcessor {
public:
    BatchProcessor(BatchOptions options, F f)
        : collector_(std::make_shared<BatchCollector<T, F>>(options, std::move(f))) {}

    Result operator()(Context& context, const Event& event) {
        if (event.data_if<T>() == nullptr) {
            return wrong_data<T>(event);
        }
        if (!collect_in(context.host(), collector_)) {
            return ProcessingError{
                "a batch collects what a bus gives to its processor: not outside of one, not on a helper's "
                "thread, not inside of another batch"};
        }
        return {};
    }

private:
    std::shared_ptr<BatchCollector<T, F>> collector_;
};

/// A batch that does not know its topic yet.
template <class T, class F>
class Batch {
public:
    Batch(const BatchOptions& options, F f) : options_(options), f_(std::move(f)) {}

    template <class Data>
    auto bind() && {
        static_assert(std::is_void_v<Data> || std::is_same_v<Data, T>,
                      "gossip: batch<T> collects the data of a Topic<T>; this topic carries another type, or none");
        return BatchProcessor<T, F>(options_, std::move(f_));
    }
    template <class Data>
    auto bind() const& {
        return Batch(*this).template bind<Data>();
    }

private:
    BatchOptions options_;
    F f_;
};

} // namespace detail

/// Collects events and runs them together: `batch<Email>({.size = 100, .period = 1s}, [](std::span<const Email> emails)
/// {...})`. The callable takes `std::span<const T>` or `std::span<const Event>`, the context first if it wants it, and
/// returns nothing, a Result (for all of them), or a BatchResult (for each). It runs when `size` events are there,
/// `period` after the first of them came, on `flush`, when its subscription ends, and at shutdown; once at a time, in
/// the order of collecting.
///
/// An event is handled only when its batch has run. A failed batch is a failed event each, redelivered by itself if the
/// subscription says so. An event lets its key go when it has been collected.
///
/// Stalls: a worker that would add to a batch which has twice its size waits until the batch has run: a slow batch is
///         back-pressure.
/// Errors: ValidationError for a size of 0 or a negative period.
template <class T, class F>
[[nodiscard]] auto batch(const BatchOptions& options, F f) {
    static_assert(!std::is_void_v<T>,
                  "gossip: batch<T> needs a topic with data; there is nothing to collect of a Topic<>");
    if constexpr (!std::is_void_v<T>) {
        static_assert(
            batch_processor_of<F, T>,
            "gossip: a batch processor takes (std::span<const T>) or (std::span<const Event>), or one of these after "
            "(Context&), and returns void, something convertible to Result, or a BatchResult");
        detail::check(options);
        return detail::Batch<T, F>(options, std::move(f));
    }
}

} // namespace gossip
