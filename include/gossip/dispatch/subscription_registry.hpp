#pragma once

#include <gossip/concurrency/published.hpp>
#include <gossip/concurrency/reclaim.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/event_type.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/core/shared_count.hpp>
#include <gossip/dispatch/awaiting.hpp>
#include <gossip/dispatch/seat.hpp>
#include <gossip/dispatch/subscriber.hpp>
#include <gossip/platform.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <string_view>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: those of gossip/concurrency/reclaim.hpp
// Edges: those of gossip/dispatch/engine.hpp, and these; each name stands at both of its ends in the code
//   [named]     an entry's publication, or that of a table  happens before  find's look

/// The processors of one name, in the order in which they run. Immutable.
struct ProcessorList {
    struct Entry {
        Processor::Invoke invoke;
        Processor::InvokeData invoke_data;
        void* state;
        Subscriber* subscriber;
        bool plain; // no filter, no limit
    };
    std::vector<Entry> entries;
    std::vector<Ref<Subscriber>> owners;
    bool blind = true;                    // no processor sees more of an event than its data,
    const PayloadOps* data_ops = nullptr; // which must be of this type; null: any

    /// Whether the short way will do for data of that type.
    [[nodiscard]] bool takes(const PayloadOps* ops) const noexcept {
        return blind && (data_ops == nullptr || data_ops == ops);
    }
};

struct TopicEntry {
    explicit TopicEntry(EventType name) noexcept : type(std::move(name)) {}
    EventType type;
    BasicSnapshot<const ProcessorList> list{}; // null: nobody listens
};

/// Who listens to what: a name to an immutable list of processors, replaced whole on every change. Patterns are matched
/// when somebody subscribes or a name is seen for the first time, never per event.
///
/// Threads: every member from any thread. `find` and `protect` take no lock for a name that has been seen.
/// Cost:    find is one hash probe, protect two loads and a store. Subscribing, and the end of a subscription, look at
///          each name that is known, and at all subscriptions for each name that is concerned. A name that was
///          published once is remembered (some 100 bytes) up to `most_names`; beyond that it is matched per event.
/// Stalls:  changes wait for each other; no user code runs under the lock.
/// Owns:    the subscriptions. A list that somebody uses lives until a later `collect`.
/// Errors:  add throws std::bad_alloc and leaves everything as it was.
class SubscriptionRegistry {
public:
    static constexpr std::size_t most_names = 65'536;

    SubscriptionRegistry() : table_(new Table(64)) {}
    SubscriptionRegistry(const SubscriptionRegistry&) = delete;
    SubscriptionRegistry& operator=(const SubscriptionRegistry&) = delete;
    ~SubscriptionRegistry() {
        for (const auto& entry : entries_) {
            delete entry->list.alone();
        }
        for (const ProcessorList* list : retired_) {
            delete list;
        }
    }

    [[nodiscard]] SubscriptionId next_id() noexcept { return SubscriptionId{ids.add() + 1}; }

    /// Whether what there is once a process is the same one here and where the bus was made. A library that is loaded
    /// by a program that does not export its symbols has a copy of its own.
    [[nodiscard]] bool at_home() const noexcept { return home_ == &ids; }

    /// Errors: std::bad_alloc, and nothing has changed but for the names that are known.
    void add(Ref<Subscriber> subscriber, std::vector<EventType> names, std::vector<Pattern> patterns) {
        Member member{std::move(subscriber), std::move(names), std::move(patterns)}; // dies after the lock
        const std::lock_guard lock(mutex_);
        for (const EventType& name : member.names) {
            enter(name);
        }
        make_room(members_, members_.size() + 1);
        make_room(ending_, ending_.size() + members_.size() + 1); // whoever has begun can be ended without memory
        members_.push_back(std::move(member));
        if (!succeeds([this] { rebuild(members_.back()); })) {
            member = std::move(members_.back());
            members_.pop_back();
            GOSSIP_THROW(std::bad_alloc{});
        }
        live_.store(members_.size(), std::memory_order_relaxed); // relaxed: statistics
    }

