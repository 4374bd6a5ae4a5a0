#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/event_id.hpp>
#include <gossip/provider/redis/connection.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/reply.hpp>
#include <gossip/provider/redis/stream_batch.hpp>
#include <gossip/provider/redis/stream_entry.hpp>
#include <gossip/provider/redis/stream_keeper.hpp>
#include <gossip/provider/redis/stream_lease.hpp>
#include <gossip/provider/redis/stream_settler.hpp>
#include <gossip/provider/redis/stream_state.hpp>
#include <gossip/provider/redis/stream_tender.hpp>
#include <gossip/provider/redis/stream_turns.hpp>
#include <gossip/provider/redis/url.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// What a StreamReader's thread reads: all wanted streams, or with `single_active` those whose lease it holds.
///
/// Threads: the thread that reads alone.
/// Order:   with `single_active` entries become a member's only by a script that looks at its lease, so that a member
///          which was halted takes nothing any more. Whoever gets a lease claims all that is pending, in its order,
///          before anything new is read. So entries begin in their order, whichever member runs them; what a halted or
///          dying member has begun may end later than that, or run a second time.
/// Cost:    with `single_active` reading an entry costs the server 2 µs rather than 1, as a script hands it on. Where
///          nothing has come for a while an event takes one round trip more, and crosses the wire twice.
/// Errors:  a failed Result is a connection's.
class StreamHolder : public StreamTender {
protected:
    StreamHolder(const RedisOptions& options, const Endpoint& endpoint, StreamListener& listener, StreamState& state,
                 StreamTurns& turns)
        : StreamTender{options, endpoint, listener, state},
          turns_(turns),
          token_(consumer_ + ":" + gossip::detail::random_id().text()) {}
    ~StreamHolder() = default;

    [[nodiscard]] bool is_single() const noexcept { return options_.stream.single_active; }
    [[nodiscard]] bool reads(std::uint32_t stream) const noexcept {
        return streams_[stream].is_active && (!is_single() || (stream < leases_.size() && leases_[stream].is_active()));
    }
    [[nodiscard]] std::uint64_t turn_of(std::uint32_t stream) const noexcept {
        return is_single() ? turns_.number(stream) : 0;
    }

    /// Whose entries come first on a new connection: what an old one has swallowed, or has not taken over to the end.
    [[nodiscard]] StreamKeeper::Whose whose_first() const noexcept {
        return is_single() ? StreamKeeper::Whose::all : StreamKeeper::Whose::own;
    }

    /// The connections are new: what was asked on the old ones has no answer.
    void begin_leases(Deadline now) {
        for (StreamLease& lease : leases_) {
            lease.disconnected(now);
        }
        static_cast<void>(settler_.take_answers());
        is_waiting_ = false;
        last_.clear();
    }

    /// Does what is due about leases; `until` is when the next of that is.
    Result keep_leases(Deadline now, bool may_read, Deadline& until) {
        if (!is_single()) {
            return {};
        }
        while (leases_.size() < streams_.size()) {
            leases_.emplace_back(options_.stream.lease);
        }
        Result result;
        for (const StreamSettler::Answer& answer : settler_.take_answers()) {
            take(answer, now);
        }
        for (std::uint32_t stream = 0; stream < leases_.size() && result; ++stream) {
            StreamLease& lease = leases_[stream];
            const bool is_wanted = may_read && streams_[stream].is_active;
            const auto is_done = [&] { return settler_.is_done_with(stream); };
            StreamLease::Step step{};
            while (result && (step = lease.step(now, is_wanted, is_done)) != StreamLease::Step::nothing) {
                result = act(stream, step, now);
            }
            until = std::min(until, lease.due(is_wanted));
        }
        return result;
    }

    /// An entry is left to others: what is not handed on yet stands behind it.
    void left(const Settling& settling) {
        const std::uint32_t stream = settling.id.stream;
        if (is_single() && settling.turn != turns_.number(stream)) {
            return; // it was read in an earlier turn, and is another's, or has come again
        }
        settler_.forget(settling.id);
        if (is_single() && stream < leases_.size()) {
            leases_[stream].left();
            std::erase_if(scans_, [stream](const Scan& scan) { return scan.stream == stream; });
            for (const StreamBatch& batch : batches_) {
                for (const StreamBatch::Item& item : batch.rest()) {
                    if (item.id.stream == stream) {
                        settler_.forget(item.id);
                    }
                }
            }
        }
    }

    /// Whether what was read is held still, and its turn goes on.
    bool may_hand_on(const EntryId& id) {
        if (!settler_.holds(id)) {
            return false;
        }
        const bool may_begin = !is_single() || turns_.may_begin(id, turns_.number(id.stream));
        if (!may_begin) {
            settler_.forget(id); // whoever has the next turn begins with what is pending
        }
        return may_begin;
    }

    /// What was never taken is whoever's looks next; with a lease whose has that next.
    void give_back(std::vector<EntryId> ids) {
        if (!is_single()) {
            settler_.give_back(std::move(ids));
            return;
        }
        for (const EntryId& id : ids) {
            settler_.forget(id);
        }
    }

