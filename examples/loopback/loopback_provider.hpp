// A provider of one's own, whole: events leave the bus through a socket and come back through its other end.
#pragma once

#include <gossip/core/guard.hpp>
#include <gossip/provider/provider.hpp>
#include <gossip/provider/wire_type.hpp>

#include "frame.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace loopback {

/// How data becomes text: strings as they are, numbers in digits, and what has `to_text` and `from_text` beside it.
struct TextCodec {
    static void encode(const std::string& data, std::string& out) { out.append(data); }
    static void encode(std::int64_t data, std::string& out) { out.append(std::to_string(data)); }
    template <class T>
    static void encode(const T& data, std::string& out) {
        out.append(to_text(data));
    }
    template <class T>
    static T decode(std::string_view text) {
        T data{};
        if constexpr (std::is_same_v<T, std::string>) {
            data = text;
        } else if constexpr (std::is_integral_v<T>) {
            const char* const end = text.data() + text.size();
            if (std::from_chars(text.data(), end, data).ptr != end) {
                throw gossip::ValidationError{"data", text, "must be a whole number"};
            }
        } else {
            from_text(text, data);
        }
        return data;
    }
};

/// Threads: every member from any thread; one thread of its own reads.
/// Owns:    both ends of the socket. What the kernel has taken counts as sent.
class LoopbackProvider {
public:
    LoopbackProvider() {
        if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends_) != 0) {
            throw gossip::FatalError{"no socket pair"};
        }
        const int wanted = 1 << 20;
        ::setsockopt(ends_[0], SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
    }
    LoopbackProvider(const LoopbackProvider&) = delete;
    LoopbackProvider& operator=(const LoopbackProvider&) = delete;
    ~LoopbackProvider() {
        close();
        ::close(ends_[0]);
        ::close(ends_[1]);
    }

    void start(gossip::detail::Engine& engine) {
        engine_ = &engine;
        reader_ = std::thread([this] { read(); });
    }

    template <class T>
    static gossip::detail::WireType& wire_type() {
        return gossip::detail::wire_type_of<TextCodec, T>();
    }

    /// The type of the data is known to the compiler.
    template <class T>
    gossip::PublishStatus send_as(gossip::detail::Engine&, gossip::Event& event, bool may_wait) {
        return write(event, may_wait, [&](std::string& text) {
            gossip::detail::encode_data<TextCodec>(gossip::EventAccess::known_data<T>(event), text);
        });
    }
    /// It is not: an event that was made by hand, or came from elsewhere.
    gossip::PublishStatus send(gossip::detail::Engine&, gossip::Event& event, bool may_wait) {
        return write(event, may_wait, [&](std::string& text) { encode(event, text); });
    }
    gossip::Result send_sync(gossip::detail::Engine& engine, gossip::Event& event) {
        const gossip::PublishStatus status = send(engine, event, true);
        return status == gossip::PublishStatus::accepted ? gossip::Result{} : gossip::detail::refusal_error(status);
    }

    gossip::Result listen(const std::vector<gossip::EventType>& names, const std::vector<gossip::Pattern>& patterns) {
        const std::lock_guard lock(mutex_);
        names_.insert(names_.end(), names.begin(), names.end());
        patterns_.insert(patterns_.end(), patterns.begin(), patterns.end());
        return {};
    }
    void unlisten(const std::vector<gossip::EventType>& names, const std::vector<gossip::Pattern>& patterns) noexcept {
        const std::lock_guard lock(mutex_);
        for (const gossip::EventType& name : names) {
            names_.erase(std::find(names_.begin(), names_.end(), name));
        }
        for (const gossip::Pattern& pattern : patterns) {
            patterns_.erase(std::find(patterns_.begin(), patterns_.end(), pattern));
        }
    }

    /// Nothing is under way once the kernel has it.
    bool drain(std::chrono::nanoseconds) { return true; }
    void close() noexcept {
        closed_ = true;
        if (reads_ == std::this_thread::get_id()) {
            return; // a hook that the reader has called asks for it: another call waits for the reader
        }
        const std::lock_guard lock(joining_);
        if (reader_.joinable()) {
            reader_.join();
        }
    }
    gossip::Result shutdown(std::chrono::nanoseconds) noexcept {
        close();
        return {};
    }
    gossip::Outgoing outgoing() const { return {.accepted = sent_, .sent = sent_, .rejected = rejected_}; }

