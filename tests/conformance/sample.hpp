#pragma once

#include <cstdint>
#include <string>

namespace gossip_conformance {

/// Data that is more than its bytes.
struct Sample {
    std::int64_t number = 0;
    std::string text;
    double weight = 0;

    friend bool operator==(const Sample&, const Sample&) = default;
};

} // namespace gossip_conformance
