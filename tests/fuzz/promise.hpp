#pragma once

// What every fuzz target shares: a promise that is not kept ends the process, and libFuzzer keeps the input.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size); // the target

namespace gossip_test {

inline void promise(bool kept, const char* what) {
    if (!kept) {
        std::fprintf(stderr, "not kept: %s\n", what);
        std::abort();
    }
}

inline std::string_view text_of(const std::uint8_t* bytes, std::size_t size) {
    return {reinterpret_cast<const char*>(bytes), size};
}

/// Takes what stands before the next line break off `rest`.
inline std::string_view next_line(std::string_view& rest) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return line;
}

} // namespace gossip_test
