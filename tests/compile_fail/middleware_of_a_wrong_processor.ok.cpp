#include <gossip/middleware/retry.hpp>

#include <string>

auto bound = gossip::bind_processor<std::string>(gossip::middleware::retry(3)([](const std::string&) {}));
