#pragma once

#include <gossip/batch/batch_chunk.hpp>
#include <gossip/batch/batch_group.hpp>
#include <gossip/batch/batch_options.hpp>
#include <gossip/core/clock.hpp>
#include <gossip/core/event.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// What a batch has collected, and what of it is to run next.
///
/// Threads: none of its own: under the collector's lock. No user code runs in here.
/// Order:   groups with something to run take turns; those that wait for their time do so in the order of their firsts.
/// Owns:    the chunks, for as long as it lives.
class BatchStore {
public:
    explicit BatchStore(const BatchOptions& options)
        : size_of_run_(options.size),
          period_ns_(options.period.count()),
          most_runs_(options.concurrency),
          by_key_(options.by_key),
          capacity_(capacity_of(options)),
          groups_(options.by_key) {}
    BatchStore(const BatchStore&) = delete;
    BatchStore& operator=(const BatchStore&) = delete;
    ~BatchStore() {
        while (BatchChunk* const chunk = newest_) {
            newest_ = chunk->older;
            delete chunk;
        }
    }

    /// How many events are there, those that run included.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t runs() const noexcept { return runs_; }

    // Collecting

    /// Errors: std::bad_alloc for a new key.
    [[nodiscard]] BatchGroup& group_of(const Event& event) { return groups_.of(event); }
    [[nodiscard]] bool is_full(const BatchGroup& group) const noexcept {
        return size_ >= capacity_ || (by_key_ && group.size >= 2 * size_of_run_);
    }
    [[nodiscard]] bool is_full_for(const Event& event) noexcept {
        const BatchGroup* const group = groups_.find(event);
        return group == nullptr ? size_ >= capacity_ : is_full(*group);
    }
    /// The group that the event belongs to, if a place in its open chunk is to be had at once; null if not.
    [[nodiscard]] BatchGroup* open_group_of(const Event& event) noexcept {
        BatchGroup* group = &groups_.only();
        if (by_key_ && ((group = groups_.find(event)) == nullptr || is_full(*group))) [[unlikely]] {
            return nullptr;
        }
        const BatchChunk* const chunk = group->open;
        const bool has_place =
            size_ < capacity_ && chunk != nullptr && !chunk->growing && chunk->size() != chunk->room();
        return has_place ? group : nullptr;
    }
    /// Gives the group a chunk that nobody uses; without one, `spare`. False if that is null too.
    [[nodiscard]] bool open(BatchGroup& group, std::unique_ptr<BatchChunk>& spare) noexcept {
        BatchChunk* chunk = unused_.pop();
        if (chunk == nullptr && spare != nullptr) {
            chunk = spare.release();
            chunk->older = std::exchange(newest_, chunk);
        }
        if (chunk != nullptr) {
            chunk->group = &group;
            group.open = chunk;
        }
        return chunk != nullptr;
    }
    /// Puts a plain event into the open chunk, if that is all there is to do: it is neither the first nor the last of
    /// the chunk, no other has to be marked there, and nothing waits for somebody who runs it.
    [[nodiscard]] bool try_add_plain(Event& event) noexcept {
        BatchGroup& group = groups_.only();
        BatchChunk* const chunk = group.open;
        if (by_key_ || chunk == nullptr || ready_.first() != nullptr || size_ >= capacity_ || chunk->size() == 0 ||
            chunk->size() + 1 >= chunk->room() || !chunk->takes_plain()) [[unlikely]] {
            return false;
        }
        chunk->put_plain(event);
        ++group.size;
        ++size_;
        return true;
    }
    /// A place has been claimed in the group's open chunk.
    void added(BatchGroup& group) noexcept {
        ++group.size;
        ++size_;
        BatchChunk& chunk = *group.open;
        if (chunk.size() == size_of_run_) {
            group.full.push(chunk);
            group.open = nullptr;
            timed_.remove(group);
            list(group);
        } else if (period_ns_ == 0) {
            chunk.due = true;
            list(group);
        }
    }
    void tidy(BatchGroup& group) noexcept { groups_.tidy(group); }

    // Running

    /// Whether there is something to run, and a run may begin.
    [[nodiscard]] bool can_run() const noexcept { return ready_.first() != nullptr && may_run(); }
    [[nodiscard]] bool may_run() const noexcept { return runs_ < most_runs_; }
    /// A chunk that has to be run now; null if there is none, or enough are running.
    [[nodiscard]] BatchChunk* begin_run() noexcept {
        if (!can_run()) [[likely]] {
            return nullptr;
        }
        BatchGroup& group = *ready_.first();
        BatchChunk& chunk = group.take();
        ++runs_;
        ++group.runs;
        ready_.remove(group); // to the end of the line
        list(group);
        return &chunk;
    }
    /// The chunk is empty: it had `count` events, and `runs` of it are over.
    void put_away(BatchChunk& chunk, std::size_t count, std::size_t runs) noexcept {
        BatchGroup& group = *chunk.group;
        size_ -= count;
        runs_ -= runs;
        group.size -= count;
        group.runs -= runs;
        ++chunk.serial;
        chunk.due = false;
        unused_.push(chunk);
        list(group);
        groups_.tidy(group);
    }
    /// All that doesn't run yet. Precondition: it is due.
    void take_all(ChunkQueue& left) noexcept {
        groups_.for_each([&](BatchGroup& group) {
            while (group.has_ready()) {
                left.push(group.take());
            }
            list(group);
        });
    }
    /// Lists the group where runs are looked for, or takes it off.
    void list(BatchGroup& group) noexcept {
        if (group.has_ready() && group.runs < (by_key_ ? 1 : most_runs_)) {
            ready_.push(group);
        } else {
            ready_.remove(group);
        }
    }

    // Time

    /// The chunk's first event came then; unless the chunk is another one's by now, or is to run in any case.
    void set_time(BatchChunk& chunk, std::uint64_t serial, std::int64_t now_ns) noexcept {
        if (chunk.serial == serial && chunk.group->open == &chunk && !chunk.due) {
            chunk.first_at_ns = now_ns;
            timed_.push(*chunk.group);
        }
    }
    /// False if nothing waits for its time.
    [[nodiscard]] bool next_due(std::int64_t& due_ns) const noexcept {
        const BatchGroup* const first = timed_.first();
        if (first == nullptr) {
            return false;
        }
        due_ns = saturated_add(first->open->first_at_ns, period_ns_);
        return true;
    }
    /// False if nothing waits for its time.
    bool make_first_due() noexcept {
        BatchGroup* const first = timed_.first();
        if (first == nullptr) {
            return false;
        }
        make_due(*first);
        return true;
    }
    /// False if there is nothing to run.
    bool make_all_due() noexcept {
        bool any = false;
        groups_.for_each([&](BatchGroup& group) {
            make_due(group);
            any = any || group.has_ready();
        });
        return any;
    }

private:
    void make_due(BatchGroup& group) noexcept {
        if (group.open != nullptr && group.open->size() != 0) {
            group.open->due = true;
            timed_.remove(group);
            list(group);
        }
    }

    const std::size_t size_of_run_;
    const std::int64_t period_ns_;
    const std::size_t most_runs_;
    const bool by_key_;
    const std::size_t capacity_;
    GroupTable groups_;
    GroupList<&BatchGroup::ready> ready_; // those with a chunk that may run
    GroupList<&BatchGroup::timed> timed_; // those with a chunk whose time will come
    ChunkQueue unused_;
    BatchChunk* newest_ = nullptr; // of all there are
    std::size_t size_ = 0;
    std::size_t runs_ = 0;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
