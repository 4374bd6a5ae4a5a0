#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/raw_block.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"

#include <cstddef>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace raw_block_test {

inline namespace parts {

using gossip::Event;
using gossip::EventAccess;
using gossip::detail::RawData;
using gossip::detail::RawText;

Event raw(std::string text) {
    Event event = EventAccess::make<RawData>(gossip::EventType::literal("raw.block"), 7, gossip::Priority::high,
                                             RawText{text, nullptr});
    text.assign(text.size(), '-'); // what it was made of is gone
    return event;
}

} // namespace parts

TEST_CASE("what comes over a wire is one block: its text, and room for id and key", "[raw_block]") {
    const std::string text(500, 'x');
    const gossip::EventType type = gossip::EventType::literal("raw.block");
    const std::optional<gossip::EventId> id = gossip::EventId::parse("5ff1d33a492d8bc857bd5cc21ea8a9be");
    REQUIRE(id);

    const support::AllocationCounter counter;
    Event event = EventAccess::make<RawData>(type, 7, gossip::Priority::high, RawText{text, nullptr});
    EventAccess::set_id(event, *id);
    event.with_key("customer-7");
    const std::size_t allocations = counter.count();

    CHECK(allocations == (support::allocations_are_counted() ? 1U : 0U));
    CHECK(event.raw_text() == text);
    CHECK(event.id() == *id);
    CHECK(event.key() == "customer-7");
    CHECK(event.priority() == gossip::Priority::high);
    CHECK(raw("").raw_text().empty());
    CHECK(raw("").has_data());
}

TEST_CASE("a copy of raw data that is changed leaves the other as it was, and outlives it", "[raw_block]") {
    std::optional<Event> first = raw("the text");
    first->with_key("a key that is too long to stand in place");
    Event second = *first;
    second.with_key("another key that is too long to stand in place").with_metadata("n", 2);
    Event third = *first;

    CHECK(first->key() == "a key that is too long to stand in place");
    CHECK(first->metadata().empty());
    first.reset();
    CHECK(second.key() == "another key that is too long to stand in place");
    CHECK(second.raw_text() == "the text");
    CHECK(third.key() == "a key that is too long to stand in place");
    third.with_key("alone now"); // in place: nobody shares it
    second = std::move(third);
    CHECK(second.key() == "alone now");
    CHECK(second.raw_text() == "the text");
}

TEST_CASE("copies of raw data end on any threads, changed or not", "[raw_block]") {
    for (int round = 0; round < 200; ++round) {
        Event event = raw("the text");
        event.with_key("a key that is too long to stand in place").with_metadata("n", round);
        std::thread other([copy = event]() mutable {
            copy.with_metadata("m", 1);
            const Event moved = std::move(copy);
        });
        std::thread reader([copy = event] { static_cast<void>(copy.metadata().get<int>("n")); });
        { const Event gone = std::move(event); }
        other.join();
        reader.join();
    }
}

TEST_CASE("without memory for its block there is no event", "[raw_block]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    const std::string text(500, 'x');
    support::fail_allocation_after(0);
    bool made = true;
    try {
        const Event event = EventAccess::make<RawData>(gossip::EventType::literal("raw.block"), 7,
                                                       gossip::Priority::high, RawText{text, nullptr});
    } catch (const std::bad_alloc&) {
        made = false;
    }
    support::fail_allocation_after(-1);
    CHECK_FALSE(made);
}

} // namespace raw_block_test