    /// Takes the subscription off all lists; null if there is none of that id. Runs may still be under way, and so may
    /// the end itself, until whoever ends it says that it is over: that long it is remembered.
    [[nodiscard]] Ref<Subscriber> remove(SubscriptionId id, const void* ended_by = nullptr) noexcept {
        const std::lock_guard lock(mutex_);
        const auto found = std::find_if(members_.begin(), members_.end(),
                                        [id](const Member& member) { return member.subscriber->id == id; });
        if (found == members_.end()) {
            return {};
        }
        Member gone = std::move(*found);
        members_.erase(found);
        gone.subscriber->tenure.end(ended_by);                   // [running] before the caller's fence
        live_.store(members_.size(), std::memory_order_relaxed); // relaxed: statistics
        // Without memory inactive is enough: the lists that still name it pass it over, and go with the next change.
        succeeds([&] { rebuild(gone); });
        ending_.push_back(gone.subscriber);
        has_retired_.store(true, std::memory_order_relaxed); // relaxed: a hint
        return std::move(gone.subscriber);
    }
    /// A subscription that was removed and may still be running; null if there is none of that id.
    [[nodiscard]] Ref<Subscriber> ending(SubscriptionId id) const noexcept {
        const std::lock_guard lock(mutex_);
        const auto found = std::find_if(ending_.begin(), ending_.end(),
                                        [id](const Ref<Subscriber>& subscriber) { return subscriber->id == id; });
        return found == ending_.end() ? Ref<Subscriber>{} : *found;
    }

    [[nodiscard]] bool contains(SubscriptionId id) const {
        const std::lock_guard lock(mutex_);
        return std::any_of(members_.begin(), members_.end(),
                           [id](const Member& member) { return member.subscriber->id == id; });
    }
    [[nodiscard]] std::size_t size() const noexcept {
        return live_.load(std::memory_order_relaxed); // relaxed: statistics
    }
    [[nodiscard]] std::vector<Ref<Subscriber>> members() const {
        const std::lock_guard lock(mutex_);
        std::vector<Ref<Subscriber>> all;
        all.reserve(members_.size());
        for (const Member& member : members_) {
            all.push_back(member.subscriber);
        }
        return all;
    }

    /// The processors for events of that name, protected by the seat until `unprotect`; null if there are none. False
    /// if this seat has last seen another name; then ask `protect_other`.
    [[nodiscard]] bool protect_latest(Seat& seat, std::string_view name, const ProcessorList*& list) const noexcept {
        const TopicEntry* const entry = seat.latest;
        if (entry == nullptr || entry->type.name().data() != name.data() || entry->type.name().size() != name.size()) {
            return false;
        }
        list = seat.hazard.protect(entry->list, fence_);
        return true;
    }
    /// The same for any name. Errors: std::bad_alloc for one that was never seen before.
    [[gnu::noinline]] const ProcessorList* protect_other(Seat& seat, const EventType& type) {
        const TopicEntry* entry = find(type.hash(), type.name());
        if (entry == nullptr) {
            const std::lock_guard lock(mutex_);
            if (entries_.size() >= most_names) {
                return protect_stray(seat, type);
            }
            entry = &enter(type);
        }
        seat.latest = entry;
        return seat.hazard.protect(entry->list, fence_);
    }
    static void unprotect(Seat& seat) noexcept { seat.hazard.clear(); }

    /// Remembers a name before it is published or subscribed to.
    void expect(const EventType& type) {
        const std::lock_guard lock(mutex_);
        enter(type);
    }
    /// Whether anybody listens to that name, which is expected or has been published.
    [[nodiscard]] bool heard(const EventType& type) const noexcept {
        const TopicEntry* const entry = find(type.hash(), type.name());
        return entry != nullptr && !entry->list.empty();
    }

