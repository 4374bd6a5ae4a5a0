#pragma once

#include <gossip/core/error.hpp>
#include <gossip/core/value_text.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// A failure that another attempt may not meet.
class RetryableError : public Error {
public:
    using Error::Error;
    explicit RetryableError(std::string_view message, Cause cause = {}) noexcept
        : Error{detail::make_error({.kind = ErrorKind::retryable,
                                    .prefix = {"retryable error"},
                                    .message = {message},
                                    .cause = cause.block()})} {}
};

/// Data that breaks a rule; never tried again. `validation error on field 'buffer_size': must be at least 2, got 0`.
class ValidationError : public Error {
public:
    using Error::Error;
    ValidationError(std::string_view field, std::string_view message, Cause cause = {}) noexcept
        : Error{detail::make_error({.kind = ErrorKind::validation,
                                    .prefix = {"validation error on field '", field, "'"},
                                    .message = {message},
                                    .texts = {field},
                                    .cause = cause.block()})} {}
    ValidationError(std::string_view field, std::string_view value, std::string_view rule, Cause cause = {}) noexcept
        : Error{detail::make_error({.kind = ErrorKind::validation,
                                    .prefix = {"validation error on field '", field, "'"},
                                    .message = {rule, ", got ", value.empty() ? "''" : value},
                                    .texts = {field, value, rule},
                                    .cause = cause.block()})} {}
    /// `value` is a number, a bool or a duration.
    template <detail::writable_value Value>
    ValidationError(std::string_view field, Value value, std::string_view rule, Cause cause = {}) noexcept
        : ValidationError(field, std::string_view{detail::ValueText{value}}, rule, cause) {}

    [[nodiscard]] std::string_view field() const noexcept { return text(0); }
    /// Empty when the error was made without one.
    [[nodiscard]] std::string_view value() const noexcept { return text(1); }
    /// The message without ", got <value>".
    [[nodiscard]] std::string_view rule() const noexcept { return block().texts.size() > 2 ? text(2) : message(); }
};

/// A processor that failed, or a foreign exception that ended it.
class ProcessingError : public Error {
public:
    using Error::Error;
    explicit ProcessingError(std::string_view message, Cause cause = {}) noexcept
        : ProcessingError(message, std::exception_ptr{}, cause) {}
    ProcessingError(std::string_view message, std::exception_ptr exception, Cause cause = {}) noexcept
        : Error{detail::make_error({.kind = ErrorKind::processing,
                                    .prefix = {"processing error"},
                                    .message = {message},
                                    .cause = cause.block(),
                                    .exception = std::move(exception)})} {}

    /// The foreign exception, to look at or to throw again; null if there was none.
    [[nodiscard]] std::exception_ptr exception() const noexcept { return detail::exception_of(block()); }
};

/// Something took longer than it was given. `timeout after 250ms: bank did not answer`.
class TimeoutError : public Error {
public:
    using Error::Error;
    template <class Rep, class Period>
    explicit TimeoutError(std::chrono::duration<Rep, Period> timeout, std::string_view message = {},
                          Cause cause = {}) noexcept
        : Error{detail::make_error({.kind = ErrorKind::timeout,
                                    .prefix = {"timeout after ", detail::ValueText{timeout}},
                                    .message = {message},
                                    .nanoseconds = detail::clamped_nanoseconds(timeout).count(),
                                    .cause = cause.block()})} {}
    template <class Rep, class Period>
    TimeoutError(std::chrono::duration<Rep, Period> timeout, Cause cause) noexcept
        : TimeoutError(timeout, std::string_view{}, cause) {}

    /// What was given; clamped to what nanoseconds can say. Zero for the ready-made error.
    [[nodiscard]] std::chrono::nanoseconds timeout() const noexcept {
        return std::chrono::nanoseconds{block().nanoseconds};
    }
};

