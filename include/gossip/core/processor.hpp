#pragma once

#include <gossip/core/context.hpp>
#include <gossip/core/errors.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/core/type_name.hpp>

#include <concepts>
#include <functional>
#include <new>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// What every processor becomes in the end, and what middleware wraps: a function of the context and the event.
template <class P>
concept event_processor = requires(P& processor, Context& context, const Event& event) {
    { processor(context, event) } -> std::same_as<Result>;
};

namespace detail {

/// Called with these arguments, `F` returns nothing or something that is a Result.
template <class F, class... Args>
concept answers = std::invocable<F&, Args...> &&(std::is_void_v<std::invoke_result_t<F&, Args...>> ||
                                                 std::convertible_to<std::invoke_result_t<F&, Args...>, Result>);

template <class F, class... Args>
concept answers_maybe_context = answers<F, Context&, Args...> || answers<F, Args...>;

/// T, where it names a type of data; void has none.
template <class T>
using DataOf = std::conditional_t<std::is_void_v<T>, int, T>;

template <class F, class T>
concept takes_data = !std::is_void_v<T> && answers_maybe_context<F, const DataOf<T>&>;
template <class F, class T>
concept takes_typed_event = !std::is_void_v<T> && answers_maybe_context<F, const TypedEvent<DataOf<T>>&>;

} // namespace detail

/// A callable that can process events with data of type `T` (void: events without data, or of any type).
template <class F, class T>
concept processor_of = detail::takes_data<F, T> || detail::takes_typed_event<F, T> ||
    detail::answers_maybe_context<F, const Event&> || detail::answers_maybe_context<F>;

/// Something that becomes an event processor once the type of the data is known: middleware and filters around a
/// callable, batches.
template <class F, class T>
concept late_bound = requires(F processor) {
    { std::move(processor).template bind<T>() } -> event_processor;
};

namespace detail {

template <class F, class... Args>
Result answer_alone(F& f, Args&&... args) {
    if constexpr (std::is_void_v<std::invoke_result_t<F&, Args...>>) {
        std::invoke(f, std::forward<Args>(args)...);
        return {};
    } else {
        return std::invoke(f, std::forward<Args>(args)...);
    }
}

/// Calls `f`, with the context first if it wants it.
template <class F, class... Args>
Result answer(F& f, Context& context, Args&&... args) {
    if constexpr (answers<F, Context&, Args...>) {
        return answer_alone(f, context, std::forward<Args>(args)...);
    } else {
        static_cast<void>(context);
        return answer_alone(f, std::forward<Args>(args)...);
    }
}

/// Data that can't be read now can't be read later either: the cause is a ValidationError, so it is never tried again.
[[gnu::cold]] inline Result unreadable(const Event& event, const Error& why) {
    const std::string text{event.raw_text().substr(0, 200)};
    return ProcessingError{"the data of event '" + std::string(event.type().name()) + "' can't be read",
                           ValidationError{"data", text, why.message(), why}};
}

template <class T>
[[gnu::cold, gnu::noinline]] Result wrong_data(const Event& event) {
    if (!event.has_data()) {
        return NoDataError{std::string(event.type().name())};
    }
    if (const RawData* const raw = EventAccess::raw_data(event)) {
        const void* data = nullptr;
        if (const Result read = raw->as(&payload_ops<T>, data); !read) {
            return unreadable(event, read.error());
        }
    }
    return TypeAssertionError{std::string(type_name<T>()), std::string(event.data_type_name())};
}

/// A user's callable as an event processor.
template <class T, class F>
class BoundProcessor {
public:
    explicit BoundProcessor(F f) : f_(std::move(f)) {}

    Result operator()(Context& context, const Event& event) {
        if constexpr (takes_data<F, T>) {
            const T* data = event.data_if<T>();
            return data == nullptr ? wrong_data<T>(event) : answer(f_, context, *data);
        } else if constexpr (takes_typed_event<F, T>) {
            const T* data = event.data_if<T>();
            return data == nullptr ? wrong_data<T>(event) : answer(f_, context, TypedEvent<T>(event, *data));
        } else if constexpr (answers_maybe_context<F, const Event&>) {
            return answer(f_, context, event);
        } else {
            return answer(f_, context);
        }
    }

    /// The callable gets the data and nothing else: it can't tell one event with this data from another.
    static constexpr bool sees_data_only = (takes_data<F, T> && !answers<F, Context&, const DataOf<T>&>) ||
                                           (!takes_data<F, T> && !takes_typed_event<F, T> &&
                                            !answers_maybe_context<F, const Event&> && !answers<F, Context&>);
    /// What data it gets; null: none, so that any will do.
    static constexpr const PayloadOps* data_ops() noexcept {
        if constexpr (takes_data<F, T>) {
            return &payload_ops<T>;
        } else {
            return nullptr;
        }
    }
    Result call_with(const void* data) requires sees_data_only {
        if constexpr (takes_data<F, T>) {
            return answer_alone(f_, *std::launder(static_cast<const T*>(data)));
        } else {
            return answer_alone(f_);
        }
    }

private:
    F f_;
};

template <class P>
inline constexpr bool sees_data_only = false;
template <class P>
requires requires { requires P::sees_data_only; }
inline constexpr bool sees_data_only<P> = true;

template <class T>
void check_processor(auto const& sample) {
    using F = std::remove_cvref_t<decltype(sample)>;
    if constexpr (std::is_void_v<T>) {
        static_assert(
            processor_of<F, T> || late_bound<F, T>,
            "gossip: a processor of events without a data type takes (), (const Event&), or one of these after "
            "(Context&), and returns void or something convertible to Result");
    } else {
        static_assert(
            processor_of<F, T> || late_bound<F, T>,
            "gossip: a processor of Topic<T> takes (const T&), (const TypedEvent<T>&), (const Event&), (), or one "
            "of these after (Context&), and returns void or something convertible to Result");
    }
}

} // namespace detail

/// Makes an event processor of anything that can process events with data of type `T`; what can't is told in one
/// sentence.
template <class T, class F>
auto bind_processor(F&& processor) {
    using Plain = std::decay_t<F>; // a function is kept as a pointer to it
    detail::check_processor<T>(processor);
    if constexpr (late_bound<Plain, T>) {
        return Plain(std::forward<F>(processor)).template bind<T>();
    } else if constexpr (processor_of<Plain, T>) {
        return detail::BoundProcessor<T, Plain>(std::forward<F>(processor));
    } else {
        return [](Context&, const Event&) -> Result { return {}; }; // the sentence above is the only error
    }
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
