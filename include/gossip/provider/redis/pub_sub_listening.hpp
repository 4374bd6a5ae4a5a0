// How a bus listens through Pub/Sub.
#pragma once

#include <gossip/concurrency/published.hpp>
#include <gossip/core/errors.hpp>
#include <gossip/core/event_type.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/provider/redis/inbound.hpp>
#include <gossip/provider/redis/late_reports.hpp>
#include <gossip/provider/redis/listening.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/pub_sub.hpp>

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// Threads: every member from any thread. Owns: the connection that listens, made when it is first needed.
class PubSubListening final : public RedisListening, public redis::PubSubListener {
public:
    PubSubListening(const RedisOptions& options, const void* codec, LateReports& reports)
        : options_(options), inbound_(options, codec, reports) {}

    Result listen(Engine& engine, const std::vector<EventType>& names, const std::vector<Pattern>& patterns) override {
        engine_.set(&engine); // [started] the engine is whole
        const ServerNames wanted(options_.prefix, names, patterns);
        redis::PubSub* const pub_sub = open();
        if (pub_sub == nullptr) {
            return errors::closed;
        }
        patterns_.add(patterns);
        const Inbound::WaitInside waiting(inbound_, engine);
        Result heard = guard([&] {
            return pub_sub->subscribe(wanted.channels, wanted.patterns, deadline_in(options_.command_timeout));
        });
        if (!heard) {
            patterns_.remove(patterns);
        }
        return heard;
    }
    void unlisten(const std::vector<EventType>& names, const std::vector<Pattern>& patterns) override {
        if (redis::PubSub* const pub_sub = opened()) {
            const ServerNames wanted(options_.prefix, names, patterns);
            pub_sub->unsubscribe(wanted.channels, wanted.patterns);
            patterns_.remove(patterns);
        }
    }
    void close() noexcept override {
        redis::PubSub* pub_sub = nullptr;
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
            pub_sub = pub_sub_.get();
        }
        if (pub_sub != nullptr) {
            pub_sub->shutdown();
            if (pub_sub->is_this_thread()) {
                return; // a hook has asked for it; what the reader has in hand is for the next who closes
            }
            std::optional<Event> left;
            {
                const std::lock_guard lock(mutex_); // of those who close at once, one
                left = inbound_.take_pending();
            }
            if (left) {
                engine_.get()->lose(*left); // [started] by whoever listened
            }
        }
    }
    bool drain(Deadline) override { return true; }
    void shutdown(Deadline) noexcept override {
        close();
        if (redis::PubSub* const pub_sub = opened()) {
            pub_sub->join();
        }
    }
    void stats(RedisStats& stats) const override {
        stats.malformed = inbound_.malformed();
        stats.unread = inbound_.unread();
        if (const redis::PubSub* const pub_sub = opened()) {
            stats.pub_sub = pub_sub->stats();
        }
    }

    [[nodiscard]] bool borrow_place() noexcept override {
        return inbound_.borrow_place(*engine_.get()); // [started] by whoever listened
    }
    [[nodiscard]] std::optional<unsigned> borrowed_place() noexcept override { return inbound_.borrowed_place(); }
    void work_in(unsigned place) noexcept override {
        engine_.get()->work_in(place); // [started] by whoever listened
    }
    bool message(std::string_view channel, std::string_view payload, std::string_view pattern) noexcept override {
        bool taken = false;
        return succeeds([&] { taken = handle(channel, payload, pattern); }) && taken; // without memory: again, later
    }

private:
    // Edges: each name stands at both of its ends in the code
    //   [started]  whoever listens says which engine it is, which happens before the reader sees that: it is whole

    redis::PubSub* open() {
        const std::lock_guard lock(mutex_);
        if (closed_) {
            return nullptr;
        }
        if (pub_sub_ == nullptr) {
            pub_sub_ = std::make_unique<redis::PubSub>(options_, *this);
        }
        return pub_sub_.get();
    }
    redis::PubSub* opened() const {
        const std::lock_guard lock(mutex_);
        return pub_sub_.get();
    }

    bool handle(std::string_view channel, std::string_view payload, std::string_view pattern) {
        Engine& engine = *engine_.get(); // [started] by whoever listened
        if (stalled_) {                  // this is the same message: none comes before it is taken
            stalled_ = inbound_.retry(engine) == Inbound::Taken::no;
            return !stalled_;
        }
        const std::string_view name = channel.substr(std::min(options_.prefix.size(), channel.size()));
        const WantedPatterns::Snapshot wanted = patterns_.wanted();
        if (!pattern.empty() && !matches_any(*wanted.list, name)) {
            return true; // the server's patterns are wider than ours, and what was on its way comes after their end
        }
        if (wanted.ever && copies_.is_copy(channel, payload, pattern)) {
            return true;
        }
        std::int64_t before = 0;
        const Inbound::Taken taken = inbound_.take(engine, name, payload, nullptr, 1, before);
        stalled_ = taken == Inbound::Taken::no;
        return !stalled_ && taken != Inbound::Taken::no_memory;
    }

    const RedisOptions options_;
    Inbound inbound_;
    WantedPatterns patterns_;
    Published<Engine*> engine_;
    // The reader's own.
    CopyFilter copies_;    // what came before
    bool stalled_ = false; // what came last waits in `inbound_` for room

    mutable std::mutex mutex_;
    bool closed_ = false;                    // under mutex_
    std::unique_ptr<redis::PubSub> pub_sub_; // set under mutex_, once; last: its thread calls this
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
