#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/hostile_data.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using gossip::Event;
using gossip::EventAccess;
using gossip::EventId;
using gossip::EventType;
using gossip::Priority;
using gossip::Topic;
using gossip::TypedEvent;

template <>
inline constexpr bool gossip::share_data<support::LiesAboutCopying<int>> = true;

namespace {

struct Order {
    std::string id;
    double amount = 0;
};
struct Plain64 {
    std::array<std::uint64_t, 8> words{};
};
inline constexpr Topic<Order> order_created{"order.created"};
inline constexpr Topic<Plain64> plain_made{"plain.made"};
inline constexpr Topic<std::string> text_said{"text.said"};
inline constexpr Topic<support::SelfPointer> self_made{"self.made"};
inline constexpr Topic<> tick{"clock.tick"};

const std::string long_name = "a.name.that.is.longer.than.any.small.string.could.hold";

static_assert(!std::is_constructible_v<Event, Topic<Order>>, "an event of a topic with data has data");
static_assert(!std::is_constructible_v<Event, Topic<Order>, int>);
static_assert(!std::is_default_constructible_v<Event>);

} // namespace

TEST_CASE("an event has the name, data and defaults it was made with", "[event]") {
    const auto before = std::chrono::system_clock::now();
    const Event event{order_created, {"o-1", 99.5}};

    CHECK(event.type() == order_created.type());
    CHECK(event.has_data());
    CHECK(event.data<Order>().id == "o-1");
    CHECK(event.data<const Order>().amount == 99.5);
    CHECK(event.priority() == Priority::normal);
    CHECK_FALSE(event.has_key());
    CHECK(event.key().empty());
    CHECK(event.key_hash() == 0);
    CHECK(event.metadata().empty());
    CHECK(event.timestamp() - before < std::chrono::seconds{5});
    CHECK(before - event.timestamp() < std::chrono::seconds{5});
}

TEST_CASE("data can be given as an lvalue, an rvalue and braces", "[event]") {
    Order order{"o-2", 1};
    const Event copied{order_created, order};
    const Event moved{order_created, std::move(order)};
    const Event empty{order_created, {}};

    CHECK(copied.data<Order>().id == "o-2");
    CHECK(moved.data<Order>().id == "o-2");
    CHECK(empty.data<Order>().id.empty());
}

TEST_CASE("an event made from a run-time name keeps that name", "[event]") {
    const auto make = [] { return Event{EventType{long_name}, Order{"o-3", 3}}; };
    const Event event = make();
    const Event bare{EventType{long_name}};

    CHECK(event.type().name() == long_name);
    CHECK(event.data<Order>().id == "o-3");
    CHECK(bare.type() == event.type());
    CHECK_FALSE(bare.has_data());
}

TEST_CASE("asking for the wrong type says what was expected and what is there", "[event]") {
    const Event event{text_said, "hello"};

    CHECK(event.data_if<int>() == nullptr);
    try {
        (void)event.data<int>();
        FAIL("no exception");
    } catch (const gossip::TypeAssertionError& error) {
        const std::string what = error.what();
        CHECK(what.find("int") != what.npos);
        CHECK(what.find("std::string") != what.npos);
    }
}

TEST_CASE("asking an event without data for data is a NoDataError", "[event]") {
    const Event event{tick};

    CHECK_FALSE(event.has_data());
    CHECK(event.data_type_name().empty());
    CHECK(event.data_if<int>() == nullptr);
    CHECK_THROWS_AS(event.data<int>(), gossip::NoDataError);
}

