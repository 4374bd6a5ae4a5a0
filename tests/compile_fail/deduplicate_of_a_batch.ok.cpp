#include <gossip/middleware/deduplicate.hpp>

auto bound = gossip::bind_processor<int>(gossip::middleware::deduplicate()([](const int&) {}));
