// Services that know each other by the events alone. Each is a class of its own, good for a bus over any provider: its
// events could as well come from another process.
#pragma once

#include <gossip/gossip.hpp>

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
        : all_(bus.subscribe(gossip::Pattern{"**"}, [](const gossip::Event& event) { write(event); },
                             {.name = "audit"})) {}

private:
    static void write(const gossip::Event& event) {
        const auto request = event.metadata().get<std::string>("request").value_or("no request");
        const Order* const order = event.data_if<Order>();
        const Refusal* const refusal = event.data_if<Refusal>();
        std::printf("%s: %s %s\n", request.c_str(), std::string(event.type().name()).c_str(),
                    order != nullptr     ? order->id.c_str()
                    : refusal != nullptr ? (refusal->order + ", " + refusal->reason).c_str()
                                         : "");
    }

    gossip::Subscription all_;
};

} // namespace shop
