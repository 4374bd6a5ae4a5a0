// expect: retry\(\) around what never fails
#include <gossip/batch/batch.hpp>
#include <gossip/middleware/retry.hpp>

#include <span>

auto bound = gossip::bind_processor<int>(
    gossip::middleware::retry(3)(gossip::batch<int>({.size = 10}, [](std::span<const int>) {})));
