// The one block of an event that came over a wire: its text, what is made of it, and what few events have.
#pragma once

#include <gossip/core/event_extras.hpp>
#include <gossip/core/payload.hpp>
#include <gossip/core/raw_data.hpp>

#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// The box of raw data, with the extras of its event, as nearly every such event has an id; the text stands behind it.
///
/// Cost: one allocation for all of it.
/// Owns: itself, while an event shares the data. The extras end with it: an event that shares them shares the data.
struct RawBlock : Box {
    /// Copies the text; may throw std::bad_alloc.
    [[nodiscard]] static RawBlock* make(RawText raw) {
        static_assert(std::is_nothrow_default_constructible_v<EventExtras>);
        static_assert(alignof(RawBlock) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
        void* const memory = ::operator new(sizeof(RawBlock) + raw.text.size());
        char* const text = static_cast<char*>(memory) + sizeof(RawBlock);
        if (!raw.text.empty()) {
            std::memcpy(text, raw.text.data(), raw.text.size());
        }
        raw.text = std::string_view{text, raw.text.size()};
        return ::new (memory) RawBlock(std::move(raw));
    }
    /// For the last owner of the box.
    static void free(Box* box) noexcept {
        auto* const block = static_cast<RawBlock*>(box);
        std::destroy_at(block);
        ::operator delete(static_cast<void*>(block));
    }

    explicit RawBlock(RawText raw) noexcept : data(std::move(raw)) { extras.stands_with_data = true; }

    EventExtras extras;
    RawData data;
};

template <>
inline constexpr PayloadOps payload_ops<RawData>{type_identity_of<RawData>,
                                                 type_name<RawData>(),
                                                 sizeof(RawData),
                                                 alignof(RawData),
                                                 false,
                                                 nullptr,
                                                 nullptr,
                                                 nullptr,
                                                 nullptr,
                                                 &RawBlock::free};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
