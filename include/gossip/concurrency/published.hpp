#pragma once

#include <gossip/platform.hpp>

#include <atomic>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: each name stands at both of its ends in the code
//   [published]  set's store(release)  happens before  the load(acquire) of whoever gets that value

/// A pointer or a flag that says that something is there: whoever gets it sees that, too.
///
/// Threads: every member from any thread.
template <class T, template <class> class Atom = std::atomic>
class BasicPublished {
public:
    constexpr BasicPublished() noexcept = default;
    constexpr explicit BasicPublished(T first) noexcept : value_(first) {}

    /// With all that came before.
    void set(T value) noexcept {
        value_.store(value, std::memory_order_release); // [published] what it stands for is there
    }
    [[nodiscard]] T get() const noexcept {
        return value_.load(std::memory_order_acquire); // [published] so that is seen
    }

private:
    Atom<T> value_{};
};

template <class T>
using Published = BasicPublished<T>;

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
