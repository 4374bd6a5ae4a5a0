#include <gossip/middleware/chain.hpp>
#include <gossip/middleware/fallback.hpp>
#include <gossip/middleware/logging.hpp>
#include <gossip/middleware/make.hpp>
#include <gossip/middleware/recovery.hpp>
#include <gossip/middleware/retry.hpp>
#include <gossip/middleware/timeout.hpp>

#include "support/catch.hpp"
#include "support/processing.hpp"

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace chain_test {

namespace middleware = gossip::middleware;
using namespace std::chrono_literals;
using gossip::Context;
using gossip::Event;
using gossip::Result;
using support::bind;
using support::number;
using support::Rig;
using support::Script;

inline namespace parts {

/// Writes its name before and after what it wraps.
auto noting(std::string& log, char name) {
    return middleware::make([&log, name](auto& next, Context& context, const Event& event) {
        log += name;
        Result result = next(context, event);
        log += name;
        return result;
    });
}

} // namespace parts

TEST_CASE("the first named is the outermost", "[chain]") {
    Rig rig;
    std::string log;
    const auto guarded = middleware::chain(noting(log, 'a'), noting(log, 'b'), noting(log, 'c'));
    auto bound = bind(guarded([&](const int&) { log += '!'; }));

    CHECK(rig.run(bound));

    CHECK(log == "abc!cba");
}

TEST_CASE("chains nest, and a chain of none is the processor", "[chain]") {
    Rig rig;
    std::string log;
    const auto outer = middleware::chain(noting(log, 'a'), middleware::chain(noting(log, 'b'), middleware::chain()));
    auto bound = bind(middleware::chain()(outer([&](const int&) { log += '!'; })));

    CHECK(rig.run(bound));

    CHECK(log == "ab!ba");
}

TEST_CASE("one chain wraps processors of every kind", "[chain]") {
    Rig rig;
    int seen = 0;
    const auto guarded = middleware::chain(middleware::retry(1, 1ms), middleware::timeout(1s), middleware::recovery());
    auto typed = bind(guarded([&](const int& n) { seen += n; }));
    auto event = bind(guarded([&](const gossip::TypedEvent<int>& e) { seen += *e; }));
    auto untyped = gossip::bind_processor<void>(guarded([&](const Event& e) { seen += e.data<int>(); }));
    auto with_context = bind(guarded([&](Context& c, const int& n) { seen += n * c.attempt(); }));
    auto move_only = bind(guarded([&seen, n = std::make_unique<int>(1)](const int&) { seen += *n; }));

    CHECK(rig.run(typed, 1));
    CHECK(rig.run(event, 10));
    CHECK(rig.run(untyped, 100));
    CHECK(rig.run(with_context, 1000));
    CHECK(rig.run(move_only, 5));

    CHECK(seen == 1112);
}

TEST_CASE("a middleware outside of retry sees one run, inside of it all", "[chain]") {
    Rig rig;
    std::string outside;
    std::string inside;
    Script script({gossip::errors::retryable, gossip::errors::retryable});
    const auto guarded = middleware::chain(noting(outside, 'o'), middleware::retry(3, 1ms), noting(inside, 'i'));
    auto bound = bind(guarded(script.processor()));

    CHECK(rig.run(bound));

    CHECK(outside == "oo");
    CHECK(inside == "iiiiii");
}

TEST_CASE("a processor that throws is a failed result to every middleware around it", "[chain]") {
    Rig rig;
    std::string log;
    auto bound = bind(noting(log, 'a')([](const int&) { throw std::runtime_error{"bug"}; }));

    const Result result = rig.run(bound);

    REQUIRE_FALSE(result);
    CHECK(std::string{result.error().what()}.find("bug") != std::string::npos);
    CHECK(log == "aa");
}

TEST_CASE("fallback inside of retry answers at once, outside of it at the end", "[chain]") {
    Rig rig;
    Script always(std::vector<Result>(9, gossip::errors::retryable));
    const auto saved = middleware::fallback([] {});
    auto inside = bind(middleware::chain(middleware::retry(2, 1ms), saved)(always.processor()));
    auto outside = bind(middleware::chain(saved, middleware::retry(2, 1ms))(always.processor()));

    CHECK(rig.run(inside));
    CHECK(always.calls == 1);
    CHECK(rig.run(outside));
    CHECK(always.calls == 4);
}

} // namespace chain_test
