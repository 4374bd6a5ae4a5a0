// How a bus listens to streams: as one consumer of a group, acknowledging what has ended.
#pragma once

#include <gossip/concurrency/published.hpp>
#include <gossip/core/errors.hpp>
#include <gossip/core/event_type.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/provider/redis/entry_receipt.hpp>
#include <gossip/provider/redis/inbound.hpp>
#include <gossip/provider/redis/late_reports.hpp>
#include <gossip/provider/redis/listening.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/outbound.hpp>
#include <gossip/provider/redis/replay.hpp>
#include <gossip/provider/redis/stream.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// Threads: every member from any thread. Owns: the reader, made when it is first needed.
class StreamListening final : public RedisListening, public redis::StreamListener {
public:
    StreamListening(const RedisOptions& options, const void* codec, LateReports& reports)
        : options_(options), inbound_(options, codec, reports), receipts_(options.stream.max_held) {}

    Result listen(Engine& engine, const std::vector<EventType>& names, const std::vector<Pattern>& patterns) override {
        engine_.set(&engine); // [started] the engine is whole
        const ServerNames wanted(options_.prefix, names, patterns);
        redis::StreamReader* const reader = open();
        if (reader == nullptr) {
            return errors::closed;
        }
        patterns_.add(patterns);
        const Inbound::WaitInside waiting(inbound_, engine);
        Result heard = guard([&] {
            const auto until = deadline_in(options_.command_timeout);
            Result done = wanted.channels.empty() ? Result{} : reader->subscribe(wanted.channels, until);
            if (done && !wanted.patterns.empty()) {
                done = reader->refresh(until);
                if (!done && !wanted.channels.empty()) {
                    reader->unsubscribe(wanted.channels);
                }
            }
            return done;
        });
        if (!heard) {
            patterns_.remove(patterns);
        }
        return heard;
    }
    void unlisten(const std::vector<EventType>& names, const std::vector<Pattern>& patterns) override {
        if (redis::StreamReader* const reader = opened()) {
            const ServerNames wanted(options_.prefix, names, patterns);
            patterns_.remove(patterns);
            reader->unsubscribe(wanted.channels);
        }
    }
    Result replay(const EventType& type, std::string_view from) override {
        {
            const std::lock_guard lock(mutex_);
            if (closed_) {
                return errors::closed;
            }
        }
        return guard([&] { return redis::replay(options_, options_.prefix + std::string(type.name()), from); });
    }
    void close() noexcept override {
        redis::StreamReader* reader = nullptr;
        bool waits = false;
        {
            const std::lock_guard lock(mutex_);
            waits = !std::exchange(closed_, true); // a server that did not answer in that time is not asked twice
            reader = reader_.get();
        }
        if (reader != nullptr) {
            silent_.store(true, std::memory_order_relaxed); // relaxed: the lock tells when nobody is behind it any more
            std::optional<Event> left;
            if (!reader->is_this_thread()) {           // else a hook has asked for it, and the reader may hold the lock
                const std::lock_guard taking(taking_); // the reader is not in the engine, and won't be again
                left = inbound_.take_pending();
            }
            if (left) {
                engine_.get()->lose(*left); // [started] by whoever listened
            }
            static_cast<void>(reader->stop_reading(waits ? std::chrono::steady_clock::now() + short_wait : Deadline{}));
        }
    }
    bool drain(Deadline until) override {
        redis::StreamReader* const reader = opened();
        return reader == nullptr || reader->drain(until);
    }
    void shutdown(Deadline until) noexcept override {
        close();
        if (redis::StreamReader* const reader = opened()) {
            reader->shutdown(until);
        }
    }
    void stats(RedisStats& stats) const override {
        stats.malformed = inbound_.malformed();
        stats.unread = inbound_.unread();
        if (const redis::StreamReader* const reader = opened()) {
            stats.stream = reader->stats();
        }
    }

