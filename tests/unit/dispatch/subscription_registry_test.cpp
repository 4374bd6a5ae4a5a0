#include <gossip/dispatch/subscription_registry.hpp>

#include "support/catch.hpp"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace subscription_registry_test {

namespace subscription_registry_test {

using gossip::EventType;
using gossip::Pattern;
using gossip::SubscribeOptions;
using gossip::SubscriptionId;
using namespace gossip::detail;

/// Lives as long as its processor.
struct Owned {
    std::shared_ptr<int> token;
    gossip::Result operator()(gossip::Context&, const gossip::Event&) const { return {}; }
};

/// Ids are those of the process; the tests count from 1.
struct Registry : SubscriptionRegistry {
    std::uint64_t before = next_id().value();
};

SubscriptionId add(SubscriptionRegistry& registry, std::vector<EventType> names, std::vector<Pattern> patterns = {},
                   int priority = 0, std::shared_ptr<int> token = nullptr) {
    const SubscriptionId id = registry.next_id();
    registry.add(
        Ref<Subscriber>(new Subscriber(id, Processor(Owned{std::move(token)}), SubscribeOptions{.priority = priority})),
        std::move(names), std::move(patterns));
    return id;
}

/// Who is asked for that name, in order.
std::vector<std::uint64_t> heard_by(Registry& registry, const char* name) {
    SeatTable seats;
    Seat& seat = seats.sit_down();
    std::vector<std::uint64_t> ids;
    if (const ProcessorList* const list = registry.protect_other(seat, EventType{name})) {
        for (const auto& entry : list->entries) {
            ids.push_back(entry.subscriber->id.value() - registry.before);
        }
    }
    SubscriptionRegistry::unprotect(seat);
    return ids;
}

} // namespace subscription_registry_test

using namespace subscription_registry_test;
using Ids = std::vector<std::uint64_t>;

TEST_CASE("names and patterns are heard in the order of subscription within a priority", "[subscription_registry]") {
    Registry registry;
    CHECK(heard_by(registry, "a.b").empty());
    add(registry, {EventType{"a.b"}});
    add(registry, {}, {Pattern{"a.*"}});
    add(registry, {EventType{"a.b"}, EventType{"c"}}, {}, 1);
    add(registry, {EventType{"a.b"}}, {Pattern{"**"}});

    CHECK(heard_by(registry, "a.b") == Ids{3, 1, 2, 4});
    CHECK(heard_by(registry, "c") == Ids{3, 4});
    CHECK(heard_by(registry, "a.x") == Ids{2, 4});
    CHECK(registry.size() == 4);
}

TEST_CASE("what was removed is on no list, inactive, and unknown by its id", "[subscription_registry]") {
    Registry registry;
    const SubscriptionId id = add(registry, {EventType{"a"}});
    add(registry, {}, {Pattern{"*"}});
    REQUIRE(heard_by(registry, "a") == Ids{1, 2});

    const Ref<Subscriber> gone = registry.remove(id);

    REQUIRE(gone);
    CHECK_FALSE(gone->tenure.goes_on());
    CHECK(heard_by(registry, "a") == Ids{2});
    CHECK_FALSE(registry.contains(id));
    CHECK_FALSE(registry.remove(id));
    CHECK(registry.ending(id).get() == gone.get());
    CHECK(registry.next_id().value() - registry.before == 3);
}

TEST_CASE("a list that somebody uses lives until it is let go, and the processors with it", "[subscription_registry]") {
    Registry registry;
    SeatTable seats;
    Seat& seat = seats.sit_down();
    auto token = std::make_shared<int>(0);
    const SubscriptionId id = add(registry, {EventType{"a"}}, {}, 0, token);
    const ProcessorList* const list = registry.protect_other(seat, EventType{"a"});
    REQUIRE(list != nullptr);
    static_cast<void>(registry.remove(id));

    registry.collect(seats);
    CHECK(token.use_count() == 2);
    CHECK(list->entries.size() == 1);
    CHECK(registry.has_retired());

    SubscriptionRegistry::unprotect(seat);
    registry.collect(seats);
    CHECK(token.use_count() == 1);
    CHECK_FALSE(registry.has_retired());
}

TEST_CASE("a removed subscription is remembered while somebody runs it", "[subscription_registry]") {
    Registry registry;
    SeatTable seats;
    Seat& seat = seats.sit_down();
    const SubscriptionId id = add(registry, {EventType{"a"}});
    {
        const Ref<Subscriber> gone = registry.remove(id);
        seat.current.show(gone.get());
    }
    registry.collect(seats);
    CHECK(registry.ending(id));
    seat.current.show(nullptr);
    registry.collect(seats);
    CHECK_FALSE(registry.ending(id));
}

TEST_CASE("many names are found again, whatever they share", "[subscription_registry]") {
    Registry registry;
    std::vector<EventType> names;
    for (int i = 0; i < 2000; ++i) {
        names.emplace_back("n." + std::to_string(i));
        add(registry, {names.back()});
    }
    for (int i = 0; i < 2000; i += 7) {
        CHECK(heard_by(registry, ("n." + std::to_string(i)).c_str()) == Ids{static_cast<std::uint64_t>(i + 1)});
        CHECK(registry.heard(names[static_cast<std::size_t>(i)]));
    }
    CHECK_FALSE(registry.heard(EventType{"n.2000"}));
}

TEST_CASE("readers see whole lists while others change them", "[subscription_registry]") {
    Registry registry;
    SeatTable seats;
    add(registry, {EventType{"a"}});
    std::atomic<bool> stop{false};
    std::atomic<int> strange{0};
    std::vector<std::thread> readers;
    for (int t = 0; t < 2; ++t) {
        readers.emplace_back([&] {
            Seat& seat = seats.sit_down();
            while (!stop) {
                const ProcessorList* const list = registry.protect_other(seat, EventType{"a"});
                strange += list == nullptr || list->entries.empty() ||
                                   list->entries.front().subscriber->id.value() - registry.before != 1
                               ? 1
                               : 0;
                for (std::size_t i = 0; list != nullptr && i < list->entries.size(); ++i) {
                    strange += list->entries[i].subscriber == list->owners[i].get() ? 0 : 1;
                }
                SubscriptionRegistry::unprotect(seat);
            }
            SeatTable::stand_up(seat);
        });
    }
    for (int i = 0; i < 3000; ++i) {
        const SubscriptionId id = i % 2 == 0 ? add(registry, {EventType{"a"}}) : add(registry, {}, {Pattern{"*"}});
        static_cast<void>(registry.remove(id));
        registry.collect(seats);
    }
    stop = true;
    for (auto& reader : readers) {
        reader.join();
    }
    CHECK(strange == 0);
}

} // namespace subscription_registry_test