/// A failure that no further attempt can mend; never tried again.
class FatalError : public Error {
public:
    using Error::Error;
    explicit FatalError(std::string_view message, Cause cause = {}) noexcept
        : Error{detail::make_error(
              {.kind = ErrorKind::fatal, .prefix = {"fatal error"}, .message = {message}, .cause = cause.block()})} {}
};

/// Data of another type than was asked for. `type assertion failed: expected std::string, got int`.
class TypeAssertionError : public Error {
public:
    using Error::Error;
    TypeAssertionError(std::string_view expected, std::string_view actual, Cause cause = {}) noexcept
        : Error{detail::make_error({.kind = ErrorKind::type_assertion,
                                    .prefix = {"type assertion failed"},
                                    .message = {"expected ", expected, ", got ", actual},
                                    .texts = {expected, actual},
                                    .cause = cause.block()})} {}

    [[nodiscard]] std::string_view expected() const noexcept { return text(0); }
    [[nodiscard]] std::string_view actual() const noexcept { return text(1); }
};

/// Data that is not there. `no data in field 'data'`.
class NoDataError : public Error {
public:
    using Error::Error;
    explicit NoDataError(std::string_view field, std::string_view message = {}, Cause cause = {}) noexcept
        : Error{detail::make_error({.kind = ErrorKind::no_data,
                                    .prefix = {"no data in field '", field, "'"},
                                    .message = {message},
                                    .texts = {field},
                                    .cause = cause.block()})} {}
    NoDataError(std::string_view field, Cause cause) noexcept : NoDataError(field, std::string_view{}, cause) {}

    [[nodiscard]] std::string_view field() const noexcept { return text(0); }
};

/// An event that cannot be handled as it is. `invalid event 'evt-7', field 'type': must not be empty`.
class InvalidEventError : public Error {
public:
    using Error::Error;
    InvalidEventError(std::string_view event_id, std::string_view field, std::string_view reason,
                      Cause cause = {}) noexcept
        : Error{detail::make_error({.kind = ErrorKind::invalid_event,
                                    .prefix = {"invalid event '", event_id, "', field '", field, "'"},
                                    .message = {reason},
                                    .texts = {event_id, field},
                                    .cause = cause.block()})} {}

    [[nodiscard]] std::string_view event_id() const noexcept { return text(0); }
    [[nodiscard]] std::string_view field() const noexcept { return text(1); }
    [[nodiscard]] std::string_view reason() const noexcept { return message(); }
};

/// An event of a type that is not spoken here. `unsupported event type 'a.c': supported are a.a, a.b`.
class UnsupportedEventTypeError : public Error {
public:
    using Error::Error;
    /// `supported` is any array of texts: a braced list, a vector of strings.
    explicit UnsupportedEventTypeError(std::string_view type, detail::TextList supported = {},
                                       Cause cause = {}) noexcept
        : Error{detail::make_error({.kind = ErrorKind::unsupported_event_type,
                                    .prefix = {"unsupported event type '", type, "'"},
                                    .message = {supported.size() == 0 ? "" : "supported are "},
                                    .list = supported,
                                    .texts = {type},
                                    .cause = cause.block()})} {}

    [[nodiscard]] std::string_view type() const noexcept { return text(0); }
    [[nodiscard]] std::span<const std::string_view> supported_types() const noexcept {
        return block().texts.empty() ? block().texts : block().texts.subspan(1);
    }
};

namespace detail {

template <class E>
struct KindOf {};

template <ErrorKind K>
struct IsKind {
    static constexpr ErrorKind value = K;
};

// clang-format off
template <> struct KindOf<RetryableError> : IsKind<ErrorKind::retryable> {};
template <> struct KindOf<ValidationError> : IsKind<ErrorKind::validation> {};
template <> struct KindOf<ProcessingError> : IsKind<ErrorKind::processing> {};
template <> struct KindOf<TimeoutError> : IsKind<ErrorKind::timeout> {};
template <> struct KindOf<FatalError> : IsKind<ErrorKind::fatal> {};
template <> struct KindOf<TypeAssertionError> : IsKind<ErrorKind::type_assertion> {};
template <> struct KindOf<NoDataError> : IsKind<ErrorKind::no_data> {};
template <> struct KindOf<InvalidEventError> : IsKind<ErrorKind::invalid_event> {};
template <> struct KindOf<UnsupportedEventTypeError> : IsKind<ErrorKind::unsupported_event_type> {};
// clang-format on

template <class E>
concept error_kind = requires {
    KindOf<E>::value;
};

} // namespace detail