    [[nodiscard]] bool borrow_place() noexcept override {
        return inbound_.borrow_place(*engine_.get()); // [started] by whoever listened
    }
    [[nodiscard]] std::optional<unsigned> borrowed_place() noexcept override { return inbound_.borrowed_place(); }
    void work_in(unsigned place) noexcept override {
        engine_.get()->work_in(place); // [started] by whoever listened
    }
    bool entry(const redis::StreamEntry& entry) noexcept override {
        const std::lock_guard taking(taking_);
        bool taken = false;
        return !silent_.load(std::memory_order_relaxed) && // relaxed: the lock comes with it
               succeeds([&] { taken = handle(entry); }) && taken;
    }
    std::size_t room() noexcept override {
        const Engine& engine = *engine_.get(); // [started] by whoever listened
        const std::size_t capacity = engine.capacity();
        return capacity - std::min<std::size_t>(capacity, static_cast<std::size_t>(engine.waiting()));
    }
    bool wants(std::string_view stream) noexcept override {
        return stream.starts_with(options_.prefix) &&
               matches_any(*patterns_.wanted().list, stream.substr(options_.prefix.size()));
    }

private:
    // Edges: each name stands at both of its ends in the code
    //   [started]  whoever listens says which engine it is, which happens before the reader sees that: it is whole

    redis::StreamReader* open() {
        const std::lock_guard lock(mutex_);
        if (closed_) {
            return nullptr;
        }
        if (reader_ == nullptr) {
            reader_ = std::make_unique<redis::StreamReader>(options_, *this);
        }
        return reader_.get();
    }
    redis::StreamReader* opened() const {
        const std::lock_guard lock(mutex_);
        return reader_.get();
    }

    bool handle(const redis::StreamEntry& entry) {
        Engine& engine = *engine_.get(); // [started] by whoever listened
        if (stalled_) {
            stalled_ = false;
            if (entry.id() == stalled_id_ && entry.turn() == stalled_turn_) {
                stalled_ = inbound_.retry(engine) == Inbound::Taken::no;
                return !stalled_;
            } // else the connection was lost meanwhile: the other one comes again, here or elsewhere
            static_cast<void>(EntryReceipts::Owner{static_cast<EntryReceipt*>(inbound_.forget_pending())});
        }
        redis::StreamReader& reader = *opened();
        const std::string_view name = entry.stream().substr(std::min(options_.prefix.size(), entry.stream().size()));
        const std::string_view message = entry.field(stream_field);
        auto receipt = receipts_.make(reader, entry.id(), entry.turn());
        switch (inbound_.take(engine, name, message, receipt.get(), entry.deliveries(), receipt->before)) {
        case Inbound::Taken::yes:
        case Inbound::Taken::closed:
            static_cast<void>(receipt.release());
            return true;
        case Inbound::Taken::no:
            static_cast<void>(receipt.release());
            stalled_ = true;
            stalled_id_ = entry.id();
            stalled_turn_ = entry.turn();
            return false;
        case Inbound::Taken::no_memory:
            return false;
        case Inbound::Taken::given_up:
            reader.leave(entry.id(), entry.turn());
            return true;
        case Inbound::Taken::malformed:
            break;
        }
        reader.bury(entry.id(), "the entry is no event");
        return true;
    }

    static constexpr std::chrono::milliseconds short_wait{50};

    const RedisOptions options_;
    Inbound inbound_; // with what stands below, under taking_
    WantedPatterns patterns_;
    EntryReceipts receipts_;
    Published<Engine*> engine_;
    std::atomic<bool> silent_{false};
    std::mutex taking_;
    bool stalled_ = false;
    redis::EntryId stalled_id_{};
    std::uint64_t stalled_turn_ = 0;

    mutable std::mutex mutex_;
    bool closed_ = false;                         // under mutex_
    std::unique_ptr<redis::StreamReader> reader_; // set under mutex_, once; last: its thread calls this
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
