// expect: make\(f\): f is called with \(auto& next, gossip::Context&, const gossip::Event&\)
#include <gossip/middleware/make.hpp>

auto bound = gossip::bind_processor<int>(
    gossip::middleware::make([](auto& next, const int& n) { return next(n); })([](const int&) {}));
gossip::Result run(gossip::Context& context, const gossip::Event& event) { return bound(context, event); }
