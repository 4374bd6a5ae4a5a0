// expect: concurrency_limit\(\) around a batch
#include <gossip/batch/batch.hpp>
#include <gossip/middleware/concurrency_limit.hpp>

#include <span>

auto bound = gossip::bind_processor<int>(
    gossip::middleware::concurrency_limit(1)(gossip::batch<int>({.size = 10}, [](std::span<const int>) {})));
