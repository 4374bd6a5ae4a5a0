// The server's answers, read with hiredis; what differs between hiredis 0.14 and 1.x ends in this header.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/guard.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <hiredis/hiredis.h>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// One answer: its values in the order of the wire, an array before its elements, their texts in one piece of memory.
/// Cost: nothing is allocated once it has had an answer of this size.
class Reply {
public:
    enum class Kind : std::uint8_t { text, status, error, integer, nil, array };
    struct Value {
        Kind kind = Kind::nil;
        std::int64_t integer = 0; // of an array: how many elements follow
        std::size_t begin = 0;
        std::size_t size = 0;
    };

    void clear() noexcept {
        values_.clear();
        texts_.clear();
        if (texts_.capacity() > most_kept) {
            texts_ = {};
        }
    }
    void swap(Reply& other) noexcept {
        values_.swap(other.values_);
        texts_.swap(other.texts_);
    }
    void add(Kind kind, std::int64_t integer) { values_.push_back({kind, integer, 0, 0}); }
    void add(Kind kind, const char* text, std::size_t size) {
        values_.push_back({kind, 0, texts_.size(), size});
        texts_.append(text, size);
    }

    [[nodiscard]] bool empty() const noexcept { return values_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return values_.size(); }
    [[nodiscard]] const Value& operator[](std::size_t i) const noexcept { return values_[i]; }
    [[nodiscard]] std::string_view text(std::size_t i) const noexcept {
        return std::string_view{texts_}.substr(values_[i].begin, values_[i].size);
    }
    [[nodiscard]] bool is(Kind kind) const noexcept { return !empty() && values_.front().kind == kind; }
    [[nodiscard]] bool failed() const noexcept { return is(Kind::error); }
    /// The error's line, or the whole answer's text.
    [[nodiscard]] std::string_view line() const noexcept { return empty() ? std::string_view{} : text(0); }

private:
    static constexpr std::size_t most_kept = std::size_t{4} << 20;

    std::vector<Value> values_;
    std::string texts_;
};

/// Walks over an answer from its first value on. What is asked of a value of another kind is empty or 0, so that an
/// answer of an unknown shape reads as nothing rather than as something else.
class ReplyCursor {
public:
    explicit ReplyCursor(const Reply& reply) noexcept : reply_(&reply) {}

    [[nodiscard]] bool at_end() const noexcept { return at_ >= reply_->size(); }
    [[nodiscard]] Reply::Kind kind() const noexcept { return at_end() ? Reply::Kind::nil : (*reply_)[at_].kind; }

    /// The number of elements, which come next; 0 and past it, if this is no array.
    std::size_t array() noexcept {
        if (kind() != Reply::Kind::array) {
            skip();
            return 0;
        }
        return static_cast<std::size_t>((*reply_)[at_++].integer);
    }
    std::string_view text() noexcept {
        const bool is_text = kind() == Reply::Kind::text || kind() == Reply::Kind::status;
        const std::string_view text = is_text ? reply_->text(at_) : std::string_view{};
        skip();
        return text;
    }
    std::int64_t integer() noexcept {
        const std::int64_t number = kind() == Reply::Kind::integer ? (*reply_)[at_].integer : 0;
        skip();
        return number;
    }
    /// Past this value, with all that is in it.
    void skip() noexcept {
        for (std::size_t left = 1; left > 0 && !at_end(); --left, ++at_) {
            if (kind() == Reply::Kind::array) {
                left += static_cast<std::size_t>((*reply_)[at_].integer);
            }
        }
    }

private:
    const Reply* reply_;
    std::size_t at_ = 0;
};

#if HIREDIS_MAJOR >= 1
using ElementCount = std::size_t;
#else
using ElementCount = int;
#endif

