// Messages on their way to the engine.
#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/core/raw_data.hpp>
#include <gossip/core/receipt.hpp>
#include <gossip/core/shared_count.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/provider/redis/envelope_scan.hpp>
#include <gossip/provider/redis/late_reports.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/wire.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// Makes events of messages and hands them to the engine; their data stays text until a worker asks for it. Runs no
/// user code.
///
/// Threads: one reader thread at a time, but for `malformed` and `wait_inside`.
/// Cost:    an event is one allocation, and one more when its data is read as a type. What that type, metadata, and a
///          key or a foreign id of more than 15 bytes allocate comes on top.
class Inbound {
public:
    /// What became of a message.
    enum class Taken : std::uint8_t {
        yes,       // the engine has it
        no,        // no room; offer it again by `retry`
        no_memory, // nothing of it is kept; offer it again by `take`
        given_up,  // there was no memory for long: counted and reported
        malformed, // counted and reported: its sender's mistake
        closed,    // too late: counted as abandoned
    };

    Inbound(const RedisOptions& options, const void* codec, LateReports& reports)
        : wire_(options.wire, options.max_event_bytes), codec_(codec), reports_(reports) {}
    Inbound(const Inbound&) = delete;
    Inbound& operator=(const Inbound&) = delete;

    /// For what comes next, where that is alone: see Engine::borrow_place. Where it finds no room the place is given
    /// back at once; else it is the caller's, who asks for it afterwards.
    [[nodiscard]] bool borrow_place(Engine& engine) noexcept {
        place_ = engine.borrow_place();
        return place_.has_value();
    }
    [[nodiscard]] std::optional<unsigned> borrowed_place() noexcept { return std::exchange(place_, std::nullopt); }

    /// `name`: of the channel or stream that the message came on, without the prefix. `receipt` is the engine's when
    /// the answer is `yes`, waits with the event when it is `no`, has been settled when it is `closed`, and is the
    /// caller's otherwise. `deliveries`: which one this is. `before`, set before the engine has the event:
    /// how often that was tried before it came into the stream, as its sender says. Both count with a receipt alone.
    Taken take(Engine& engine, std::string_view name, std::string_view message, Receipt* receipt,
               std::int64_t deliveries, std::int64_t& before) {
        const Result read = guard([&] {
            Result made = make_event(name, message);
            if (made && receipt != nullptr) {
                before = std::int64_t{envelope_.attempt} - 1;
                constexpr std::int64_t most = std::numeric_limits<int>::max() - 1;
                EventAccess::set_receipt(*pending_, *receipt,
                                         static_cast<int>(std::clamp<std::int64_t>(before + deliveries, 1, most)));
            }
            return made;
        });
        if (!read) {
            pending_.reset();
            const bool is_malformed = as<ValidationError>(read.error()).has_value();
            if (!is_malformed && ++shortages_ < most_shortages) {
                return Taken::no_memory;
            }
            shortages_ = 0;
            report(engine, name, message, read.error(), is_malformed ? malformed_ : unread_);
            return is_malformed ? Taken::malformed : Taken::given_up;
        }
        shortages_ = 0;
        return retry(engine);
    }
    /// What there was no room for, again.
    Taken retry(Engine& engine) noexcept {
        PublishStatus status = PublishStatus::full;
        const Result offered = guard([&] {
            if (waiting_inside_.get() != 0) { // looked at again and again
                engine.give_back(place_);     // a drop hook may come in between
                status = engine.publish_spilling(*pending_) ? PublishStatus::accepted : PublishStatus::closed;
            } else {
                status = engine.receive(*pending_, patience, &place_);
            }
        });
        if (!offered || status != PublishStatus::accepted) {
            engine.give_back(place_);
        }
        if (!offered || status == PublishStatus::full) {
            return Taken::no; // without memory: later, perhaps
        }
        if (status == PublishStatus::closed) {
            engine.lose(*pending_);
            pending_.reset();
            return Taken::closed;
        }
        pending_.reset();
        return Taken::yes;
    }
    /// What there was no room for is somebody else's now; the receipt is the caller's.
    Receipt* forget_pending() noexcept {
        Receipt* const receipt = pending_ ? EventAccess::take_receipt(*pending_) : nullptr;
        pending_.reset();
        return receipt;
    }
    /// What is still waiting for room, and waits no more: the reader has stopped.
    std::optional<Event> take_pending() noexcept { return std::exchange(pending_, std::nullopt); }

