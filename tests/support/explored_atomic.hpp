#pragma once

// An atomic whose operations the explorer orders, and whose loads may read what is no longer the newest value, where
// the memory orders allow that: the C++ memory model, less what no implementation does (a load of the future, and an
// order of stores other than that in which they were executed).

#include "support/explorer.hpp"
#include "support/mutation.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace gossip_test {

template <class T>
class ExploredAtomic {
public:
    ExploredAtomic() : ExploredAtomic(T{}) {}
    ExploredAtomic(T value) { // implicit, as std::atomic's
        stores_.reserve(8);
        Execution::now().known().advance(maker_);
        append(value, std::memory_order_relaxed);
    }
    ExploredAtomic(const ExploredAtomic&) = delete;
    ExploredAtomic& operator=(const ExploredAtomic&) = delete;

    // The last parameters tell where in the source the call stands.

    [[nodiscard]] T load(std::memory_order order = std::memory_order_seq_cst, int line = __builtin_LINE(),
                         const char* file = __builtin_FILE()) const {
        const Site site{file, line, Operation::load};
        step();
        const T value = read(Mutation::order(order, site));
        tell(site, value);
        return value;
    }
    void store(T value, std::memory_order order = std::memory_order_seq_cst, int line = __builtin_LINE(),
               const char* file = __builtin_FILE()) {
        const Site site{file, line, Operation::store};
        step();
        tell(site, value);
        append(value, Mutation::order(order, site));
    }
    T exchange(T value, std::memory_order order = std::memory_order_seq_cst, int line = __builtin_LINE(),
               const char* file = __builtin_FILE()) {
        return change([&](T) { return value; }, order, {file, line, Operation::exchange});
    }
    T fetch_add(T value, std::memory_order order = std::memory_order_seq_cst, int line = __builtin_LINE(),
                const char* file = __builtin_FILE()) {
        return change([&](T old) { return static_cast<T>(old + value); }, order, {file, line, Operation::fetch_add});
    }
    T fetch_sub(T value, std::memory_order order = std::memory_order_seq_cst, int line = __builtin_LINE(),
                const char* file = __builtin_FILE()) {
        return change([&](T old) { return static_cast<T>(old - value); }, order, {file, line, Operation::fetch_sub});
    }
    T fetch_or(T value, std::memory_order order = std::memory_order_seq_cst, int line = __builtin_LINE(),
               const char* file = __builtin_FILE()) {
        return change([&](T old) { return static_cast<T>(old | value); }, order, {file, line, Operation::fetch_or});
    }
    T fetch_and(T value, std::memory_order order = std::memory_order_seq_cst, int line = __builtin_LINE(),
                const char* file = __builtin_FILE()) {
        return change([&](T old) { return static_cast<T>(old & value); }, order, {file, line, Operation::fetch_and});
    }
    bool compare_exchange_strong(T& expected, T wanted, std::memory_order success, std::memory_order failure,
                                 int line = __builtin_LINE(), const char* file = __builtin_FILE()) {
        return compare_exchange(expected, wanted, success, failure, {file, line, Operation::compare_exchange});
    }
    bool compare_exchange_weak(T& expected, T wanted, std::memory_order success, std::memory_order failure,
                               int line = __builtin_LINE(), const char* file = __builtin_FILE()) {
        if (Execution::now().fails_for_no_reason()) {
            step();
            expected = read_newest(failed(failure, line, file));
            tell({file, line, Operation::compare_exchange}, "fails for no reason");
            return false;
        }
        return compare_exchange(expected, wanted, success, failure, {file, line, Operation::compare_exchange});
    }

private:
    struct Store {
        T value;
        bool in_the_one_order;                                   // seq_cst
        HappenedBefore released;                                 // what a load that acquires gets to know
        std::array<std::uint32_t, HappenedBefore::threads> seen; // when each thread first wrote or read it; 0: never
    };

    static bool acquires(std::memory_order order) {
        return order != std::memory_order_relaxed && order != std::memory_order_release;
    }
    static bool releases(std::memory_order order) {
        return order != std::memory_order_relaxed && order != std::memory_order_acquire;
    }

