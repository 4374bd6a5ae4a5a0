// What a program and its library have in common: topics, and what each wants of the other.
#pragma once

#include <gossip/gossip.hpp>

#include <cstdint>
#include <string>

struct Order {
    std::string id;
    int amount = 0;
};
struct Answer {
    std::string to;
};
struct Echo {
    int left = 0;
};

inline constexpr gossip::Topic<Order> order_created{"order.created"};
inline constexpr gossip::Topic<Answer> answered{"order.answered"};
inline constexpr gossip::Topic<Echo> echo{"echo"};
inline constexpr gossip::Topic<> once{"once"};

class Part {
public:
    virtual ~Part() = default;
    virtual void start(gossip::EventBus<>& bus) = 0;
    virtual void stop() = 0; // what it has with the bus ends here
    [[nodiscard]] virtual gossip::SubscriptionId id() const = 0;
    [[nodiscard]] virtual int orders_heard() const = 0;
    [[nodiscard]] virtual int echoes_heard() const = 0;
    [[nodiscard]] virtual gossip::Event make(int amount) const = 0;
    [[nodiscard]] virtual std::int64_t amount_of(const gossip::Event& event) const = 0; // throws if it is no Order
    [[nodiscard]] virtual const void* global_bus() const = 0;
    virtual void throw_error() const = 0;
};

/// The library's one way in.
extern "C" [[gnu::visibility("default")]] Part* part();

/// How the program gets there; without the library when it is linked with it.
Part* find_part();
void leave_part();