/// The first error of kind E in the chain of causes, `error` itself included.
template <class E>
[[nodiscard]] std::optional<E> as(const Error& error) noexcept {
    static_assert(detail::error_kind<E>, "gossip: as<E>() looks for one of the kinds in gossip/core/errors.hpp");
    if (const detail::ErrorBlock* const found = detail::find_kind(error, detail::KindOf<E>::value)) {
        return E{detail::ErrorRef::share(found)};
    }
    return std::nullopt;
}

// Whether that kind is anywhere in the chain of causes, `error` itself included.
[[nodiscard]] inline bool is_retryable(const Error& error) noexcept {
    return detail::find_kind(error, ErrorKind::retryable) != nullptr;
}
[[nodiscard]] inline bool is_validation(const Error& error) noexcept {
    return detail::find_kind(error, ErrorKind::validation) != nullptr;
}
[[nodiscard]] inline bool is_processing(const Error& error) noexcept {
    return detail::find_kind(error, ErrorKind::processing) != nullptr;
}
[[nodiscard]] inline bool is_timeout(const Error& error) noexcept {
    return detail::find_kind(error, ErrorKind::timeout) != nullptr;
}
[[nodiscard]] inline bool is_fatal(const Error& error) noexcept {
    return detail::find_kind(error, ErrorKind::fatal) != nullptr;
}
[[nodiscard]] inline bool is_type_assertion(const Error& error) noexcept {
    return detail::find_kind(error, ErrorKind::type_assertion) != nullptr;
}
[[nodiscard]] inline bool is_no_data(const Error& error) noexcept {
    return detail::find_kind(error, ErrorKind::no_data) != nullptr;
}
[[nodiscard]] inline bool is_invalid_event(const Error& error) noexcept {
    return detail::find_kind(error, ErrorKind::invalid_event) != nullptr;
}
[[nodiscard]] inline bool is_unsupported_event_type(const Error& error) noexcept {
    return detail::find_kind(error, ErrorKind::unsupported_event_type) != nullptr;
}

inline void Error::rethrow() const {
    switch (kind()) {
    case ErrorKind::retryable:
        GOSSIP_THROW(RetryableError{ref_});
    case ErrorKind::validation:
        GOSSIP_THROW(ValidationError{ref_});
    case ErrorKind::processing:
        GOSSIP_THROW(ProcessingError{ref_});
    case ErrorKind::timeout:
        GOSSIP_THROW(TimeoutError{ref_});
    case ErrorKind::fatal:
        GOSSIP_THROW(FatalError{ref_});
    case ErrorKind::type_assertion:
        GOSSIP_THROW(TypeAssertionError{ref_});
    case ErrorKind::no_data:
        GOSSIP_THROW(NoDataError{ref_});
    case ErrorKind::invalid_event:
        GOSSIP_THROW(InvalidEventError{ref_});
    case ErrorKind::unsupported_event_type:
        GOSSIP_THROW(UnsupportedEventTypeError{ref_});
    }
    std::terminate();
}

