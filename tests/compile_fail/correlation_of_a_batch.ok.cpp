#include <gossip/middleware/correlation.hpp>

auto bound = gossip::bind_processor<int>(gossip::middleware::correlation("request")([](const int&) {}));
