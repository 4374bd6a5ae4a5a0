#include <gossip/gossip.hpp>

#include <cstdio>
#include <string>

struct UserCreated {
    std::string user_id;
    std::string username;
};

// A topic binds the event's name to the type of its data, at compile time.
inline constexpr gossip::Topic<UserCreated> user_created{"auth.user.created"};

int main() {
    gossip::EventBus bus;

    // When the subscription is destroyed, the processor is not running and never runs again.
    const gossip::Subscription greeter = bus.subscribe(
        user_created, [](const UserCreated& user) { std::printf("welcome, %s\n", user.username.c_str()); });

    bus.publish(user_created, {"123", "alice"});

    // Takes no more events, handles all that were accepted, joins the workers, and says what became of each.
    const gossip::ShutdownReport report = bus.shutdown();
    return report.accepted == 1 && report.handled == 1 ? 0 : 1;
}
