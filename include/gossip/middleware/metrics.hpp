#pragma once

#include <gossip/core/shared_count.hpp>
#include <gossip/middleware/middleware.hpp>
#include <gossip/platform.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

/// The upper ends of the histogram's buckets, in nanoseconds: 1 µs to 50 s in steps of 1, 2.5 and 5. What is above is
/// counted in one more bucket.
inline constexpr auto latency_bounds = [] {
    std::array<std::int64_t, 24> bounds{};
    std::int64_t decade = 1'000;
    for (std::size_t i = 0; i < bounds.size(); i += 3, decade *= 10) {
        bounds[i] = decade;
        bounds[i + 1] = decade * 5 / 2;
        bounds[i + 2] = decade * 5;
    }
    return bounds;
}();

/// What is known of one series, at about one moment.
struct MetricsSnapshot {
    std::string name;
    std::uint64_t succeeded = 0;
    std::uint64_t failed = 0;
    std::uint64_t running = 0;
    std::chrono::nanoseconds total{0}; // of all runs
    std::array<std::uint64_t, latency_bounds.size() + 1> buckets{};

    /// The upper end of the bucket in which that part of the runs ended: quantile(0.99). Zero without runs; the largest
    /// duration where it is above all bounds.
    [[nodiscard]] std::chrono::nanoseconds quantile(double part) const {
        detail::require(part >= 0 && part <= 1, "part", part, "must be between 0 and 1");
        std::uint64_t all = 0;
        for (const std::uint64_t count : buckets) {
            all += count;
        }
        std::uint64_t below = 0;
        for (std::size_t i = 0; i < buckets.size() && all > 0; ++i) {
            below += buckets[i];
            if (below > 0 && static_cast<double>(below) >= part * static_cast<double>(all)) {
                return i < latency_bounds.size() ? std::chrono::nanoseconds{latency_bounds[i]}
                                                 : std::chrono::nanoseconds::max();
            }
        }
        return {};
    }
};

/// The counters of one name.
class MetricsSeries {
public:
    explicit MetricsSeries(std::string name) : name_(std::move(name)) {}

    [[nodiscard]] const std::string& name() const noexcept { return name_; }

    void begin() noexcept { mine().begun.add(); }

    void end(bool succeeded, std::chrono::nanoseconds duration) noexcept {
        Shard& shard = mine();
        const auto place = std::lower_bound(latency_bounds.begin(), latency_bounds.end(), duration.count());
        shard.buckets[static_cast<std::size_t>(place - latency_bounds.begin())].add();
        shard.total_ns.add(duration.count() > 0 ? static_cast<std::uint64_t>(duration.count()) : 0);
        (succeeded ? shard.succeeded : shard.failed).add();
    }

    [[nodiscard]] MetricsSnapshot snapshot() const {
        MetricsSnapshot sum;
        sum.name = name_;
        std::uint64_t begun = 0;
        std::uint64_t total = 0;
        for (const Shard& shard : shards_) { // what has ended is read first: running is never below zero
            sum.succeeded += shard.succeeded.get();
            sum.failed += shard.failed.get();
            total += shard.total_ns.get();
            for (std::size_t i = 0; i < sum.buckets.size(); ++i) {
                sum.buckets[i] += shard.buckets[i].get();
            }
        }
        for (const Shard& shard : shards_) {
            begun += shard.begun.get();
        }
        sum.running = begun > sum.succeeded + sum.failed ? begun - sum.succeeded - sum.failed : 0;
        sum.total = std::chrono::nanoseconds{static_cast<std::int64_t>(total)};
        return sum;
    }

private:
    using Counter = detail::SharedCount<>;
    static constexpr std::size_t shard_count = 8;

    struct alignas(platform::cache_line) Shard {
        Counter begun;
        Counter succeeded;
        Counter failed;
        Counter total_ns;
        std::array<Counter, latency_bounds.size() + 1> buckets;
    };

    /// Threads are dealt out to the shards in turn.
    Shard& mine() noexcept {
        static detail::SharedCount<std::size_t> threads;
        thread_local const std::size_t mine = threads.add();
        return shards_[mine % shard_count];
    }

    std::string name_;
    std::array<Shard, shard_count> shards_{};
};

