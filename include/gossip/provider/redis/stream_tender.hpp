#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/event_id.hpp>
#include <gossip/core/random.hpp>
#include <gossip/provider/redis/backoff.hpp>
#include <gossip/provider/redis/connection.hpp>
#include <gossip/provider/redis/connection_news.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/stream_batch.hpp>
#include <gossip/provider/redis/stream_entry.hpp>
#include <gossip/provider/redis/stream_keeper.hpp>
#include <gossip/provider/redis/stream_settler.hpp>
#include <gossip/provider/redis/stream_state.hpp>
#include <gossip/provider/redis/url.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// What a StreamReader's thread does besides reading: makes and repairs groups, looks for what crashed consumers have
/// left, claims or buries it, finds new streams, trims.
///
/// Threads: the thread that reads alone.
/// Errors:  a failed Result is a connection's.
class StreamTender {
public:
    StreamTender(const StreamTender&) = delete;
    StreamTender& operator=(const StreamTender&) = delete;

    [[nodiscard]] const std::string& consumer() const noexcept { return consumer_; }

protected:
    struct Stream {
        std::string name;
        EntryId last{}; // read
        bool is_active = false;
        bool is_known = false; // its group has existed
    };
    struct Scan {
        std::uint32_t stream;
        EntryId from;
        StreamKeeper::Whose whose;
    };
    struct Burial {
        EntryId id;
        std::int64_t deliveries;
        std::string reason;
    };

    StreamTender(const RedisOptions& options, const Endpoint& endpoint, StreamListener& listener, StreamState& state)
        : options_(options),
          listener_(listener),
          state_(state),
          consumer_(name_of_consumer(options)),
          tending_{endpoint, options, "settler", state.interrupt},
          news_{options.on_connection, "reader"},
          backoff_{options.backoff_first, options.backoff_max},
          keeper_{options, consumer_, tending_},
          settler_{options, consumer_, tending_, this, &name_of},
          first_{before(parse_place(options.stream.from).value_or(EntryId{}))} {}
    ~StreamTender() = default;

    static std::string name_of_consumer(const RedisOptions& options) {
        if (!options.consumer.empty()) {
            return options.consumer;
        }
        const gossip::EventId id = gossip::detail::random_id();
        std::string name = (options.client_name.empty() ? "gossip" : options.client_name) + "-";
        for (unsigned shift = 0; shift < 64; shift += 4) {
            name += "0123456789abcdef"[(id.high ^ id.low) >> shift & 15U];
        }
        return name;
    }
    static std::string_view name_of(const void* tender, std::uint32_t stream) {
        return static_cast<const StreamTender*>(tender)->streams_[stream].name;
    }

    std::uint32_t number_of(std::string_view name) {
        const auto at = std::find_if(streams_.begin(), streams_.end(), [&](const Stream& s) { return s.name == name; });
        if (at == streams_.end()) {
            streams_.push_back({std::string{name}});
            return static_cast<std::uint32_t>(streams_.size() - 1);
        }
        return static_cast<std::uint32_t>(at - streams_.begin());
    }

    Result finish() {
        std::optional<Error> refusal;
        Result finished = settler_.finish(refusal, options_.backoff_first);
        note(refusal);
        return finished;
    }

    void note(const std::optional<Error>& refusal) {
        if (refusal) {
            news_.refused(*refusal);
        }
    }

    /// Every wanted stream has its group, or a refusal. A group that was there and is gone goes on behind the last
    /// entry read, or begins anew: what it had pending is read again rather than lost.
    Result make_groups(bool all) {
        if (Result finished = finish(); !finished) {
            return finished;
        }
        registry_refused_ &= !all; // told of again after an outage
        for (const auto& [name, is_wanted] : state_.streams()) {
            Stream& stream = streams_[number_of(name)];
            if (!is_wanted || (stream.is_active && !all)) {
                stream.is_active &= is_wanted;
                continue;
            }
            const std::uint32_t number = number_of(name);
            const bool begins_now =
                !stream.is_known && options_.stream.start == StreamStart::now && options_.stream.from.empty();
            std::optional<Error> refusal;
            bool made = false;
            const IdText last{is_before(stream.last, first_) ? first_ : stream.last};
            if (Result asked = keeper_.make_group(name, begins_now ? "$" : std::string_view{last}, refusal, made);
                !asked) {
                return asked;
            }
            if (refusal && is_retryable(*refusal)) {
                return *refusal; // made again with growing pauses
            }
            if (made && stream.is_known) {
                state_.count([](StreamStats& stats) { ++stats.repaired; });
            }
            if (refusal && stream.is_active) {
                news_.refused(*refusal); // who has subscribed waits for no answer any more
            }
            const bool is_new = !stream.is_active && !refusal;
            stream.is_active = !refusal;
            stream.is_known |= !refusal;
            if (is_new && !options_.stream.single_active) {
                scans_.push_back({number, {0, 0, number}, StreamKeeper::Whose::own});
            }
            state_.answer(name, refusal);
        }
        return {};
    }

