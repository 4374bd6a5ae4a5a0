// What a filter is; filters by type, priority and key; only_if, which puts one before a processor.
#pragma once

#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/require.hpp>
#include <gossip/core/wrapped.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::filter {

/// A question about an event: called as const from any number of threads, answered by a bool. A filter that throws
/// fails the event like a processor that throws.
template <class F>
concept event_filter = requires(const F& filter, const Event& event) {
    { filter(event) } -> std::same_as<bool>;
};

/// What only_if does around a processor. An event that is refused is handled: nobody failed.
template <event_filter F>
class OnlyIf {
public:
    explicit OnlyIf(F filter) : filter_(std::move(filter)) {}

    template <class Next>
    Result operator()(Next& next, Context& context, const Event& event) const {
        if (!filter_(event)) {
            return {};
        }
        return next(context, event);
    }

private:
    [[no_unique_address]] F filter_;
};

/// only_if without its processor: `chain(only_if(urgent), retry(3))`, `only_if(urgent)(processor)`.
template <event_filter F>
class OnlyIfFilter {
public:
    explicit OnlyIfFilter(F filter) : policy_(std::move(filter)) {}

    template <class P>
    [[nodiscard]] auto operator()(P&& processor) const {
        static_assert(
            detail::may_be_processor<std::decay_t<P>>(),
            "gossip: only_if(filter) is called with a processor: a callable, or a batch, filter or middleware "
            "around one");
        return detail::Wrapped<OnlyIf<F>, std::decay_t<P>>(policy_, std::forward<P>(processor));
    }

private:
    OnlyIf<F> policy_;
};

/// Stands in for what is no filter, so that the sentence about it is the only error.
struct NoFilter {
    bool operator()(const Event&) const { return false; }
};

template <class F>
auto checked_filter(F filter) {
    static_assert(event_filter<F>, "gossip: a filter is a callable that can be called as const with (const Event&) and "
                                   "returns bool; for the data use filter::where<T>(predicate)");
    if constexpr (event_filter<F>) {
        return filter;
    } else {
        return NoFilter{};
    }
}

/// Runs the processor for the events that the filter lets through.
///
/// Cost: the filter's.
/// Owns: copies of both; each subscription made from it gets its own.
template <class F, class P>
[[nodiscard]] auto only_if(F filter, P&& processor) {
    return OnlyIfFilter(checked_filter(std::move(filter)))(std::forward<P>(processor));
}
template <class F>
[[nodiscard]] auto only_if(F filter) {
    return OnlyIfFilter(checked_filter(std::move(filter)));
}

/// Any predicate on events as a filter with operators.
template <event_filter F>
class When {
public:
    explicit When(F predicate) : predicate_(std::move(predicate)) {}
    [[nodiscard]] bool operator()(const Event& event) const { return predicate_(event); }

private:
    [[no_unique_address]] F predicate_;
};
template <class F>
[[nodiscard]] auto when(F predicate) {
    return When(checked_filter(std::move(predicate)));
}

/// Events of one type.
class TypeIs {
public:
    explicit TypeIs(EventType type) noexcept : type_(std::move(type)) {}
    [[nodiscard]] bool operator()(const Event& event) const noexcept {
        return EventAccess::name_hash(event) == type_.hash() && EventAccess::name(event) == type_.name();
    }

private:
    EventType type_;
};
[[nodiscard]] inline TypeIs type(EventType type) noexcept { return TypeIs(std::move(type)); }
template <class T>
[[nodiscard]] TypeIs type(const Topic<T>& topic) noexcept {
    return TypeIs(topic.type());
}

/// Events whose type is in the pattern's set. Cost: for a pattern with wildcards linear in the two lengths, each event.
class TypeMatches {
public:
    explicit TypeMatches(Pattern pattern) noexcept
        : pattern_(std::move(pattern)), has_wildcard_(pattern_.has_wildcard()) {}
    [[nodiscard]] bool operator()(const Event& event) const noexcept {
        return has_wildcard_ ? pattern_.matches(event.type()) : EventAccess::name(event) == pattern_.text();
    }

private:
    Pattern pattern_;
    bool has_wildcard_;
};
[[nodiscard]] inline TypeMatches type(Pattern pattern) noexcept { return TypeMatches(std::move(pattern)); }
/// A name or a pattern: `type("order.created")`, `type("order.*")`. Errors: ValidationError for what is neither.
[[nodiscard]] inline TypeMatches type(std::string_view pattern) { return TypeMatches(Pattern{pattern}); }

/// Events of these priorities, both ends included.
class PriorityIs {
public:
    PriorityIs(Priority lowest, Priority highest) : lowest_(lowest), highest_(highest) {
        for (const Priority priority : {lowest, highest}) {
            detail::require(static_cast<std::size_t>(priority) < priority_count, "priority",
                            static_cast<unsigned>(priority), "must be low, normal, high or critical");
        }
    }
    [[nodiscard]] bool operator()(const Event& event) const noexcept {
        return event.priority() >= lowest_ && event.priority() <= highest_;
    }

private:
    Priority lowest_;
    Priority highest_;
};
[[nodiscard]] inline PriorityIs priority(Priority priority) { return {priority, priority}; }
[[nodiscard]] inline PriorityIs priority_at_least(Priority lowest) { return {lowest, Priority::critical}; }
[[nodiscard]] inline PriorityIs priority_at_most(Priority highest) { return {Priority::low, highest}; }

/// Events of one key; the empty one: events without a key.
class KeyIs {
public:
    explicit KeyIs(std::string key) noexcept : key_(std::move(key)) {}
    [[nodiscard]] bool operator()(const Event& event) const noexcept { return event.key() == key_; }

private:
    std::string key_;
};
[[nodiscard]] inline KeyIs key(std::string key) noexcept { return KeyIs(std::move(key)); }

/// Events with a key that the predicate likes: `key([](std::string_view key) { return key.starts_with("eu-"); })`.
template <std::predicate<std::string_view> Predicate>
requires(!std::convertible_to<Predicate, std::string>) [[nodiscard]] auto key(Predicate predicate) {
    return when([predicate = std::move(predicate)](const Event& event) -> bool {
        return event.has_key() && predicate(event.key());
    });
}

/// Events with a key.
class HasKey {
public:
    [[nodiscard]] bool operator()(const Event& event) const noexcept { return event.has_key(); }
};
[[nodiscard]] inline HasKey has_key() noexcept { return {}; }

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::filter
