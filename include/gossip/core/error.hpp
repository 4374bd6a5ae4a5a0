#pragma once

#include <gossip/core/error_block.hpp>
#include <gossip/platform.hpp> // GOSSIP_THROW

#include <cassert>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

class Error;

namespace detail {
inline const ErrorBlock* block_of(const Error& error) noexcept;
} // namespace detail

/// What went wrong: a kind, a readable line, and the error that caused it, if any. To return as a value or to throw.
///
/// The concrete kinds (core/errors.hpp) add constructors and accessors but no data: an Error copied from a
/// ValidationError still is that validation error, and `as<ValidationError>` hands it back. All texts are views into
/// the error and live as long as any copy of it.
///
/// Threads: an error never changes; copies share it and may be used and dropped on any thread.
/// Cost:    a copy is one counted pointer and allocates nothing; a new error is one allocation.
/// Owns:    its causes, and the foreign exception it was made from, which is destroyed with the last copy.
/// Errors:  making one never throws. Without memory it keeps its kind and `is` errors::out_of_memory.
class Error : public std::exception {
public:
    explicit Error(detail::ErrorRef ref) noexcept : ref_{std::move(ref)} {}
    Error(const Error&) noexcept = default;
    Error& operator=(const Error&) noexcept = default;
    ~Error() override = default;

    /// The readable line of this error, without its causes: `validation error on field 'amount': must be positive`.
    [[nodiscard]] const char* what() const noexcept override { return block().what.data(); }

    /// What the error was told when it was made: `must be positive`.
    [[nodiscard]] std::string_view message() const noexcept { return block().message; }
    [[nodiscard]] ErrorKind kind() const noexcept { return block().kind; }
    [[nodiscard]] std::optional<Error> cause() const noexcept;

    /// This error with `cause` behind the last cause it has; without memory, this error as it is. A ready-made error
    /// remains one: `is` still finds it.
    ///
    /// Cost: one allocation for each error in the chain.
    [[nodiscard]] Error with_cause(const Error& cause) const noexcept;

    /// Throws this error as its concrete kind.
    [[noreturn]] void rethrow() const;

protected:
    [[nodiscard]] const detail::ErrorBlock& block() const noexcept { return *ref_.get(); }
    [[nodiscard]] std::string_view text(std::size_t i) const noexcept {
        return i < block().texts.size() ? block().texts[i] : std::string_view{};
    }

private:
    friend class Cause;
    friend class Result;
    friend const detail::ErrorBlock* detail::block_of(const Error& error) noexcept;

    detail::ErrorRef ref_;
};

namespace detail {

inline const ErrorBlock* block_of(const Error& error) noexcept { return error.ref_.get(); }

inline const ErrorBlock* find_kind(const Error& error, ErrorKind kind) noexcept {
    const ErrorBlock* block = block_of(error);
    while (block != nullptr && block->kind != kind) {
        block = block->cause;
    }
    return block;
}

/// The type behind every ready-made error: a pointer to an immortal block, so that it can be a constant.
class ReadyMadeError {
public:
    constexpr explicit ReadyMadeError(const ErrorBlock& block) noexcept : block_{&block} {}

    [[nodiscard]] constexpr const char* what() const noexcept { return block_->what.data(); }
    [[nodiscard]] constexpr std::string_view message() const noexcept { return block_->message; }
    [[nodiscard]] constexpr const ErrorBlock* block() const noexcept { return block_; }

private:
    const ErrorBlock* block_;
};

} // namespace detail

/// A constant that is an error of kind E wherever one is wanted; `is` finds it again by identity.
///
/// Usable before main and after it: its text is static and it is never constructed or destroyed at run time. `throw` it
/// as an E (`errors::timeout.rethrow()`): thrown bare it is caught by gossip, but by no `catch (const
/// std::exception&)`.
///
/// Cost: nothing is allocated and no count is touched, whatever is done with it.
template <class E>
class ReadyMade : public detail::ReadyMadeError {
public:
    using detail::ReadyMadeError::ReadyMadeError;