    /// Looks through the registry. Where it may not be read the streams stay as they were.
    Result refresh() {
        std::vector<std::string> names;
        std::optional<Error> refusal;
        Result asked = finish();
        if (asked) {
            asked = keeper_.registered(names, refusal);
        }
        if (!asked) {
            return asked;
        }
        if (refusal && is_retryable(*refusal)) {
            return *refusal; // looked through again with growing pauses
        }
        if (!std::exchange(registry_refused_, refusal.has_value())) {
            note(refusal); // once, not at each look
        }
        if (refusal) {
            state_.refreshed(refusal);
            return {};
        }
        const bool changed = state_.found(names, [this](std::string_view name) { return listener_.wants(name); });
        if (changed) {
            asked = make_groups(false);
            is_new_ = true;
        }
        if (asked) {
            state_.refreshed({});
        }
        return asked;
    }

    Result keep_up() {
        std::optional<Error> refusal;
        Result result = finish();
        for (const Stream& stream : streams_) {
            if (result && stream.is_active) {
                result = keeper_.remove_idle(stream.name);
                if (result && options_.stream.trim == StreamTrim::handled) {
                    result = keeper_.trim(stream.name, refusal);
                }
            }
        }
        if (refusal && !trim_refused_) {
            news_.refused(*refusal); // once, not at each round
        }
        trim_refused_ = refusal.has_value();
        return result;
    }

    /// A page of what is pending: what crashed consumers have left, or what a lost connection has swallowed.
    Result scan() {
        const Scan scan = scans_.front();
        scans_.pop_front();
        const std::string_view stream = streams_[scan.stream].name;
        std::vector<StreamKeeper::Pending> found;
        std::optional<EntryId> next;
        Result result = finish();
        if (result) {
            result = keeper_.pending(stream, scan.from, scan.whose, found, next);
        }
        if (result && scan.whose == StreamKeeper::Whose::all) {
            result = keeper_.verdict();
        }
        if (!result) {
            return result;
        }
        if (next) {
            scans_.push_front({scan.stream, *next, scan.whose});
        }
        const auto is_settled = [this](const EntryId& id) {
            return settler_.knows(id) ||
                   std::any_of(burials_.begin(), burials_.end(), [&](const Burial& b) { return b.id == id; });
        };
        std::erase_if(found, [&](const StreamKeeper::Pending& each) { return is_settled(each.id); });
        // What is ours and not known was left, or stands in an answer that has not been read: that one comes first.
        if (read_out_ && std::any_of(found.begin(), found.end(), [](const auto& each) { return each.is_own; })) {
            if (next) {
                scans_.pop_front();
            }
            scans_.push_front(scan);
            waits_for_read_ = is_new_ = true; // which ends the read
            return {};
        }
        const auto middle = std::stable_partition(found.begin(), found.end(), [this](const StreamKeeper::Pending& p) {
            return p.deliveries < options_.stream.max_deliveries;
        });
        const std::vector<StreamKeeper::Pending> poison(middle, found.end());
        found.erase(middle, found.end());
        if (const std::size_t most = room(); found.size() > most) {
            scans_.push_front({scan.stream, found[most].id, scan.whose});
            found.resize(most);
        }
        const std::chrono::milliseconds idle =
            scan.whose == StreamKeeper::Whose::idle ? options_.stream.min_idle : std::chrono::milliseconds{0};
        if (!poison.empty()) {
            result = condemn(stream, scan.stream, poison, idle);
        }
        if (result && !found.empty()) {
            result = claim(stream, scan.stream, found, idle);
        }
        return result;
    }

    /// Only who gets the claim buries.
    Result condemn(std::string_view stream, std::uint32_t number, const std::vector<StreamKeeper::Pending>& poison,
                   std::chrono::milliseconds idle) {
        if (Result claimed = keeper_.claim(stream, poison, idle, true); !claimed) {
            return claimed;
        }
        ReplyCursor at{keeper_.reply()};
        for (std::size_t left = at.array(); left > 0; --left) {
            const EntryId id = parse_id(at.text(), number);
            for (const StreamKeeper::Pending& each : poison) {
                if (each.id == id) {
                    burials_.push_back(
                        {id, each.deliveries,
                         "delivered " + std::to_string(each.deliveries) + " times and never acknowledged"});
                }
            }
        }
        return {};
    }

