// What happens when data is not of the type that somebody expects: mistakes that do not compile, and errors that can be
// read, where only the run can tell.
//
// It prints, among others:
//     > typed: user 7 is alice
//     > looked: no User here, but a std::string
//     > asked: type assertion failed: expected User, got std::string
//     > asked for nothing: no data in field 'user.created'
//     > subscriber: type assertion failed: expected User, got std::string
//     > gateway: unsupported event type 'user.deleted': supported are user.created, user.renamed
//     > gateway: invalid event 'evt-1', field 'id': must be above zero
//     > everything else went on: 1 handled, 4 failed
#include <gossip/gossip.hpp>

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

struct User {
    int id = 0;
    std::string name;
};

namespace {

/// The topic ties the name to the type: `bus.publish(user_created, 3)` and a processor of a std::string don't compile.
constexpr gossip::Topic<User> user_created{"user.created"};

/// Takes events from outside, whose types are known only when they arrive, and says what it can't take.
gossip::Result gateway(const gossip::Event& event) {
    if (event.type().name() != "user.created" && event.type().name() != "user.renamed") {
        return gossip::UnsupportedEventTypeError{event.type().name(), {"user.created", "user.renamed"}};
    }
    if (const User* const user = event.data_if<User>(); user != nullptr && user->id <= 0) {
        return gossip::InvalidEventError{event.id_text(), "id", "must be above zero"};
    }
    return {};
}

void say(const char* who, const char* what) { std::printf("%s: %s\n", who, what); }

} // namespace

int main() {
    // By hand: look first, or ask and be told.
    const gossip::Event right{user_created, User{7, "alice"}};
    const gossip::Event wrong{gossip::EventType{"user.created"}, std::string{"alice"}};
    const gossip::Event empty{gossip::EventType{"user.created"}};
    if (const User* const user = right.data_if<User>()) {
        std::printf("typed: user %d is %s\n", user->id, user->name.c_str());
    }
    if (wrong.data_if<User>() == nullptr) {
        std::printf("looked: no User here, but a %s\n", std::string(wrong.data_type_name()).c_str());
    }
    for (const auto& [who, event] : {std::pair{"asked", &wrong}, std::pair{"asked for nothing", &empty}}) {
        try {
            static_cast<void>(event->data<User>());
        } catch (const gossip::Error& error) { // TypeAssertionError, NoDataError
            say(who, error.what());
        }
    }

    // On a bus: a processor of a topic never sees other data. The event fails, and everything else goes on.
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    const auto names = bus.subscribe(user_created, [](const User&) {}, {.name = "subscriber"});
    const auto outside = bus.subscribe(gossip::Pattern{"user.*"}, gateway, {.name = "gateway"});
    const auto letters = bus.subscribe(gossip::dead_letter, [](const gossip::DeadLetter& letter) {
        say(letter.subscription.c_str(), letter.error.what());
        if (const auto mismatch = gossip::as<gossip::TypeAssertionError>(letter.error)) {
            std::printf("    that is: wanted %s, and it was %s\n", std::string(mismatch->expected()).c_str(),
                        std::string(mismatch->actual()).c_str());
        }
    });

    bus.publish(right);
    bus.publish(wrong);
    bus.publish(empty);
    bus.publish(gossip::Event{gossip::EventType{"user.deleted"}, 7});
    bus.publish(gossip::Event{gossip::EventType{"user.renamed"}, User{0, "bob"}}.with_id("evt-1"));
    if (!bus.drain(std::chrono::seconds(20))) {
        return 1;
    }
    const gossip::ShutdownReport report = bus.shutdown();
    std::printf("everything else went on: %llu handled, %llu failed\n", static_cast<unsigned long long>(report.handled),
                static_cast<unsigned long long>(report.failed));
    return report.handled == 1 && report.failed == 4 ? 0 : 1;
}
