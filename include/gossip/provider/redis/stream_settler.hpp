#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/provider/redis/connection.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/server_error.hpp>
#include <gossip/provider/redis/spare_blocks.hpp>
#include <gossip/provider/redis/stream_entry.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// What a consumer has taken: acknowledged in bulk when it is settled, its claim renewed as long as it is not. Sends
/// without waiting, on a connection of its own, for the reading one is mostly asleep in the server.
///
/// Threads: that of the connection.
/// Order:   acknowledgements that a lost connection leaves unconfirmed are sent again; twice does no harm.
/// Cost:    about 0.15 µs an entry; one command for up to 512 acknowledgements of a stream.
/// Errors:  a failed Result is the connection's.
class StreamSettler {
public:
    using NameOf = std::string_view (*)(const void* owner, std::uint32_t stream);

    StreamSettler(const RedisOptions& options, const std::string& consumer, Connection& connection, const void* owner,
                  NameOf name_of)
        : options_(options),
          consumer_(consumer),
          connection_(connection),
          owner_(owner),
          name_of_(name_of),
          spare_(options.stream.max_held) {}

    void hold(const EntryId& id, std::int64_t deliveries, Deadline now) { held_[id] = {deliveries, deliveries, now}; }
    /// Room for the acknowledgement of everything held, and of what is under way and may have to be sent again: neither
    /// `ack` nor `lost` needs memory afterwards.
    void reserve() {
        const std::size_t needed = unconfirmed() + held_.size();
        if (acks_.capacity() < needed) {
            acks_.reserve(std::max(needed, acks_.capacity() * 2));
        }
    }
    [[nodiscard]] bool holds(const EntryId& id) const { return held_.contains(id); }
    [[nodiscard]] std::size_t held() const noexcept { return held_.size(); }
    [[nodiscard]] std::size_t unconfirmed() const noexcept { return acks_.size() + in_flight_; }
    [[nodiscard]] std::uint64_t acked() const noexcept { return acked_; }
    [[nodiscard]] bool is_quiet() const noexcept { return asked_.empty(); }
    /// Taken, or settled and not yet confirmed: not to be delivered again.
    [[nodiscard]] bool knows(const EntryId& id) const {
        if (held_.contains(id) || std::find(acks_.begin(), acks_.end(), id) != acks_.end()) {
            return true;
        }
        return std::any_of(asked_.begin(), asked_.end(), [&](const Asked& asked) {
            return asked.what == What::ack && std::find(asked.ids.begin(), asked.ids.end(), id) != asked.ids.end();
        });
    }
    [[nodiscard]] std::int64_t deliveries_of(const EntryId& id) const {
        const auto at = held_.find(id);
        return at == held_.end() ? 0 : at->second.attempts;
    }

    void ack(const EntryId& id) {
        acks_.push_back(id);
        held_.erase(id);
    }
    void forget(const EntryId& id) { held_.erase(id); }
    /// The stream is another's: what is held of it is renewed no more.
    void forget_stream(std::uint32_t stream) {
        std::erase_if(held_, [stream](const auto& each) { return each.first.stream == stream; });
    }
    /// All that was held of it has ended, and the server has confirmed that.
    [[nodiscard]] bool is_done_with(std::uint32_t stream) const {
        const auto is_its = [stream](const EntryId& id) { return id.stream == stream; };
        return std::none_of(held_.begin(), held_.end(), [&](const auto& each) { return is_its(each.first); }) &&
               std::none_of(acks_.begin(), acks_.end(), is_its) &&
               std::none_of(asked_.begin(), asked_.end(),
                            [&](const Asked& asked) { return asked.what == What::ack && is_its(asked.ids.front()); });
    }

    /// Raises the server's count of deliveries. What was not renewed in time may be another's by now: its count is
    /// raised when the next renewal has found that it is not.
    void tried(const EntryId& id, std::int64_t attempts, Deadline now) {
        const auto at = held_.find(id);
        if (at == held_.end() || at->second.attempts >= attempts) {
            return;
        }
        at->second.attempts = attempts;
        if (now - at->second.renewed < options_.stream.min_idle) {
            raise(id, at->second);
        }
    }

