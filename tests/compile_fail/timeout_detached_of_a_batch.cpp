// expect: timeout_detached\(\) around a batch
#include <gossip/batch/batch.hpp>
#include <gossip/middleware/fail_every.hpp>
#include <gossip/middleware/timeout_detached.hpp>

#include <span>

auto bound = gossip::bind_processor<int>(gossip::middleware::timeout_detached(std::chrono::seconds{1})(
    gossip::middleware::fail_every(10)(gossip::batch<int>({.size = 10}, [](std::span<const int>) {}))));
