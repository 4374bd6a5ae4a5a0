// How a stream's entry hears of the end of its event.
#pragma once

#include <gossip/core/error.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/core/receipt.hpp>
#include <gossip/provider/redis/spare_blocks.hpp>
#include <gossip/provider/redis/stream.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <string>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

class EntryReceipts;

/// Acknowledges what was handled, buries what has failed, leaves the rest to whoever claims it.
class EntryReceipt final : public Receipt {
public:
    struct Free {
        void operator()(EntryReceipt* receipt) const noexcept;
    };

    EntryReceipt(EntryReceipts& home, redis::StreamReader& reader, const redis::EntryId& id,
                 std::uint64_t turn) noexcept
        : home_(home), reader_(reader), id_(id), turn_(turn) {}

    void settled(Ending ending, const Error* error) noexcept override {
        const std::unique_ptr<EntryReceipt, Free> self(this);
        const bool is_settled = succeeds([&] {
            if (ending == Ending::handled) {
                reader_.ack(id_);
            } else if (ending == Ending::failed) {
                reader_.bury(id_, error == nullptr ? std::string{} : std::string{error->what()});
            } else {
                reader_.leave(id_, turn_);
            }
        });
        if (!is_settled) { // the words for the burial found no memory: it is delivered again later
            succeeds([&] { reader_.leave(id_, turn_); });
        }
    }

    void attempted(int attempt) noexcept override {
        succeeds([&] { reader_.tried(id_, attempt - before); }); // without memory the server counts one less
    }

    bool may_begin() noexcept override { return turn_ == 0 || reader_.may_begin(id_, turn_); }
    void leaving() noexcept override { reader_.leaving(id_, turn_); }

    std::int64_t before = 0; // attempts that the event had before it came into the stream

private:
    EntryReceipts& home_;
    redis::StreamReader& reader_;
    const redis::EntryId id_;
    const std::uint64_t turn_;
};

/// Where receipts come from and go to.
///
/// Threads: every member from any thread: they are made by the reader and freed by whoever ends the event.
/// Owns:    their memory, which goes round: of so many as may be held at a time. It outlives them all.
class EntryReceipts {
public:
    using Owner = std::unique_ptr<EntryReceipt, EntryReceipt::Free>;

    explicit EntryReceipts(std::size_t most) noexcept : blocks_(most) {}

    /// May throw std::bad_alloc.
    [[nodiscard]] Owner make(redis::StreamReader& reader, const redis::EntryId& id, std::uint64_t turn) {
        static_assert(alignof(EntryReceipt) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
        const std::lock_guard lock(mutex_);
        return Owner{::new (blocks_.take(sizeof(EntryReceipt))) EntryReceipt(*this, reader, id, turn)};
    }
    void free(EntryReceipt& receipt) noexcept {
        const std::lock_guard lock(mutex_);
        std::destroy_at(&receipt);
        blocks_.give(&receipt, sizeof(EntryReceipt));
    }

private:
    std::mutex mutex_;
    redis::detail::SpareBlocks blocks_; // under mutex_
};

inline void EntryReceipt::Free::operator()(EntryReceipt* receipt) const noexcept { receipt->home_.free(*receipt); }

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
