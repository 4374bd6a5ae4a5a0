// Services that know each other by the events alone. Each is a class of its own, good for a bus over any provider: its
// events may as well come from another process.
#pragma once

#include <gossip/gossip.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace shop {

struct Order {
    std::string id;
    std::string product;
    int pieces = 0;
};
struct Refusal {
    std::string order;
    std::string reason;
};

inline constexpr gossip::Topic<Order> order_placed{"orders.placed"};
inline constexpr gossip::Topic<Order> stock_reserved{"inventory.reserved"};
inline constexpr gossip::Topic<Refusal> stock_missing{"inventory.missing"};
inline constexpr gossip::Topic<Order> order_paid{"billing.paid"};
inline constexpr gossip::Topic<Order> order_shipped{"shipping.shipped"};

/// Publishes an order under a request id; all that comes of it carries that id, though no service passes it on by hand.
template <class Bus>
class Gateway {
public:
    explicit Gateway(Bus& bus) : bus_(bus) {}

    gossip::PublishStatus place(const Order& order, const std::string& request) {
        return bus_.publish(order_placed, order, {.key = order.id, .metadata = {{"request", request}}});
    }

private:
    Bus& bus_;
};

/// Counts pieces on the shelves.
template <class Bus>
class Inventory {
public:
    Inventory(Bus& bus, std::map<std::string, int> shelves)
        : bus_(bus),
          shelves_(std::move(shelves)),
          placed_(bus.subscribe(order_placed, [this](const Order& order) { reserve(order); }, {.name = "inventory"})) {}

private:
    void reserve(const Order& order) {
        bool enough = false;
        {
            const std::lock_guard lock(mutex_);
            int& pieces = shelves_[order.product];
            enough = pieces >= order.pieces;
            pieces -= enough ? order.pieces : 0;
        }
        if (enough) {
            bus_.publish(stock_reserved, order);
        } else {
            bus_.publish(stock_missing, {order.id, "no " + order.product + " left"});
        }
    }

    Bus& bus_;
    std::mutex mutex_;
    std::map<std::string, int> shelves_;
    gossip::Subscription placed_; // the last member: it ends before what its processor uses
};

/// Takes the money; may be down, and then says so.
template <class Bus>
class Billing {
public:
    explicit Billing(Bus& bus)
        : bus_(bus),
          reserved_(bus.subscribe(
              stock_reserved, [this](const Order& order) { return charge(order); },
              {.name = "billing", .redelivery = {.attempts = 2, .first_delay = std::chrono::milliseconds(2)}})) {}

    void down(bool is_down) { down_ = is_down; }

private:
    gossip::Result charge(const Order& order) {
        if (down_) {
            return gossip::ProcessingError{"no card can be charged", gossip::errors::timeout};
        }
        bus_.publish(order_paid, order);
        return {};
    }

    Bus& bus_;
    std::atomic<bool> down_ = false;
    gossip::Subscription reserved_;
};

/// Sends what has been paid.
template <class Bus>
class Shipping {
public:
    explicit Shipping(Bus& bus)
        : paid_(bus.subscribe(order_paid, [&bus](const Order& order) { bus.publish(order_shipped, order); },
                              {.name = "shipping"})) {}

private:
    gossip::Subscription paid_;
};

/// Hears everything, changes nothing.
template <class Bus>
class Audit {
public:
    explicit Audit(Bus& bus)
        : heard_{hear(bus, order_placed), hear(bus, stock_reserved), hear(bus, stock_missing), hear(bus, order_paid),
                 hear(bus, order_shipped)} {}

private:
    /// By the topic, not by a pattern: where the audit is a process of its own only its topics tell it what data means.
    template <class T>
    static gossip::Subscription hear(Bus& bus, const gossip::Topic<T>& topic) {
        return bus.subscribe(topic, [](const gossip::TypedEvent<T>& event) { write(event, *event); },
                             {.name = "audit"});
    }
    static std::string about(const Order& order) { return order.id; }
    static std::string about(const Refusal& refusal) { return refusal.order + ", " + refusal.reason; }

    template <class T>
    static void write(const gossip::TypedEvent<T>& event, const T& data) {
        const auto request = event.metadata().template get<std::string>("request").value_or("no request");
        std::printf("%s: %s %s\n", request.c_str(), std::string(event.type().name()).c_str(), about(data).c_str());
    }

    std::array<gossip::Subscription, 5> heard_;
};

} // namespace shop