    [[nodiscard]] const platform::AsymmetricFence& fence() const noexcept { return fence_; }

    [[nodiscard]] bool has_retired() const noexcept {
        return has_retired_.load(std::memory_order_relaxed); // relaxed: a hint, looked at again and again
    }
    /// Frees the lists that nobody uses any more, and forgets the removed subscriptions that nobody runs. Processors
    /// may be destroyed here: no lock is held meanwhile.
    void collect(const SeatTable& seats) {
        std::vector<const ProcessorList*> free;
        std::vector<Ref<Subscriber>> over;
        {
            const std::lock_guard lock(mutex_);
            if (retired_.empty() && ending_.empty()) {
                return;
            }
            over.reserve(ending_.size());
            std::vector<const void*> used;
            std::vector<const void*> running;
            look_at_seats(seats, fence_, [&used, &running](const Seat& seat) { // [hazard] [running] after the changes
                if (const void* const current = seat.current.seen()) {         // [running] keeps it
                    running.push_back(current);
                }
                if (const void* const list = seat.hazard.shown()) {
                    used.push_back(list);
                }
            });
            const auto idle = std::partition(retired_.begin(), retired_.end(), [&used](const ProcessorList* list) {
                return std::find(used.begin(), used.end(), list) != used.end();
            });
            free.assign(idle, retired_.end());
            retired_.erase(idle, retired_.end());
            for (std::size_t i = ending_.size(); i-- > 0;) {
                if (std::find(running.begin(), running.end(), ending_[i].get()) == running.end() &&
                    ending_[i]->tenure.ended_by() == nullptr) { // [ended] all of it
                    over.push_back(std::move(ending_[i]));
                    ending_[i] = std::move(ending_.back());
                    ending_.pop_back();
                }
            }
            has_retired_.store(!retired_.empty() || !ending_.empty(), std::memory_order_relaxed); // relaxed: a hint
        }
        for (const ProcessorList* list : free) {
            delete list;
        }
    }

private:
    struct Member {
        Ref<Subscriber> subscriber;
        std::vector<EventType> names;
        std::vector<Pattern> patterns;

        [[nodiscard]] bool wants(const EventType& type) const {
            return std::find(names.begin(), names.end(), type) != names.end() ||
                   std::any_of(patterns.begin(), patterns.end(), [&type](const Pattern& p) { return p.matches(type); });
        }
    };

    /// An open hash table of entries, replaced by a larger one; the old ones stay until the end, readable.
    struct Table {
        explicit Table(std::size_t size) : mask(size - 1), cells(new Published<const TopicEntry*>[size]) {}
        std::size_t mask;
        std::unique_ptr<Published<const TopicEntry*>[]> cells;
        std::unique_ptr<Table> older;

        void put(const TopicEntry* entry) noexcept {
            std::size_t i = entry->type.hash() & mask;
            while (cells[i].get() != nullptr) {
                i = (i + 1) & mask;
            }
            cells[i].set(entry); // [named] with the list that it has
        }
    };

    [[nodiscard]] const TopicEntry* find(std::uint64_t hash, std::string_view name) const noexcept {
        const Table& table = *current_.get(); // [named] its cells are filled
        for (std::size_t i = hash & table.mask;; i = (i + 1) & table.mask) {
            const TopicEntry* const entry = table.cells[i].get(); // [named] the entry is built
            if (entry == nullptr || (entry->type.hash() == hash && entry->type.name() == name)) {
                return entry;
            }
        }
    }

    /// A name that is one too many to be remembered: a list for this once, retired as soon as it is protected.
    const ProcessorList* protect_stray(Seat& seat, const EventType& type) {
        std::unique_ptr<const ProcessorList> list = make_list(type);
        if (list != nullptr) {
            retired_.push_back(list.get());
            has_retired_.store(true, std::memory_order_relaxed); // relaxed: a hint
            seat.hazard.keep(list.get());                        // [hazard] under the lock that collect takes
        }
        return list.release();
    }

