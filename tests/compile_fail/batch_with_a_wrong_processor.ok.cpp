#include <gossip/batch/batch.hpp>

auto bound = gossip::bind_processor<int>(gossip::batch<int>({.size = 2}, [](std::span<const gossip::Event>) {}));
