// expect: the sink of logging\(\) takes \(const std::string&\), \(std::string_view\)
#include <gossip/middleware/logging.hpp>

auto logged = gossip::middleware::logging("charge", [](int) {});
