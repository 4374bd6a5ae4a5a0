#pragma once

#include <gossip/core/ref_count.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// What kind of failure an Error is. Each has a class of its own in core/errors.hpp.
enum class ErrorKind : std::uint8_t {
    retryable,
    validation,
    processing,
    timeout,
    fatal,
    type_assertion,
    no_data,
    invalid_event,
    unsupported_event_type,
};

namespace detail {

/// Everything an Error says, immutable but for the count. Immortal blocks are static constants and not counted.
struct ErrorBlock {
    mutable RefCount owners{};
    ErrorKind kind;
    bool immortal = false;
    std::string_view what{};                   // the whole line, with a NUL behind it
    std::string_view message{};                // the end of `what`
    std::span<const std::string_view> texts{}; // the kind's own fields, in the order of its constructor
    std::int64_t nanoseconds = 0;              // TimeoutError's only
    const ErrorBlock* cause = nullptr;         // owned, may be null
    const ErrorBlock* original = nullptr;      // the immortal block that this one stands for, if any
};

/// A counted block. Its `texts` and their characters follow it in the same allocation.
struct HeapErrorBlock : ErrorBlock {
    std::exception_ptr exception;
};
static_assert(std::is_trivially_destructible_v<ErrorBlock>,
              "gossip: an immortal block must outlive static destruction");
static_assert(alignof(HeapErrorBlock) >= alignof(std::string_view));

constexpr ErrorBlock immortal_error(ErrorKind kind, std::string_view line,
                                    const ErrorBlock* original = nullptr) noexcept {
    return {.kind = kind, .immortal = true, .what = line, .message = line, .original = original};
}

/// What an error says that found no memory for its block: its kind, and that. All nine stand for `out_of_memory_block`.
[[gnu::visibility("default")]] inline constinit const ErrorBlock out_of_memory_block =
    immortal_error(ErrorKind::processing, "processing error: out of memory");
[[gnu::visibility("default")]] inline constinit const std::array<ErrorBlock, 9> out_of_memory_blocks{{
    immortal_error(ErrorKind::retryable, "retryable error: out of memory", &out_of_memory_block),
    immortal_error(ErrorKind::validation, "validation error: out of memory", &out_of_memory_block),
    immortal_error(ErrorKind::processing, "processing error: out of memory", &out_of_memory_block),
    immortal_error(ErrorKind::timeout, "timeout: out of memory", &out_of_memory_block),
    immortal_error(ErrorKind::fatal, "fatal error: out of memory", &out_of_memory_block),
    immortal_error(ErrorKind::type_assertion, "type assertion failed: out of memory", &out_of_memory_block),
    immortal_error(ErrorKind::no_data, "no data: out of memory", &out_of_memory_block),
    immortal_error(ErrorKind::invalid_event, "invalid event: out of memory", &out_of_memory_block),
    immortal_error(ErrorKind::unsupported_event_type, "unsupported event type: out of memory", &out_of_memory_block),
}};
inline constinit const ErrorBlock moved_from_block = immortal_error(ErrorKind::processing, "moved-from error");

[[nodiscard]] inline std::exception_ptr exception_of(const ErrorBlock& block) noexcept {
    return block.immortal ? std::exception_ptr{} : static_cast<const HeapErrorBlock&>(block).exception;
}

inline void keep(const ErrorBlock* block) noexcept {
    if (block != nullptr && !block->immortal) {
        block->owners.add();
    }
}

/// Gives up one ownership. A loop, not recursion, so that a chain of any length can be freed.
inline void drop(const ErrorBlock* block) noexcept {
    while (block != nullptr && !block->immortal && block->owners.drop()) {
        auto* heap = const_cast<HeapErrorBlock*>(static_cast<const HeapErrorBlock*>(block));
        block = heap->cause;
        std::destroy_at(heap);
        ::operator delete(heap);
    }
}

/// Owns one count of a block, or nothing. Moved from, it names another block: a failure never turns into a success.
class ErrorRef {
public:
    constexpr ErrorRef() noexcept = default;
    constexpr ErrorRef(const ErrorRef& other) noexcept : block_{other.block_} {
        if (block_ != nullptr) {
            keep(block_);
        }
    }
    constexpr ErrorRef(ErrorRef&& other) noexcept : block_{other.block_} {
        if (block_ != nullptr) {
            other.block_ = &moved_from_block;
        }
    }
    constexpr ErrorRef& operator=(ErrorRef other) noexcept {
        std::swap(block_, other.block_);
        return *this;
    }
    constexpr ~ErrorRef() {
        if (block_ != nullptr) {
            drop(block_);
        }
    }

    static constexpr ErrorRef adopt(const ErrorBlock* block) noexcept {
        ErrorRef ref;
        ref.block_ = block;
        return ref;
    }
    static ErrorRef share(const ErrorBlock* block) noexcept {
        keep(block);
        return adopt(block);
    }

