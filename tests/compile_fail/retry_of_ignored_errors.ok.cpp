#include <gossip/middleware/chain.hpp>
#include <gossip/middleware/ignore_errors.hpp>
#include <gossip/middleware/retry.hpp>

auto bound = gossip::bind_processor<int>(
    gossip::middleware::chain(gossip::middleware::ignore_errors(),
                              gossip::middleware::retry(3))([](const int&) -> gossip::Result { return {}; }));
