#pragma once

#include <gossip/platform.hpp>

#include <atomic>
#include <cstdint>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: each name stands at both of its ends in the code
//   [renewal]  the end of a renewal (release)  happens before  the next one's beginning (acquire)
//   [anchor]   the store of an odd sequence and then those (release) of an anchor's fields  happen before  a reader's
//              loads (acquire): whoever reads a field of a newer anchor also finds a newer sequence afterwards

/// What time it was at some reading of a counter, and how fast that counts. Readers take no lock: a sequence tells them
/// whether what they have read belongs together.
///
/// Threads: `read` from any thread, all else by one at a time.
template <template <class> class Atom = std::atomic>
class BasicTickAnchor {
public:
    static constexpr unsigned scale_bits = 24; // ages are below 2^35 ticks and scales below 2^29: the product fits

    /// The time at that reading. False if the anchor is too old for it, there is none, or it is just being written.
    [[nodiscard]] bool read(std::uint64_t at, std::int64_t& time) const noexcept {
        const std::uint64_t sequence =
            sequence_.load(std::memory_order_acquire);                      // [anchor] the fields are as new at least
        const std::uint64_t base = ticks_.load(std::memory_order_acquire);  // [anchor] newer: the sequence will say so
        const std::int64_t wall = wall_.load(std::memory_order_acquire);    // [anchor] as above
        const std::uint64_t scale = scale_.load(std::memory_order_acquire); // [anchor] as above
        const std::uint64_t age = at - base;
        if (age < lifetime_.load(std::memory_order_acquire) && (sequence & 1) == 0 && // [anchor] as above
            sequence_.load(std::memory_order_relaxed) == sequence) [[likely]] { // relaxed: the loads above are acquires
            time = wall + static_cast<std::int64_t>((age * scale) >> scale_bits);
            return true;
        }
        return false;
    }

    void write(std::uint64_t at, std::int64_t wall, std::uint64_t scale, std::uint64_t lifetime) noexcept {
        const std::uint64_t sequence = sequence_.load(std::memory_order_relaxed); // relaxed: we alone write it
        sequence_.store(sequence + 1, std::memory_order_relaxed); // relaxed: the stores below release it
        ticks_.store(at, std::memory_order_release);              // [anchor] after the odd sequence
        wall_.store(wall, std::memory_order_release);             // [anchor] as above
        scale_.store(scale, std::memory_order_release);           // [anchor] as above
        lifetime_.store(lifetime, std::memory_order_release);     // [anchor] as above
        sequence_.store(sequence + 2, std::memory_order_release); // [anchor] whole
    }
    /// From here on it is too old for every reader.
    void drop() noexcept {
        lifetime_.store(0, std::memory_order_relaxed); // relaxed: whoever finds no scale finds this
        scale_.store(0, std::memory_order_release);    // [anchor] good for nothing any more
    }
    /// For the one who writes; 0: there is none.
    [[nodiscard]] std::uint64_t scale() const noexcept {
        return scale_.load(std::memory_order_relaxed); // relaxed: nobody else writes it
    }

private:
    Atom<std::uint64_t> sequence_{0};
    Atom<std::uint64_t> ticks_{0};
    Atom<std::int64_t> wall_{0};
    Atom<std::uint64_t> scale_{0};
    Atom<std::uint64_t> lifetime_{0};
};

/// Who renews an anchor: one at a time, and nobody waits for that.
///
/// Threads: `begin` from any thread, `end` by the one who was told to begin.
template <template <class> class Atom = std::atomic>
class BasicRenewal {
public:
    /// False: somebody is at it.
    [[nodiscard]] bool begin() noexcept {
        return !under_way_.exchange(true, std::memory_order_acquire); // [renewal] what the one before has left
    }
    void end() noexcept { under_way_.store(false, std::memory_order_release); } // [renewal] for the next one

private:
    Atom<bool> under_way_{false};
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