private:
    static constexpr int look_again_ms = 10;

    template <class Encode>
    gossip::PublishStatus write(const gossip::Event& event, bool may_wait, Encode encode_data) {
        std::string packet;
        const gossip::Result encoded = gossip::guard([&] {
            std::string data;
            encode_data(data);
            packet = to_packet(event, data);
        });
        if (!encoded) {
            ++rejected_;
            engine_->report(encoded.error(), event, {}, {}, false);
            return gossip::PublishStatus::not_encodable;
        }
        while (!closed_) {
            ++sent_; // before anybody can see it arrive
            if (::send(ends_[0], packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
                return gossip::PublishStatus::accepted;
            }
            --sent_;
            if (errno == EMSGSIZE || !may_wait) {
                ++rejected_;
                return errno == EMSGSIZE ? gossip::PublishStatus::too_large : gossip::PublishStatus::full;
            }
            pollfd room{ends_[0], POLLOUT, 0};
            ::poll(&room, 1, look_again_ms);
        }
        return gossip::PublishStatus::closed;
    }

    static void encode(const gossip::Event& event, std::string& text) {
        if (!event.has_data()) {
            return;
        }
        if (const gossip::detail::RawData* const raw = gossip::EventAccess::raw_data(event)) {
            text = raw->text(); // it came as it goes
            return;
        }
        const gossip::detail::WireType* const type =
            gossip::detail::find_wire_type(&gossip::detail::codec_tag<TextCodec>, gossip::EventAccess::ops(event));
        if (type == nullptr) {
            throw gossip::ValidationError{"data", event.data_type_name(), "must be of a type that some topic carries"};
        }
        type->encode(gossip::EventAccess::data(event), text);
    }

    void read() {
        reads_ = std::this_thread::get_id();
        std::string buffer(1 << 20, '\0');
        for (;;) {
            const ssize_t size = ::recv(ends_[1], buffer.data(), buffer.size(), MSG_DONTWAIT);
            if (size > 0) {
                receive(std::string_view(buffer.data(), static_cast<std::size_t>(size)));
            } else if (closed_) {
                return; // and the socket is empty
            } else {
                pollfd more{ends_[1], POLLIN, 0};
                ::poll(&more, 1, look_again_ms);
            }
        }
    }
    void receive(std::string_view packet) {
        std::optional<gossip::Event> event;
        const gossip::Result read =
            gossip::guard([&] { event.emplace(from_packet(packet, &gossip::detail::codec_tag<TextCodec>)); });
        if (!read || !wanted(event->type())) {
            return; // a real one counts what it can't read
        }
        gossip::PublishStatus status = gossip::PublishStatus::full;
        while (!closed_ && status == gossip::PublishStatus::full) {
            status = engine_->receive(*event, std::chrono::milliseconds(look_again_ms));
        }
        if (status != gossip::PublishStatus::accepted) {
            engine_->lose(*event); // too late: counted as abandoned
        }
    }
    bool wanted(const gossip::EventType& type) {
        const std::lock_guard lock(mutex_);
        return std::find(names_.begin(), names_.end(), type) != names_.end() ||
               std::any_of(patterns_.begin(), patterns_.end(),
                           [&](const gossip::Pattern& pattern) { return pattern.matches(type); });
    }

    int ends_[2] = {-1, -1};
    gossip::detail::Engine* engine_ = nullptr;
    std::atomic<bool> closed_{false};
    std::atomic<std::uint64_t> sent_{0};
    std::atomic<std::uint64_t> rejected_{0};
    std::mutex mutex_;
    std::vector<gossip::EventType> names_;  // these two under mutex_
    std::vector<gossip::Pattern> patterns_; // as often as they were asked for
    std::atomic<std::thread::id> reads_{};
    std::mutex joining_;
    std::thread reader_;
};

static_assert(gossip::event_provider<LoopbackProvider>);

} // namespace loopback