    /// The entry of that name, made if there is none. Under the lock.
    TopicEntry& enter(const EventType& type) {
        if (const TopicEntry* const known = find(type.hash(), type.name())) {
            return const_cast<TopicEntry&>(*known);
        }
        auto list = make_list(type);
        if ((entries_.size() + 1) * 2 > table_->mask + 1) {
            auto larger = std::make_unique<Table>((table_->mask + 1) * 2);
            for (const auto& entry : entries_) {
                larger->put(entry.get());
            }
            larger->older = std::move(table_);
            table_ = std::move(larger);
            current_.set(table_.get()); // [named] filled with all that there is
        }
        entries_.push_back(std::make_unique<TopicEntry>(type));
        entries_.back()->list.replace(list.release()); // [listed] before it can be found
        table_->put(entries_.back().get());
        return *entries_.back();
    }

    [[nodiscard]] std::unique_ptr<const ProcessorList> make_list(const EventType& type) const {
        std::unique_ptr<ProcessorList> list;
        for (const Member& member : members_) {
            if (member.wants(type)) {
                if (list == nullptr) {
                    list = std::make_unique<ProcessorList>();
                }
                list->owners.push_back(member.subscriber);
            }
        }
        if (list != nullptr) {
            std::stable_sort(list->owners.begin(), list->owners.end(),
                             [](const Ref<Subscriber>& a, const Ref<Subscriber>& b) {
                                 return a->options.priority > b->options.priority;
                             });
            list->entries.reserve(list->owners.size());
            for (const Ref<Subscriber>& owner : list->owners) {
                const Processor& processor = owner->processor;
                const bool plain = owner->limit == nullptr && !owner->options.filter;
                list->entries.push_back(
                    {processor.invoke(), processor.invoke_data(), processor.state(), owner.get(), plain});
                const PayloadOps* const ops = processor.data_ops();
                list->blind = list->blind && plain && processor.invoke_data() != nullptr &&
                              (ops == nullptr || list->data_ops == nullptr || list->data_ops == ops);
                list->data_ops = ops == nullptr ? list->data_ops : ops;
            }
        }
        return list;
    }

    template <class V>
    static void make_room(V& vector, std::size_t size) {
        if (vector.capacity() < size) {
            vector.reserve(std::max(size, vector.capacity() * 2));
        }
    }

    /// Replaces the lists of all names that `changed` wants. Under the lock. Either all or, on bad_alloc, none.
    void rebuild(const Member& changed) {
        std::vector<std::pair<TopicEntry*, std::unique_ptr<const ProcessorList>>> fresh;
        for (const auto& entry : entries_) {
            if (changed.wants(entry->type)) {
                fresh.emplace_back(entry.get(), make_list(entry->type));
            }
        }
        retired_.reserve(retired_.size() + fresh.size());
        for (auto& [entry, list] : fresh) {
            const ProcessorList* const old = entry->list.replace(list.release()); // [hazard] before collect looks
            if (old != nullptr) {
                retired_.push_back(old);
            }
        }
        has_retired_.store(!retired_.empty(), std::memory_order_relaxed); // relaxed: a hint
    }

    const platform::AsymmetricFence fence_;
    mutable std::mutex mutex_;
    std::unique_ptr<Table> table_;
    Published<const Table*> current_{table_.get()};
    std::vector<std::unique_ptr<TopicEntry>> entries_;
    std::vector<Member> members_;
    std::vector<const ProcessorList*> retired_;
    std::vector<Ref<Subscriber>> ending_; // removed, and perhaps still running
    std::atomic<bool> has_retired_{false};
    // Of all buses: an id means nothing to another one.
    [[gnu::visibility("default")]] inline static constinit SharedCount<> ids;
    const SharedCount<>* const home_ = &ids;
    std::atomic<std::size_t> live_{0};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
