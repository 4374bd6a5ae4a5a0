// A provider of one's own: here one that sends every event through a socket before it is handled.
#include <gossip/gossip.hpp>

#include "loopback_provider.hpp"

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

inline constexpr gossip::Topic<std::string> greeting{"example.greeting"};
inline constexpr gossip::Topic<std::int64_t> answer{"example.answer"};

int main() {
    using namespace std::chrono_literals;
    std::atomic<int> seen{0};
    gossip::EventBus<loopback::LoopbackProvider> bus;

    const auto greeter = bus.subscribe(greeting, [&](const gossip::TypedEvent<std::string>& event) {
        std::printf("%s, from %s\n", event->c_str(),
                    event.metadata().get<std::string>("from").value_or("nobody").c_str());
        ++seen;
    });
    const auto reader = bus.subscribe(answer, [&](const std::int64_t& number) {
        std::printf("the answer is %lld\n", static_cast<long long>(number));
        ++seen;
    });

    bus.publish(greeting, "hello", {.metadata = {{"from", "the other end"}}});
    bus.publish(answer, 42);
    for (int i = 0; i < 1'000 && seen < 2; ++i) {
        std::this_thread::sleep_for(10ms);
    }
    const gossip::ShutdownReport report = bus.shutdown();
    std::printf("sent %llu, received %llu, handled %llu\n", static_cast<unsigned long long>(report.sent),
                static_cast<unsigned long long>(report.received), static_cast<unsigned long long>(report.handled));
    return report.adds_up() && report.handled == 2 ? 0 : 1;
}
