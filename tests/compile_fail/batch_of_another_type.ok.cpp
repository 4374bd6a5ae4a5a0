#include <gossip/batch/batch.hpp>

auto bound = gossip::bind_processor<long>(gossip::batch<long>({.size = 2}, [](std::span<const long>) {}));
