// expect: a filter is a callable that can be called as const with \(const Event&\) and returns bool
#include <gossip/filter/filter.hpp>

auto filtered = gossip::filter::only_if([](const int& n) { return n > 3; }, [](const int&) {});
