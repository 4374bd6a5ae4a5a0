// expect: correlation\(\) around a batch
#include <gossip/batch/batch.hpp>
#include <gossip/middleware/correlation.hpp>

#include <span>

auto bound = gossip::bind_processor<int>(
    gossip::middleware::correlation("request")(gossip::batch<int>({.size = 10}, [](std::span<const int>) {})));
