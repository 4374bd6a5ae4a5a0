#pragma once

#include <gossip/core/error.hpp>

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

namespace detail {
struct BatchFailures;
} // namespace detail

/// What a batch processor says of each item: all is well but for those that it fails.
///
/// Threads: a value. Cost: nothing while nothing fails.
/// Errors:  fail throws std::bad_alloc. An index that the batch does not have fails the batch as a whole.
class BatchResult {
public:
    BatchResult() = default;

    /// `index` is that of the item in the span. Of two errors of one item the first counts.
    void fail(std::size_t index, const Error& error) { failures_.emplace_back(index, error); }
    [[nodiscard]] bool ok() const noexcept { return failures_.empty(); }
    [[nodiscard]] Result of(std::size_t index) const noexcept {
        for (const auto& [failed, error] : failures_) {
            if (failed == index) {
                return error;
            }
        }
        return {};
    }

private:
    friend struct detail::BatchFailures;
    std::vector<std::pair<std::size_t, Error>> failures_;
};

namespace detail {

/// The failures of a BatchResult, for who settles them.
struct BatchFailures {
    using List = std::vector<std::pair<std::size_t, Error>>;

    /// In the order of the items, one for each.
    [[nodiscard]] static List& sorted(BatchResult& result) noexcept {
        List& list = result.failures_;
        std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
        list.erase(
            std::unique(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.first == b.first; }),
            list.end());
        return list;
    }
};

} // namespace detail
} // namespace gossip::GOSSIP_VERSION_NAMESPACE
