// expect: a processor of Topic<T> takes \(const T&\), \(const TypedEvent<T>&\), \(const Event&\), \(\)
#include <gossip/middleware/retry.hpp>

#include <string>

auto bound = gossip::bind_processor<int>(gossip::middleware::retry(3)([](const std::string&) {}));
