#include <gossip/middleware/chain.hpp>
#include <gossip/middleware/retry.hpp>
#include <gossip/middleware/timeout.hpp>

#include <chrono>

auto both = gossip::middleware::chain(gossip::middleware::retry(3),
                                      gossip::middleware::timeout(std::chrono::seconds(5)))([](const int&) {});
