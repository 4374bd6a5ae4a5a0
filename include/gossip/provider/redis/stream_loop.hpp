#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/provider/redis/connection.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/readers.hpp>
#include <gossip/provider/redis/server_error.hpp>
#include <gossip/provider/redis/stream_entry.hpp>
#include <gossip/provider/redis/stream_holder.hpp>
#include <gossip/provider/redis/stream_state.hpp>
#include <gossip/provider/redis/stream_turns.hpp>
#include <gossip/provider/redis/url.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// What the threads of a StreamReader do: reads, hands on, settles, claims, repairs.
///
/// Threads: all of it on the one thread that reads; what others ask for and learn is in StreamState.
class StreamLoop : private StreamHolder {
public:
    StreamLoop(const RedisOptions& options, const Endpoint& endpoint, StreamListener& listener, StreamState& state,
               StreamTurns& turns, Readers& readers)
        : StreamHolder{options, endpoint, listener, state, turns},
          readers_{readers},
          reading_{endpoint, options, "reader", state.interrupt} {}

    using StreamHolder::consumer;

    /// Returns when it is over, or when another thread reads: then nothing of this is touched any more.
    void run() {
        while (!state_.interrupt.stopped() && !done_) {
            bool is_replaced = false;
            const Result result = gossip::guard([&] {
                Result opened = is_serving_ ? Result{} : open();
                return opened ? serve(is_replaced) : opened;
            });
            if (is_replaced) {
                return;
            }
            is_serving_ = false;
            reading_.close();
            tending_.close();
            read_out_ = unblocks_ = false;
            if (!result && !state_.interrupt.stopped()) {
                state_.came_down(result.error());
                news_.lost(result.error());
                const Deadline until = SteadyClock::now() + backoff_.next();
                while (!state_.interrupt.stopped() && !state_.gives_up() && SteadyClock::now() < until) {
                    wait_for(-1, 0, until, state_.interrupt);
                }
                done_ = state_.gives_up();
            }
        }
        state_.ended();
    }

private:
    Result open() {
        settler_.lost(); // what an earlier connection has left open
        Result opened = reading_.open();
        if (opened) {
            opened = tending_.open();
        }
        if (!opened) {
            return opened;
        }
        if (Result asked = reading_.ask({"CLIENT", "ID"}, SteadyClock::now() + options_.command_timeout); !asked) {
            return asked;
        }
        client_id_ = ReplyCursor{reading_.reply()}.integer();
        const auto now = SteadyClock::now();
        begin_leases(now);
        if (Result made = make_groups(true); !made) {
            return made;
        }
        scans_.clear();
        has_looks_ = false;
        for (std::uint32_t i = 0; i < streams_.size(); ++i) {
            if (reads(i)) {
                scans_.push_back({i, {0, 0, i}, whose_first()});
            }
        }
        claim_at_ = later(now, claim_interval());
        upkeep_at_ = later(now, claim_interval());
        refresh_at_ = now;
        state_.came_up();
        news_.restored();
        is_serving_ = true;
        return {};
    }

    Result serve(bool& is_replaced) {
        while (!state_.interrupt.stopped() && !done_) {
            Result result = turn();
            is_replaced = !readers_.work_outside(place_, listener_);
            if (is_replaced) {
                return {};
            }
            if (!result) {
                return result;
            }
        }
        return {};
    }

    Result turn() {
        const auto now = SteadyClock::now();
        until_ = now + std::chrono::seconds{60};
        if (Result heeded = heed(now); !heeded) {
            return heeded;
        }
        if (done_) {
            return {};
        }
        if (Result kept = keep_leases(now, may_read_, until_); !kept) {
            return kept;
        }
        settler_.send(now);
        if (Result tended = tend(now); !tended) {
            return tended;
        }
        deliver(now);
        if (place_) {
            return {}; // what it settles goes out with the next read
        }
        if (Result asked = read(now); !asked) {
            return asked;
        }
        if (Result sent = reading_.flush(); !sent) {
            return sent;
        }
        if (Result sent = tending_.flush(); !sent) {
            return sent;
        }
        return sleep(now);
    }

    /// Does what others have asked for.
    Result heed(Deadline now) {
        settle(now); // what an earlier turn found no memory for
        const StreamState::Wishes wishes = state_.take(asks_, settler_.held(), now);
        settle(now);
        may_read_ = wishes.reads;
        if (wishes.refreshes) {
            refresh_at_ = now;
        }
        if (wishes.changes) {
            if (Result made = make_groups(false); !made) {
                return made;
            }
            is_new_ = true;
        }
        if (std::exchange(is_new_, false) || !may_read_) {
            unblocks_ = true;
        }
        unblock(now);
        if (!may_read_) {
            if (!read_out_) {
                for (StreamBatch& batch : batches_) {
                    give_back(batch.take_rest());
                }
                state_.reading_stopped();
            }
        }
        if (wishes.farewell && burials_.empty() && settler_.unconfirmed() == 0) {
            done_ = true;
            return say_farewell();
        }
        return {};
    }

