// The library: it listens and publishes on a bus that the program owns.
#include "part.hpp"

#include <gossip/bus/global_bus.hpp>

#include <atomic>
#include <vector>

namespace {

class Listener final : public Part {
public:
    void start(gossip::EventBus<>& bus) override {
        subscriptions_.push_back(bus.subscribe(order_created, [this, &bus](const Order& order) -> gossip::Result {
            ++orders_;
            bus.publish(answered, {order.id});
            if (order.amount < 0) {
                return gossip::ValidationError{"amount", std::to_string(order.amount), "must not be negative"};
            }
            return order.amount == 0 ? gossip::Result{gossip::errors::timeout} : gossip::Result{};
        }));
        // From inside a processor of the bus: into a buffer that is full, and to its own end.
        subscriptions_.push_back(bus.subscribe(echo, [this, &bus](const Echo& heard) {
            ++echoes_;
            for (int i = 0; i < 2 && heard.left > 0; ++i) {
                bus.publish(echo, {heard.left - 1});
            }
        }));
        ending_ = bus.subscribe(once, [this] { ending_.unsubscribe(); });
    }
    void stop() override {
        subscriptions_.clear();
        ending_.unsubscribe();
    }
    [[nodiscard]] gossip::SubscriptionId id() const override { return subscriptions_.front().id(); }
    [[nodiscard]] int orders_heard() const override { return orders_; }
    [[nodiscard]] int echoes_heard() const override { return echoes_; }
    [[nodiscard]] gossip::Event make(int amount) const override {
        return gossip::Event(order_created, Order{"made by the library", amount});
    }
    [[nodiscard]] std::int64_t amount_of(const gossip::Event& event) const override {
        return event.data<Order>().amount;
    }
    [[nodiscard]] const void* global_bus() const override { return &gossip::global_bus(); }
    void throw_error() const override { gossip::ValidationError{"field", "value", "must be another"}.rethrow(); }

private:
    std::vector<gossip::Subscription> subscriptions_;
    gossip::Subscription ending_;
    std::atomic<int> orders_{0};
    std::atomic<int> echoes_{0};
};

Listener listener;

} // namespace

Part* part() { return &listener; }