/// A page of metrics: a series for each name that metrics() was given.
///
/// Threads: every member from any thread. Copies are the same page.
/// Cost:    of a run: two readings of the clock and four additions to counters that few threads share.
/// Owns:    its series, as long as a copy of it or something that counts on it lives.
class Metrics {
public:
    Metrics() : page_(std::make_shared<Page>()) {}

    /// The series of that name, made when there is none.
    [[nodiscard]] std::shared_ptr<MetricsSeries> series(std::string_view name) const {
        const std::lock_guard lock(page_->mutex);
        for (const auto& series : page_->series) {
            if (series->name() == name) {
                return series;
            }
        }
        return page_->series.emplace_back(std::make_shared<MetricsSeries>(std::string{name}));
    }

    /// All series, in the order of their making.
    [[nodiscard]] std::vector<MetricsSnapshot> snapshot() const {
        std::vector<MetricsSnapshot> all;
        const std::lock_guard lock(page_->mutex);
        for (const auto& series : page_->series) {
            all.push_back(series->snapshot());
        }
        return all;
    }

    /// In the text format of Prometheus.
    [[nodiscard]] std::string prometheus() const {
        const std::vector<MetricsSnapshot> all = snapshot();
        std::string out = "# HELP gossip_processor_events_total Runs that have ended.\n"
                          "# TYPE gossip_processor_events_total counter\n";
        for (const MetricsSnapshot& one : all) {
            line(out, "events_total", one.name, "outcome", "ok", number(one.succeeded));
            line(out, "events_total", one.name, "outcome", "failed", number(one.failed));
        }
        out += "# HELP gossip_processor_running Runs that have not ended.\n# TYPE gossip_processor_running gauge\n";
        for (const MetricsSnapshot& one : all) {
            line(out, "running", one.name, {}, {}, number(one.running));
        }
        out += "# HELP gossip_processor_seconds How long runs took.\n# TYPE gossip_processor_seconds histogram\n";
        for (const MetricsSnapshot& one : all) {
            std::uint64_t sum = 0;
            for (std::size_t i = 0; i < one.buckets.size(); ++i) {
                sum += one.buckets[i];
                line(out, "seconds_bucket", one.name, "le",
                     i < latency_bounds.size() ? number(static_cast<double>(latency_bounds[i]) / 1e9) : "+Inf",
                     number(sum));
            }
            line(out, "seconds_sum", one.name, {}, {}, number(static_cast<double>(one.total.count()) / 1e9));
            line(out, "seconds_count", one.name, {}, {}, number(sum));
        }
        return out;
    }

private:
    struct Page {
        std::mutex mutex;
        std::deque<std::shared_ptr<MetricsSeries>> series;
    };

    template <class Number>
    static std::string number(Number value) {
        char digits[32];
        const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
        return {digits, end};
    }

    static void line(std::string& out, std::string_view metric, std::string_view name, std::string_view label,
                     std::string_view value, std::string_view number) {
        out.append("gossip_processor_").append(metric).append("{processor=\"");
        for (const char c : name) {
            if (c == '\n') {
                out += "\\n";
            } else {
                out.append(c == '"' || c == '\\' ? "\\" : "").append(1, c);
            }
        }
        out += '"';
        if (!label.empty()) {
            out.append(",").append(label).append("=\"").append(value).append("\"");
        }
        out.append("} ").append(number).append("\n");
    }

    std::shared_ptr<Page> page_;
};

/// The policy of metrics().
class Measure {
public:
    explicit Measure(std::shared_ptr<MetricsSeries> series) : series_(std::move(series)) {}

    template <class Next>
    Result operator()(Next& next, Context& context, const Event& event) const {
        const auto start = context.now();
        series_->begin();
        Result result = next(context, event);
        series_->end(result.ok(), context.now() - start);
        return result;
    }

private:
    std::shared_ptr<MetricsSeries> series_;
};

/// Counts runs and failures and measures how long runs take, as the series `name` of that page.
/// A processor that defers counts as succeeded, in the time until it returned.
[[nodiscard]] inline auto metrics(const Metrics& page, std::string_view name) {
    return Middleware(Measure(page.series(name)));
}

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware

template <class Next>
inline constexpr bool gossip::detail::never_fails<gossip::detail::Bound<gossip::middleware::Measure, Next>> =
    gossip::detail::never_fails<Next>;
