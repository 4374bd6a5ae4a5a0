// expect: a std::span<const T> needs data that can be copied, as events may share it
#include <gossip/batch/batch.hpp>

#include <memory>

using Unique = std::unique_ptr<int>;
auto bound = gossip::bind_processor<Unique>(gossip::batch<Unique>({.size = 2}, [](std::span<const Unique>) {}));
