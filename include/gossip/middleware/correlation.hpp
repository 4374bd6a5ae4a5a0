#pragma once

#include <gossip/core/outgoing.hpp>
#include <gossip/middleware/middleware.hpp>

#include <concepts>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

/// The policy of correlation().
class Correlation {
public:
    explicit Correlation(std::vector<std::string> names)
        : names_(std::make_shared<const std::vector<std::string>>(std::move(names))) {}

    template <class T, class Next>
    auto around(Next next) const {
        static_assert(
            !detail::collects<Next>,
            "gossip: correlation() around a batch has no hold on its runs, which have many events each; let the "
            "batch's callable give the metadata to what it publishes instead");
        return detail::Bound<Correlation, Next>(*this, std::move(next));
    }

    template <class Next>
    Result operator()(Next& next, Context& context, const Event& event) const {
        const detail::OutgoingScope scope(event.metadata(), *names_, false);
        return next(context, event);
    }

private:
    std::shared_ptr<const std::vector<std::string>> names_;
};

/// Copies the named metadata of the event onto every event that the processor publishes while it runs, on its thread:
/// `correlation("correlation_id", "tenant")`. An entry that the published event has already is left as it is.
///
/// Cost:   some stores per event; the copying is paid by who publishes.
/// Errors: without names it would copy nothing: that does not compile. What is published after the processor has
///         returned, by a deferral or another thread, inherits nothing.
template <std::convertible_to<std::string>... Names>
[[nodiscard]] auto correlation(Names&&... names) {
    static_assert(sizeof...(Names) > 0, "gossip: correlation() takes the names of the metadata that it is to copy");
    return Middleware(Correlation(std::vector<std::string>{std::string(std::forward<Names>(names))...}));
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware

template <class Next>
inline constexpr bool gossip::detail::never_fails<gossip::detail::Bound<gossip::middleware::Correlation, Next>> =
    gossip::detail::never_fails<Next>;
