#include <gossip/middleware/retry.hpp>

auto wrapped = gossip::middleware::retry(3)([](const int&) {});
