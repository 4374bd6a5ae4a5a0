// Memory that goes round: blocks of one size, as the nodes of a container that fills and empties.
#pragma once

#include <gossip/platform.hpp>
#include <gossip/version.hpp>

#include <algorithm>
#include <cstddef>
#include <new>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// Keeps blocks for those who will need one of that size. Who touches one that he has given back is seen by an address
/// sanitizer, as with memory that was freed.
///
/// Threads: one at a time.
/// Cost:    take and give allocate and free nothing while as many blocks come back as are taken.
/// Owns:    the blocks that are spare, at most as many as it was told; not those that are out.
/// Errors:  take may throw std::bad_alloc.
class SpareBlocks {
public:
    explicit SpareBlocks(std::size_t most) noexcept : most_(most) {}
    SpareBlocks(const SpareBlocks&) = delete;
    SpareBlocks& operator=(const SpareBlocks&) = delete;
    ~SpareBlocks() {
        while (first_ != nullptr) {
            ::operator delete(pop());
        }
    }

    /// The first call says what size is kept.
    [[nodiscard]] void* take(std::size_t size) {
        if (first_ != nullptr && size == size_) [[likely]] {
            --spare_;
            return pop();
        }
        void* const fresh = ::operator new(std::max(size, sizeof(Spare)));
        size_ = size_ == 0 ? size : size_;
        return fresh;
    }
    /// `size`: as it was taken.
    void give(void* block, std::size_t size) noexcept {
        if (size != size_ || spare_ == most_) {
            ::operator delete(block);
            return;
        }
        ++spare_;
        first_ = ::new (block) Spare{first_};
        platform::close_memory(rest_of(block), rest_size());
    }

    [[nodiscard]] std::size_t spare() const noexcept { return spare_; }

private:
    struct Spare {
        Spare* next;
    };

    [[nodiscard]] void* pop() noexcept {
        void* const block = std::exchange(first_, first_->next);
        platform::open_memory(rest_of(block), rest_size());
        return block;
    }
    /// What of a spare block is not its note of the next.
    [[nodiscard]] static void* rest_of(void* block) noexcept { return static_cast<char*>(block) + sizeof(Spare); }
    [[nodiscard]] std::size_t rest_size() const noexcept { return std::max(size_, sizeof(Spare)) - sizeof(Spare); }

    const std::size_t most_;
    std::size_t size_ = 0;
    std::size_t spare_ = 0;
    Spare* first_ = nullptr;
};

/// Gives a container its nodes from there; what it asks for in arrays comes and goes as ever.
template <class T>
class SpareAllocator {
public:
    using value_type = T;

    explicit SpareAllocator(SpareBlocks& blocks) noexcept : blocks_(&blocks) {}
    template <class U>
    SpareAllocator(const SpareAllocator<U>& other) noexcept : blocks_(other.blocks_) {}

    [[nodiscard]] T* allocate(std::size_t count) {
        static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
        if (count != 1) {
            const std::size_t bytes = count * size;
            return static_cast<T*>(::operator new(bytes));
        }
        return static_cast<T*>(blocks_->take(size));
    }
    void deallocate(T* memory, std::size_t count) noexcept {
        if (count != 1) {
            ::operator delete(static_cast<void*>(memory));
        } else {
            blocks_->give(memory, size);
        }
    }

    friend bool operator==(const SpareAllocator&, const SpareAllocator&) = default;

private:
    template <class U>
    friend class SpareAllocator;

    static constexpr std::size_t size = sizeof(T); // NOLINT(bugprone-sizeof-expression): a table's T is a pointer

    SpareBlocks* blocks_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
