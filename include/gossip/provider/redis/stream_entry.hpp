#pragma once

#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/readers.hpp>
#include <gossip/provider/redis/reply.hpp>
#include <gossip/provider/redis/resp.hpp>

#include <charconv>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis {

/// An entry of one of a StreamReader's streams: what it is settled by.
struct EntryId {
    std::uint64_t milliseconds = 0;
    std::uint64_t sequence = 0;
    std::uint32_t stream = 0; // the reader's number for it

    friend constexpr bool operator==(const EntryId&, const EntryId&) = default;
};

namespace detail {

struct EntryIdHash {
    std::size_t operator()(const EntryId& id) const noexcept {
        std::uint64_t mixed = id.milliseconds * 0x9E3779B97F4A7C15U + id.sequence * 0xC2B2AE3D27D4EB4FU + id.stream;
        mixed ^= mixed >> 32U;
        return static_cast<std::size_t>(mixed);
    }
};

/// `1700000000000-0`. What is no id reads as 0-0, which no entry has.
[[nodiscard]] inline EntryId parse_id(std::string_view text, std::uint32_t stream) noexcept {
    EntryId id{0, 0, stream};
    const char* const end = text.data() + text.size();
    const auto head = std::from_chars(text.data(), end, id.milliseconds);
    if (head.ec != std::errc{} || head.ptr == end || *head.ptr != '-' ||
        std::from_chars(head.ptr + 1, end, id.sequence).ptr != end) {
        return EntryId{0, 0, stream};
    }
    return id;
}

/// A place in a stream: an id, or its milliseconds alone. Nothing for any other text.
[[nodiscard]] inline std::optional<EntryId> parse_place(std::string_view text) noexcept {
    EntryId id;
    const char* const end = text.data() + text.size();
    auto read = std::from_chars(text.data(), end, id.milliseconds);
    if (read.ec == std::errc{} && read.ptr != end && *read.ptr == '-') {
        read = std::from_chars(read.ptr + 1, end, id.sequence);
    }
    return read.ec == std::errc{} && read.ptr == end ? std::optional{id} : std::nullopt;
}

[[nodiscard]] constexpr bool is_before(const EntryId& a, const EntryId& b) noexcept {
    return a.milliseconds != b.milliseconds ? a.milliseconds < b.milliseconds : a.sequence < b.sequence;
}

/// The id that follows.
[[nodiscard]] constexpr EntryId after(EntryId id) noexcept {
    if (++id.sequence == 0) {
        ++id.milliseconds;
    }
    return id;
}

/// The id behind which a group stands that is to read that entry next.
[[nodiscard]] constexpr EntryId before(EntryId id) noexcept {
    if (id.milliseconds == 0 && id.sequence == 0) {
        return id; // no entry has it
    }
    if (id.sequence-- == 0) {
        --id.milliseconds;
    }
    return id;
}

/// An id as an argument.
class IdText {
public:
    explicit IdText(const EntryId& id) noexcept {
        char* const end = chars_ + sizeof chars_;
        char* at = std::to_chars(chars_, end, id.milliseconds).ptr;
        *at++ = '-';
        size_ = static_cast<std::size_t>(std::to_chars(at, end, id.sequence).ptr - chars_);
    }
    operator std::string_view() const noexcept { return {chars_, size_}; }

private:
    char chars_[48];
    std::size_t size_;
};

} // namespace detail

/// An entry as it was read. Lives for the listener's call.
class StreamEntry {
public:
    StreamEntry(std::string_view stream, const EntryId& id, std::int64_t deliveries, detail::ReplyCursor fields,
                std::uint64_t turn = 0) noexcept
        : stream_(stream), id_(id), deliveries_(deliveries), fields_(fields), turn_(turn) {}

    [[nodiscard]] std::string_view stream() const noexcept { return stream_; }
    [[nodiscard]] const EntryId& id() const noexcept { return id_; }
    /// 1 for the first; more after a claim. What a consumer left unread in its socket when it crashed counts as well.
    [[nodiscard]] std::int64_t deliveries() const noexcept { return deliveries_; }
    /// In which turn of this member as the stream's active one it was read; 0 where all members read.
    [[nodiscard]] std::uint64_t turn() const noexcept { return turn_; }

    /// Calls `f(name, value)` for each field, in order.
    template <class F>
    void each_field(F f) const {
        detail::ReplyCursor at = fields_;
        for (std::size_t left = at.array() / 2; left > 0; --left) {
            const std::string_view name = at.text();
            f(name, at.text());
        }
    }
    /// The first field of that name; empty if there is none.
    [[nodiscard]] std::string_view field(std::string_view wanted) const {
        std::string_view found;
        bool is_found = false;
        each_field([&](std::string_view name, std::string_view value) {
            if (!is_found && name == wanted) {
                found = value;
                is_found = true;
            }
        });
        return found;
    }

private:
    std::string_view stream_;
    EntryId id_;
    std::int64_t deliveries_;
    detail::ReplyCursor fields_;
    std::uint64_t turn_;
};

/// Gets what a StreamReader reads.
///
/// Threads: called on the thread that reads, no lock held; it must not wait, but for `work_in`, during which that
///          thread is not the one that reads.
class StreamListener : public InPlace {
public:
    /// True if it was taken: it is held, and its claim renewed, until one of ack, leave and bury is called for it.
    /// False if there is no room: it is offered again after `resume`, or after 1 to 10 ms, and until then nothing is
    /// read.
    virtual bool entry(const StreamEntry& entry) noexcept = 0;
    /// How many it could take now; asked before each read, which asks for no more.
    virtual std::size_t room() noexcept { return std::numeric_limits<std::size_t>::max(); }
    /// Whether a stream that the registry names is to be read; asked at each refresh.
    virtual bool wants(std::string_view /*stream*/) noexcept { return false; }

protected:
    StreamListener() = default;
    StreamListener(const StreamListener&) = default;
    StreamListener& operator=(const StreamListener&) = default;
    ~StreamListener() = default;
};

struct StreamStats {
    std::uint64_t entries = 0;  // taken by the listener
    std::uint64_t claimed = 0;  // of them, from consumers that crashed or left them
    std::uint64_t acked = 0;    // confirmed by the server
    std::uint64_t left = 0;     // for whoever claims them
    std::uint64_t buried = 0;   // in the dead-letter stream
    std::uint64_t lost = 0;     // were pending, and deleted or trimmed before they were read
    std::uint64_t repaired = 0; // groups that the server had lost
    std::uint64_t connects = 0;
    std::uint64_t takeovers = 0; // turns as the active member of a stream that have begun here (single_active)
    std::uint64_t losses = 0;    // of them, those whose lease ran out or was forgotten by the server
    std::size_t active = 0;      // streams for which this member is the active one now
    std::size_t held = 0;        // taken and not yet settled with the server
    bool connected = false;
};

/// The set of all streams that were ever published to: whoever publishes to a stream for the first time adds its name
/// with SADD, before its XADD; readers of patterns look into it.
[[nodiscard]] inline std::string stream_registry(const RedisOptions& options) {
    return options.prefix + "gossip.streams";
}

[[nodiscard]] inline std::string dead_letter_stream(const RedisOptions& options) {
    return options.stream.dead_letter_stream.empty() ? options.prefix + "gossip.dead_letters"
                                                     : options.stream.dead_letter_stream;
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis
