// expect: batch<T> needs a topic with data; there is nothing to collect of a Topic<>
#include <gossip/batch/batch.hpp>

auto bound = gossip::bind_processor<void>(gossip::batch<void>({.size = 2}, [] {}));