/// The common failures, ready-made: nothing to fill in, compared by identity with `is`.
namespace errors {

namespace blocks {

#pragma GCC visibility push(default) // one of each for all libraries of a program: compared by address

inline constinit const detail::ErrorBlock nil_data = detail::immortal_error(ErrorKind::no_data, "event has no data");
inline constinit const detail::ErrorBlock type_assertion_failed =
    detail::immortal_error(ErrorKind::type_assertion, "type assertion failed");
inline constinit const detail::ErrorBlock invalid_event =
    detail::immortal_error(ErrorKind::invalid_event, "invalid event");
inline constinit const detail::ErrorBlock unsupported_event_type =
    detail::immortal_error(ErrorKind::unsupported_event_type, "unsupported event type");
inline constinit const detail::ErrorBlock retryable = detail::immortal_error(ErrorKind::retryable, "retryable error");
inline constinit const detail::ErrorBlock validation_failed =
    detail::immortal_error(ErrorKind::validation, "validation failed");
inline constinit const detail::ErrorBlock processing_failed =
    detail::immortal_error(ErrorKind::processing, "processing failed");
inline constinit const detail::ErrorBlock timeout = detail::immortal_error(ErrorKind::timeout, "timeout");
inline constinit const detail::ErrorBlock fatal = detail::immortal_error(ErrorKind::fatal, "fatal error");
inline constinit const detail::ErrorBlock closed = detail::immortal_error(ErrorKind::processing, "event bus is closed");
inline constinit const detail::ErrorBlock full = detail::immortal_error(ErrorKind::retryable, "event buffer is full");
inline constinit const detail::ErrorBlock unavailable =
    detail::immortal_error(ErrorKind::retryable, "the transport is not available");
inline constinit const detail::ErrorBlock too_large =
    detail::immortal_error(ErrorKind::validation, "event is too large for the transport");
inline constinit const detail::ErrorBlock not_encodable =
    detail::immortal_error(ErrorKind::validation, "event data cannot be encoded");
inline constinit const detail::ErrorBlock abandoned =
    detail::immortal_error(ErrorKind::processing, "event was abandoned at shutdown");
inline constinit const detail::ErrorBlock deadlock = detail::immortal_error(
    ErrorKind::processing, "a processor with limited concurrency waits for the one that publishes to it");
inline constinit const detail::ErrorBlock deferral_dropped =
    detail::immortal_error(ErrorKind::processing, "deferral was dropped before it was ended");
inline constinit const detail::ErrorBlock cancelled =
    detail::immortal_error(ErrorKind::processing, "processing was cancelled");

#pragma GCC visibility pop

} // namespace blocks

inline constexpr ReadyMade<NoDataError> nil_data{blocks::nil_data};
inline constexpr ReadyMade<TypeAssertionError> type_assertion_failed{blocks::type_assertion_failed};
inline constexpr ReadyMade<InvalidEventError> invalid_event{blocks::invalid_event};
inline constexpr ReadyMade<UnsupportedEventTypeError> unsupported_event_type{blocks::unsupported_event_type};
inline constexpr ReadyMade<RetryableError> retryable{blocks::retryable};
inline constexpr ReadyMade<ValidationError> validation_failed{blocks::validation_failed};
inline constexpr ReadyMade<ProcessingError> processing_failed{blocks::processing_failed};
inline constexpr ReadyMade<TimeoutError> timeout{blocks::timeout};
inline constexpr ReadyMade<FatalError> fatal{blocks::fatal};
inline constexpr ReadyMade<ProcessingError> closed{blocks::closed};
inline constexpr ReadyMade<RetryableError> full{blocks::full};
inline constexpr ReadyMade<RetryableError> unavailable{blocks::unavailable};
inline constexpr ReadyMade<ValidationError> too_large{blocks::too_large};
inline constexpr ReadyMade<ValidationError> not_encodable{blocks::not_encodable};
inline constexpr ReadyMade<ProcessingError> abandoned{blocks::abandoned};
inline constexpr ReadyMade<ProcessingError> deadlock{blocks::deadlock};
inline constexpr ReadyMade<ProcessingError> deferral_dropped{blocks::deferral_dropped};
inline constexpr ReadyMade<ProcessingError> cancelled{blocks::cancelled};
inline constexpr ReadyMade<ProcessingError> out_of_memory{detail::out_of_memory_block};

} // namespace errors

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