    /// Queues the next read, or the wait for something to read; false if nothing is to be read now.
    bool queue_read(Connection& reading, std::size_t count) {
        wanted_.clear();
        for (std::uint32_t stream = 0; stream < streams_.size(); ++stream) {
            if (reads(stream)) {
                wanted_.push_back({stream, turn_of(stream)});
            }
        }
        if (wanted_.empty()) {
            return false;
        }
        const Number most{count};
        const Number block{std::int64_t{options_.stream.block.count()}};
        const Number keys{wanted_.size() * 2};
        std::vector<std::string> leases;
        is_waiting_ = is_single() && last_.size() == wanted_.size() && wanted_ == asked_;
        if (!is_single()) {
            arguments_.assign(
                {"XREADGROUP", "GROUP", options_.group, consumer_, "COUNT", most, "BLOCK", block, "STREAMS"});
        } else if (is_waiting_) {
            arguments_.assign({"XREAD", "COUNT", "1", "BLOCK", block, "STREAMS"});
        } else {
            arguments_.assign({"EVAL", leased_read_script, keys});
        }
        for (const Asked& each : wanted_) {
            arguments_.emplace_back(streams_[each.stream].name);
            if (is_single() && !is_waiting_) {
                leases.push_back(lease_key(options_, streams_[each.stream].name));
            }
        }
        if (!is_single()) {
            arguments_.resize(arguments_.size() + wanted_.size(), ">");
        } else if (is_waiting_) {
            arguments_.insert(arguments_.end(), last_.begin(), last_.end());
        } else {
            arguments_.insert(arguments_.end(), leases.begin(), leases.end());
            arguments_.insert(arguments_.end(), {token_, options_.group, consumer_, most});
        }
        reading.queue(Arguments{arguments_});
        asked_.swap(wanted_);
        return true;
    }

    /// The answer to that, no error: what was read is held, but for what belongs to a turn that has ended meanwhile.
    void take_read(Reply& reply) {
        last_.clear();
        if (std::exchange(is_waiting_, false)) {
            return; // there is something to read, or the wait is over
        }
        ReplyCursor at{reply};
        const std::size_t count = at.array();
        if (is_single() && count != 0 && at.kind() != Reply::Kind::array) {
            for (std::size_t left = count; left > 0; --left) {
                last_.emplace_back(at.text());
            }
            return;
        }
        StreamBatch& batch = batches_[batches_[current_].empty() ? current_ : current_ ^ 1U];
        batch.take_read(reply, [this](std::string_view name) { return number_of(name); });
        if (is_single()) {
            batch.drop_if([this](const EntryId& id) {
                const Asked now{id.stream, turn_of(id.stream)};
                return !reads(id.stream) || std::find(asked_.begin(), asked_.end(), now) == asked_.end();
            });
        }
        hold_batch(batch);
    }

    /// Leases of streams of which nothing is held any more go to others at once; the rest runs out.
    Result say_farewell() {
        for (std::uint32_t stream = 0; stream < leases_.size(); ++stream) {
            if (leases_[stream].is_ours() && settler_.is_done_with(stream)) {
                if (Result released = act(stream, StreamLease::Step::release, SteadyClock::now()); !released) {
                    return released;
                }
            }
        }
        return StreamTender::say_farewell();
    }

private:
    struct Asked {
        std::uint32_t stream;
        std::uint64_t turn;
        friend bool operator==(const Asked&, const Asked&) = default;
    };

    void take(const StreamSettler::Answer& answer, Deadline now) {
        StreamLease& lease = leases_[answer.stream];
        const bool was_ours = lease.is_ours();
        const auto others =
            static_cast<std::size_t>(std::count_if(leases_.begin(), leases_.end(), [&](const StreamLease& each) {
                return &each != &lease && each.is_ours();
            }));
        StreamLease::Step step = lease.answered(answer.number, now, others);
        if (step == StreamLease::Step::nothing && was_ours && !turns_.extend(answer.stream, lease.until())) {
            step = lease.lost(now);
        }
        if (was_ours && step != StreamLease::Step::nothing) {
            end_turn(answer.stream, true);
        }
        if (step == StreamLease::Step::take_over) {
            begin_turn(answer.stream, lease.until());
        }
    }

    Result act(std::uint32_t stream, StreamLease::Step step, Deadline now) {
        if (step == StreamLease::Step::ask) {
            const Number time{std::int64_t{options_.stream.lease.count()}};
            settler_.ask_about(stream,
                               {"EVAL", lease_script, "1", lease_key(options_, streams_[stream].name), token_, time});
            leases_[stream].asked(now);
            return {};
        }
        end_turn(stream, step == StreamLease::Step::lose);
        if (step == StreamLease::Step::lose) {
            return {};
        }
        Result finished = finish();
        return finished ? keeper_.release(streams_[stream].name, token_) : finished;
    }

    void begin_turn(std::uint32_t stream, Deadline until) {
        turns_.begin(stream, until);
        scans_.push_back({stream, {0, 0, stream}, StreamKeeper::Whose::all});
        is_new_ = true; // a read that is out has to end
    }
    void end_turn(std::uint32_t stream, bool is_loss) {
        turns_.end(stream, is_loss);
        settler_.forget_stream(stream);
        std::erase_if(scans_, [stream](const Scan& scan) { return scan.stream == stream; });
    }

    StreamTurns& turns_;
    const std::string token_;
    std::deque<StreamLease> leases_;          // by stream
    std::vector<std::string_view> arguments_; // of the read; kept for its memory
    std::vector<Asked> asked_;                // what the last read was of
    std::vector<Asked> wanted_;               // what the next is of; kept for its memory
    std::vector<std::string> last_;           // of each of these, where it found nothing
    bool is_waiting_ = false;                 // the read that is out waits for something behind these
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
