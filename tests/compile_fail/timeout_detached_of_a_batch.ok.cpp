#include <gossip/batch/batch.hpp>
#include <gossip/middleware/fail_every.hpp>

#include <span>

auto bound = gossip::bind_processor<int>(
    gossip::middleware::fail_every(10)(gossip::batch<int>({.size = 10}, [](std::span<const int>) {})));
