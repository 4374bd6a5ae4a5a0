#include <gossip/core/errors.hpp>

#include <array>
#include <chrono>
#include <exception>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "support/catch.hpp"

namespace errors_test {

using namespace std::chrono_literals;
namespace errors = gossip::errors;

inline namespace parts {

std::string line(const gossip::Error& error) { return error.what(); }

// Asked before main has begun, in a translation unit that may be initialised before any other.
const bool known_before_main = gossip::is_timeout(errors::timeout) && line(errors::closed) == "event bus is closed";

// Asked after main has ended.
struct AsksLate {
    AsksLate() = default;
    AsksLate(const AsksLate&) = delete;
    AsksLate& operator=(const AsksLate&) = delete;
    ~AsksLate() {
        if (!gossip::is(gossip::Result{errors::fatal}.error(), errors::fatal)) {
            std::terminate();
        }
    }
};
const AsksLate asks_late;

} // namespace parts

TEST_CASE("messages read well", "[errors]") {
    CHECK(line(gossip::RetryableError{"bank is busy"}) == "retryable error: bank is busy");
    CHECK(line(gossip::ValidationError{"amount", "must be positive"}) ==
          "validation error on field 'amount': must be positive");
    CHECK(line(gossip::ValidationError{"buffer_size", 0, "must be at least 2"}) ==
          "validation error on field 'buffer_size': must be at least 2, got 0");
    CHECK(line(gossip::ProcessingError{"could not charge"}) == "processing error: could not charge");
    CHECK(line(gossip::TimeoutError{250ms, "bank did not answer"}) == "timeout after 250ms: bank did not answer");
    CHECK(line(gossip::TimeoutError{1500ms}) == "timeout after 1.5s");
    CHECK(line(gossip::FatalError{"card is stolen"}) == "fatal error: card is stolen");
    CHECK(line(gossip::TypeAssertionError{"std::string", "int"}) ==
          "type assertion failed: expected std::string, got int");
    CHECK(line(gossip::NoDataError{"data"}) == "no data in field 'data'");
    CHECK(line(gossip::NoDataError{"data", "the event carries none"}) ==
          "no data in field 'data': the event carries none");
    CHECK(line(gossip::InvalidEventError{"evt-7", "type", "must not be empty"}) ==
          "invalid event 'evt-7', field 'type': must not be empty");
    CHECK(line(gossip::UnsupportedEventTypeError{"a.c", {"a.a", "a.b"}}) ==
          "unsupported event type 'a.c': supported are a.a, a.b");
    CHECK(line(gossip::UnsupportedEventTypeError{"a.c"}) == "unsupported event type 'a.c'");
}

TEST_CASE("message is what the error was told, without the words of its kind", "[errors]") {
    CHECK(gossip::RetryableError{"bank is busy"}.message() == "bank is busy");
    CHECK(gossip::ValidationError{"amount", "must be positive"}.message() == "must be positive");
    CHECK(gossip::TimeoutError{1s, "no answer"}.message() == "no answer");
    CHECK(gossip::TimeoutError{1s}.message().empty());
    CHECK(gossip::InvalidEventError{"1", "type", "must not be empty"}.reason() == "must not be empty");
}

TEST_CASE("a validation error has the field and the value as text", "[errors]") {
    using gossip::ValidationError;

    CHECK(ValidationError{"name", "Bob", "must be unique"}.value() == "Bob");
    CHECK(ValidationError{"name", std::string{"Bob"}, "must be unique"}.value() == "Bob");
    CHECK(ValidationError{"workers", -3, "must not be negative"}.value() == "-3");
    CHECK(ValidationError{"rate", 0.5, "must be 1"}.value() == "0.5");
    CHECK(ValidationError{"trim", true, "must be off"}.value() == "true");
    CHECK(ValidationError{"delay", -5ms, "must not be negative"}.value() == "-5ms");
    CHECK(ValidationError{"amount", "must be positive"}.value().empty());
    CHECK(ValidationError{"amount", "must be positive"}.field() == "amount");
    CHECK(ValidationError{"amount", "must be positive"}.rule() == "must be positive");
    CHECK(ValidationError{"amount", -1, "must be positive"}.rule() == "must be positive");
    CHECK(ValidationError{"amount", -1, "must be positive"}.message() == "must be positive, got -1");
    CHECK(line(ValidationError{"name", "", "must be set"}) == "validation error on field 'name': must be set, got ''");
}

TEST_CASE("a timeout is a duration that compares with any other", "[errors]") {
    CHECK(gossip::TimeoutError{250ms}.timeout() == 250ms);
    CHECK(gossip::TimeoutError{0ns}.timeout() == 0s);
    CHECK(gossip::TimeoutError{std::chrono::duration<double>{0.5}}.timeout() == 500ms);
    CHECK(gossip::TimeoutError{std::chrono::hours::max()}.timeout() == std::chrono::nanoseconds::max());
    CHECK(gossip::TimeoutError{std::chrono::hours::min()}.timeout() == std::chrono::nanoseconds::min());
}

TEST_CASE("supported types may come as a list, a vector or an array", "[errors]") {
    const std::vector<std::string> strings{"a.a", "a.b"};
    const std::array<std::string_view, 2> views{"a.a", "a.b"};

    for (const auto& error :
         {gossip::UnsupportedEventTypeError{"x", strings}, gossip::UnsupportedEventTypeError{"x", views},
          gossip::UnsupportedEventTypeError{"x", {"a.a", "a.b"}}}) {
        REQUIRE(error.supported_types().size() == 2);
        CHECK(error.type() == "x");
        CHECK(error.supported_types()[0] == "a.a");
        CHECK(error.supported_types()[1] == "a.b");
    }
    CHECK(gossip::UnsupportedEventTypeError{"x"}.supported_types().empty());
}

TEST_CASE("the texts of an error are its own", "[errors]") {
    std::string id = "evt-with-an-id-that-is-rather-long";
    std::string field = "field-with-a-name-that-is-rather-long";
    const gossip::InvalidEventError error{id, field, "reason"};
    id.assign(id.size(), '-');
    field.assign(field.size(), '-');

    CHECK(error.event_id() == "evt-with-an-id-that-is-rather-long");
    CHECK(error.field() == "field-with-a-name-that-is-rather-long");
}

TEST_CASE("every kind takes a cause as its last argument", "[errors]") {
    const gossip::FatalError cause{"cause"};
    const gossip::Error all[] = {
        gossip::RetryableError{"m", cause},
        gossip::ValidationError{"f", "m", cause},
        gossip::ValidationError{"f", 1, "m", cause},
        gossip::ValidationError{"f", "v", "m", cause},
        gossip::ProcessingError{"m", cause},
        gossip::ProcessingError{"m", std::exception_ptr{}, cause},
        gossip::TimeoutError{1s, "m", cause},
        gossip::TimeoutError{1s, cause},
        gossip::FatalError{"m", cause},
        gossip::TypeAssertionError{"e", "a", cause},
        gossip::NoDataError{"f", "m", cause},
        gossip::NoDataError{"f", cause},
        gossip::InvalidEventError{"i", "f", "r", cause},
        gossip::UnsupportedEventTypeError{"t", {"s"}, cause},
        gossip::UnsupportedEventTypeError{"t", {}, cause},
    };

    for (const gossip::Error& error : all) {
        CAPTURE(error.what());
        CHECK(gossip::is(error, cause));
        CHECK(gossip::is_fatal(error));
    }
}

TEST_CASE("predicates and as find a kind anywhere in the chain, and only what is there", "[errors]") {
    const gossip::ProcessingError outer{"could not charge", gossip::TimeoutError{250ms, "bank did not answer"}};

    CHECK(gossip::is_processing(outer));
    CHECK(gossip::is_timeout(outer));
    CHECK(gossip::as<gossip::TimeoutError>(outer)->timeout() == 250ms);
    CHECK_FALSE(gossip::is_retryable(outer));
    CHECK_FALSE(gossip::is_validation(outer));
    CHECK_FALSE(gossip::is_fatal(outer));
    CHECK_FALSE(gossip::is_type_assertion(outer));
    CHECK_FALSE(gossip::is_no_data(outer));
    CHECK_FALSE(gossip::is_invalid_event(outer));
    CHECK_FALSE(gossip::is_unsupported_event_type(outer));
    CHECK_FALSE(gossip::as<gossip::FatalError>(outer));
}

TEST_CASE("a ready-made error is an error of its kind", "[errors]") {
    CHECK(gossip::is_no_data(errors::nil_data));
    CHECK(gossip::is_type_assertion(errors::type_assertion_failed));
    CHECK(gossip::is_invalid_event(errors::invalid_event));
    CHECK(gossip::is_unsupported_event_type(errors::unsupported_event_type));
    CHECK(gossip::is_retryable(errors::retryable));
    CHECK(gossip::is_validation(errors::validation_failed));
    CHECK(gossip::is_processing(errors::processing_failed));
    CHECK(gossip::is_timeout(errors::timeout));
    CHECK(gossip::is_fatal(errors::fatal));
    CHECK(gossip::is_processing(errors::closed));
    CHECK(gossip::is_retryable(errors::full));
    CHECK(gossip::is_processing(errors::abandoned));
    CHECK(gossip::is_processing(errors::deferral_dropped));
    CHECK(gossip::is_processing(errors::cancelled));
}

TEST_CASE("a ready-made error is found by identity through results, copies and causes", "[errors]") {
    const gossip::Result none = errors::nil_data;
    const gossip::ProcessingError outer{"outer", errors::nil_data};
    const gossip::Error copy = errors::nil_data;

    CHECK(gossip::is(none.error(), errors::nil_data));
    CHECK(gossip::is(outer, errors::nil_data));
    CHECK(gossip::is(copy, errors::nil_data));
    CHECK_FALSE(gossip::is(none.error(), errors::timeout));
    CHECK_FALSE(gossip::is(gossip::NoDataError{"event has no data"}, errors::nil_data));
}

TEST_CASE("a ready-made error with a cause is still that ready-made error", "[errors]") {
    const gossip::TimeoutError timeout = errors::timeout;

    const gossip::Error caused = timeout.with_cause(errors::cancelled);

    CHECK(gossip::is(caused, errors::timeout));
    CHECK(gossip::is(caused, errors::cancelled));
    CHECK(gossip::describe(caused) == "timeout: processing was cancelled");
    CHECK(gossip::is(caused.with_cause(errors::fatal), errors::timeout));
}

TEST_CASE("ready-made errors are constants, known before main and after it", "[errors]") {
    constexpr auto timeout = errors::timeout;
    STATIC_REQUIRE(std::is_trivially_destructible_v<decltype(timeout)>);

    CHECK(known_before_main);
    CHECK(timeout.message() == "timeout");
    CHECK_THROWS_AS(errors::timeout.rethrow(), gossip::TimeoutError);
    CHECK(gossip::TimeoutError{errors::timeout}.timeout() == 0s);
    CHECK(gossip::UnsupportedEventTypeError{errors::unsupported_event_type}.supported_types().empty());
}

} // namespace errors_test
