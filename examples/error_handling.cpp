// How things fail, and what becomes of it: kinds of errors, causes, exceptions, and the middleware that helps.
//
// It prints, among others:
//     > returned: validation error on field 'amount': must be positive
//     > a rule is broken in field 'amount', trying again is no use
//     > thrown: retryable error: bank is busy
//     > another attempt may succeed
//     > the whole chain: processing error: could not charge: timeout after 250ms: no answer
//     > found in the chain: a timeout of 250 ms
//     > foreign: processing error: stoi
//     > nested: processing error: could not read the order: processing error: disk is gone
//     > ready-made: event has no data, and it is errors::nil_data
//     > retry: 3 calls, then it succeeded
//     > retry: 1 call, a fatal error is never tried again
//     > fallback: took the price from the cache
//     > circuit: 2 calls, then it is open: circuit is open
//     > timeout: timeout after 5ms: processing error: gave up when asked to
//     > dead letter of 'ledger' after 2 attempts: processing error: ledger is down
//     > replayed: the ledger has it now
#include <gossip/gossip.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

namespace {

using namespace std::chrono_literals;
namespace middleware = gossip::middleware;
namespace errors = gossip::errors;

struct Payment {
    std::string id;
    double amount = 0;
};
constexpr gossip::Topic<Payment> payment{"payment.received"};

void say(const char* what, const std::string& more) { std::printf("%s: %s\n", what, more.c_str()); }

/// Predicates look through the whole chain of causes; so do as<E>() and is().
void advise(const gossip::Error& error) {
    if (const auto broken = gossip::as<gossip::ValidationError>(error)) {
        std::printf("a rule is broken in field '%s', trying again is no use\n", std::string(broken->field()).c_str());
    } else if (gossip::is_retryable(error)) {
        std::printf("another attempt may succeed\n");
    }
}

/// Runs a processor once, on this thread, and hands back its first error.
gossip::Error error_of(auto processor) {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    const auto subscription = bus.subscribe(payment, std::move(processor));
    const auto result = bus.publish_sync(payment, {"p-1", 10});
    return result.ok() ? gossip::Error{errors::processing_failed} : result.errors().front();
}

void kinds_and_causes() {
    // A processor returns its error, or throws it: both come to the same.
    const gossip::Error returned = error_of([](const Payment&) -> gossip::Result {
        return gossip::ValidationError{"amount", "must be positive"};
    });
    say("returned", returned.what());
    advise(returned);

    const gossip::Error thrown = error_of([](const Payment&) { throw gossip::RetryableError{"bank is busy"}; });
    say("thrown", thrown.what());
    advise(thrown);

    const gossip::ProcessingError outer{"could not charge", gossip::TimeoutError{250ms, "no answer"}};
    say("the whole chain", gossip::describe(outer));
    if (const auto timeout = gossip::as<gossip::TimeoutError>(outer)) {
        say("found in the chain", "a timeout of " + std::to_string(timeout->timeout() / 1ms) + " ms");
    }

    // Exceptions of others keep their text, and the exception itself; nested ones become causes.
    say("foreign", error_of([](const Payment& p) { static_cast<void>(std::stoi(p.id)); }).what());
    say("nested", gossip::describe(error_of([](const Payment&) {
            try {
                throw std::runtime_error{"disk is gone"};
            } catch (...) {
                std::throw_with_nested(std::runtime_error{"could not read the order"});
            }
        })));

    const gossip::Error none = error_of([](const Payment&) -> gossip::Result { return errors::nil_data; });
    if (gossip::is(none, errors::nil_data)) {
        say("ready-made", std::string(none.what()) + ", and it is errors::nil_data");
    }
}

void middleware_that_helps() {
    gossip::EventBus bus{gossip::Config{.workers = 0}};
    const auto run = [&](auto processor) {
        const auto subscription = bus.subscribe(payment, std::move(processor));
        return bus.publish_sync(payment, {"p-2", 10});
    };
    {
        int calls = 0;
        const auto result = run(middleware::retry(3, 1ms)([&](const Payment&) -> gossip::Result {
            return ++calls < 3 ? gossip::Result{gossip::RetryableError{"bank is busy"}} : gossip::Result{};
        }));
        say("retry", std::to_string(calls) + " calls, then it " + (result ? "succeeded" : "failed"));
    }
    {
        int calls = 0;
        if (!run(middleware::retry(3, 1ms)([&](const Payment&) -> gossip::Result {
                ++calls;
                return gossip::FatalError{"card is stolen"};
            }))) {
            say("retry", std::to_string(calls) + " call, a fatal error is never tried again");
        }
    }
    {
        const auto from_cache = [](const gossip::Error&) { say("fallback", "took the price from the cache"); };
        if (!run(middleware::fallback(from_cache)([](const Payment&) -> gossip::Result { return errors::timeout; }))) {
            say("fallback", "failed as well");
        }
    }
    {
        int calls = 0;
        const auto breaker = middleware::circuit_breaker({.failures = 2, .open_for = 1h});
        const auto subscription = bus.subscribe(payment, breaker([&](const Payment&) -> gossip::Result {
                                                    ++calls;
                                                    return gossip::ProcessingError{"no route to host"};
                                                }));
        for (int i = 0; i < 5; ++i) {
            if (const auto result = bus.publish_sync(payment, {"p-3", 10}); i == 4) {
                say("circuit", std::to_string(calls) + " calls, then it is open: " + result.errors().front().what());
            }
        }
    }
    {
        const auto result =
            run(middleware::timeout(5ms)([](gossip::Context& context, const Payment&) -> gossip::Result {
                while (context.sleep_for(1ms)) { // false when it is time to stop
                }
                return gossip::ProcessingError{"gave up when asked to"};
            }));
        say("timeout", gossip::describe(result.errors().front()));
    }
}

bool dead_letters() {
    gossip::EventBus bus{gossip::Config{.workers = 1}};
    gossip::DeadLetters letters;
    letters.attach(bus);
    std::atomic<bool> down = true;
    const auto ledger = bus.subscribe(payment,
                                      [&](const Payment&) -> gossip::Result {
                                          if (down) {
                                              return gossip::ProcessingError{"ledger is down"};
                                          }
                                          say("replayed", "the ledger has it now");
                                          return {};
                                      },
                                      {.name = "ledger", .redelivery = {.attempts = 2, .first_delay = 1ms}});

    bus.publish(payment, {"p-4", 99});
    if (!bus.drain(20s)) {
        return false;
    }
    for (const auto& [number, letter] : letters.list()) {
        std::printf("dead letter of '%s' after %d attempts: %s\n", letter->subscription.c_str(), letter->attempts,
                    letter->error.what());
    }
    down = false;
    return letters.replay(bus) == 1 && bus.drain(20s) && letters.size() == 0;
}

} // namespace

int main() {
    kinds_and_causes();
    middleware_that_helps();
    return dead_letters() ? 0 : 1;
}
