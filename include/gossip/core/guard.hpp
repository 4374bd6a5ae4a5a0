#pragma once

#include <gossip/core/errors.hpp>

#include <concepts>
#include <exception>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

namespace detail {

template <class F>
Result call_for_result(F&& f) {
    if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
        std::forward<F>(f)();
        return {};
    } else {
        return std::forward<F>(f)();
    }
}

#if defined(__cpp_exceptions)

/// Thrown by nobody.
struct NoException {};

[[nodiscard]] Result caught_nested(const std::exception_ptr& inner) noexcept;

[[nodiscard]] inline Result caught_foreign(const char* text) noexcept {
    return ProcessingError{text != nullptr ? std::string_view{text} : std::string_view{}, std::current_exception()};
}

/// Calls `f` and makes a Result of how it ends. What is caught as a Nested is taken apart; the handlers below see the
/// rest.
template <class Nested, class F>
Result call_guarded(F&& f) noexcept {
    try {
        return call_for_result(std::forward<F>(f));
    } catch ([[maybe_unused]] const Nested& nested) {
        if constexpr (std::same_as<Nested, std::nested_exception>) {
            return caught_nested(nested.nested_ptr());
        } else {
            std::terminate();
        }
    } catch (const Error& error) {
        return error;
    } catch (const ReadyMadeError& error) {
        return error;
    } catch (const std::exception& exception) {
        return caught_foreign(exception.what());
    } catch (...) {
        return caught_foreign("unknown exception");
    }
}

/// The exception in flight is also a std::nested_exception: `inner` becomes the cause of what it is otherwise.
inline Result caught_nested(const std::exception_ptr& inner) noexcept {
    Result outer = call_guarded<NoException>([] { throw; });
    if (inner == nullptr) {
        return outer;
    }
    const Result cause = call_guarded<std::nested_exception>([&inner] { std::rethrow_exception(inner); });
    return outer.error().with_cause(cause.error());
}

#endif

} // namespace detail

/// Calls `f`, which returns nothing or something convertible to Result, and returns how it ended: the one place where
/// exceptions become errors.
///
/// An Error that is thrown comes back as that error, whatever its kind. A foreign exception becomes a ProcessingError
/// that keeps the text and the exception_ptr; std::nested_exceptions become the chain of causes.
///
/// Cost:   nothing beside the call while nothing is thrown. Compiled without exceptions it is the call.
/// Errors: never throws. Where there is no memory for the error, it is one that `is` errors::out_of_memory.
template <class F>
Result guard(F&& f) noexcept {
    static_assert(std::invocable<F>, "gossip: guard() takes a callable without arguments");
    if constexpr (std::invocable<F>) {
        using Returned = std::invoke_result_t<F>;
        static_assert(std::is_void_v<Returned> || std::convertible_to<Returned, Result>,
                      "gossip: what guard() calls returns nothing or something convertible to gossip::Result");
#if defined(__cpp_exceptions)
        return detail::call_guarded<std::nested_exception>(std::forward<F>(f));
#else
        return detail::call_for_result(std::forward<F>(f));
#endif
    }
}

namespace detail {

/// Calls `f` as guard() does, but lets std::bad_alloc through, and throws it for what `is` errors::out_of_memory: for
/// who has done nothing then and has somebody to tell.
template <class F>
Result guard_unless_out_of_memory(F&& f) {
    Result result = guard([&]() -> Result {
#if defined(__cpp_exceptions)
        try {
            return call_for_result(std::forward<F>(f));
        } catch (const std::bad_alloc&) {
            return errors::out_of_memory;
        }
#else
        return call_for_result(std::forward<F>(f));
#endif
    });
    if (!result && is(result.error(), errors::out_of_memory)) {
        GOSSIP_THROW(std::bad_alloc{});
    }
    return result;
}

/// Whether `f` ran without failing; for what may be left undone.
template <class F>
bool succeeds(F&& f) noexcept {
    return guard(std::forward<F>(f)).ok();
}

} // namespace detail

/// The error that guard() would have made of this exception; errors::processing_failed for the null pointer.
[[nodiscard]] inline Error from_exception_ptr(std::exception_ptr exception) noexcept {
    if (exception == nullptr) {
        return errors::processing_failed;
    }
#if defined(__cpp_exceptions)
    return guard([&exception] { std::rethrow_exception(exception); }).error();
#else
    return ProcessingError{"unknown exception", std::move(exception)};
#endif
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