    void step() const {
        Execution& now = Execution::now();
        now.step();
        if (!now.known().knows(maker_, stores_.front().seen[maker_])) {
            now.fail("an atomic was used by who cannot know that it was built");
        }
    }
    template <class... Words>
    static void tell(const Site& site, const Words&... words) {
        Execution::now().tell(name_of(site.operation), ' ', std::strrchr(site.file, '/') + 1, ':', site.line, ": ",
                              words...);
    }

    /// Whether a load of this thread cannot read anything older than that.
    [[nodiscard]] bool is_a_floor(const Store& store, std::memory_order order) const {
        if (order == std::memory_order_seq_cst && store.in_the_one_order) {
            return true;
        }
        for (unsigned i = 0; i < HappenedBefore::threads; ++i) {
            if (Execution::now().known().knows(i, store.seen[i])) {
                return true;
            }
        }
        return false;
    }

    T read(std::memory_order order) const {
        unsigned options = 1;
        while (options < stores_.size() && !is_a_floor(stores_[stores_.size() - options], order)) {
            ++options;
        }
        return note_read(stores_[stores_.size() - 1 - Execution::now().pick_age(options)], order);
    }
    T read_newest(std::memory_order order) const { return note_read(stores_.back(), order); }

    static T note_read(Store& store, std::memory_order order) {
        Execution& now = Execution::now();
        std::uint32_t& seen = store.seen[now.me()];
        if (seen == 0) {
            seen = now.known().moment(now.me());
        }
        if (acquires(order)) {
            now.known().join(store.released);
        }
        return store.value;
    }

    /// `from`: what a read-modify-write has read, whose release sequence it goes on with.
    void append(T value, std::memory_order order, const Store* from = nullptr) {
        Execution& now = Execution::now();
        Store store{value, order == std::memory_order_seq_cst, {}, {}};
        store.seen[now.me()] = now.known().moment(now.me());
        if (releases(order)) {
            store.released = now.known();
        }
        if (from != nullptr) {
            store.released.join(from->released);
        }
        stores_.push_back(store);
    }

    template <class New>
    T change(New value_after, std::memory_order order, const Site& site) {
        step();
        order = Mutation::order(order, site);
        if (Mutation::tears(site)) {
            const T old = read(order);
            tell(site, old, " read");
            step();
            append(value_after(old), order);
            tell(site, value_after(old), " written");
            return old;
        }
        const T old = read_newest(order);
        tell(site, value_after(old));
        append(value_after(old), order, &stores_.back());
        return old;
    }

    static std::memory_order failed(std::memory_order order, int line, const char* file) {
        return Mutation::order(order, {file, line, Operation::compare_exchange_failed});
    }
    bool compare_exchange(T& expected, T wanted, std::memory_order success, std::memory_order failure,
                          const Site& site) {
        step();
        success = Mutation::order(success, site);
        failure = failed(failure, site.line, site.file);
        const bool torn = Mutation::tears(site);
        const T old = torn ? read(success) : stores_.back().value;
        if (old != expected) {
            tell(site, "fails");
            expected = torn ? old : read_newest(failure);
            return false;
        }
        tell(site, wanted);
        if (torn) {
            step();
            append(wanted, success);
            tell(site, wanted, " written");
        } else {
            read_newest(success);
            append(wanted, success, &stores_.back());
        }
        return true;
    }

    const unsigned maker_ = Execution::now().me();
    mutable std::vector<Store> stores_; // in modification order
};

/// A number in plain memory: two accesses that nothing orders, one of them a write, end the execution.
class ExploredValue {
public:
    explicit ExploredValue(std::uint64_t value) noexcept : value_(value) { access(true); }
    ExploredValue(ExploredValue&& other) noexcept : value_(other.get()) {
        access(true);
        other.access(true);
    }
    ExploredValue& operator=(ExploredValue&& other) noexcept {
        value_ = other.get();
        access(true);
        other.access(true);
        return *this;
    }
    ~ExploredValue() { access(true); }

    [[nodiscard]] std::uint64_t get() const noexcept {
        access(false);
        return value_;
    }

private:
    void access(bool write) const { Execution::now().access(this, write); }

    std::uint64_t value_;
};

} // namespace gossip_test
