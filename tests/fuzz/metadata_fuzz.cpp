// Lines of operations on metadata: "+key value" sets, "-key" erases, "!" clears. A plain list does the same.
#include <gossip/core/metadata.hpp>

#include "fuzz/promise.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using gossip_test::promise;

gossip::MetadataValue value_of(std::string_view text) {
    std::int64_t whole = 0;
    const char* const end = text.data() + text.size();
    if (const auto [to, fault] = std::from_chars(text.data(), end, whole); fault == std::errc{} && to == end) {
        return whole;
    }
    double number = 0;
    if (const auto [to, fault] = std::from_chars(text.data(), end, number);
        fault == std::errc{} && to == end && number == number) {
        return number;
    }
    if (text == "true" || text == "false") {
        return text == "true";
    }
    return text;
}

/// Each number type gets a number only if it holds just that one.
template <class T>
void check_number(const gossip::MetadataValue& value) {
    const auto number = value.get<T>();
    if (number && value.kind() == gossip::MetadataValue::Kind::integer) {
        promise(static_cast<std::int64_t>(*number) == *value.get<std::int64_t>(), "an integer keeps its value");
    }
    if (number && value.kind() == gossip::MetadataValue::Kind::floating && std::is_integral_v<T>) {
        promise(static_cast<double>(*number) == *value.get<double>(), "a whole number keeps its value");
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    std::string_view rest = gossip_test::text_of(bytes, size);
    gossip::Metadata metadata;
    std::vector<std::pair<std::string, gossip::MetadataValue>> list;
    const auto place_of = [&](std::string_view key) {
        return std::find_if(list.begin(), list.end(), [&](const auto& entry) { return entry.first == key; });
    };
    while (!rest.empty()) {
        std::string_view line = gossip_test::next_line(rest);
        if (line.starts_with('+')) {
            line.remove_prefix(1);
            const std::size_t space = std::min(line.find(' '), line.size());
            const std::string_view key = line.substr(0, space);
            const gossip::MetadataValue value = value_of(line.substr(std::min(space + 1, line.size())));
            metadata.set(key, value);
            if (const auto place = place_of(key); place != list.end()) {
                place->second = value;
            } else {
                list.emplace_back(key, value);
            }
        } else if (line.starts_with('-')) {
            const auto place = place_of(line.substr(1));
            promise(metadata.erase(line.substr(1)) == (place != list.end()), "erase says whether the key was there");
            if (place != list.end()) {
                list.erase(place);
            }
        } else if (line == "!") {
            metadata.clear();
            list.clear();
        }
    }
    promise(metadata.size() == list.size(), "metadata has one entry a key");
    std::size_t i = 0;
    for (const auto& entry : metadata) {
        promise(entry.key == list[i].first && entry.value == list[i].second, "entries stand in the order of the keys");
        promise(metadata.find(entry.key) == &entry.value, "an entry is found by its key");
        check_number<std::int8_t>(entry.value);
        check_number<std::uint64_t>(entry.value);
        check_number<std::int64_t>(entry.value);
        check_number<float>(entry.value);
        check_number<double>(entry.value);
        ++i;
    }
    return 0;
}
