// A line with a pattern, then a line with a name: what is valid, and what matches, is what a plainer program says.
#include <gossip/core/event_type.hpp>

#include "fuzz/promise.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using gossip_test::promise;

std::vector<std::string> segments_of(std::string_view text) {
    std::vector<std::string> segments(1);
    for (const char c : text) {
        if (c == '.') {
            segments.emplace_back();
        } else {
            segments.back().push_back(c);
        }
    }
    return segments;
}

bool is_name(std::string_view text, bool is_pattern) {
    if (text.size() > 255) {
        return false;
    }
    const auto segments = segments_of(text);
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const std::string& segment = segments[i];
        const bool wildcard = segment == "*" || (segment == "**" && i + 1 == segments.size());
        if (segment.empty() || (segment.find('*') != segment.npos && !(is_pattern && wildcard))) {
            return false;
        }
        for (const char c : segment) {
            const auto byte = static_cast<unsigned char>(c);
            if (byte <= 0x20 || byte == 0x7F) {
                return false;
            }
        }
    }
    return true;
}

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string>& name) {
    if (pattern.front().front() == '*' && name.front() == "gossip" && name.size() > 1) {
        return false;
    }
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] == "**") {
            return name.size() > i;
        }
        if (i == name.size() || (pattern[i] != "*" && pattern[i] != name[i])) {
            return false;
        }
    }
    return pattern.size() == name.size();
}

template <class T>
std::optional<T> make(std::string_view text) {
    try {
        return T{text};
    } catch (const gossip::ValidationError&) {
        return std::nullopt;
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    std::string_view rest = gossip_test::text_of(bytes, size);
    const std::string_view first = gossip_test::next_line(rest);
    const std::string_view second = gossip_test::next_line(rest);
    const auto pattern = make<gossip::Pattern>(first);
    const auto name = make<gossip::EventType>(second);

    promise(pattern.has_value() == is_name(first, true), "a pattern is valid by the rule for patterns");
    promise(name.has_value() == is_name(second, false), "a name is valid by the rule for names");
    promise(!name || (name->name() == second && *name == gossip::EventType{second}), "a name keeps its text");
    if (pattern && name) {
        promise(pattern->matches(*name) == matches(segments_of(first), segments_of(second)), "a pattern matches");
    }
    return 0;
}
