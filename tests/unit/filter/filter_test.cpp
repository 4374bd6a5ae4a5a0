#include <gossip/filter/filter.hpp>
#include <gossip/filter/logic.hpp>

#include "support/catch.hpp"

#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace filter_test {

namespace filter = gossip::filter;
using gossip::Context;
using gossip::Event;
using gossip::EventType;
using gossip::Priority;
using gossip::Result;

inline namespace parts {

constexpr gossip::Topic<int> number{"test.number"};
constexpr gossip::Topic<> bare_tick{"test.tick"};

Result run(auto& bound, const Event& event) {
    Context context;
    return gossip::guard([&] { return bound(context, event); });
}

constexpr auto always = [](const Event&) { return true; };
constexpr auto never = [](const Event&) { return false; };

} // namespace parts

TEST_CASE("only_if runs the processor for what the filter lets through", "[filter]") {
    int seen = 0;
    auto bound = filter::only_if(filter::type(number), [&](const int& n) { seen += n; }).bind<int>();

    CHECK(run(bound, Event{number, 3}));
    CHECK(run(bound, Event{EventType{"test.other"}, 4}));

    CHECK(seen == 3);
}

TEST_CASE("what a filter refuses is no failure", "[filter]") {
    auto bound = filter::only_if(never, [](const int&) -> Result { return gossip::errors::fatal; }).bind<int>();

    CHECK(run(bound, Event{number, 1}).ok());
}

TEST_CASE("a filter that throws fails the event", "[filter]") {
    int seen = 0;
    const auto broken = [](const Event&) -> bool { throw std::runtime_error{"filter is broken"}; };
    auto bound = filter::only_if(broken, [&](const int&) { ++seen; }).bind<int>();

    const Result result = run(bound, Event{number, 1});

    REQUIRE_FALSE(result);
    CHECK(std::string_view{result.error().what()}.find("filter is broken") != std::string_view::npos);
    CHECK(seen == 0);
}

TEST_CASE("only_if keeps every kind of processor", "[filter]") {
    int seen = 0;
    auto typed = filter::only_if(always, [&](const gossip::TypedEvent<int>& event) { seen += *event; }).bind<int>();
    auto untyped = filter::only_if(always, [&](const Event& event) { seen += event.data<int>(); }).bind<int>();
    auto silent = filter::only_if(always, [&] { ++seen; }).bind<void>();
    auto with_context = filter::only_if(always, [&](Context& c, const int&) { seen += c.attempt(); }).bind<int>();
    auto move_only =
        filter::only_if(always, [&seen, one = std::make_unique<int>(1)](const int&) { seen += *one; }).bind<int>();

    CHECK(run(typed, Event{number, 10}));
    CHECK(run(untyped, Event{number, 100}));
    CHECK(run(silent, Event{bare_tick}));
    CHECK(run(with_context, Event{number, 1}));
    CHECK(run(move_only, Event{number, 1}));

    CHECK(seen == 113);
}

TEST_CASE("only_if nests, and is bound through const as well", "[filter]") {
    int seen = 0;
    const auto nested =
        filter::only_if(always, filter::only_if(filter::type(number))([&](const int& n) { seen += n; }));
    auto first = nested.bind<int>();
    auto second = nested.bind<int>();

    CHECK(run(first, Event{number, 1}));
    CHECK(run(second, Event{number, 2}));
    CHECK(run(second, Event{EventType{"test.other"}, 4}));

    CHECK(seen == 3);
}

TEST_CASE("data of another type than the processor's is an error, not a call", "[filter]") {
    auto bound = filter::only_if(always, [](const int&) {}).bind<int>();

    CHECK(gossip::is_type_assertion(run(bound, Event{EventType{"test.number"}, 1.5}).error()));
    CHECK(gossip::is_no_data(run(bound, Event{bare_tick}).error()));
}

TEST_CASE("a type is a name, a topic or a pattern", "[filter]") {
    const Event event{EventType{"order.created"}};

    CHECK(filter::type(EventType{"order.created"})(event));
    CHECK_FALSE(filter::type(EventType{"order.deleted"})(event));
    CHECK(filter::type("order.created")(event));
    CHECK_FALSE(filter::type("order.create")(event));
    CHECK(filter::type("order.*")(event));
    CHECK(filter::type(gossip::Pattern{"**"})(event));
    CHECK_FALSE(filter::type(gossip::Pattern{"*"})(event));
    CHECK_THROWS_AS(filter::type("order..x"), gossip::ValidationError);
}

TEST_CASE("priorities are compared", "[filter]") {
    const Event event = Event{bare_tick}.with_priority(Priority::high);

    CHECK(filter::priority(Priority::high)(event));
    CHECK_FALSE(filter::priority(Priority::normal)(event));
    CHECK(filter::priority_at_least(Priority::normal)(event));
    CHECK_FALSE(filter::priority_at_least(Priority::critical)(event));
    CHECK(filter::priority_at_most(Priority::high)(event));
    CHECK_FALSE(filter::priority_at_most(Priority::normal)(event));
    CHECK_THROWS_AS(filter::priority(static_cast<Priority>(9)), gossip::ValidationError);
}

TEST_CASE("keys are compared, and their absence is one", "[filter]") {
    const Event keyed = Event{bare_tick}.with_key("eu-1");
    const Event bare{bare_tick};
    const auto european = filter::key([](std::string_view key) { return key.starts_with("eu-"); });

    CHECK(filter::key("eu-1")(keyed));
    CHECK_FALSE(filter::key("eu")(keyed));
    CHECK(filter::key("")(bare));
    CHECK(european(keyed));
    CHECK_FALSE(european(bare));
    CHECK(filter::has_key()(keyed));
    CHECK_FALSE(filter::has_key()(bare));
}

TEST_CASE("any predicate on events becomes a filter with operators", "[filter]") {
    const auto named = filter::when([](const Event& event) { return event.type().name().size() > 8; });

    CHECK((named && always)(Event{bare_tick}));
    CHECK((!named)(Event{EventType{"a"}}));
}

} // namespace filter_test
