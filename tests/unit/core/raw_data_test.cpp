#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/processor.hpp>
#include <gossip/core/raw_data.hpp>

#include "support/catch.hpp"

#include <atomic>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace raw_data_test {

inline namespace parts {

using gossip::Event;
using gossip::EventAccess;
using gossip::detail::RawData;
using gossip::detail::RawText;
using gossip::detail::WireType;

struct Number {
    int value = 0;
};
struct Unknown {};

inline constexpr gossip::Topic<Number> number{"raw.number"};

inline std::atomic<int> readings{0};
inline const char codec = 0;
inline const char other_codec = 0;

std::unique_ptr<gossip::detail::Decoded> read_number(std::string_view text) {
    ++readings;
    return std::make_unique<gossip::detail::DecodedAs<Number>>([text] {
        Number made;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), made.value);
        if (error != std::errc{} || end != text.data() + text.size()) {
            throw std::invalid_argument("not a number");
        }
        return made;
    });
}

inline WireType wire_number{
    &codec, &gossip::detail::payload_ops<Number>,
    [](const void* data, std::string& to) { to += std::to_string(static_cast<const Number*>(data)->value); },
    &read_number};

Event raw(std::string text, const void* from = &codec) {
    gossip::detail::list_wire_type(wire_number);
    return EventAccess::make<RawData>(number.type(), 0, gossip::Priority::normal, RawText{std::move(text), from});
}

} // namespace parts

TEST_CASE("raw data is read when it is first asked for, and kept for the copies", "[raw_data]") {
    const Event event = raw("42");
    const Event copy = event;
    const int before = readings;
    CHECK(event.raw_text() == "42");
    CHECK(event.data<Number>().value == 42);
    CHECK(copy.data<Number>().value == 42);
    CHECK(event.data_if<Number>() == copy.data_if<Number>());
    CHECK(readings == before + 1);
    CHECK(event.has_data());
}

TEST_CASE("raw data of an older version is made new before its codec sees it, and stays what it was", "[raw_data]") {
    gossip::detail::list_wire_type(wire_number);
    const auto event_with = [](gossip::detail::Upcast upcast) {
        return EventAccess::make<RawData>(
            number.type(), 0, gossip::Priority::normal,
            RawText{"4", &codec, 2, std::make_shared<const gossip::detail::Upcast>(std::move(upcast))});
    };
    const Event event = event_with(
        [](std::uint32_t version, std::string_view text) { return std::string{text} + std::to_string(version); });
    CHECK(event.data<Number>().value == 42);
    CHECK(event.raw_text() == "4");
    CHECK(EventAccess::raw_data(event)->version() == 2);

    const Event failing =
        event_with([](std::uint32_t, std::string_view) -> std::string { throw std::invalid_argument("no way"); });
    CHECK_THROWS_WITH(failing.data<Number>(), Catch::Matchers::ContainsSubstring("no way"));
}

TEST_CASE("raw data that can't be read, or not as that type, says why", "[raw_data]") {
    const Event event = raw("forty-two");
    CHECK(event.data_if<Number>() == nullptr);
    CHECK_THROWS_AS(event.data<Number>(), gossip::ProcessingError);
    CHECK(event.data_if<Unknown>() == nullptr);
    CHECK_THROWS_AS(event.data<Unknown>(), gossip::TypeAssertionError);
    CHECK(raw("1", &other_codec).data_if<Number>() == nullptr);
    CHECK(Event(number, Number{1}).raw_text().empty());
}

TEST_CASE("a typed processor gets raw data as its type, and fails for good where it can't be read", "[raw_data]") {
    std::vector<int> seen;
    auto processor = gossip::bind_processor<Number>([&](const Number& n) { seen.push_back(n.value); });
    auto typed = gossip::bind_processor<Number>([&](const gossip::TypedEvent<Number>& e) { seen.push_back(e->value); });
    gossip::Context context;
    CHECK(processor(context, raw("7")).ok());
    CHECK(typed(context, raw("8")).ok());
    CHECK(seen == std::vector<int>{7, 8});

    const gossip::Result failed = processor(context, raw("seven"));
    REQUIRE_FALSE(failed.ok());
    CHECK(gossip::as<gossip::ProcessingError>(failed.error()).has_value());
    CHECK(gossip::is_validation(failed.error())); // never tried again
    CHECK(gossip::as<gossip::ValidationError>(failed.error())->rule() == "not a number");
}

TEST_CASE("threads that ask at once all get data that stays", "[raw_data]") {
    for (int round = 0; round < 50; ++round) {
        const Event event = raw("42");
        std::atomic<int> wrong{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] {
                const Number* const first = event.data_if<Number>();
                if (first == nullptr || first->value != 42 || event.data<Number>().value != 42) {
                    ++wrong;
                }
            });
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
        CHECK(wrong == 0);
    }
}

TEST_CASE("a type that two threads list at once is found by either when its call returns", "[raw_data]") {
    constexpr std::size_t count = 5'000;
    struct Fresh : WireType {
        Fresh() noexcept : WireType{&other_codec, &gossip::detail::payload_ops<Unknown>, nullptr, nullptr} {}
    };
    static std::deque<Fresh> types(count); // listed for good
    std::atomic<std::size_t> at[2] = {0, 0};
    std::atomic<int> missed{0};
    const auto list_all = [&](std::size_t me) {
        for (std::size_t i = 0; i < count; ++i) {
            at[me] = i;
            while (at[1 - me] < i) {} // both at once
            gossip::detail::list_wire_type(types[i]);
            const WireType* found = gossip::detail::wire_types.first();
            while (found != nullptr && found != &types[i]) {
                found = found->next;
            }
            missed += found == nullptr ? 1 : 0;
        }
    };
    std::thread other([&] { list_all(1); });
    list_all(0);
    other.join();
    CHECK(missed == 0);
}

} // namespace raw_data_test
