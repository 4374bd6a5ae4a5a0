#pragma once

#include <gossip/version.hpp>

#include <cstddef>
#include <string>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// What a thread encodes into; kept from event to event, unless it has grown large.
struct EncodeBuffers {
    std::string channel;
    std::string data;
    std::string message;
};
class EncodeScope {
public:
    EncodeScope() : nested_(std::exchange(in_use, true)) {}
    EncodeScope(const EncodeScope&) = delete;
    EncodeScope& operator=(const EncodeScope&) = delete;
    ~EncodeScope() {
        constexpr std::size_t large = std::size_t{1} << 20U;
        in_use = nested_;
        if (!nested_ && kept.message.capacity() + kept.data.capacity() > large) {
            kept = EncodeBuffers{};
        }
    }
    /// Empty; a codec that publishes while it encodes gets others.
    [[nodiscard]] EncodeBuffers& buffers() noexcept {
        EncodeBuffers& mine = nested_ ? own_ : kept;
        mine.channel.clear();
        mine.data.clear();
        mine.message.clear();
        return mine;
    }

private:
    inline static thread_local EncodeBuffers kept;
    inline static thread_local bool in_use = false;
    EncodeBuffers own_;
    const bool nested_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
