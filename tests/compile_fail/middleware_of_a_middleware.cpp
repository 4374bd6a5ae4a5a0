// expect: a middleware is called with a processor, not with another middleware; write chain\(outer, inner\)\(processor\)
#include <gossip/middleware/retry.hpp>
#include <gossip/middleware/timeout.hpp>

#include <chrono>

auto both = gossip::middleware::retry(3)(gossip::middleware::timeout(std::chrono::seconds(5)));
