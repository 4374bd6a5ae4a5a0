// Middleware around every processor of a bus.
#pragma once

#include <gossip/core/processor.hpp>
#include <gossip/core/topic.hpp>
#include <gossip/dispatch/subscriber.hpp>

#include <concepts>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

namespace detail {

/// The processor of some subscription, as middleware of the whole bus gets it.
class AnyProcessor {
public:
    explicit AnyProcessor(Processor processor) noexcept : processor_(std::move(processor)) {}
    Result operator()(Context& context, const Event& event) const noexcept {
        return processor_.invoke()(processor_.state(), context, event);
    }

private:
    Processor processor_;
};

/// Whether `middleware(processor)` is a processor again, whatever the type of the data.
template <class M>
consteval bool wraps_any_processor() {
    if constexpr (requires(const M& middleware, AnyProcessor next) { middleware(std::move(next)); }) {
        using Outer = std::decay_t<std::invoke_result_t<const M&, AnyProcessor>>;
        return processor_of<Outer, void> || late_bound<Outer, void>;
    } else {
        return false;
    }
}

} // namespace detail

/// What stands around every processor of a bus: one middleware, or a chain of them. In a Config:
/// `.middleware = middleware::chain(middleware::logging("bus", sink), middleware::retry(2))`.
///
/// Each subscription's processor is wrapped once, when it subscribes, outside of the subscription's own middleware.
/// Further out than both are the subscription's filter (what it refuses, the middleware never sees), its
/// `max_concurrency`, and its redelivery (each attempt passes through the middleware). `publish_sync` passes through it
/// as well. Around a batch the middleware sees each event being collected, and not the runs of the batch: those are
/// retried by redelivery, and `timeout_detached`, which leaves the worker's thread, fails what should be collected.
///
/// Subscriptions to names under `gossip.`, such as dead letters, are not wrapped: what a circuit breaker or a rate
/// limit has refused would otherwise be refused again as a dead letter, and be lost.
///
/// Threads: a value; copies share the middleware, which is applied through const. What it shares among the processors
///          that it wraps, such as one circuit or one bucket of tokens, it shares among all of the bus; what it keeps
///          for each, such as the keys that deduplicate() has seen, each subscription has for itself.
/// Cost:    one indirect call for each run, and what the middleware costs; processors that take the data alone get no
///          shorter way any more. Without middleware nothing.
class BusMiddleware {
public:
    /// None.
    BusMiddleware() noexcept = default;

    template <class M>
    requires(!std::same_as<std::remove_cvref_t<M>, BusMiddleware>)
        // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): the line above
        BusMiddleware(M&& middleware)
        : around_(make(std::forward<M>(middleware))) {}

    [[nodiscard]] bool empty() const noexcept { return around_ == nullptr; }

    /// For the library: the processor of a subscription to these, with the middleware around it.
    [[nodiscard]] detail::Processor around(detail::Processor processor, const std::vector<EventType>& names,
                                           const std::vector<Pattern>& patterns) const {
        return empty() || of_the_library(names, patterns) ? std::move(processor)
                                                          : around_->wrap(detail::AnyProcessor(std::move(processor)));
    }

private:
    struct Around {
        Around() = default;
        Around(const Around&) = delete;
        Around& operator=(const Around&) = delete;
        virtual ~Around() = default;
        [[nodiscard]] virtual detail::Processor wrap(detail::AnyProcessor next) const = 0;
    };
    template <class M>
    struct AroundWith final : Around {
        explicit AroundWith(M wanted) : middleware(std::move(wanted)) {}
        [[nodiscard]] detail::Processor wrap(detail::AnyProcessor next) const override {
            return detail::Processor(bind_processor<void>(middleware(std::move(next))));
        }
        const M middleware;
    };

    template <class M>
    static std::shared_ptr<const Around> make(M&& middleware) {
        using Plain = std::decay_t<M>;
        constexpr bool wraps = detail::wraps_any_processor<Plain>();
        static_assert(wraps, "gossip: Config::middleware is called with a processor of any event and returns one: a "
                             "middleware, or chain(...) of several, that needs no particular type of data");
        if constexpr (wraps) {
            return std::make_shared<AroundWith<Plain>>(std::forward<M>(middleware));
        } else {
            return nullptr;
        }
    }
    static bool of_the_library(const std::vector<EventType>& names, const std::vector<Pattern>& patterns) noexcept {
        constexpr std::string_view ours = "gossip.";
        bool any = false;
        for (const EventType& name : names) {
            any = any || name.name().starts_with(ours);
        }
        for (const Pattern& pattern : patterns) {
            any = any || pattern.text().starts_with(ours);
        }
        return any;
    }

    std::shared_ptr<const Around> around_; // null: none
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
