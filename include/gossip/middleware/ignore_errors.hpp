#pragma once

#include <gossip/middleware/middleware.hpp>

#include <concepts>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

/// The policy of ignore_errors().
template <class Predicate>
class IgnoreErrors {
public:
    explicit IgnoreErrors(Predicate predicate) : predicate_(std::move(predicate)) {}

    template <class Next>
    Result operator()(Next& next, Context& context, const Event& event) const {
        Result result = next(context, event);
        if (!result && predicate_(result.error())) {
            return {};
        }
        return result;
    }

private:
    [[no_unique_address]] Predicate predicate_;
};

struct EveryError {
    bool operator()(const Error&) const noexcept { return true; }
};

/// Makes successes of the failures that the predicate names: `ignore_errors(gossip::is_validation)`. The event counts
/// as handled, and nobody hears of the error: put logging inside of it to keep a trace.
template <class Predicate>
[[nodiscard]] auto ignore_errors(Predicate predicate) {
    static_assert(
        std::predicate<const Predicate&, const Error&>,
        "gossip: the predicate of ignore_errors() can be called as const with (const Error&) and returns bool");
    return Middleware(IgnoreErrors<Predicate>(std::move(predicate)));
}
[[nodiscard]] inline auto ignore_errors() { return ignore_errors(EveryError{}); }

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware

template <class Next>
inline constexpr bool gossip::detail::never_fails<
    gossip::detail::Bound<gossip::middleware::IgnoreErrors<gossip::middleware::EveryError>, Next>> = true;
