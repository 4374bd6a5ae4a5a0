#pragma once

#include <gossip/version.hpp>

#include <atomic>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: each name stands at both of its ends in the code
//   [linked]  push's exchange(release) of the newest node  happens before  first's load(acquire) of it, or of one that
//             was linked after it: what stands in a node is seen with it

/// A list that only grows. Its nodes have a `const Node* next`, which changes no more once they are on it.
///
/// Threads: every member from any thread.
/// Owns:    nothing.
template <class Node, template <class> class Atom = std::atomic>
class BasicGrowingList {
public:
    constexpr BasicGrowingList() noexcept = default;
    BasicGrowingList(const BasicGrowingList&) = delete;
    BasicGrowingList& operator=(const BasicGrowingList&) = delete;

    void push(Node& node) noexcept {
        node.next = first_.load(std::memory_order_relaxed); // relaxed: the exchange below links it
        while (!first_.compare_exchange_weak(node.next, &node, std::memory_order_release, // [linked] it is whole
                                             std::memory_order_relaxed)) {                // relaxed: tried again
        }
    }
    /// The newest one, or null.
    [[nodiscard]] const Node* first() const noexcept {
        return first_.load(std::memory_order_acquire); // [linked] with all that it leads to
    }

private:
    Atom<const Node*> first_{nullptr};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
