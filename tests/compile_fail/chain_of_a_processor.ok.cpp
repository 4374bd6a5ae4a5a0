#include <gossip/middleware/chain.hpp>
#include <gossip/middleware/retry.hpp>

auto chained = gossip::middleware::chain(gossip::middleware::retry(3))([](const int&) {});
