// expect: tracing\(\) around a batch
#include <gossip/batch/batch.hpp>
#include <gossip/middleware/tracing.hpp>

#include <span>

auto bound = gossip::bind_processor<int>(
    gossip::middleware::tracing("work")(gossip::batch<int>({.size = 10}, [](std::span<const int>) {})));