    Result claim(std::string_view stream, std::uint32_t number, const std::vector<StreamKeeper::Pending>& wanted,
                 std::chrono::milliseconds idle) {
        if (Result claimed = keeper_.claim(stream, wanted, idle); !claimed) {
            return claimed;
        }
        if (options_.stream.single_active && keeper_.reply().failed()) {
            return keeper_.verdict();
        }
        if (keeper_.reply().failed()) {
            news_.refused(server_error(keeper_.reply().line()));
            return {};
        }
        batches_[current_].take_claimed(keeper_.reply(), number);
        hold_batch(batches_[current_]);
        claimed_.clear();
        for (const StreamKeeper::Pending& each : wanted) {
            if (settler_.holds(each.id)) {
                settler_.hold(each.id, each.deliveries + 1, SteadyClock::now());
                claimed_.push_back({each.id, each.deliveries + 1});
                continue;
            }
            bool exists = false; // another was faster, or it was deleted
            Result looked = keeper_.look_up(stream, each.id, exists);
            if (looked && !exists) {
                looked = keeper_.acknowledge(stream, each.id);
                state_.count([](StreamStats& stats) { ++stats.lost; });
            }
            if (!looked) {
                return looked;
            }
        }
        return {};
    }

    Result bury_next(Deadline now) {
        if (now < bury_at_) {
            return {};
        }
        const Burial& next = burials_.front();
        StreamKeeper::Burial end{};
        std::optional<Error> refusal;
        Result result = finish();
        if (result) {
            result = keeper_.bury(streams_[next.id.stream].name, {next.id, next.deliveries}, next.reason, end, refusal);
        }
        if (!result) {
            return result;
        }
        if (end == StreamKeeper::Burial::refused) {
            news_.refused(*refusal);
            bury_at_ = now + backoff_.next();
            return {};
        }
        settler_.forget(next.id);
        state_.count([end](StreamStats& stats) {
            stats.buried += end == StreamKeeper::Burial::done ? 1U : 0U;
            stats.lost += end == StreamKeeper::Burial::gone ? 1U : 0U;
        });
        burials_.pop_front();
        return {};
    }

    /// A consumer with a name of its own that leaves nothing behind takes its name with it.
    Result say_farewell() {
        if (Result finished = finish(); !finished) {
            return finished;
        }
        for (const Stream& stream : streams_) {
            if (stream.is_known && options_.consumer.empty()) {
                if (Result removed = keeper_.remove_consumer(stream.name, consumer_); !removed) {
                    return removed;
                }
            }
        }
        return {};
    }

    void hold_batch(const StreamBatch& batch) {
        const auto now = SteadyClock::now();
        for (const StreamBatch::Item& item : batch.items()) {
            settler_.hold(item.id, 1, now);
        }
    }

    [[nodiscard]] std::size_t room() {
        const std::size_t held = std::min(settler_.held(), options_.stream.max_held);
        return std::min({options_.stream.count, options_.stream.max_held - held, listener_.room()});
    }

    [[nodiscard]] std::chrono::milliseconds claim_interval() const noexcept {
        const auto third = std::max(options_.stream.min_idle / 3, std::chrono::milliseconds{1});
        return options_.stream.claim_interval.count() == 0 ? third : options_.stream.claim_interval;
    }
    /// Within a quarter of that time: many consumers do not look at once.
    static Deadline later(Deadline now, std::chrono::milliseconds interval) noexcept {
        const double share = 0.75 + 0.5 * gossip::detail::random_fraction();
        return now + std::chrono::microseconds{
                         static_cast<std::int64_t>(share * 1000.0 * static_cast<double>(interval.count()))};
    }

    const RedisOptions& options_;
    StreamListener& listener_;
    StreamState& state_;
    const std::string consumer_;
    Connection tending_;
    ConnectionNews news_;
    Backoff backoff_;
    StreamKeeper keeper_;
    StreamSettler settler_;
    const EntryId first_;        // where a group that is new begins
    std::deque<Stream> streams_; // by number
    std::deque<Scan> scans_;
    std::deque<Burial> burials_;
    std::array<StreamBatch, 2> batches_; // handed on now, and read meanwhile: no answer waits unread for room
    std::size_t current_ = 0;
    bool read_out_ = false;
    bool waits_for_read_ = false;                // the next scan: what it asks about may stand in the answer
    std::vector<StreamKeeper::Pending> claimed_; // of the batch
    Deadline bury_at_{};
    bool trim_refused_ = false;
    bool registry_refused_ = false;
    bool is_new_ = false; // the set of streams, or a question: a read that is out has to end
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
