#pragma once

#include <gossip/middleware/middleware.hpp>

#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

/// What a fallback bound to the type of the data does.
template <class Second>
class FallbackTo {
public:
    explicit FallbackTo(Second second) : second_(std::move(second)) {}

    template <class Next>
    Result operator()(Next& next, Context& context, const Event& event) {
        Result result = next(context, event);
        if (!result) [[unlikely]] {
            const Error error = std::move(result).error();
            result = guard([&]() -> Result { return second_(context, event, error); });
            if (!result) {
                return result.error().with_cause(error);
            }
        }
        return result;
    }

private:
    Second second_;
};

/// The policy of fallback().
template <class F>
class Fallback {
public:
    explicit Fallback(F f) : f_(std::move(f)) {}

    template <class T, class Next>
    auto around(Next next) const {
        static_assert(!detail::never_fails<Next>,
                      "gossip: fallback() around what never fails, such as a noexcept processor that returns nothing, "
                      "ignore_errors() or a batch, is never called; put it inside");
        if constexpr (detail::answers_maybe_context<F, const Event&, const Error&>) {
            return bound([f = f_](Context& context, const Event& event,
                                  const Error& error) mutable { return detail::answer(f, context, event, error); },
                         std::move(next));
        } else if constexpr (detail::answers_maybe_context<F, const Error&>) {
            return bound([f = f_](Context& context, const Event&,
                                  const Error& error) mutable { return detail::answer(f, context, error); },
                         std::move(next));
        } else {
            return bound([second = bind_processor<T>(f_)](Context& context, const Event& event,
                                                          const Error&) mutable { return second(context, event); },
                         std::move(next));
        }
    }

private:
    template <class Second, class Next>
    static auto bound(Second second, Next next) {
        return detail::Bound<FallbackTo<Second>, Next>(FallbackTo<Second>(std::move(second)), std::move(next));
    }

    F f_;
};

/// Calls f when the processor has failed, and answers what f answers. f takes (const Event&, const Error&), (const
/// Error&), or what a processor takes, each also after (Context&).
///
/// Errors: when f fails too, its error stands, with the processor's at the end of its causes.
template <class F>
[[nodiscard]] auto fallback(F f) {
    return Middleware(Fallback<F>(std::move(f)));
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware
