// expect: make\(f\): f returns a Result, usually what next\(context, event\) returned
#include <gossip/middleware/make.hpp>

auto silent = gossip::middleware::make([](auto& next, gossip::Context& context, const gossip::Event& event) {
    if (!next(context, event)) {
        return;
    }
});
auto bound = gossip::bind_processor<int>(silent([](const int&) {}));
gossip::Result run(gossip::Context& context, const gossip::Event& event) { return bound(context, event); }