TEST_CASE("with_ returns the same event when it is kept and a new one when it is not", "[event]") {
    Event kept{tick};
    Event& same = kept.with_key("k").with_priority(Priority::low);
    const Event chained = Event{order_created, {"o-1", 1}}
                              .with_metadata("request_id", "req-123")
                              .with_metadata("attempt", 2)
                              .with_key("customer-7")
                              .with_priority(Priority::high)
                              .with_timestamp(std::chrono::system_clock::time_point{std::chrono::seconds{5}})
                              .with_id("mine");

    CHECK(&same == &kept);
    CHECK(kept.key() == "k");
    CHECK(chained.data<Order>().id == "o-1");
    CHECK(chained.metadata().get<std::string>("request_id") == "req-123");
    CHECK(chained.metadata().get<int>("attempt") == 2);
    CHECK(chained.key() == "customer-7");
    CHECK(chained.key_hash() != 0);
    CHECK(chained.priority() == Priority::high);
    CHECK(chained.timestamp().time_since_epoch() == std::chrono::seconds{5});
    CHECK(chained.id_text() == "mine");
}

TEST_CASE("all metadata can be replaced at once", "[event]") {
    Event event = Event{tick}.with_metadata("old", 1);
    event.with_metadata({{"a", 1}, {"b", "two"}});

    CHECK(event.metadata() == gossip::Metadata{{"a", 1}, {"b", "two"}});
}

TEST_CASE("an empty key is no key", "[event]") {
    Event event = Event{tick}.with_key("k");
    event.with_key("");

    CHECK_FALSE(event.has_key());
    CHECK(event.key_hash() == 0);
}

TEST_CASE("equal keys have equal hashes, whatever the event", "[event]") {
    CHECK(Event{tick}.with_key("k").key_hash() == Event{order_created, {}}.with_key("k").key_hash());
    CHECK(Event{tick}.with_key("k").key_hash() != Event{tick}.with_key("l").key_hash());
}

TEST_CASE("a priority that does not exist is refused", "[event]") {
    Event event{tick};

    CHECK_THROWS_AS(event.with_priority(static_cast<Priority>(4)), gossip::ValidationError);
    CHECK(event.priority() == Priority::normal);
}

TEST_CASE("a changed copy leaves the original as it was", "[event]") {
    const Event original = Event{order_created, {"o-1", 1}}.with_metadata("n", 1).with_key("k").with_id("id-1");
    Event copy = original;
    copy.with_metadata("n", 2).with_key("other").with_id("id-2");

    CHECK(original.metadata().get<int>("n") == 1);
    CHECK(original.key() == "k");
    CHECK(original.id_text() == "id-1");
    CHECK(copy.metadata().get<int>("n") == 2);
    CHECK(copy.key() == "other");
}

TEST_CASE("copies share metadata and large data until one changes", "[event]") {
    const Event original = Event{EventType{"big"}, support::Megabyte{}}.with_metadata("n", 1);
    const support::AllocationCounter allocations;
    const Event copy = original;
    Event third{tick};
    third = copy;

    CHECK(allocations.count() == 0);
    CHECK(&copy.data<support::Megabyte>() == &original.data<support::Megabyte>());
    CHECK(&third.metadata() == &original.metadata());
}

TEST_CASE("a key can be set from a view into the event itself", "[event]") {
    Event event = Event{tick}.with_key("a key that is longer than a small string").with_metadata("m", "v");
    event.with_key(event.key().substr(2));
    event.with_metadata("m", *event.metadata().find("m"));

    CHECK(event.key() == "key that is longer than a small string");
    CHECK(event.metadata().get<std::string>("m") == "v");
}

TEST_CASE("a plain event of 64 bytes allocates nothing, built, copied, moved or destroyed", "[event]") {
    STATIC_REQUIRE(sizeof(Plain64) == 64);
    (void)Event{tick};
    const support::AllocationCounter allocations;
    {
        Event event{plain_made, Plain64{{1, 2, 3, 4, 5, 6, 7, 8}}};
        const Event copy = event;
        Event moved = std::move(event);
        moved = copy;
        moved.with_priority(Priority::critical);
        CHECK(EventAccess::is_plain(moved));
        CHECK(moved.data<Plain64>().words[7] == 8);
        (void)moved.type();
        (void)moved.id();
    }

    CHECK(allocations.count() == 0);
}

TEST_CASE("one allocation makes an event with large data", "[event]") {
    (void)Event{tick};
    const support::AllocationCounter allocations;
    const Event event{EventType::literal("order.big"), std::array<int, 1000>{}};

    const std::size_t counted = allocations.count();

    CHECK(counted == (support::allocations_are_counted() ? 1U : 0U));
}

