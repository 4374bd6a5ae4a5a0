#pragma once

#include <gossip/middleware/middleware.hpp>

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

struct SampleProcessor {
    Result operator()(Context&, const Event&) { return {}; }
};

/// Whether `m(processor)` is a processor again.
template <class M>
consteval bool wraps_processors() {
    if constexpr (std::derived_from<M, MiddlewareBase>) {
        return true;
    } else if constexpr (requires(const M& m) { m(SampleProcessor{}); }) {
        return detail::may_be_processor<std::decay_t<std::invoke_result_t<const M&, SampleProcessor>>>();
    } else {
        return false;
    }
}

/// Several middleware as one. Owns: copies of them.
template <class... Ms>
class Chain : public MiddlewareBase {
public:
    constexpr explicit Chain(Ms... middleware) : middleware_(std::move(middleware)...) {}

    template <class P>
    [[nodiscard]] constexpr auto operator()(P&& processor) const {
        static_assert(!std::derived_from<std::decay_t<P>, MiddlewareBase>,
                      "gossip: a chain is called with a processor; further middleware goes into chain(...) itself");
        return apply<0>(std::forward<P>(processor));
    }

private:
    template <std::size_t I, class P>
    constexpr auto apply(P&& processor) const {
        if constexpr (I == sizeof...(Ms)) {
            return std::decay_t<P>(std::forward<P>(processor));
        } else {
            return std::get<I>(middleware_)(apply<I + 1>(std::forward<P>(processor)));
        }
    }

    std::tuple<Ms...> middleware_;
};

/// `chain(a, b, c)(processor)` is `a(b(c(processor)))`: the first named is the outermost. Of none: the processor
/// itself.
///
/// Order: what a names is asked first and answers last. Retry outside of timeout gives each attempt its own time;
///        inside, all attempts share it. Logging outside of retry writes one line, inside one for each attempt.
template <class... Ms>
[[nodiscard]] constexpr auto chain(Ms... middleware) {
    constexpr bool good = (wraps_processors<Ms>() && ...);
    static_assert(good, "gossip: chain() takes middleware: things that are called with a processor and return one; the "
                        "processor itself goes into a second pair of brackets, chain(...)(processor)");
    if constexpr (good) {
        return Chain<Ms...>(std::move(middleware)...);
    } else {
        return Chain<>();
    }
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware
