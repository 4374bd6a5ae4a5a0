// expect: a batch processor takes \(std::span<const T>\) or \(std::span<const Event>\)
#include <gossip/batch/batch.hpp>

auto bound = gossip::bind_processor<int>(gossip::batch<int>({.size = 2}, [](const int&) {}));
