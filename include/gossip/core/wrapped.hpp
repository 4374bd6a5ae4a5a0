// Wrapped, Bound: a processor with something around it, before and after the type of its data is known.
#pragma once

#include <gossip/core/guard.hpp>
#include <gossip/core/processor.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

struct AnyCall {
    void operator()();
};
struct AnyBind {
    void bind();
};
template <class F>
struct CallProbe : F, AnyCall {};
template <class F>
struct BindProbe : F, AnyBind {};

// A name that F has as well is ambiguous in the probe. This tells whether it is there, be it overloaded or a template.
template <class F>
concept lacks_call = requires {
    &CallProbe<F>::operator();
};
template <class F>
concept lacks_bind = requires {
    &BindProbe<F>::bind;
};

/// As much as can be said before the type of the data is known: it can be called, or be bound.
template <class F>
consteval bool may_be_processor() {
    if constexpr (std::is_class_v<F> && !std::is_final_v<F>) {
        return !lacks_call<F> || !lacks_bind<F>;
    } else {
        return std::is_class_v<F> || std::is_function_v<std::remove_pointer_t<F>> || std::is_member_pointer_v<F>;
    }
}

/// An event processor whose exceptions have become failed Results.
template <class Next>
class Guarded {
public:
    explicit Guarded(Next next) : next_(std::move(next)) {}

    Result operator()(Context& context, const Event& event) noexcept {
        return guard([&]() -> Result { return next_(context, event); });
    }

private:
    Next next_;
};

/// An event processor with a policy around it: `policy(next, context, event)` is what happens.
///
/// Threads: as many at once as the bus has workers; the policy sees to what it shares.
/// Errors:  `next` never throws: what the processor throws is a failed Result to the policy. What the policy itself
///          throws leaves the call.
template <class Policy, class Next>
class Bound {
public:
    Bound(Policy policy, Next next) : next_(std::move(next)), policy_(std::move(policy)) {}

    Result operator()(Context& context, const Event& event) { return policy_(next_, context, event); }

private:
    Guarded<Next> next_;
    [[no_unique_address]] Policy policy_;
};

/// Whether the event processor P puts events aside to run them later, as a batch does. That works on the thread that
/// has the event from the bus, and on no other.
template <class P>
inline constexpr bool collects = false;
template <class Policy, class Next>
inline constexpr bool collects<Bound<Policy, Next>> = collects<Next>;

/// Whether no call of the event processor P can fail, as far as types tell. Bad data aside: no policy can mend that.
template <class P>
inline constexpr bool never_fails = false;

template <class F, class... Args>
concept answers_silently =
    std::is_nothrow_invocable_v<F&, Args...> && std::is_void_v<std::invoke_result_t<F&, Args...>>;
template <class F, class... Args>
concept never_answers_failure = answers_silently<F, Context&, Args...> ||
    (!answers<F, Context&, Args...> && answers_silently<F, Args...>);

template <class T, class F>
consteval bool silent_processor() {
    if constexpr (takes_data<F, T>) {
        return never_answers_failure<F, const T&>;
    } else if constexpr (takes_typed_event<F, T>) {
        return never_answers_failure<F, const TypedEvent<T>&>;
    } else if constexpr (answers_maybe_context<F, const Event&>) {
        return never_answers_failure<F, const Event&>;
    } else {
        return never_answers_failure<F>;
    }
}
template <class T, class F>
inline constexpr bool never_fails<BoundProcessor<T, F>> = silent_processor<T, F>();

/// What `f` makes of a user's callable, where that stands inside of middleware, filters or a batch.
template <class P, class F>
[[nodiscard]] auto replace_callable(P processor, const F& f) {
    if constexpr (requires { std::move(processor).replace_callable(f); }) {
        return std::move(processor).replace_callable(f);
    } else {
        return f(std::move(processor));
    }
}

/// A processor with a policy around it, while the type of the data is not known. It becomes an event processor when
/// `bind<T>` says what T is; what is wrong with the processor is told there.
///
/// A policy may have a say in what it is bound to: `policy.template around<T>(next)` then returns the event processor,
/// usually a Bound of a policy with a state of its own.
template <class Policy, class P>
class Wrapped {
public:
    constexpr Wrapped(Policy policy, P processor) : policy_(std::move(policy)), processor_(std::move(processor)) {}

    template <class T>
    [[nodiscard]] auto bind() && {
        return around<T>(policy_, bind_processor<T>(std::move(processor_)));
    }
    template <class T>
    requires std::copy_constructible<P>
    [[nodiscard]] auto bind() const& { return around<T>(policy_, bind_processor<T>(P(processor_))); }

    /// The same around what `f` makes of the innermost callable.
    template <class F>
    [[nodiscard]] auto replace_callable(const F& f) && {
        auto replaced = detail::replace_callable(std::move(processor_), f);
        return Wrapped<Policy, decltype(replaced)>(std::move(policy_), std::move(replaced));
    }

private:
    template <class T, class Next>
    static auto around(const Policy& policy, Next next) {
        if constexpr (requires { policy.template around<T>(std::move(next)); }) {
            return policy.template around<T>(std::move(next));
        } else {
            return Bound<Policy, Next>(policy, std::move(next));
        }
    }

    [[no_unique_address]] Policy policy_;
    P processor_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
