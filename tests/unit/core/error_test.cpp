#include <gossip/core/error.hpp>
#include <gossip/core/errors.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"

namespace error_test {

using namespace std::chrono_literals;
using gossip::Error;
using gossip::FatalError;
using gossip::ProcessingError;
using gossip::Result;
using gossip::RetryableError;
using gossip::TimeoutError;
using gossip::ValidationError;

inline namespace parts {

Result fails() { return ValidationError{"amount", "must be positive"}; }

Result hands_on() {
    if (Result result = fails(); !result) {
        return result;
    }
    return {};
}

Result hands_on_the_error() {
    const Result result = hands_on();
    return result.error();
}

/// A text longer than any memory; nobody can copy it, so nobody may read it.
std::string_view endless() { return {"x", std::numeric_limits<std::size_t>::max() / 2}; }

} // namespace parts

TEST_CASE("a result is one pointer and a success unless told otherwise", "[error]") {
    STATIC_REQUIRE(sizeof(Result) == sizeof(void*));
    STATIC_REQUIRE(Result{}.ok());
    STATIC_REQUIRE_FALSE(std::is_convertible_v<Result, bool>);

    const Result success;
    const Result copy = success;

    CHECK(success);
    CHECK(copy.ok());
}

TEST_CASE("errors and results are copied and moved without throwing", "[error]") {
    STATIC_REQUIRE(std::is_nothrow_copy_constructible_v<ValidationError>);
    STATIC_REQUIRE(std::is_nothrow_copy_assignable_v<ValidationError>);
    STATIC_REQUIRE(std::is_nothrow_copy_constructible_v<Result>);
    STATIC_REQUIRE(std::is_nothrow_move_constructible_v<Result>);
    STATIC_REQUIRE(std::is_nothrow_constructible_v<ValidationError, const char*, int, const char*>);
    STATIC_REQUIRE_FALSE(std::is_default_constructible_v<Error>);
    STATIC_REQUIRE(sizeof(ValidationError) == sizeof(Error));
    STATIC_REQUIRE(sizeof(Error) == 2 * sizeof(void*));
}

TEST_CASE("an error handed on through three functions is the same error in the same memory", "[error]") {
    const ValidationError made{"amount", "must be positive"};
    const auto through = [&made] {
        const auto inner = [&made]() -> Result { return made; };
        const auto middle = [&inner]() -> Result { return inner(); };
        return middle();
    };

    const support::AllocationCounter allocations;
    const Result result = through();

    CHECK(allocations.count() == 0);
    REQUIRE_FALSE(result);
    CHECK(result.error().what() == made.what());
    CHECK(gossip::is(result.error(), made));
}

TEST_CASE("a result says what failed after it was copied, moved and assigned", "[error]") {
    Result result = hands_on_the_error();
    const Result copy = result;
    Result target;

    target = std::move(result);
    result = Result{};

    CHECK(result.ok());
    CHECK(std::string{copy.error().what()} == "validation error on field 'amount': must be positive");
    CHECK(copy.error().what() == target.error().what());
}

TEST_CASE("a failed result that was moved from is still no success", "[error]") {
    Result result = fails();
    const Result target = std::move(result);

    CHECK_FALSE(result.ok()); // NOLINT(bugprone-use-after-move)
    CHECK_FALSE(target.ok());
    CHECK_FALSE(std::move(result).error().message().empty());
}

TEST_CASE("an error that was moved into a result can still be asked", "[error]") {
    ValidationError error{"amount", "must be positive"};

    const Result result = std::move(error);

    CHECK(gossip::is_validation(result.error()));
    CHECK(error.field().empty()); // NOLINT(bugprone-use-after-move)
    CHECK(std::string{error.what()} == "moved-from error");
}

TEST_CASE("making an error with its texts and its cause is one allocation", "[error]") {
    const RetryableError cause{"cause"};
    const std::string field(100, 'f');

    const support::AllocationCounter allocations;
    const ValidationError error{field, 250ms, "must be less than that", cause};
    const std::size_t counted = allocations.count();

    CHECK(counted == (support::allocations_are_counted() ? 1U : 0U));
    CHECK(error.value() == "250ms");
}

TEST_CASE("slicing to Error loses nothing", "[error]") {
    const Error sliced = ValidationError{"amount", -5, "must be positive"};

    const std::optional<ValidationError> again = gossip::as<ValidationError>(sliced);

    REQUIRE(again);
    CHECK(again->field() == "amount");
    CHECK(again->value() == "-5");
    CHECK(again->message() == "must be positive, got -5");
    CHECK(again->what() == sliced.what());
}

TEST_CASE("an error knows its cause, and describe tells the whole chain", "[error]") {
    const ProcessingError outer{"could not charge", TimeoutError{250ms, "no answer", RetryableError{"line is busy"}}};

    REQUIRE(outer.cause());
    CHECK(outer.cause()->kind() == gossip::ErrorKind::timeout);
    CHECK(outer.cause()->cause()->message() == "line is busy");
    CHECK_FALSE(outer.cause()->cause()->cause());
    CHECK(std::string{outer.what()} == "processing error: could not charge");
    CHECK(gossip::describe(outer) ==
          "processing error: could not charge: timeout after 250ms: no answer: retryable error: line is busy");
}

TEST_CASE("a cause outlives the error that it was given from", "[error]") {
    std::optional<Error> cause;
    {
        const ProcessingError outer{"outer", FatalError{std::string(100, 'x')}};
        cause = outer.cause();
    }

    REQUIRE(cause);
    CHECK(cause->message() == std::string(100, 'x'));
}

TEST_CASE("a cause added later stands behind the causes that are there", "[error]") {
    const ProcessingError outer{"outer", RetryableError{"middle"}};

    const Error extended = outer.with_cause(FatalError{"inner"});

    CHECK(gossip::describe(extended) == "processing error: outer: retryable error: middle: fatal error: inner");
    CHECK(gossip::describe(outer) == "processing error: outer: retryable error: middle");
}

TEST_CASE("an error keeps its fields when a cause is added", "[error]") {
    const gossip::UnsupportedEventTypeError plain{"a.c", {"a.a", "a.b"}};

    const Error extended = plain.with_cause(TimeoutError{1s});
    const auto again = gossip::as<gossip::UnsupportedEventTypeError>(extended);

    REQUIRE(again);
    CHECK(std::string{again->what()} == plain.what());
    CHECK(again->message() == plain.message());
    CHECK(again->type() == "a.c");
    REQUIRE(again->supported_types().size() == 2);
    CHECK(again->supported_types()[1] == "a.b");
    CHECK(gossip::as<TimeoutError>(extended)->timeout() == 1s);
}

TEST_CASE("an error for which there was no memory still says so with a cause", "[error]") {
    for (const gossip::detail::ErrorBlock& block : gossip::detail::out_of_memory_blocks) {
        const Error error{gossip::detail::ErrorRef::share(&block)};

        CHECK(gossip::is(error.with_cause(TimeoutError{1s}), gossip::errors::out_of_memory));
        CHECK(gossip::is(error.with_cause(TimeoutError{1s}), error));
    }
}

TEST_CASE("is compares by identity, not by text", "[error]") {
    const RetryableError one{"busy"};
    const RetryableError twin{"busy"};
    const Error copy = one;

    CHECK(gossip::is(copy, one));
    CHECK(gossip::is(ProcessingError{"outer", copy}, one));
    CHECK_FALSE(gossip::is(twin, one));
    CHECK_FALSE(gossip::is(one, ProcessingError{"outer", one}));
}

TEST_CASE("rethrow throws the concrete kind", "[error]") {
    const Error sliced = ValidationError{"amount", "must be positive"};

    CHECK_THROWS_AS(sliced.rethrow(), ValidationError);
    CHECK_THROWS_AS(Error{RetryableError{"x"}}.rethrow(), RetryableError);
    CHECK_THROWS_AS(Error{ProcessingError{"x"}}.rethrow(), ProcessingError);
    CHECK_THROWS_AS(Error{TimeoutError{1s}}.rethrow(), TimeoutError);
    CHECK_THROWS_AS(Error{FatalError{"x"}}.rethrow(), FatalError);
    CHECK_THROWS_AS((Error{gossip::TypeAssertionError{"a", "b"}}.rethrow()), gossip::TypeAssertionError);
    CHECK_THROWS_AS(Error{gossip::NoDataError{"x"}}.rethrow(), gossip::NoDataError);
    CHECK_THROWS_AS((Error{gossip::InvalidEventError{"a", "b", "c"}}.rethrow()), gossip::InvalidEventError);
    CHECK_THROWS_AS(Error{gossip::UnsupportedEventTypeError{"x"}}.rethrow(), gossip::UnsupportedEventTypeError);
    CHECK_THROWS_AS(sliced.rethrow(), std::exception);
}

TEST_CASE("an error for which there is no memory keeps its kind and says so", "[error]") {
    const ValidationError error{"amount", endless()};

    CHECK(gossip::is_validation(error));
    CHECK(gossip::is(error, gossip::errors::out_of_memory));
    CHECK(std::string{error.what()} == "validation error: out of memory");
    CHECK(error.field().empty());
}

TEST_CASE("each kind has a stand-in of its own for when there is no memory", "[error]") {
    const std::string_view text = endless();
    const std::array<Error, 9> all{RetryableError{text},
                                   ValidationError{"field", text},
                                   ProcessingError{text},
                                   TimeoutError{1s, text},
                                   FatalError{text},
                                   gossip::TypeAssertionError{text, text},
                                   gossip::NoDataError{text},
                                   gossip::InvalidEventError{text, text, text},
                                   gossip::UnsupportedEventTypeError{text, {text, text}}};

    for (std::size_t i = 0; i < all.size(); ++i) {
        CAPTURE(i);
        CHECK(all[i].kind() == static_cast<gossip::ErrorKind>(i));
        CHECK(gossip::is(all[i], gossip::errors::out_of_memory));
    }
}

TEST_CASE("a very long chain of causes is freed without running out of stack", "[error]") {
    std::optional<Error> chain = RetryableError{"innermost"};
    for (int i = 0; i < 200'000; ++i) {
        chain = ProcessingError{"x", *chain};
    }

    CHECK(gossip::is_retryable(*chain));
    chain.reset();
    CHECK_FALSE(chain);
}

TEST_CASE("copies of one error may be used and dropped on many threads", "[error]") {
    std::vector<std::thread> threads;
    {
        const Error error = ProcessingError{"outer", TimeoutError{1s, "inner"}};
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([error] {
                for (int i = 0; i < 1000; ++i) {
                    const Result result = error;
                    const Error copy = result.error();
                    if (!gossip::is_timeout(copy)) {
                        std::terminate();
                    }
                }
            });
        }
    }

    for (std::thread& thread : threads) {
        thread.join();
    }
    SUCCEED();
}

TEST_CASE("the foreign exception is destroyed with the last copy of its error", "[error]") {
    const auto witness = std::make_shared<int>(1);
    std::optional<Error> error = ProcessingError{"x", std::make_exception_ptr(witness)};
    std::optional<Error> copy = error->with_cause(FatalError{"y"});

    error.reset();
    CHECK(witness.use_count() == 2);
    copy.reset();

    CHECK(witness.use_count() == 1);
}

} // namespace error_test
