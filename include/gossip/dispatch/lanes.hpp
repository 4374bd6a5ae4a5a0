#pragma once

#include <gossip/core/event.hpp>
#include <gossip/dispatch/backlog.hpp>
#include <gossip/platform.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: each name stands at both of its ends in the code
//   [lane]  a ring's publication (release)  happens before  its users' load(acquire)

/// The rings of all priorities: that of normal events from the start, each other one from its first use on.
///
/// Threads: every member from any thread.
/// Cost:    one load, for the normal ring none. Making a ring takes a lock, and memory for a whole buffer.
/// Owns:    the rings.
template <class Ring, template <class> class Atom = std::atomic, class Mutex = std::mutex>
class BasicLanes {
public:
    using Ticket = typename Ring::Ticket;
    static constexpr std::size_t normal = static_cast<std::size_t>(Priority::normal);

    explicit BasicLanes(std::size_t capacity) : normal_(capacity) {}

    [[nodiscard]] Ring& plain() noexcept { return normal_; }
    [[nodiscard]] const Ring& plain() const noexcept { return normal_; }
    /// The ring of a lane; null if nobody has used it.
    [[nodiscard]] Ring* known(std::size_t lane) noexcept {
        return lane == normal ? &normal_ : others_[lane].load(std::memory_order_acquire); // [lane] the ring is built
    }
    [[nodiscard]] const Ring* known(std::size_t lane) const noexcept {
        return lane == normal ? &normal_ : others_[lane].load(std::memory_order_acquire); // [lane] the ring is built
    }
    [[nodiscard]] std::array<Ring*, priority_count> all() noexcept { return {known(0), known(1), known(2), known(3)}; }
    /// The same, made if nobody has used it. Errors: std::bad_alloc.
    Ring& of(std::size_t lane) {
        if (Ring* const ring = known(lane)) [[likely]] {
            return *ring;
        }
        const std::lock_guard lock(mutex_);
        if (owners_[lane] == nullptr) {
            owners_[lane] = std::make_unique<Ring>(normal_.capacity());
            if (closed_) {
                owners_[lane]->close();
            }
            others_[lane].store(owners_[lane].get(), std::memory_order_release); // [lane] built, and closed if all are
        }
        return *owners_[lane];
    }

    /// Closes all rings, those too that are made later.
    void close() noexcept {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        for (Ring* const ring : all()) {
            if (ring != nullptr) {
                ring->close();
            }
        }
    }

    [[nodiscard]] std::array<Ticket, priority_count> tails() const noexcept {
        std::array<Ticket, priority_count> tails{};
        for (std::size_t lane = 0; lane < priority_count; ++lane) {
            if (const Ring* const ring = known(lane)) {
                tails[lane] = ring->tail();
            }
        }
        return tails;
    }
    /// Events that have ever drawn a ticket.
    [[nodiscard]] std::uint64_t drawn() const noexcept {
        std::uint64_t sum = 0;
        for (std::size_t lane = 0; lane < priority_count; ++lane) {
            if (const Ring* const ring = known(lane)) {
                const std::uint64_t over = ring->stepped_over();
                sum += ring->tail() - over;
            }
        }
        return sum;
    }

private:
    alignas(platform::cache_line) Ring normal_;
    std::array<Atom<Ring*>, priority_count> others_{};
    Mutex mutex_; // makes and closes rings
    std::array<std::unique_ptr<Ring>, priority_count> owners_;
    bool closed_ = false;
};

using Lanes = BasicLanes<EventRing>;

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
