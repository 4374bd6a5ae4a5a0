#include <gossip/batch/batch.hpp>

auto bound = gossip::bind_processor<void>(gossip::batch<int>({.size = 2}, [](std::span<const int>) {}));