TEST_CASE("data that knows its address is moved and destroyed properly", "[event]") {
    const int alive = support::SelfPointer::alive;
    {
        Event event{self_made, support::SelfPointer{7}};
        CHECK(event.data<support::SelfPointer>().intact());
        Event moved = std::move(event);
        CHECK(moved.data<support::SelfPointer>().intact());
        Event copy = moved;
        CHECK(copy.data<support::SelfPointer>().intact());
        CHECK(copy.data<support::SelfPointer>().value == 7);
        copy = std::move(moved);
        CHECK(copy.data<support::SelfPointer>().intact());
        CHECK(support::SelfPointer::alive == alive + 1);
        std::vector<Event> many(20, copy);
        CHECK(std::all_of(many.begin(), many.end(),
                          [](const Event& e) { return e.data<support::SelfPointer>().intact(); }));
    }

    CHECK(support::SelfPointer::alive == alive);
}

TEST_CASE("small and long strings survive every move", "[event]") {
    const std::string text = GENERATE(std::string{"short"}, std::string(1000, 'x'));
    std::vector<Event> events;
    for (int i = 0; i < 50; ++i) {
        events.emplace_back(text_said, text);
    }
    std::reverse(events.begin(), events.end());
    const auto copy = events;
    events.erase(events.begin(), events.begin() + 25);

    CHECK(events.back().data<std::string>() == text);
    CHECK(copy.front().data<std::string>() == text);
}

TEST_CASE("a moved-from event can be assigned to and destroyed", "[event]") {
    Event from = Event{EventType{long_name}, std::string(100, 'x')}.with_key("k");
    const Event to = std::move(from);
    from = Event{text_said, "again"};

    CHECK(from.data<std::string>() == "again");
    CHECK(to.key() == "k");
    CHECK(to.type().name() == long_name);
}

TEST_CASE("assigning an event to itself changes nothing", "[event]") {
    Event event = Event{EventType{long_name}, std::string(100, 'x')}.with_key("k");
    Event& self = event;
    event = self;
    event = std::move(self);

    CHECK(event.data<std::string>() == std::string(100, 'x'));
    CHECK(event.key() == "k");
}

TEST_CASE("a copy that throws leaves both sides whole", "[event]") {
    const Event original = Event{EventType{long_name}, support::ThrowingCopy{"text"}}.with_key("k");
    Event target{text_said, "before"};

    support::ThrowingCopy::fail = true;
    CHECK_THROWS_AS(Event{original}, std::runtime_error);
    CHECK_THROWS_AS(target = original, std::runtime_error);
    support::ThrowingCopy::fail = false;

    CHECK(target.data<std::string>() == "before");
    CHECK(original.data<support::ThrowingCopy>().text == "text");
    CHECK(Event{original}.key() == "k");
}

TEST_CASE("data that throws while an event is built leaks nothing", "[event]") {
    const support::ThrowingCopy data{"text"};
    support::ThrowingCopy::fail = true;

    CHECK_THROWS_AS((Event{EventType{long_name}, data}), std::runtime_error);
    support::ThrowingCopy::fail = false;
}

TEST_CASE("move-only data is shared by the copies of its event", "[event]") {
    const Topic<support::MoveOnly> topic{"move.only"};
    const Event event{topic, {std::make_unique<int>(5)}};
    const Event copy = event;

    CHECK(*copy.data<support::MoveOnly>().pointer == 5);
    CHECK(&copy.data<support::MoveOnly>() == &event.data<support::MoveOnly>());
}

TEST_CASE("data whose move may throw, and data that only claims to copy, is shared", "[event]") {
    const Event event{EventType{"m"}, support::ThrowingMove{3}};
    const Event liar{EventType{"l"}, support::LiesAboutCopying<int>{}};
    const Event copy = liar;

    CHECK(Event{event}.data<support::ThrowingMove>().value == 3);
    CHECK(copy.data<support::LiesAboutCopying<int>>().value == 5);
}

