// expect: circuit_breaker\(\) around what never fails
#include <gossip/middleware/chain.hpp>
#include <gossip/middleware/circuit_breaker.hpp>
#include <gossip/middleware/ignore_errors.hpp>

auto bound = gossip::bind_processor<int>(
    gossip::middleware::chain(gossip::middleware::circuit_breaker(),
                              gossip::middleware::ignore_errors())([](const int&) -> gossip::Result { return {}; }));
