// What a batch has collected: the events of one key, or all of them; and the order in which they are to run.
#pragma once

#include <gossip/batch/batch_chunk.hpp>
#include <gossip/core/event.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// Chunks one after another.
class ChunkQueue {
public:
    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
    void push(BatchChunk& chunk) noexcept {
        chunk.next = nullptr;
        (first_ == nullptr ? first_ : last_->next) = &chunk;
        last_ = &chunk;
    }
    /// Null if it is empty.
    [[nodiscard]] BatchChunk* pop() noexcept {
        BatchChunk* const chunk = first_;
        if (chunk != nullptr) {
            first_ = chunk->next;
        }
        return chunk;
    }

private:
    BatchChunk* first_ = nullptr;
    BatchChunk* last_ = nullptr;
};

/// A place in a list of groups.
struct GroupLink {
    BatchGroup* previous = nullptr;
    BatchGroup* next = nullptr;
    bool listed = false;
};

struct BatchKey {
    std::string text;
    std::uint64_t hash;
};

/// The events of one key; without keys, all.
struct BatchGroup {
    const BatchKey* key = nullptr; // null: all
    BatchChunk* open = nullptr;    // has room; null: none has been needed yet
    ChunkQueue full;               // before it
    std::size_t size = 0;          // of all its chunks, those that run included
    std::size_t runs = 0;          // under way
    GroupLink ready;
    GroupLink timed;

    [[nodiscard]] bool has_ready() const noexcept {
        return !full.empty() || (open != nullptr && open->due && !open->growing && open->size() != 0);
    }
    /// The chunk that is to run next. Precondition: has_ready().
    [[nodiscard]] BatchChunk& take() noexcept {
        BatchChunk* const chunk = full.empty() ? std::exchange(open, nullptr) : full.pop();
        return *chunk;
    }
};

/// Groups, one after another, by one of their links.
template <GroupLink BatchGroup::*Link>
class GroupList {
public:
    [[nodiscard]] BatchGroup* first() const noexcept { return first_; }
    void push(BatchGroup& group) noexcept {
        GroupLink& link = group.*Link;
        if (!link.listed) {
            link = {last_, nullptr, true};
            (last_ == nullptr ? first_ : (last_->*Link).next) = &group;
            last_ = &group;
        }
    }
    void remove(BatchGroup& group) noexcept {
        GroupLink& link = group.*Link;
        if (link.listed) {
            (link.previous == nullptr ? first_ : (link.previous->*Link).next) = link.next;
            (link.next == nullptr ? last_ : (link.next->*Link).previous) = link.previous;
            link = {};
        }
    }

private:
    BatchGroup* first_ = nullptr;
    BatchGroup* last_ = nullptr;
};

/// The groups of a batch by key, or its only one.
///
/// Threads: none of its own: under the collector's lock.
/// Cost:    by key a hash lookup for each event, and a few allocations for a key that was not here lately.
class GroupTable {
public:
    explicit GroupTable(bool by_key) : by_key_(by_key) {
        if (by_key) {
            spares_.reserve(most_spares);
        }
    }

    /// Without keys, all.
    [[nodiscard]] BatchGroup& only() noexcept { return only_; }
    /// Errors: std::bad_alloc for a new key, with nothing changed.
    [[nodiscard]] BatchGroup& of(const Event& event) {
        if (!by_key_) [[likely]] {
            return only_;
        }
        BatchGroup* const known = find(event);
        return known != nullptr ? *known : add({event.key(), event.key_hash()});
    }
    /// Null if there is none.
    [[nodiscard]] BatchGroup* find(const Event& event) noexcept {
        if (!by_key_) {
            return &only_;
        }
        const auto found = groups_.find(View{event.key(), event.key_hash()});
        return found != groups_.end() ? &found->second : nullptr;
    }
    /// Forgets a group that is of no use to anybody.
    void tidy(BatchGroup& group) noexcept {
        if (!by_key_ || group.size != 0) {
            return;
        }
        auto node = groups_.extract(groups_.find(View{group.key->text, group.key->hash}));
        if (spares_.size() < spares_.capacity()) {
            spares_.push_back(std::move(node));
        }
    }
    template <class F>
    void for_each(F&& visit) noexcept {
        if (!by_key_) {
            visit(only_);
            return;
        }
        for (auto& [key, group] : groups_) {
            visit(group);
        }
    }

private:
    struct View {
        std::string_view text;
        std::uint64_t hash;
    };
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(const auto& key) const noexcept { return static_cast<std::size_t>(key.hash); }
    };
    struct Equal {
        using is_transparent = void;
        bool operator()(const auto& a, const auto& b) const noexcept { return a.hash == b.hash && a.text == b.text; }
    };
    using Groups = std::unordered_map<BatchKey, BatchGroup, Hash, Equal>;

    [[gnu::noinline]] BatchGroup& add(const View& key) {
        if (!spares_.empty()) {
            auto& node = spares_.back();
            node.key().text.assign(key.text);
            node.key().hash = key.hash;
            BatchGroup& group = groups_.insert(std::move(node)).position->second;
            spares_.pop_back();
            return group;
        }
        const auto added = groups_.try_emplace(BatchKey{std::string(key.text), key.hash}).first;
        added->second.key = &added->first;
        return added->second;
    }

    static constexpr std::size_t most_spares = 64;
    const bool by_key_;
    BatchGroup only_;
    Groups groups_;
    std::vector<Groups::node_type> spares_; // groups of keys that have gone, for keys to come
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
