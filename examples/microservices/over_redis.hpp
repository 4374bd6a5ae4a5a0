// One service as a process of its own: the same classes, on a bus over Redis Streams.
#pragma once

#include <gossip/gossip.hpp>
#include <gossip/redis.hpp>

#include "services.hpp"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>

namespace shop {

// How the data is written as JSON; all that the wire asks of it.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Order, id, product, pieces)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Refusal, order, reason)

/// Runs one service until SIGINT or SIGTERM; `orders` publishes its orders and ends. Returns the exit status.
///
/// Each service is a group of its own, so it gets every event that it listens to, also those from before its start.
/// Several processes of one service share them.
inline int serve(const std::string& url, std::string_view service) {
    using namespace std::chrono_literals;
    using Bus = gossip::EventBus<gossip::RedisProvider>;
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr); // before there are other threads: sigwait takes them
    gossip::Config config{.workers = 2, .middleware = gossip::middleware::correlation("request")};
    config.on_error = [](const gossip::ErrorReport& report) {
        std::fprintf(stderr, "%s: %s\n", std::string(report.event.type().name()).c_str(), report.error.what());
    };
    Bus bus{gossip::RedisOptions{.url = url,
                                 .mode = gossip::RedisMode::streams,
                                 .group = std::string(service),
                                 .client_name = std::string(service),
                                 .prefix = "shop:"},
            config};
    const auto until_signal = [&](const auto&) {
        int signal = 0;
        sigwait(&signals, &signal);
        bus.shutdown(10s); // while the service still listens
    };
    if (service == "orders") {
        Gateway<Bus> gateway(bus);
        gateway.place({"o-1", "cup", 2}, "req-1");
        gateway.place({"o-2", "teapot", 1}, "req-2");
        gateway.place({"o-3", "cup", 4}, "req-3");
    } else if (service == "inventory") {
        until_signal(Inventory<Bus>(bus, {{"cup", 10}, {"teapot", 0}}));
    } else if (service == "billing") {
        until_signal(Billing<Bus>(bus));
    } else if (service == "shipping") {
        until_signal(Shipping<Bus>(bus));
    } else if (service == "audit") {
        until_signal(Audit<Bus>(bus));
    } else {
        std::fprintf(stderr, "there is no service of that name\n");
        return 2;
    }
    const gossip::ShutdownReport report = bus.shutdown(10s); // a second one says the same
    std::printf("%.*s: sent %llu, handled %llu, failed %llu\n", static_cast<int>(service.size()), service.data(),
                static_cast<unsigned long long>(report.sent), static_cast<unsigned long long>(report.handled),
                static_cast<unsigned long long>(report.failed));
    return report.adds_up() && report.transport.ok() ? 0 : 1;
}

} // namespace shop
