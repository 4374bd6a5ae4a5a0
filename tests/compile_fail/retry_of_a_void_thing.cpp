// expect: retry\(\) around what never fails, such as a noexcept processor that returns nothing
#include <gossip/middleware/chain.hpp>
#include <gossip/middleware/logging.hpp>
#include <gossip/middleware/retry.hpp>

#include <chrono>
#include <string>

auto bound = gossip::bind_processor<int>(gossip::middleware::chain(
    gossip::middleware::retry(3, std::chrono::milliseconds(1)),
    gossip::middleware::logging("count", [](const std::string&) {}))([](const int&) noexcept {}));
