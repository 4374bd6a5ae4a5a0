// && || ! and their kin: filters made of filters.
#pragma once

#include <gossip/filter/filter.hpp>

#include <tuple>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::filter {

/// Yes if every one says yes; asked in order, up to the first no. Of none: yes.
template <event_filter... Fs>
class AllOf {
public:
    explicit AllOf(std::tuple<Fs...> filters) : filters_(std::move(filters)) {}
    [[nodiscard]] bool operator()(const Event& event) const {
        return std::apply([&](const Fs&... filters) { return (filters(event) && ...); }, filters_);
    }

private:
    std::tuple<Fs...> filters_;
};

/// Yes if any one says yes; asked in order, up to the first yes. Of none: no.
template <event_filter... Fs>
class AnyOf {
public:
    explicit AnyOf(std::tuple<Fs...> filters) : filters_(std::move(filters)) {}
    [[nodiscard]] bool operator()(const Event& event) const {
        return std::apply([&](const Fs&... filters) { return (filters(event) || ...); }, filters_);
    }

private:
    std::tuple<Fs...> filters_;
};

template <event_filter F>
class Not {
public:
    explicit Not(F filter) : filter_(std::move(filter)) {}
    [[nodiscard]] bool operator()(const Event& event) const { return !filter_(event); }

private:
    [[no_unique_address]] F filter_;
};

template <event_filter... Fs>
[[nodiscard]] AllOf<Fs...> all_of(Fs... filters) {
    return AllOf<Fs...>(std::tuple<Fs...>(std::move(filters)...));
}
template <event_filter... Fs>
[[nodiscard]] AnyOf<Fs...> any_of(Fs... filters) {
    return AnyOf<Fs...>(std::tuple<Fs...>(std::move(filters)...));
}
template <event_filter... Fs>
[[nodiscard]] Not<AnyOf<Fs...>> none_of(Fs... filters) {
    return Not<AnyOf<Fs...>>(any_of(std::move(filters)...));
}

// The right side is not asked when the left one has decided. One of two may be any callable that is a filter.
template <event_filter Left, event_filter Right>
[[nodiscard]] AllOf<Left, Right> operator&&(Left left, Right right) {
    return all_of(std::move(left), std::move(right));
}
template <event_filter Left, event_filter Right>
[[nodiscard]] AnyOf<Left, Right> operator||(Left left, Right right) {
    return any_of(std::move(left), std::move(right));
}
template <event_filter F>
[[nodiscard]] Not<F> operator!(F filter) {
    return Not<F>(std::move(filter));
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::filter