    /// What was never taken: whoever looks next may claim it, without waiting for min_idle.
    void give_back(std::vector<EntryId> ids) {
        for (const EntryId& id : ids) {
            held_.erase(id);
        }
        in_runs(ids, [this](std::vector<EntryId> run) {
            const Number idle{std::int64_t{options_.stream.min_idle.count()}};
            queue({"XCLAIM", name_of_(owner_, run.front().stream), options_.group, consumer_, "0"}, run,
                  {"IDLE", idle, "JUSTID"});
            note({What::nothing, {}});
        });
    }

    /// Queues what is due: acknowledgements, and renewals of what is held.
    void send(Deadline now) {
        if (!acks_.empty() && now >= pause_until_) {
            send_acks();
        }
        if (now >= renew_at_) {
            renew_at_ = now + options_.stream.min_idle / 6;
            renew(now);
        }
    }
    [[nodiscard]] Deadline due() const noexcept {
        const Deadline sends = acks_.empty() ? renew_at_ : std::min(renew_at_, pause_until_);
        return asked_.empty() ? sends : std::min(sends, heard_ + options_.command_timeout);
    }
    void renew_soon() noexcept { renew_at_ = {}; }

    /// Queues a command whose answer nobody needs.
    void tell(std::initializer_list<std::string_view> arguments) {
        connection_.queue(arguments);
        note({What::nothing, {}});
    }

    /// Queues a question about a stream's lease; the answer is one of `take_answers`.
    void ask_about(std::uint32_t stream, std::initializer_list<std::string_view> arguments) {
        connection_.queue(arguments);
        note({What::lease, {EntryId{0, 0, stream}}});
    }
    struct Answer {
        std::uint32_t stream;
        std::optional<std::int64_t> number; // or the server refused
    };
    [[nodiscard]] std::vector<Answer> take_answers() noexcept { return std::exchange(answers_, {}); }

    [[nodiscard]] bool is_silent(Deadline now) const noexcept {
        return !asked_.empty() && now >= heard_ + options_.command_timeout;
    }

    /// Takes the answers that have arrived. `refusal`: why the server took no acknowledgements; those that it may take
    /// later are sent again after `pause`.
    Result take(std::optional<Error>& refusal, std::chrono::nanoseconds pause) {
        for (;;) {
            switch (connection_.next()) {
            case ReplyReader::State::more_needed:
                return {};
            case ReplyReader::State::broken:
                return connection_.garbled();
            case ReplyReader::State::one:
                if (asked_.empty()) {
                    return connection_.lost("an answer to nothing");
                }
                if (Result handled = handle(refusal, pause); !handled) {
                    return handled;
                }
            }
        }
    }

    /// Waits until everything under way has been answered.
    Result finish(std::optional<Error>& refusal, std::chrono::nanoseconds pause) {
        while (!asked_.empty()) {
            if (Result awaited = connection_.await_reply(SteadyClock::now() + options_.command_timeout); !awaited) {
                return awaited;
            }
            if (Result handled = handle(refusal, pause); !handled) {
                return handled;
            }
        }
        return {};
    }

