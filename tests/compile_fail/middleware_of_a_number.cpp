// expect: a middleware is called with a processor: a callable, or a batch, filter or middleware around one
#include <gossip/middleware/retry.hpp>

auto wrapped = gossip::middleware::retry(3)(42);
