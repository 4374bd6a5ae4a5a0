#include <gossip/middleware/logging.hpp>

#include <string_view>

auto logged = gossip::middleware::logging("charge", [](std::string_view) {});
