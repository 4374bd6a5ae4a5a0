// Filters that let a part of the events through.
#pragma once

#include <gossip/core/call_counter.hpp>
#include <gossip/core/random.hpp>
#include <gossip/filter/logic.hpp>

#include <cstdint>

namespace gossip::GOSSIP_VERSION_NAMESPACE::filter {

/// Every n-th of the events it is asked about, the n-th first.
///
/// Threads: exact also when asked by many. Each copy counts for itself, from the start: each subscription made with it
///          sees every n-th of its own events.
/// Cost:    one atomic addition.
class EveryNth {
public:
    explicit EveryNth(std::int64_t n) : n_(static_cast<std::uint64_t>(n)) {
        detail::require(n >= 1, "n", n, "must be at least 1");
    }
    [[nodiscard]] bool operator()(const Event&) const noexcept { return calls_.next() % n_ == 0; }

private:
    std::uint64_t n_;
    detail::CallCounter calls_;
};
[[nodiscard]] inline EveryNth every_nth(std::int64_t n) { return EveryNth(n); }

/// Each event with probability p: 0 is none, 1 is all. One seed makes one sequence of answers.
///
/// Threads: as EveryNth.
class Fraction {
public:
    Fraction(double p, std::uint64_t seed) : p_(p), seed_(detail::mix_hash(seed)) {
        detail::require(p >= 0 && p <= 1, "p", p, "must be between 0 and 1");
    }
    [[nodiscard]] bool operator()(const Event&) const noexcept {
        return detail::to_fraction(detail::mix_hash(seed_ + calls_.next() * detail::random_step)) < p_;
    }

private:
    double p_;
    std::uint64_t seed_;
    detail::CallCounter calls_;
};
[[nodiscard]] inline Fraction fraction(double p, std::uint64_t seed) { return {p, seed}; }
[[nodiscard]] inline Fraction fraction(double p) { return {p, detail::random_bits()}; }

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::filter
