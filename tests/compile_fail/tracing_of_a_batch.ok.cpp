#include <gossip/middleware/tracing.hpp>

auto bound = gossip::bind_processor<int>(gossip::middleware::tracing("work")([](const int&) {}));