TEST_CASE("over-aligned data is aligned", "[event]") {
    const Event event{EventType{"o"}, support::OverAligned{9}};
    const auto& data = event.data<support::OverAligned>();

    CHECK(reinterpret_cast<std::uintptr_t>(&data) % 128 == 0);
    CHECK(data.value == 9);
}

TEST_CASE("data with its own operators & and new works", "[event]") {
    const Event event{EventType{"a"}, support::Awkward{4}};
    const Event copy = event;

    CHECK(copy.data<support::Awkward>().value == 4);
}

TEST_CASE("an event can be the data of another", "[event]") {
    const Event inner{text_said, "inside"};
    const Event outer{EventType{"outer"}, inner};

    CHECK(outer.data<Event>().data<std::string>() == "inside");
}

TEST_CASE("boxed in-place data moves without running user code", "[event_access]") {
    const int alive = support::SelfPointer::alive;
    {
        Event event{self_made, support::SelfPointer{7}};
        CHECK(EventAccess::moving_runs_user_code(event));
        EventAccess::box_data(event);
        CHECK_FALSE(EventAccess::moving_runs_user_code(event));
        const int moved = support::SelfPointer::moved;
        const int copied = support::SelfPointer::copied;
        EventAccess::box_data(event);
        Event other = std::move(event);
        const Event copy = other;

        CHECK(support::SelfPointer::moved == moved);
        CHECK(support::SelfPointer::copied == copied);
        CHECK(copy.data<support::SelfPointer>().intact());
        CHECK(copy.data<support::SelfPointer>().value == 7);
        CHECK(&EventAccess::known_data<support::SelfPointer>(copy) == &copy.data<support::SelfPointer>());
    }

    CHECK(support::SelfPointer::alive == alive);
}

TEST_CASE("boxing leaves plain and boxed data where it is", "[event_access]") {
    Event plain{plain_made, Plain64{}};
    Event big{EventType::literal("big"), support::Megabyte{}};
    const support::AllocationCounter allocations;
    EventAccess::box_data(plain);
    EventAccess::box_data(big);

    CHECK(allocations.count() == 0);
    CHECK(EventAccess::is_plain(plain));
}

TEST_CASE("relocation ends the source, whatever it holds", "[event_access]") {
    const int alive = support::SelfPointer::alive;
    const auto relocated = [](Event&& event) {
        alignas(Event) unsigned char from[sizeof(Event)];
        alignas(Event) unsigned char to[sizeof(Event)];
        auto* const source = ::new (static_cast<void*>(from)) Event(std::move(event));
        Event* const moved = EventAccess::relocate(to, source);
        std::memset(from, 0xAB, sizeof from);
        Event result = std::move(*moved);
        std::destroy_at(moved);
        return result;
    };

    CHECK(relocated(Event{plain_made, Plain64{{1}}}).data<Plain64>().words[0] == 1);
    CHECK(relocated(Event{self_made, support::SelfPointer{7}}).data<support::SelfPointer>().intact());
    CHECK(relocated(Event{EventType{long_name}, support::MoveOnly{std::make_unique<int>(4)}}.with_key("k")).key() ==
          "k");
    CHECK(support::SelfPointer::alive == alive);
}

TEST_CASE("the bus makes events from parts, stamp and priority included", "[event_access]") {
    const EventType& type = order_created.type();
    const Event event = EventAccess::make<Order>(type.name(), type.hash(), 42, Priority::critical, Order{"o", 1});
    const Event bare = EventAccess::make(tick.type(), 43, Priority::low);

    CHECK(event.type() == type);
    CHECK(EventAccess::name(event).data() == type.name().data());
    CHECK(EventAccess::name_hash(event) == type.hash());
    CHECK(EventAccess::time_ns(event) == 42);
    CHECK(event.priority() == Priority::critical);
    CHECK(EventAccess::typed<Order>(event)->id == "o");
    CHECK(EventAccess::data(bare) == nullptr);
    CHECK(bare.timestamp().time_since_epoch() == std::chrono::nanoseconds{43});
}

