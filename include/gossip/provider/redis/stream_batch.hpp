#pragma once

#include <gossip/provider/redis/reply.hpp>
#include <gossip/provider/redis/stream_entry.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// The entries of one answer, of a read or a claim, on their way to the listener; the walk may stop before any of them.
/// Owns: the answer, which it takes from the connection.
class StreamBatch {
public:
    struct Item {
        EntryId id;
        ReplyCursor fields;
        bool is_deleted; // only its id is left
    };

    /// An answer to XREADGROUP.
    template <class NumberOf>
    void take_read(Reply& reply, NumberOf number_of) {
        take(reply);
        ReplyCursor at{reply_};
        for (std::size_t streams = at.array(); streams > 0; --streams) {
            at.array();
            const std::string_view name = at.text();
            take_entries(at, number_of(name));
        }
    }

    /// An answer to XCLAIM.
    void take_claimed(Reply& reply, std::uint32_t stream) {
        take(reply);
        ReplyCursor at{reply_};
        take_entries(at, stream);
    }

    [[nodiscard]] bool empty() const noexcept { return at_ == items_.size(); }
    [[nodiscard]] std::size_t size() const noexcept { return items_.size() - at_; }
    [[nodiscard]] const Item& front() const noexcept { return items_[at_]; }
    void pop() noexcept { ++at_; }
    /// What has not been popped; the batch is empty afterwards.
    std::vector<EntryId> take_rest() {
        std::vector<EntryId> rest;
        rest.reserve(items_.size() - at_);
        for (; at_ < items_.size(); ++at_) {
            rest.push_back(items_[at_].id);
        }
        return rest;
    }
    [[nodiscard]] const std::vector<Item>& items() const noexcept { return items_; }
    /// Those that `drop(id)` is true for are not there; before the first is popped.
    template <class Drop>
    void drop_if(Drop drop) {
        std::erase_if(items_, [&](const Item& item) { return drop(item.id); });
    }
    /// What has not been popped.
    [[nodiscard]] std::span<const Item> rest() const noexcept { return std::span{items_}.subspan(at_); }

private:
    void take(Reply& reply) {
        reply_.clear();
        reply_.swap(reply);
        items_.clear();
        at_ = 0;
    }

    void take_entries(ReplyCursor& at, std::uint32_t stream) {
        for (std::size_t left = at.array(); left > 0; --left) {
            if (at.array() != 2) {
                continue; // nil: an older server's word for deleted
            }
            const EntryId id = parse_id(at.text(), stream);
            items_.push_back({id, at, at.kind() != Reply::Kind::array});
            at.skip();
        }
    }

    Reply reply_;
    std::vector<Item> items_;
    std::size_t at_ = 0;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
