#pragma once

#include <gossip/platform.hpp>

#include <atomic>
#include <cstdint>
#include <memory>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

// Edges: each name stands at both of its ends in the code
//   [run]   a run's publication (release)  happens before  the CAS (acquire) of whoever takes from it: the events are
//           built
//   [kept]  keep's store (seq_cst), followed by the look whether somebody sleeps, is ordered with a worker's
//           announcement that it will sleep, followed by its look at the runs: at least one sees the other
//   [take]  take's CAS on a run (seq_cst), followed by the look for publishers that wait for room, is ordered with a
//           publisher's joining that line, followed by its look at the runs: at least one sees the other

/// What each worker has claimed of a ring and not begun: a run of consecutive tickets, from which others may take.
///
/// Threads: `keep` by the worker that it names, and only while its run is empty; all else from any thread.
/// Order:   the owner takes from the front, a thief the rear half; one that is no worker takes the front.
/// Cost:    take is one compare-exchange, of a cache line that is the owner's as long as nobody looks.
template <template <class> class Atom = std::atomic>
class BasicClaimedRuns {
public:
    using Ticket = std::uint64_t;
    static constexpr unsigned no_worker = ~0U;
    static constexpr std::uint32_t longest = 255;

    explicit BasicClaimedRuns(unsigned workers) : workers_(workers), runs_(new Run[workers + 1]) {}

    /// The rest of what this worker has claimed.
    void keep(unsigned worker, Ticket first, std::uint32_t count) noexcept {
        runs_[worker].word.store(pack(first, count),
                                 std::memory_order_seq_cst); // [run] [kept] others may take it from here
    }

    /// The first ticket of that worker's run.
    [[nodiscard]] bool take(unsigned worker, Ticket& ticket) noexcept {
        Atom<std::uint64_t>& run = runs_[worker].word;
        std::uint64_t word = run.load(std::memory_order_relaxed); // relaxed: a guess, checked by the CAS
        while (left_of(word) != 0) {
            if (run.compare_exchange_weak(word, pack(first_of(word) + 1, left_of(word) - 1),
                                          std::memory_order_seq_cst,    // [run] [take] its slot is about to be free
                                          std::memory_order_relaxed)) { // relaxed: another guess
                ticket = first_of(word);
                return true;
            }
        }
        return false;
    }

    /// Takes over part of what another worker has claimed. A worker keeps the rest of that part as its own run.
    [[nodiscard]] bool steal(unsigned worker, Ticket& ticket) noexcept {
        for (unsigned i = 0; i < workers_; ++i) {
            if (i == worker) {
                continue;
            }
            std::uint64_t word = runs_[i].word.load(std::memory_order_relaxed); // relaxed: a guess, checked by the CAS
            while (left_of(word) != 0) {
                const std::uint32_t left = left_of(word);
                const std::uint32_t mine = worker == no_worker ? 1 : (left + 1) / 2;
                const Ticket first = worker == no_worker ? first_of(word) : first_of(word) + left - mine;
                const Ticket rest = worker == no_worker ? first + 1 : first_of(word);
                if (runs_[i].word.compare_exchange_weak(
                        word, pack(rest, left - mine),
                        std::memory_order_seq_cst,    // [run] [take] one slot is about to be free
                        std::memory_order_relaxed)) { // relaxed: another guess
                    if (mine > 1) {
                        keep(worker, first + 1, mine - 1);
                    }
                    ticket = first;
                    return true;
                }
            }
        }
        return false;
    }

    /// The worker in whose run the oldest ticket is, if that is older than `ticket`, which it becomes; or no_worker.
    [[nodiscard]] unsigned holder_of_oldest(Ticket& ticket) const noexcept {
        unsigned holder = no_worker;
        for (unsigned i = 0; i < workers_; ++i) {
            const std::uint64_t word =
                runs_[i].word.load(std::memory_order_relaxed); // relaxed: as of now; take decides
            if (left_of(word) != 0 && first_of(word) < ticket) {
                ticket = first_of(word);
                holder = i;
            }
        }
        return holder;
    }
    /// The first ticket of that worker's run, or `otherwise` if it is empty.
    [[nodiscard]] Ticket first(unsigned worker, Ticket otherwise) const noexcept {
        const std::uint64_t word =
            runs_[worker].word.load(std::memory_order_relaxed); // relaxed: as of now; take decides
        return left_of(word) != 0 ? first_of(word) : otherwise;
    }
    /// For that worker itself.
    [[nodiscard]] bool has_run(unsigned worker) const noexcept {
        return left_of(runs_[worker].word.load(std::memory_order_relaxed)) != 0; // relaxed: others only make it shorter
    }

    /// Whether there is anything in any run.
    [[nodiscard]] bool any() const noexcept {
        for (unsigned i = 0; i < workers_; ++i) {
            if (left_of(runs_[i].word.load(std::memory_order_seq_cst)) != 0) { // [kept] all that was kept before
                return true;
            }
        }
        return false;
    }
    /// Whether that ticket is in some run.
    [[nodiscard]] bool holds(Ticket ticket) const noexcept {
        for (unsigned i = 0; i < workers_; ++i) {
            const std::uint64_t word =
                runs_[i].word.load(std::memory_order_seq_cst); // [take] taken before we got in line?
            if (left_of(word) != 0 && first_of(word) <= ticket && ticket < first_of(word) + left_of(word)) {
                return true;
            }
        }
        return false;
    }
    /// How many tickets are in the runs, about.
    [[nodiscard]] std::uint64_t size() const noexcept {
        std::uint64_t sum = 0;
        for (unsigned i = 0; i < workers_; ++i) {
            sum += left_of(runs_[i].word.load(std::memory_order_relaxed)); // relaxed: statistics
        }
        return sum;
    }

private:
    struct alignas(platform::cache_line) Run {
        Atom<std::uint64_t> word{0}; // the first ticket, and in the low byte how many are left
    };
    static constexpr Ticket first_of(std::uint64_t word) noexcept { return word >> 8U; }
    static constexpr std::uint32_t left_of(std::uint64_t word) noexcept {
        return static_cast<std::uint32_t>(word & longest);
    }
    static constexpr std::uint64_t pack(Ticket first, std::uint32_t left) noexcept { return first << 8U | left; }

    const unsigned workers_;
    const std::unique_ptr<Run[]> runs_;
};

using ClaimedRuns = BasicClaimedRuns<>;

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
