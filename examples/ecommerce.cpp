// A shop: orders are validated, charged with retries, looked at when they are large, and confirmed by mail in batches.
// What can't be done ends as a dead letter that says why.
//
// It prints, among others:
//     > order o-1: charged 40.00 at attempt 1
//     > order o-2: the bank is busy, trying again later
//     > order o-2: charged 2500.00 at attempt 3
//     > order o-2: large, a person looks at it
//     > order o-3: refused: validation error on field 'total': must be above zero, got -5.00
//     > mail: 3 confirmations in one go
//     > mail: 1 confirmation in one go
//     > 5 orders and 4 mails: 8 handled, 1 failed, 2 attempts repeated
#include <gossip/gossip.hpp>

#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <span>
#include <string>

namespace {

using namespace std::chrono_literals;
namespace filter = gossip::filter;
namespace middleware = gossip::middleware;

struct Order {
    std::string id;
    std::string mail;
    double total = 0;
};
struct Mail {
    std::string to;
    std::string order;
};
constexpr gossip::Topic<Order> order_created{"shop.order.created"};
constexpr gossip::Topic<Mail> mail_wanted{"shop.mail.wanted"};

std::string money(double amount) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f", amount);
    return text;
}

/// A bank that is busy for the first two times that it hears of a very large sum.
class Bank {
public:
    gossip::Result charge(const Order& order) {
        const std::lock_guard lock(mutex_); // processors may run on several workers at once
        if (order.total > 2000 && ++asked_[order.id] <= 2) {
            return gossip::RetryableError{"the bank is busy"};
        }
        return {};
    }

private:
    std::mutex mutex_;
    std::map<std::string, int> asked_;
};

/// Middleware of our own: no processor inside of it ever sees a bad order.
auto only_valid_orders() {
    return middleware::make([](auto& next, gossip::Context& context, const gossip::Event& event) -> gossip::Result {
        if (const Order* const order = event.data_if<Order>(); order != nullptr && order->total <= 0) {
            return gossip::ValidationError{"total", money(order->total), "must be above zero"};
        }
        return next(context, event);
    });
}

} // namespace

int main() {
    gossip::EventBus bus{gossip::Config{.workers = 2}};
    Bank bank;

    // A failure that another attempt may mend is tried again later, on any worker; what is behind it does not wait.
    const auto charging = bus.subscribe(
        order_created, only_valid_orders()([&](gossip::Context& context, const Order& order) -> gossip::Result {
            if (gossip::Result charged = bank.charge(order); !charged) {
                std::printf("order %s: the bank is busy, trying again later\n", order.id.c_str());
                return charged;
            }
            std::printf("order %s: charged %s at attempt %d\n", order.id.c_str(), money(order.total).c_str(),
                        context.attempt());
            bus.publish(mail_wanted, {order.mail, order.id});
            return {};
        }),
        {.name = "charging", .redelivery = {.attempts = 5, .first_delay = 10ms}});

    // Filters say who hears what: large orders, but not those of the staff.
    const auto large = filter::where<Order>([](const Order& order) { return order.total > 1000; });
    const auto reviewing =
        bus.subscribe(order_created, filter::only_if(large && !filter::metadata("buyer", "staff"), [](const Order& o) {
                          std::printf("order %s: large, a person looks at it\n", o.id.c_str());
                      }));

    // One connection to the mail server for three mails, or for what there is after an hour.
    const auto mailing = bus.subscribe(
        mail_wanted, gossip::batch<Mail>({.size = 3, .period = 1h}, [](std::span<const Mail> mails) {
            std::printf("mail: %zu confirmation%s in one go\n", mails.size(), mails.size() == 1 ? "" : "s");
        }));

    // What failed for good arrives here, once.
    const auto refusing = bus.subscribe(gossip::dead_letter, [](const gossip::DeadLetter& letter) {
        std::printf("order %s: refused: %s\n", letter.event.data<Order>().id.c_str(), letter.error.what());
    });

    bus.publish(order_created, {"o-1", "alice@example.com", 40});
    bus.publish(order_created, {"o-3", "mallory@example.com", -5});
    bus.publish(order_created, {"o-4", "dave@example.com", 12.5}, {.key = "dave"});
    bus.publish(order_created, {"o-2", "carol@example.com", 2500});
    // True when nothing is in flight. The batch is full when the bank has at last taken o-2, so there is such a moment.
    if (!bus.drain(20s)) {
        return 1;
    }
    bus.publish(order_created, {"o-5", "erin@example.com", 1500}, {.metadata = {{"buyer", "staff"}}});

    while (!bus.drain(10ms)) {
        bus.flush(); // the last mail waits for two others, or for an hour
    }

    const gossip::ShutdownReport report = bus.shutdown();
    std::printf("5 orders and 4 mails: %llu handled, %llu failed, %llu attempts repeated\n",
                static_cast<unsigned long long>(report.handled), static_cast<unsigned long long>(report.failed),
                static_cast<unsigned long long>(report.redelivered));
    return report.adds_up() ? 0 : 1;
}
