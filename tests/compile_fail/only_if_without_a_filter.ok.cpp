#include <gossip/filter/filter.hpp>
#include <gossip/filter/payload.hpp>

auto filtered =
    gossip::filter::only_if(gossip::filter::where<int>([](const int& n) { return n > 3; }), [](const int&) {});
