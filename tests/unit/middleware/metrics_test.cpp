#include <gossip/middleware/metrics.hpp>

#include "support/catch.hpp"
#include "support/processing.hpp"

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace metrics_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;
using support::bind;
using support::number;
using support::Rig;
using support::Script;

TEST_CASE("metrics count runs, failures and what is running, and measure time", "[metrics]") {
    Rig rig;
    const middleware::Metrics page;
    auto bound = bind(middleware::metrics(page, "charge")([&](const int& n) -> Result {
        CHECK(page.snapshot()[0].running == 1);
        rig.clock.advance(n * 1ms);
        return n < 5 ? Result{} : gossip::errors::fatal;
    }));

    for (const int n : {1, 1, 1, 5}) {
        CHECK(rig.run(bound, n).ok() == (n < 5));
    }

    const auto all = page.snapshot();
    REQUIRE(all.size() == 1);
    CHECK(all[0].name == "charge");
    CHECK(all[0].succeeded == 3);
    CHECK(all[0].failed == 1);
    CHECK(all[0].running == 0);
    CHECK(all[0].total == 8ms);
    CHECK(all[0].quantile(0.5) == 1ms);
    CHECK(all[0].quantile(0.99) == 5ms);
    CHECK_THROWS_AS(all[0].quantile(1.1), gossip::ValidationError);
}

TEST_CASE("an empty series has no quantiles, and what is beyond the last bound is beyond all", "[metrics]") {
    Rig rig;
    const middleware::Metrics page;
    auto bound = bind(middleware::metrics(page, "slow")([&](const int&) { rig.clock.advance(1h); }));
    CHECK(page.snapshot()[0].quantile(0.5) == 0ns);

    CHECK(rig.run(bound));

    CHECK(page.snapshot()[0].quantile(0.5) == std::chrono::nanoseconds::max());
}

TEST_CASE("one name is one series", "[metrics]") {
    Rig rig;
    const middleware::Metrics page;
    auto first = bind(middleware::metrics(page, "a")([](const int&) {}));
    auto second = bind(middleware::metrics(page, "a")([](const int&) {}));

    CHECK(rig.run(first));
    CHECK(rig.run(second));

    REQUIRE(page.snapshot().size() == 1);
    CHECK(page.snapshot()[0].succeeded == 2);
}

TEST_CASE("many threads lose no count", "[metrics]") {
    const middleware::Metrics page;
    auto bound = bind(middleware::metrics(page, "a")([](const int&) {}));
    std::atomic<int> failed{0};
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&] {
                const Event event{number, 1};
                for (int i = 0; i < 1000; ++i) {
                    Context context;
                    failed += bound(context, event) ? 0 : 1;
                }
            });
        }
    }

    CHECK(failed == 0);
    CHECK(page.snapshot()[0].succeeded == 4000);
}

TEST_CASE("the page reads as Prometheus wants it", "[metrics]") {
    Rig rig;
    const middleware::Metrics page;
    auto bound = bind(middleware::metrics(page, "a \"b\" \\ \n")([&](const int&) { rig.clock.advance(3us); }));
    CHECK(rig.run(bound));

    const std::string text = page.prometheus();

    const std::string label = R"(processor="a \"b\" \\ \n")";
    for (const char* line : {"# TYPE gossip_processor_events_total counter", "# TYPE gossip_processor_running gauge",
                             "# TYPE gossip_processor_seconds histogram"}) {
        CHECK(text.find(std::string{"\n"} + line + "\n") != std::string::npos);
    }
    for (const std::string& line :
         {"events_total{" + label + ",outcome=\"ok\"} 1", "events_total{" + label + ",outcome=\"failed\"} 0",
          "running{" + label + "} 0", "seconds_bucket{" + label + ",le=\"2.5e-06\"} 0",
          "seconds_bucket{" + label + ",le=\"5e-06\"} 1", "seconds_bucket{" + label + ",le=\"+Inf\"} 1",
          "seconds_sum{" + label + "} 3e-06", "seconds_count{" + label + "} 1"}) {
        INFO(text);
        CHECK(text.find("\ngossip_processor_" + line + "\n") != std::string::npos);
    }
}

} // namespace metrics_test
