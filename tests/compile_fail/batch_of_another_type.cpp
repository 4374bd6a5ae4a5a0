// expect: batch<T> collects the data of a Topic<T>; this topic carries another type
#include <gossip/batch/batch.hpp>

auto bound = gossip::bind_processor<int>(gossip::batch<long>({.size = 2}, [](std::span<const long>) {}));
