// expect: chain\(\) takes middleware: things that are called with a processor and return one
#include <gossip/middleware/chain.hpp>
#include <gossip/middleware/retry.hpp>

auto chained = gossip::middleware::chain(gossip::middleware::retry(3), [](const int&) {});