/// hiredis calls these for each value it has read. They copy: its buffer moves before it hands the answer out.
struct ReplyFunctions {
    static Reply& reply_of(const redisReadTask* task) noexcept { return *static_cast<Reply*>(task->privdata); }
    /// What hiredis takes for the value: anything but null, which is "out of memory".
    template <class F>
    static void* made(const redisReadTask* task, F&& add) noexcept {
        Reply& reply = reply_of(task);
        return gossip::detail::succeeds([&] { add(reply); }) ? task->privdata : nullptr;
    }

    static void* text(const redisReadTask* task, char* text, std::size_t size) {
        const Reply::Kind kind = task->type == REDIS_REPLY_ERROR    ? Reply::Kind::error
                                 : task->type == REDIS_REPLY_STATUS ? Reply::Kind::status
                                                                    : Reply::Kind::text;
        return made(task, [&](Reply& reply) { reply.add(kind, text, size); });
    }
    static void* array(const redisReadTask* task, ElementCount count) {
        return made(task, [&](Reply& reply) { reply.add(Reply::Kind::array, static_cast<std::int64_t>(count)); });
    }
    static void* integer(const redisReadTask* task, long long value) {
        return made(task, [&](Reply& reply) { reply.add(Reply::Kind::integer, value); });
    }
    static void* nil(const redisReadTask* task) {
        return made(task, [&](Reply& reply) { reply.add(Reply::Kind::nil, 0); });
    }
    static void drop(void* /*reply*/) {}

    static redisReplyObjectFunctions* table() noexcept {
        static redisReplyObjectFunctions functions = [] {
            redisReplyObjectFunctions f{};
            f.createString = &text;
            f.createArray = &array;
            f.createInteger = &integer;
            f.createNil = &nil;
            f.freeObject = &drop;
            return f;
        }();
        return &functions;
    }
};

/// Bytes in, answers out.
///
/// Threads: one at a time.
/// Cost:    about 55 ns for a message of Pub/Sub; a copy of its bytes.
/// Owns:    a hiredis reader and the answer being read.
/// Errors:  the constructor may throw std::bad_alloc. After `broken` nothing more can be read.
class ReplyReader {
public:
    enum class State : std::uint8_t { one, more_needed, broken };

    ReplyReader() : reader_{redisReaderCreateWithFunctions(ReplyFunctions::table())} {
        if (reader_ == nullptr) {
            GOSSIP_THROW(std::bad_alloc{});
        }
        reader_->privdata = &reply_;
        reader_->maxbuf = std::size_t{1} << 20; // up to this it keeps its empty buffer
    }
    ReplyReader(const ReplyReader&) = delete;
    ReplyReader& operator=(const ReplyReader&) = delete;

    [[nodiscard]] bool feed(const char* bytes, std::size_t size) noexcept {
        return redisReaderFeed(reader_.get(), bytes, size) == REDIS_OK;
    }

    /// After `one`, `reply` is the next answer.
    State next() noexcept {
        if (complete_) {
            reply_.clear();
            complete_ = false;
        }
        void* result = nullptr;
        if (redisReaderGetReply(reader_.get(), &result) != REDIS_OK) {
            return State::broken;
        }
        complete_ = result != nullptr;
        if (complete_ && reply_.empty()) { // RESP3's doubles and booleans, which nobody has asked for
            return State::broken;
        }
        return complete_ ? State::one : State::more_needed;
    }

    /// The caller may swap it away.
    [[nodiscard]] Reply& reply() noexcept { return reply_; }
    /// Whether there are bytes behind that answer.
    [[nodiscard]] bool has_more() const noexcept { return reader_->pos < reader_->len; }
    [[nodiscard]] const char* problem() const noexcept {
        return reader_->err != 0 ? reader_->errstr : "an answer of an unknown kind";
    }

private:
    struct Free {
        void operator()(redisReader* reader) const noexcept { redisReaderFree(reader); }
    };
    Reply reply_;
    bool complete_ = false;
    std::unique_ptr<redisReader, Free> reader_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
