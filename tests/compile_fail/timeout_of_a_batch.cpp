// expect: timeout\(\) around a batch
#include <gossip/batch/batch.hpp>
#include <gossip/middleware/timeout.hpp>

#include <span>

auto bound = gossip::bind_processor<int>(gossip::middleware::timeout(std::chrono::seconds{1})(
    gossip::batch<int>({.size = 10}, [](std::span<const int>) {})));
