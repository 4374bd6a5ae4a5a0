#include <gossip/middleware/make.hpp>

auto silent = gossip::middleware::make(
    [](auto& next, gossip::Context& context, const gossip::Event& event) { return next(context, event); });
auto bound = gossip::bind_processor<int>(silent([](const int&) {}));
gossip::Result run(gossip::Context& context, const gossip::Event& event) { return bound(context, event); }