    /// The connection is gone. What throws for want of memory has done a part of it, and is called again.
    void lost() {
        while (!asked_.empty()) {
            const Asked& asked = asked_.front();
            if (asked.what == What::ack) {
                acks_.insert(acks_.end(), asked.ids.begin(), asked.ids.end());
            }
            asked_.pop_front();
        }
        in_flight_ = 0;
        pause_until_ = {};
        renew_soon();
    }

private:
    enum class What : std::uint8_t { ack, renewal, owner, lease, nothing };
    struct Asked {
        What what;
        std::vector<EntryId> ids;
    };
    struct Held {
        std::int64_t deliveries; // that the server was told of
        std::int64_t attempts;   // that it is to be told of
        Deadline renewed;
    };
    /// Takes so many off, however its scope ends.
    struct OffTheFront {
        explicit OffTheFront(std::vector<EntryId>& all) noexcept : ids(all) {}
        OffTheFront(const OffTheFront&) = delete;
        OffTheFront& operator=(const OffTheFront&) = delete;
        ~OffTheFront() { ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count)); }
        std::vector<EntryId>& ids;
        std::size_t count = 0;
    };
    static constexpr std::size_t most_ids = 512;

    /// Calls `send(ids)` with runs of at most 512 ids of one stream.
    template <class Send>
    void in_runs(std::vector<EntryId>& ids, Send send) {
        const auto of_a_lower_stream = [](const EntryId& a, const EntryId& b) { return a.stream < b.stream; };
        if (!std::is_sorted(ids.begin(), ids.end(), of_a_lower_stream)) { // for sorting takes memory
            std::stable_sort(ids.begin(), ids.end(), of_a_lower_stream);
        }
        for (std::size_t from = 0; from < ids.size();) {
            std::size_t to = from;
            while (to < ids.size() && to - from < most_ids && ids[to].stream == ids[from].stream) {
                ++to;
            }
            std::vector<EntryId> run = std::exchange(spare_run_, {});
            run.assign(ids.begin() + static_cast<std::ptrdiff_t>(from), ids.begin() + static_cast<std::ptrdiff_t>(to));
            send(std::move(run));
            from = to;
        }
    }

    void queue(std::initializer_list<std::string_view> head, const std::vector<EntryId>& ids,
               std::initializer_list<std::string_view> tail = {}) {
        texts_.clear();
        arguments_.assign(head.begin(), head.end());
        for (const EntryId& id : ids) {
            texts_.emplace_back(id);
        }
        for (const IdText& text : texts_) {
            arguments_.emplace_back(text);
        }
        arguments_.insert(arguments_.end(), tail.begin(), tail.end());
        connection_.queue(Arguments{arguments_});
    }

    void note(Asked asked) {
        if (asked_.empty()) {
            heard_ = SteadyClock::now();
        }
        asked_.push_back(std::move(asked));
    }

    /// What throws for want of memory has sent a part of them, and keeps the rest.
    void send_acks() {
        OffTheFront sent(acks_);
        in_runs(acks_, [&](std::vector<EntryId> ids) {
            const std::size_t count = ids.size();
            queue({"XACK", name_of_(owner_, ids.front().stream), options_.group}, ids);
            note({What::ack, std::move(ids)});
            in_flight_ += count;
            sent.count += count;
        });
    }

    /// Renews the claim as well.
    void raise(const EntryId& id, Held& held) {
        held.deliveries = held.attempts;
        const Number count{std::min<std::int64_t>(held.attempts, std::max(options_.stream.max_deliveries - 1, 1))};
        connection_.queue({"XCLAIM", name_of_(owner_, id.stream), options_.group, consumer_, "0", IdText{id},
                           "RETRYCOUNT", count, "JUSTID"});
        note({What::renewal, {id}});
    }

    /// What was renewed in time nobody can have claimed. What is late may be another's by now and is asked for as by
    /// any claimer: whoever renewed it keeps it.
    void renew(Deadline now) {
        std::vector<EntryId> in_time;
        std::vector<EntryId> late;
        for (auto& [id, held] : held_) {
            if (now - held.renewed >= options_.stream.min_idle) {
                late.push_back(id);
            } else if (now - held.renewed >= options_.stream.min_idle / 4) {
                in_time.push_back(id);
            }
        }
        const auto claim = [this](std::vector<EntryId>& ids, std::chrono::milliseconds min_idle) {
            in_runs(ids, [&](std::vector<EntryId> run) {
                const Number idle{std::int64_t{min_idle.count()}};
                queue({"XCLAIM", name_of_(owner_, run.front().stream), options_.group, consumer_, idle}, run,
                      {"JUSTID"});
                note({What::renewal, std::move(run)});
            });
        };
        claim(in_time, std::chrono::milliseconds{0});
        claim(late, options_.stream.min_idle);
    }

    Result handle(std::optional<Error>& refusal, std::chrono::nanoseconds pause) {
        Asked asked = std::move(asked_.front());
        asked_.pop_front();
        Result handled = handle(asked, refusal, pause);
        if (asked.ids.capacity() != 0) {
            spare_run_ = std::move(asked.ids);
        }
        return handled;
    }
    Result handle(const Asked& asked, std::optional<Error>& refusal, std::chrono::nanoseconds pause) {
        heard_ = SteadyClock::now();
        const Reply& reply = connection_.reply();
        if (asked.what == What::ack) {
            in_flight_ -= asked.ids.size();
            if (!reply.failed()) {
                acked_ += asked.ids.size();
                return {};
            }
            refusal = server_error(reply.line());
            if (is_passing(reply.line())) {
                acks_.insert(acks_.end(), asked.ids.begin(), asked.ids.end());
                pause_until_ = SteadyClock::now() + std::chrono::duration_cast<SteadyClock::duration>(pause);
            } // else they stay pending, and are delivered again to somebody who may acknowledge them
        } else if (asked.what == What::renewal && !reply.failed()) {
            renewed(asked.ids);
        } else if (asked.what == What::owner && !reply.failed()) {
            owned(asked.ids.front());
        } else if (asked.what == What::lease) {
            if (reply.failed()) {
                refusal = server_error(reply.line());
            }
            const std::uint32_t stream = asked.ids.front().stream;
            answers_.push_back({stream, reply.failed() ? std::nullopt : std::optional{ReplyCursor{reply}.integer()}});
        }
        return {};
    }

    /// What the server did not name was claimed by another, acknowledged or deleted; or it is ours, and the server had
    /// done an earlier renewal whose answer was late or lost: that is asked.
    void renewed(const std::vector<EntryId>& ids) {
        const auto now = SteadyClock::now();
        ReplyCursor at{connection_.reply()};
        at.array();
        EntryId ours = parse_id(at.text(), ids.front().stream);
        for (const EntryId& id : ids) { // the answer is in the order of the question
            const bool is_ours = id == ours;
            if (is_ours) {
                ours = parse_id(at.text(), id.stream);
            }
            if (const auto held = held_.find(id); held != held_.end()) {
                if (!is_ours) {
                    const IdText text{id};
                    connection_.queue({"XPENDING", name_of_(owner_, id.stream), options_.group, text, text, "1"});
                    note({What::owner, {id}});
                    continue;
                }
                held->second.renewed = now;
                if (held->second.attempts > held->second.deliveries) {
                    raise(id, held->second);
                }
            }
        }
    }

    void owned(const EntryId& id) {
        const auto held = held_.find(id);
        if (held == held_.end()) {
            return;
        }
        ReplyCursor at{connection_.reply()};
        if (at.array() != 1 || at.array() != 4) {
            held_.erase(held);
            return;
        }
        at.skip(); // its id
        if (at.text() != consumer_) {
            held_.erase(held);
            return;
        }
        held->second.renewed = SteadyClock::now() - std::chrono::milliseconds{at.integer()};
    }

    const RedisOptions& options_;
    const std::string& consumer_;
    Connection& connection_;
    const void* owner_;
    NameOf name_of_;
    SpareBlocks spare_; // of held_, which comes and goes with each entry
    std::unordered_map<EntryId, Held, EntryIdHash, std::equal_to<>, SpareAllocator<std::pair<const EntryId, Held>>>
        held_{SpareAllocator<std::pair<const EntryId, Held>>{spare_}};
    std::vector<EntryId> acks_;
    std::deque<Asked> asked_;        // in the order of the answers
    std::vector<EntryId> spare_run_; // of an answered question, for the next one
    std::size_t in_flight_ = 0;      // acknowledgements
    std::vector<Answer> answers_;    // about leases
    std::uint64_t acked_ = 0;
    Deadline renew_at_{};
    Deadline pause_until_{};
    Deadline heard_{}; // the last answer, or the first question since
    std::vector<IdText> texts_;
    std::vector<std::string_view> arguments_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
