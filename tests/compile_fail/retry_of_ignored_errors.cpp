// expect: retry\(\) around what never fails, such as a noexcept processor that returns nothing, ignore_errors\(\)
#include <gossip/middleware/chain.hpp>
#include <gossip/middleware/ignore_errors.hpp>
#include <gossip/middleware/retry.hpp>

auto bound = gossip::bind_processor<int>(
    gossip::middleware::chain(gossip::middleware::retry(3),
                              gossip::middleware::ignore_errors())([](const int&) -> gossip::Result { return {}; }));
