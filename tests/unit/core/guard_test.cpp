#include <gossip/core/guard.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "support/catch.hpp"

namespace guard_test {

using namespace std::chrono_literals;
using gossip::Error;
using gossip::from_exception_ptr;
using gossip::guard;
using gossip::Result;

inline namespace parts {

struct CardStolen : gossip::FatalError {
    CardStolen() : FatalError{"card is stolen"} {}
};

struct Silent : std::exception {
    const char* what() const noexcept override { return nullptr; }
};

template <class Outer>
[[noreturn]] void throw_around_a_bug(Outer outer) {
    try {
        throw std::runtime_error{"bug"};
    } catch (const std::exception&) {
        std::throw_with_nested(std::move(outer));
    }
}

} // namespace parts

TEST_CASE("what returns nothing succeeds", "[guard]") {
    bool called = false;

    CHECK(guard([&called] { called = true; }));
    CHECK(called);
}

TEST_CASE("whatever converts to a result may be returned", "[guard]") {
    CHECK(guard([]() -> Result { return {}; }));
    CHECK(gossip::is_fatal(guard([]() -> Result { return gossip::FatalError{"x"}; }).error()));
    CHECK(gossip::is_retryable(guard([] { return gossip::RetryableError{"x"}; }).error()));
    CHECK(gossip::is(guard([] { return gossip::errors::timeout; }).error(), gossip::errors::timeout));
}

TEST_CASE("a callable that can only be moved and called once is guarded as well", "[guard]") {
    struct Once {
        std::unique_ptr<int> value = std::make_unique<int>(1);
        Result operator()() && { return *value == 1 ? Result{} : Result{gossip::errors::fatal}; }
    };

    CHECK(guard(Once{}));
}

TEST_CASE("an error that is thrown comes back as that error", "[guard]") {
    const gossip::ValidationError error{"amount", -1, "must be positive"};

    const Result result = guard([&error] { throw error; });

    REQUIRE_FALSE(result);
    CHECK(gossip::is(result.error(), error));
    CHECK(gossip::as<gossip::ValidationError>(result.error())->value() == "-1");
}

TEST_CASE("a user's own class of error comes back as the kind it is derived from", "[guard]") {
    const Result result = guard([] { throw CardStolen{}; });

    CHECK(gossip::is_fatal(result.error()));
    CHECK(result.error().message() == "card is stolen");
}

TEST_CASE("a ready-made error may be thrown", "[guard]") {
    const Result bare = guard([] { throw gossip::errors::timeout; });
    const Result typed = guard([] { gossip::errors::timeout.rethrow(); });

    CHECK(gossip::is(bare.error(), gossip::errors::timeout));
    CHECK(gossip::is(typed.error(), gossip::errors::timeout));
}

TEST_CASE("a foreign exception becomes a processing error that keeps its text and itself", "[guard]") {
    const Result result = guard([] { throw std::out_of_range{"bug"}; });
    const auto error = gossip::as<gossip::ProcessingError>(result.error());

    REQUIRE(error);
    CHECK(std::string{error->what()} == "processing error: bug");
    CHECK(error->message() == "bug");
    CHECK_THROWS_AS(std::rethrow_exception(error->exception()), std::out_of_range);
    CHECK_FALSE(error->cause());
}

TEST_CASE("what is no std::exception becomes an unknown exception that keeps itself", "[guard]") {
    const Result result = guard([] { throw 42; });
    const auto error = gossip::as<gossip::ProcessingError>(result.error());

    REQUIRE(error);
    CHECK(error->message() == "unknown exception");
    CHECK_THROWS_AS(std::rethrow_exception(error->exception()), int);
}

TEST_CASE("an exception without a text is still a failure", "[guard]") {
    const Result result = guard([] { throw Silent{}; });

    REQUIRE_FALSE(result);
    CHECK(std::string{result.error().what()} == "processing error");
}

TEST_CASE("bad_alloc is an exception like any other", "[guard]") {
    const Result result = guard([] { throw std::bad_alloc{}; });
    const auto error = gossip::as<gossip::ProcessingError>(result.error());

    REQUIRE(error);
    CHECK_THROWS_AS(std::rethrow_exception(error->exception()), std::bad_alloc);
}

TEST_CASE("who has somebody to tell lets bad_alloc through, and nothing else", "[guard]") {
    using gossip::detail::guard_unless_out_of_memory;

    CHECK_THROWS_AS(guard_unless_out_of_memory([] { throw std::bad_alloc{}; }), std::bad_alloc);
    CHECK_THROWS_AS(guard_unless_out_of_memory([]() -> gossip::Result { return gossip::errors::out_of_memory; }),
                    std::bad_alloc);
    CHECK(guard_unless_out_of_memory([] {}).ok());
    const gossip::Result result = guard_unless_out_of_memory([] { throw std::runtime_error("no"); });
    REQUIRE_FALSE(result);
    CHECK(gossip::is_processing(result.error()));
}

TEST_CASE("nested exceptions become a chain of causes", "[guard]") {
    const Result result = guard([] {
        try {
            throw_around_a_bug(std::logic_error{"could not charge"});
        } catch (const std::exception&) {
            std::throw_with_nested(std::runtime_error{"order failed"});
        }
    });

    CHECK(gossip::describe(result.error()) ==
          "processing error: order failed: processing error: could not charge: processing error: bug");
    CHECK_THROWS_AS(std::rethrow_exception(gossip::as<gossip::ProcessingError>(result.error())->exception()),
                    std::nested_exception);
}

TEST_CASE("an error thrown around an exception keeps its kind and gains the cause", "[guard]") {
    const Result result = guard([] { throw_around_a_bug(gossip::ValidationError{"amount", "must be positive"}); });

    CHECK(gossip::as<gossip::ValidationError>(result.error())->field() == "amount");
    CHECK(gossip::describe(result.error()) ==
          "validation error on field 'amount': must be positive: processing error: bug");
}

TEST_CASE("a ready-made error thrown around an exception is still that ready-made error", "[guard]") {
    const Result typed = guard([] { throw_around_a_bug(gossip::TimeoutError{gossip::errors::timeout}); });
    const Result bare = guard([] { throw_around_a_bug(gossip::errors::timeout); });

    CHECK(gossip::is(typed.error(), gossip::errors::timeout));
    CHECK(gossip::is(bare.error(), gossip::errors::timeout));
    CHECK(gossip::is_processing(bare.error()));
}

TEST_CASE("any object thrown around an exception has it as its cause", "[guard]") {
    struct Plain {};

    const Result result = guard([] { throw_around_a_bug(Plain{}); });

    CHECK(gossip::describe(result.error()) == "processing error: unknown exception: processing error: bug");
}

TEST_CASE("an error that caused an exception is found through it", "[guard]") {
    const Result result = guard([] {
        try {
            throw gossip::TimeoutError{250ms, "no answer"};
        } catch (const std::exception&) {
            std::throw_with_nested(std::runtime_error{"could not charge"});
        }
    });

    CHECK(gossip::as<gossip::TimeoutError>(result.error())->timeout() == 250ms);
}

TEST_CASE("a nested exception around nothing has no cause", "[guard]") {
    const Result result = guard([] { std::throw_with_nested(std::runtime_error{"alone"}); });

    CHECK(gossip::describe(result.error()) == "processing error: alone");
}

TEST_CASE("a guard inside a handler leaves the exception in flight alone", "[guard]") {
    const Result outer = guard([] {
        try {
            throw std::runtime_error{"first"};
        } catch (const std::exception&) {
            CHECK(guard([] { throw std::runtime_error{"second"}; }).error().message() == "second");
            throw;
        }
    });

    CHECK(outer.error().message() == "first");
}

TEST_CASE("an exception_ptr becomes the error that guard would have made", "[guard]") {
    const gossip::FatalError fatal{"x"};

    CHECK(from_exception_ptr(std::make_exception_ptr(std::runtime_error{"bug"})).message() == "bug");
    CHECK(gossip::is(from_exception_ptr(std::make_exception_ptr(fatal)), fatal));
    CHECK(gossip::is(from_exception_ptr(nullptr), gossip::errors::processing_failed));
}

TEST_CASE("guard never throws", "[guard]") {
    STATIC_REQUIRE(noexcept(guard([] { throw 1; })));
    STATIC_REQUIRE(noexcept(from_exception_ptr(nullptr)));
}

} // namespace guard_test
