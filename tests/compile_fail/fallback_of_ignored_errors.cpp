// expect: fallback\(\) around what never fails
#include <gossip/middleware/chain.hpp>
#include <gossip/middleware/fallback.hpp>
#include <gossip/middleware/ignore_errors.hpp>

auto bound = gossip::bind_processor<int>(
    gossip::middleware::chain(gossip::middleware::fallback([] {}),
                              gossip::middleware::ignore_errors())([](const int&) -> gossip::Result { return {}; }));
