#pragma once

#include <gossip/provider/redis/resp.hpp>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <utility>

#include <sys/uio.h>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// Encoded commands on their way: kept until they are answered, so that they can be sent again.
///
///     head ... answered, or in flight ... offered ... not yet sent ... tail
///
/// Threads: all under its owner's lock, except that whoever has gathered may read the bytes, and whoever reads answers
///          may use the records between head and offered, without it.
/// Order:   first in, first out.
/// Cost:    a copy of the bytes; one allocation in 64 KiB, and that only until it has been full once.
class Outbox {
public:
    struct Record {
        std::uint64_t tag;
        std::uint32_t size;
        bool done;
    };

    Outbox(std::size_t commands, std::size_t bytes)
        : most_commands_(commands),
          most_bytes_(bytes),
          mask_(std::bit_ceil(commands) - 1),
          records_(std::make_unique_for_overwrite<Record[]>(mask_ + 1)) {}

    [[nodiscard]] std::uint64_t head() const noexcept { return head_; }
    [[nodiscard]] std::uint64_t offered() const noexcept { return offered_; }
    [[nodiscard]] std::uint64_t tail() const noexcept { return tail_; }
    [[nodiscard]] bool empty() const noexcept { return head_ == tail_; }
    [[nodiscard]] std::size_t waiting() const noexcept { return static_cast<std::size_t>(tail_ - head_); }
    [[nodiscard]] std::size_t unsent_bytes() const noexcept { return unsent_; }
    [[nodiscard]] Record& operator[](std::uint64_t number) noexcept { return records_[number & mask_]; }

    /// An empty outbox has room for any command.
    [[nodiscard]] bool has_room(std::size_t size) const noexcept {
        return empty() || (waiting() < most_commands_ && size <= most_bytes_ - std::min(bytes_, most_bytes_));
    }

    void append(Arguments arguments, std::size_t size, std::uint64_t tag) {
        char* const to = room_for(size);
        write_command(to, arguments);
        added(size, tag);
    }

    /// Points at what is not yet sent; it is offered to the server from now on.
    std::size_t gather(iovec* pieces, std::size_t most) noexcept {
        std::size_t count = 0;
        std::size_t from = sent_at_;
        for (std::size_t i = sent_block_; i < blocks_.size() && count < most; ++i, from = 0) {
            if (blocks_[i].size > from) {
                pieces[count++] = {blocks_[i].memory.get() + from, blocks_[i].size - from};
                offered_ = std::max(offered_, blocks_[i].end);
            }
        }
        return count;
    }

    void sent(std::size_t bytes) noexcept {
        unsent_ -= bytes;
        while (bytes > 0) {
            const std::size_t here = std::min(bytes, blocks_[sent_block_].size - sent_at_);
            bytes -= here;
            sent_at_ += here;
            if (sent_at_ == blocks_[sent_block_].size && sent_block_ + 1 < blocks_.size()) {
                ++sent_block_;
                sent_at_ = 0;
            }
        }
    }

    /// Forgets the commands before `answered`, up to the first that is not done; returns their bytes. Not while
    /// somebody sends.
    std::size_t release(std::uint64_t answered) noexcept {
        std::size_t bytes = 0;
        for (; head_ < answered && (*this)[head_].done; ++head_) {
            bytes += (*this)[head_].size;
        }
        bytes_ -= bytes;
        head_at_ += bytes;
        while (blocks_.size() > 1 && sent_block_ > 0 && head_at_ >= blocks_.front().size) {
            head_at_ -= blocks_.front().size;
            recycle(std::move(blocks_.front()));
            blocks_.pop_front();
            --sent_block_;
        }
        if (empty() && blocks_.size() == 1) {
            blocks_.front().size = 0;
            head_at_ = 0;
            sent_at_ = 0;
        }
        return bytes;
    }

    /// How many bytes from head on have been sent.
    [[nodiscard]] std::size_t sent_bytes() const noexcept { return bytes_ - unsent_; }

    /// Everything that is not done is to be sent, again or for the first time; what is done is forgotten. Not while
    /// somebody sends. Returns how many of them had been offered before.
    std::size_t rewind() noexcept {
        std::size_t block = 0;
        std::size_t from = head_at_;
        std::size_t to = head_at_;
        const std::uint64_t end = std::exchange(tail_, head_);
        const std::uint64_t offered_before = std::exchange(offered_, head_);
        std::size_t again = 0;
        bytes_ = 0;
        for (std::uint64_t i = head_; i < end; ++i) {
            const Record record = (*this)[i];
            while (from >= blocks_[block].size) {
                blocks_[block].end = tail_;
                blocks_[block++].size = to;
                from = to = 0;
            }
            char* const memory = blocks_[block].memory.get();
            if (!record.done) {
                std::memmove(memory + to, memory + from, record.size);
                to += record.size;
                bytes_ += record.size;
                again += i < offered_before ? 1U : 0U;
                (*this)[tail_++] = record;
            }
            from += record.size;
        }
        if (block < blocks_.size()) {
            blocks_[block].size = to;
            blocks_[block].end = tail_;
        }
        unsent_ = bytes_;
        sent_block_ = 0;
        sent_at_ = head_at_;
        return again;
    }

    /// Forgets everything.
    void clear() noexcept {
        blocks_.clear();
        head_ = offered_ = tail_;
        head_at_ = sent_block_ = sent_at_ = bytes_ = unsent_ = 0;
    }

private:
    struct Block {
        std::unique_ptr<char[]> memory;
        std::size_t capacity = 0;
        std::size_t size = 0;
        std::uint64_t end = 0; // the number behind its last command
    };
    static constexpr std::size_t block_size = 65'536;
    static constexpr std::size_t slack = 16; // write_command may point past what it writes

    /// Commands are never torn between blocks.
    char* room_for(std::size_t size) {
        if (blocks_.empty() || blocks_.back().capacity - blocks_.back().size < size + slack) {
            Block fresh = std::move(spare_);
            spare_ = {};
            if (fresh.capacity < size + slack) {
                fresh.capacity = std::max(block_size, size + slack);
                fresh.memory = std::make_unique_for_overwrite<char[]>(fresh.capacity);
            }
            fresh.size = 0;
            blocks_.push_back(std::move(fresh));
            if (sent_block_ + 2 == blocks_.size() && sent_at_ == blocks_[sent_block_].size) {
                ++sent_block_;
                sent_at_ = 0;
            }
        }
        return blocks_.back().memory.get() + blocks_.back().size;
    }

    void added(std::size_t size, std::uint64_t tag) noexcept {
        blocks_.back().size += size;
        bytes_ += size;
        unsent_ += size;
        (*this)[tail_] = {tag, static_cast<std::uint32_t>(size), false};
        blocks_.back().end = ++tail_;
    }

    void recycle(Block&& block) noexcept {
        if (block.capacity == block_size) {
            spare_ = std::move(block);
        }
    }

    std::size_t most_commands_;
    std::size_t most_bytes_;
    std::uint64_t mask_;
    std::unique_ptr<Record[]> records_;
    std::uint64_t head_ = 0;
    std::uint64_t offered_ = 0;
    std::uint64_t tail_ = 0;
    std::deque<Block> blocks_;
    Block spare_;
    std::size_t head_at_ = 0; // of the first block: what is released
    std::size_t sent_block_ = 0;
    std::size_t sent_at_ = 0;
    std::size_t bytes_ = 0;
    std::size_t unsent_ = 0;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