    /// One by one: without memory the rest waits for the next connection.
    void settle(Deadline now) {
        for (; settled_ < asks_.size(); ++settled_) {
            Settling& asked = asks_[settled_];
            if (asked.what == Settling::What::ack) {
                settler_.ack(asked.id);
            } else if (asked.what == Settling::What::leave) {
                left(asked);
            } else if (asked.what == Settling::What::tried) {
                settler_.tried(asked.id, asked.attempts, now);
            } else {
                Burial& burial = burials_.emplace_back();
                burial = {asked.id, settler_.deliveries_of(asked.id), std::move(asked.reason)};
            }
        }
        asks_.clear();
        settled_ = 0;
    }

    /// A blocked read does not see new streams, and keeps a consumer in the server that wants to go. The server may
    /// take this word before the read, which came on another connection: it is said again until the read is answered.
    void unblock(Deadline now) {
        unblocks_ = unblocks_ && read_out_;
        if (!unblocks_) {
            unblock_pause_ = std::chrono::milliseconds{1};
            unblock_at_ = {};
            return;
        }
        if (now >= unblock_at_) {
            settler_.tell({"CLIENT", "UNBLOCK", Number{client_id_}});
            unblock_at_ = now + unblock_pause_;
            unblock_pause_ = std::min(unblock_pause_ * 2, std::chrono::milliseconds{100});
        }
        until_ = std::min(until_, unblock_at_);
    }

    /// One piece of the rarer work, if any is due.
    Result tend(Deadline now) {
        if (!burials_.empty()) {
            Result buried = bury_next(now);
            until_ = std::min(until_, std::max(now, bury_at_));
            return buried;
        }
        if (now >= refresh_at_) {
            refresh_at_ = now + options_.stream.refresh;
            if (state_.wants_refresh()) {
                until_ = now; // what it found is heeded next
                return refresh();
            }
        }
        if (may_read_ && now >= claim_at_) {
            claim_at_ = later(now, claim_interval());
            for (std::uint32_t i = 0; i < streams_.size() && !has_looks_; ++i) {
                if (reads(i)) {
                    scans_.push_back({i, {0, 0, i}, StreamKeeper::Whose::idle});
                }
            }
            has_looks_ = !scans_.empty(); // those that wait for room are enough
        }
        waits_for_read_ = waits_for_read_ && read_out_;
        if (may_read_ && !scans_.empty() && is_empty() && !waits_for_read_) {
            if (room() != 0) {
                until_ = now; // the next page at once
                pause_ = std::chrono::milliseconds{1};
                Result scanned = scan();
                has_looks_ &= !scans_.empty();
                return scanned;
            }
            stall(now);
        }
        if (now >= upkeep_at_) {
            upkeep_at_ = later(now, claim_interval());
            return keep_up();
        }
        return {};
    }

    void deliver(Deadline now) {
        const bool has_places = is_empty() || gossip::detail::succeeds([this] {
                                    settler_.reserve();
                                    state_.reserve(settler_.held());
                                });
        if (!has_places) { // what can't be acknowledged is not handed on
            stall(now);
            return;
        }
        const bool is_alone = batches_[0].size() + batches_[1].size() == 1;
        while (!is_empty() && may_read_ && !state_.interrupt.stopped()) {
            if (batches_[current_].empty()) {
                claimed_.clear();
                current_ ^= 1U;
            }
            StreamBatch& batch = batches_[current_];
            const StreamBatch::Item& item = batch.front();
            Stream& stream = streams_[item.id.stream];
            if (item.is_deleted) {
                settler_.ack(item.id);
                state_.count([](StreamStats& stats) { ++stats.lost; });
            } else if (may_hand_on(item.id)) { // another may have claimed it while it waited
                const auto claimed =
                    std::find_if(claimed_.begin(), claimed_.end(), [&](const auto& c) { return c.id == item.id; });
                const bool is_claimed = claimed != claimed_.end();
                const bool is_lent = is_alone && readers_.may_step_out() && listener_.borrow_place();
                const bool taken = listener_.entry(
                    {stream.name, item.id, is_claimed ? claimed->deliveries : 1, item.fields, turn_of(item.id.stream)});
                if (is_lent) {
                    place_ = listener_.borrowed_place();
                }
                if (!taken) {
                    stall(now);
                    return;
                }
                ++entries_;
                taken_claims_ += is_claimed ? 1U : 0U;
            }
            stream.last = is_before(stream.last, item.id) ? item.id : stream.last;
            batch.pop();
            pause_ = std::chrono::milliseconds{1};
        }
        if (batches_[current_].empty()) {
            claimed_.clear();
        }
    }
    [[nodiscard]] bool is_empty() const noexcept { return batches_[0].empty() && batches_[1].empty(); }

