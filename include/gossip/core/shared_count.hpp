#pragma once

#include <gossip/version.hpp>

#include <atomic>
#include <cstdint>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// A number that many threads change, and by means of which nothing else is read: statistics, bounds that need not be
/// sharp, what only has to be unlike each other.
///
/// Threads: every member from any thread.
template <class T = std::uint64_t, template <class> class Atom = std::atomic>
class BasicSharedCount {
public:
    constexpr BasicSharedCount() noexcept = default;

    /// What it was before.
    T add(T by = 1) noexcept { return count_.fetch_add(by, std::memory_order_relaxed); }  // relaxed: it orders nothing
    T take(T by = 1) noexcept { return count_.fetch_sub(by, std::memory_order_relaxed); } // relaxed: as above
    [[nodiscard]] T get() const noexcept {
        return count_.load(std::memory_order_relaxed); // relaxed: as above
    }

private:
    Atom<T> count_{0};
};

template <class T = std::uint64_t>
using SharedCount = BasicSharedCount<T>;

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