    /// While it lives a processor of this bus, or who runs a bus without workers, waits for the reader's next messages:
    /// what finds no room goes to the spill list, or they would wait for each other.
    class WaitInside {
    public:
        explicit WaitInside(Inbound& inbound, const Engine& engine) noexcept
            : inbound_(inbound), counts_(inside(&engine) || engine.settings().workers == 0) {
            if (counts_) {
                inbound_.waiting_inside_.add();
            }
        }
        WaitInside(const WaitInside&) = delete;
        WaitInside& operator=(const WaitInside&) = delete;
        ~WaitInside() {
            if (counts_) {
                inbound_.waiting_inside_.take();
            }
        }

    private:
        Inbound& inbound_;
        const bool counts_;
    };

    [[nodiscard]] std::uint64_t malformed() const noexcept { return malformed_.get(); }
    [[nodiscard]] std::uint64_t unread() const noexcept { return unread_.get(); }

private:
    static constexpr std::size_t most_names = 4096;
    static constexpr std::size_t longest_report = 65'536;
    static constexpr std::chrono::milliseconds patience{5};
    static constexpr int most_shortages = 1000; // of memory, one after another: about ten seconds

    /// Something that came and became no event.
    void report(Engine& engine, std::string_view name, std::string_view message, const Error& error,
                SharedCount<>& count) noexcept {
        count.add();
        succeeds([&] {
            EventType type = EventType::literal("gossip.redis.malformed");
            succeeds([&] { type = EventType(name); }); // a channel may have any name
            const std::string_view text = message.substr(0, longest_report);
            reports_.tell(engine, error,
                          EventAccess::make<RawData>(type, engine.stamp(), Priority::normal, RawText{text, nullptr}));
        });
    }

    Result make_event(std::string_view name, std::string_view message) {
        if (Result read = wire_.scan(message, envelope_); !read) {
            return read;
        }
        if (envelope_.type != name) {
            return ValidationError{"Type", envelope_.type, "must be the name of the channel that the message came on"};
        }
        const EventType* const type = type_of(name);
        if (type->name().starts_with("gossip.")) {
            return ValidationError{"Type", name, "must not be a name of the library's own"};
        }
        const std::int64_t now = envelope_.has_time ? envelope_.time_ns : wall_now_ns();
        if (envelope_.has_data()) {
            pending_.emplace(EventAccess::make<RawData>(*type, now, envelope_.priority,
                                                        RawText{envelope_.data, codec_, envelope_.version,
                                                                wire_.schemas().upcast_from(name, envelope_.version)}));
        } else {
            pending_.emplace(EventAccess::make(*type, now, envelope_.priority));
        }
        apply_envelope(*pending_, envelope_);
        return {};
    }

    /// Throws a ValidationError if the name is none for an event.
    const EventType* type_of(std::string_view name) {
        auto found = names_.find(name);
        if (found == names_.end()) {
            if (names_.size() >= most_names) {
                names_.clear();
            }
            found = names_.emplace(std::string{name}, EventType(name)).first;
        }
        return &found->second;
    }

    struct NameHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
    };

    const Wire wire_;
    const void* const codec_;
    LateReports& reports_;
    Envelope envelope_;
    std::unordered_map<std::string, EventType, NameHash, std::equal_to<>> names_;
    std::optional<Event> pending_;  // read, and there was no room for it
    std::optional<unsigned> place_; // that a worker has lent for it
    int shortages_ = 0;
    SharedCount<> malformed_;
    SharedCount<> unread_;
    SharedCount<int> waiting_inside_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