    void stall(Deadline now) {
        until_ = std::min(until_, now + pause_);
        pause_ = std::min(pause_ * 2, std::chrono::milliseconds{10});
    }

    Result read(Deadline now) {
        if (read_out_) {
            if (now >= read_until_) {
                return reading_.silent();
            }
            until_ = std::min(until_, read_until_);
            return {};
        }
        if (!may_read_ || !is_empty() || !scans_.empty()) {
            return {};
        }
        if (now < read_at_) {
            until_ = std::min(until_, read_at_);
            return {};
        }
        const std::size_t count = room();
        if (count == 0) {
            stall(now);
            return {};
        }
        pause_ = std::chrono::milliseconds{1};
        if (!queue_read(reading_, count)) {
            return {};
        }
        read_out_ = true;
        read_until_ = now + options_.stream.block + options_.command_timeout;
        until_ = std::min(until_, read_until_);
        return {};
    }

    Result sleep(Deadline now) {
        until_ = std::min({until_, settler_.due(), upkeep_at_});
        if (may_read_) {
            until_ = std::min(until_, scans_.empty() || !is_empty() || waits_for_read_ ? claim_at_ : now + pause_);
        }
        if (state_.wants_refresh()) {
            until_ = std::min(until_, refresh_at_);
        }
        if (settler_.is_silent(now)) {
            return tending_.silent();
        }
        state_.report(settler_, burials_.size(), entries_, taken_claims_);
        state_.fall_asleep(until_);
        const short reads = reading_.has_output() ? POLLIN | POLLOUT : POLLIN;
        const short tends = tending_.has_output() ? POLLIN | POLLOUT : POLLIN;
        const Waited waited =
            wait_for(reading_.descriptor(), reads, until_, state_.interrupt, tending_.descriptor(), tends);
        state_.wake_up();
        if ((waited.other_events & ~POLLOUT) != 0) {
            std::optional<Error> refusal;
            Result taken = tending_.receive();
            if (taken) {
                taken = settler_.take(refusal, options_.backoff_first);
            }
            note(refusal);
            if (!taken) {
                return taken;
            }
        }
        return (waited.events & ~POLLOUT) != 0 ? take_read() : Result{};
    }

    Result take_read() {
        if (Result received = reading_.receive(); !received) {
            return received;
        }
        const ReplyReader::State state = reading_.next();
        if (state != ReplyReader::State::one) {
            return state == ReplyReader::State::broken ? Result{reading_.garbled()} : Result{};
        }
        if (!read_out_) {
            return reading_.lost("an answer to nothing");
        }
        read_out_ = false;
        if (!reading_.reply().failed()) {
            backoff_.reset();
            news_.taken();
            StreamHolder::take_read(reading_.reply());
            return {};
        }
        return heal(std::string{reading_.reply().line()});
    }

    /// The read was refused: the state of the server, a group that it has lost, or a stream that is none any more.
    Result heal(const std::string& line) {
        const Error error = server_error(line);
        if (is_passing(line)) {
            news_.refused(error);
            read_at_ = SteadyClock::now() + backoff_.next();
            return {};
        }
        if (first_word(line) == "UNBLOCKED") {
            return {}; // its stream was deleted meanwhile: the next read says NOGROUP
        }
        if (first_word(line) != "NOGROUP") {
            news_.refused(error);
            read_at_ = SteadyClock::now() + backoff_.next();
        }
        return make_groups(true);
    }

    Readers& readers_;
    Connection reading_; // asleep in the server most of the time
    std::vector<Settling> asks_;
    std::size_t settled_ = 0; // of them
    std::int64_t client_id_ = 0;
    Deadline until_{}; // when this turn's sleep ends
    Deadline claim_at_{};
    Deadline refresh_at_{};
    Deadline upkeep_at_{};
    Deadline read_at_{};
    Deadline read_until_{};
    Deadline unblock_at_{};
    std::chrono::milliseconds pause_{1};
    std::chrono::milliseconds unblock_pause_{1};
    std::uint64_t entries_ = 0;
    std::uint64_t taken_claims_ = 0;
    std::optional<unsigned> place_; // where what came last is to run
    bool is_serving_ = false;       // the connections have been made
    bool may_read_ = true;
    bool has_looks_ = false; // for what others left: they are under way
    bool unblocks_ = false;  // the read that is out has to end
    bool done_ = false;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
