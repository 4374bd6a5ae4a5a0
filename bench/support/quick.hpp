#pragma once

#include <cstdint>
#include <cstdlib>

/// How many there are in a benchmark of fixed length: fewer where GOSSIP_BENCH_QUICK is set, as bench/run --quick does.
[[nodiscard]] inline std::int64_t unless_quick(std::int64_t many, std::int64_t fewer) {
    static const bool quick = std::getenv("GOSSIP_BENCH_QUICK") != nullptr;
    return quick ? fewer : many;
}