TEST_CASE("a typed event shows the event and its data", "[event]") {
    const Event event = Event{order_created, {"o-1", 2}}.with_key("k").with_metadata("m", 1);
    const TypedEvent<Order> typed{event};

    CHECK(typed->id == "o-1");
    CHECK((*typed).amount == 2);
    CHECK(&typed.data() == &event.data<Order>());
    CHECK(&typed.event() == &event);
    CHECK(typed.type() == event.type());
    CHECK(typed.key() == "k");
    CHECK(typed.metadata().contains("m"));
    CHECK(typed.priority() == event.priority());
    CHECK(typed.timestamp() == event.timestamp());
    CHECK(typed.id() == event.id());
    CHECK_THROWS_AS(TypedEvent<int>{event}, gossip::TypeAssertionError);
}

TEST_CASE("an id belongs to one event and its copies", "[event_id]") {
    const Event a{tick};
    const Event b{tick};
    const Event copy = a;

    CHECK(a.id() != b.id());
    CHECK(a.id() == copy.id());
    CHECK(a.id().high == b.id().high);
    CHECK(a.id_text().size() == 32);
    CHECK(EventId::parse(a.id_text()) == a.id());
}

TEST_CASE("threads never draw the same id", "[event_id]") {
    constexpr std::size_t per_thread = 3 * gossip::detail::ids_per_block + 1;
    std::vector<std::vector<std::uint64_t>> drawn(4);
    std::vector<std::thread> threads;
    for (auto& mine : drawn) {
        threads.emplace_back([&mine] {
            for (std::size_t i = 0; i < per_thread; ++i) {
                mine.push_back(gossip::detail::next_id());
            }
        });
    }
    std::for_each(threads.begin(), threads.end(), [](std::thread& thread) { thread.join(); });

    std::vector<std::uint64_t> all;
    for (const auto& mine : drawn) {
        all.insert(all.end(), mine.begin(), mine.end());
    }
    std::sort(all.begin(), all.end());
    CHECK(all.size() == 4 * per_thread);
    CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
}

TEST_CASE("an id of one's own is kept as it was written", "[event_id]") {
    const Event generated{tick};
    const Event same = Event{tick}.with_id(generated.id_text());
    Event named = Event{tick}.with_id("order-7");

    CHECK(same.id() == generated.id());
    CHECK(named.id_text() == "order-7");
    CHECK(named.id() == Event{tick}.with_id("order-7").id());
    CHECK(named.id() != Event{tick}.with_id("order-8").id());
    named.with_id("");
    CHECK(named.id_text() == named.id().text());
}

TEST_CASE("only 32 lower-case hexadecimal digits are read as an id", "[event_id]") {
    CHECK(EventId{0, 255}.text() == "000000000000000000000000000000ff");
    CHECK(EventId::parse("0123456789abcdef0000000000000001") == EventId{0x0123456789abcdef, 1});
    CHECK_FALSE(EventId::parse("").has_value());
    CHECK_FALSE(EventId::parse("0123456789ABCDEF0000000000000001").has_value());
    CHECK_FALSE(EventId::parse("0123456789abcdef000000000000000").has_value());
    CHECK_FALSE(EventId::parse("0123456789abcdef000000000000000g").has_value());
}

TEST_CASE("copies made and destroyed on many threads count their owners right", "[event]") {
    const int alive = support::SelfPointer::alive;
    {
        Event original = Event{EventType{long_name}, support::SelfPointer{7}}.with_key("k").with_metadata("n", 1);
        EventAccess::box_data(original);
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([copy = original] {
                for (int i = 0; i < 2000; ++i) {
                    Event mine = copy;
                    mine.with_metadata("n", i);
                    const EventType type = mine.type();
                    if (mine.metadata().get<int>("n") != i || type.name() != long_name) {
                        std::abort();
                    }
                }
            });
        }
        std::for_each(threads.begin(), threads.end(), [](std::thread& thread) { thread.join(); });
        CHECK(original.metadata().get<int>("n") == 1);
    }

    CHECK(support::SelfPointer::alive == alive);
}
