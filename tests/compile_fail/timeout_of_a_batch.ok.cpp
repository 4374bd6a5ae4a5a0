#include <gossip/middleware/timeout.hpp>

auto bound = gossip::bind_processor<int>(gossip::middleware::timeout(std::chrono::seconds{1})([](const int&) {}));
