// expect: deduplicate\(\) around a batch
#include <gossip/batch/batch.hpp>
#include <gossip/middleware/deduplicate.hpp>

#include <span>

auto bound = gossip::bind_processor<int>(
    gossip::middleware::deduplicate()(gossip::batch<int>({.size = 10}, [](std::span<const int>) {})));