    [[nodiscard]] constexpr const ErrorBlock* get() const noexcept { return block_; }

private:
    const ErrorBlock* block_ = nullptr;
};

/// Any array of texts: a view of a vector<string>, an array of string_view, a braced list. Lives for one call.
class TextList {
public:
    constexpr TextList() noexcept = default;
    constexpr TextList(std::initializer_list<std::string_view> list) noexcept
        : TextList(std::data(list), list.size()) {}
    template <class Range>
    requires requires(const Range& range) {
        { *std::data(range) } -> std::convertible_to<std::string_view>;
        { std::size(range) } -> std::convertible_to<std::size_t>;
    }
    constexpr TextList(const Range& range) noexcept : TextList(std::data(range), std::size(range)) {}

    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::string_view operator[](std::size_t i) const noexcept { return at_(data_, i); }

private:
    template <class Text>
    constexpr TextList(const Text* data, std::size_t size) noexcept
        : data_{data}, size_{size}, at_{[](const void* texts, std::size_t i) -> std::string_view {
              return static_cast<const Text*>(texts)[i];
          }} {}

    const void* data_ = nullptr;
    std::size_t size_ = 0;
    std::string_view (*at_)(const void*, std::size_t) = nullptr;
};

/// What a block is made of. The line is prefix, separator, message, list; no separator beside an empty side.
struct ErrorRecipe {
    ErrorKind kind;
    TextList prefix{};
    std::string_view separator = ": ";
    TextList message{};
    TextList list{}; // joined by commas at the end of the message, and kept behind `texts`
    TextList texts{};
    std::int64_t nanoseconds = 0;
    const ErrorBlock* cause = nullptr; // shared
    const ErrorBlock* original = nullptr;
    std::exception_ptr exception{};
};

/// Appends texts: counts them while it has no memory to write to, and writes them once it has.
class TextSink {
public:
    explicit TextSink(char* out) noexcept : out_{out} {}

    std::string_view put(std::string_view text) noexcept {
        if (out_ == nullptr) {
            size_ = text.size() < limit - size_ ? size_ + text.size() : limit;
            return {};
        }
        char* const start = out_ + size_;
        size_ += text.copy(start, text.size());
        return {start, text.size()};
    }
    void put_all(const TextList& list, std::string_view between = {}) noexcept {
        for (std::size_t i = 0; i < list.size(); ++i) {
            put(i == 0 ? std::string_view{} : between);
            put(list[i]);
        }
    }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool overflowed() const noexcept { return size_ == limit; }

private:
    static constexpr std::size_t limit = std::numeric_limits<std::size_t>::max() / 4;

    char* out_;
    std::size_t size_ = 0;
};

/// Puts all that `recipe` says into `sink`. Told of a block, it also points the block's views at what was put.
inline void put_recipe(TextSink& sink, const ErrorRecipe& recipe, char* chars, ErrorBlock* block,
                       std::string_view* texts) noexcept {
    sink.put_all(recipe.prefix);
    const std::size_t prefix_end = sink.size();
    TextSink message{nullptr};
    message.put_all(recipe.message);
    message.put_all(recipe.list, ", ");
    if (prefix_end > 0 && message.size() > 0) {
        sink.put(recipe.separator);
    }
    const std::size_t message_start = sink.size();
    sink.put_all(recipe.message);
    sink.put_all(recipe.list, ", ");
    const std::size_t line_end = sink.size();
    sink.put({"\0", 1});
    if (block != nullptr) {
        block->what = {chars, line_end};
        block->message = block->what.substr(message_start);
        block->texts = {texts, recipe.texts.size() + recipe.list.size()};
    }
    for (const TextList* list : {&recipe.texts, &recipe.list}) {
        for (std::size_t i = 0; i < list->size(); ++i) {
            const std::string_view kept = sink.put((*list)[i]);
            if (block != nullptr) {
                std::construct_at(texts++, kept);
            }
        }
    }
}

/// A block made to `recipe` in one allocation, or null where there is no memory for it.
inline const ErrorBlock* try_make_block(const ErrorRecipe& recipe) noexcept {
    TextSink counted{nullptr};
    put_recipe(counted, recipe, nullptr, nullptr, nullptr);
    const std::size_t texts_size = (recipe.texts.size() + recipe.list.size()) * sizeof(std::string_view);
    if (counted.overflowed()) {
        return nullptr;
    }
    void* const memory = ::operator new(sizeof(HeapErrorBlock) + texts_size + counted.size(), std::nothrow);
    if (memory == nullptr) {
        return nullptr;
    }
    auto* const block = ::new (memory) HeapErrorBlock{
        {.kind = recipe.kind, .nanoseconds = recipe.nanoseconds, .cause = recipe.cause, .original = recipe.original},
        recipe.exception};
    keep(recipe.cause);
    auto* const texts = reinterpret_cast<std::string_view*>(block + 1);
    char* const chars = reinterpret_cast<char*>(block + 1) + texts_size;
    TextSink written{chars};
    put_recipe(written, recipe, chars, block, texts);
    return block;
}

/// Never throws: without memory it is the immortal stand-in of the same kind.
[[nodiscard]] inline ErrorRef make_error(const ErrorRecipe& recipe) noexcept {
    const ErrorBlock* const block = try_make_block(recipe);
    return ErrorRef::adopt(block != nullptr ? block : &out_of_memory_blocks[static_cast<std::size_t>(recipe.kind)]);
}

} // namespace detail
} // namespace gossip::GOSSIP_VERSION_NAMESPACE