    operator E() const noexcept { return E{detail::ErrorRef::share(block())}; }
    [[noreturn]] void rethrow() const { E{*this}.rethrow(); }
};

/// The optional last argument of every kind: the error that led to this one. Lives for one call.
class Cause {
public:
    constexpr Cause() noexcept = default;
    Cause(const Error& error) noexcept : block_{error.ref_.get()} {}
    constexpr Cause(const detail::ReadyMadeError& error) noexcept : block_{error.block()} {}

    [[nodiscard]] constexpr const detail::ErrorBlock* block() const noexcept { return block_; }

private:
    const detail::ErrorBlock* block_ = nullptr;
};

/// Success, or an Error. What a processor returns.
///
/// Cost: 8 bytes. Success is a null pointer: made, copied and destroyed for one compare, without atomics. Handing a
/// failure
///       on by value allocates nothing.
class [[nodiscard]] Result {
public:
    constexpr Result() noexcept = default;
    Result(const Error& error) noexcept : ref_{error.ref_} {}
    Result(Error&& error) noexcept : ref_{std::move(error.ref_)} {}
    Result(const detail::ReadyMadeError& error) noexcept : ref_{detail::ErrorRef::share(error.block())} {}

    /// True on success.
    [[nodiscard]] constexpr explicit operator bool() const noexcept { return ref_.get() == nullptr; }
    [[nodiscard]] constexpr bool ok() const noexcept { return ref_.get() == nullptr; }

    /// What failed. Only for a failed result.
    [[nodiscard]] Error error() const& noexcept {
        assert(!ok() && "gossip: Result::error() of a success");
        return Error{ref_};
    }
    [[nodiscard]] Error error() && noexcept {
        assert(!ok() && "gossip: Result::error() of a success");
        return Error{std::move(ref_)};
    }

private:
    detail::ErrorRef ref_;
};
static_assert(sizeof(Result) == sizeof(void*));

inline std::optional<Error> Error::cause() const noexcept {
    if (block().cause == nullptr) {
        return std::nullopt;
    }
    return Error{detail::ErrorRef::share(block().cause)};
}

inline Error Error::with_cause(const Error& cause) const noexcept {
    const detail::ErrorBlock& old = block();
    const Error last = old.cause == nullptr ? cause : this->cause()->with_cause(cause);
    const std::string_view prefix = old.what.substr(0, old.what.size() - old.message.size());
    const detail::ErrorBlock* const copy = detail::try_make_block({.kind = old.kind,
                                                                   .prefix = {prefix},
                                                                   .separator = {},
                                                                   .message = {old.message},
                                                                   .texts = old.texts,
                                                                   .nanoseconds = old.nanoseconds,
                                                                   .cause = detail::block_of(last),
                                                                   .original = old.original != nullptr ? old.original
                                                                               : old.immortal          ? &old
                                                                                                       : nullptr,
                                                                   .exception = detail::exception_of(old)});
    return copy != nullptr ? Error{detail::ErrorRef::adopt(copy)} : *this;
}

/// Whether `sought` itself is `error` or one of its causes. Made for the ready-made errors; a copy is the same error.
[[nodiscard]] inline bool is(const Error& error, const Error& sought) noexcept {
    const auto identity = [](const detail::ErrorBlock* block) { return block->original ? block->original : block; };
    const detail::ErrorBlock* const wanted = identity(detail::block_of(sought));
    for (const detail::ErrorBlock* block = detail::block_of(error); block != nullptr; block = block->cause) {
        if (identity(block) == wanted) {
            return true;
        }
    }
    return false;
}

/// The whole chain in one line, the outermost first: `processing error: could not charge: timeout after 250ms: no
/// answer`.
[[nodiscard]] inline std::string describe(const Error& error) {
    std::string line;
    for (const detail::ErrorBlock* block = detail::block_of(error); block != nullptr; block = block->cause) {
        line.append(line.empty() ? "" : ": ").append(block->what);
    }
    return line;
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
