#include <gossip/middleware/concurrency_limit.hpp>

auto bound = gossip::bind_processor<int>(gossip::middleware::concurrency_limit(1)([](const int&) {}));
