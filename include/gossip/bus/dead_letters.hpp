#pragma once

#include <gossip/bus/dead_letter_json.hpp>
#include <gossip/core/event_type.hpp>
#include <gossip/core/require.hpp>
#include <gossip/core/topic.hpp>
#include <gossip/dispatch/dead_letter.hpp>
#include <gossip/dispatch/engine.hpp>
#include <gossip/dispatch/subscription.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

/// A question about a dead letter.
template <class F>
concept letter_filter = std::predicate<F&, const DeadLetter&>;

/// Keeps the dead letters of a bus, the latest of them, to look at, to publish again, or to write down:
///
///     gossip::DeadLetters letters{1000};
///     letters.attach(bus);
///     letters.replay(bus, gossip::DeadLetters::by_subscription("billing"));
///
/// Threads: every member from any thread; the destructor when nobody else uses it. No lock is held while predicates,
///          publishes and the destructors of events' data run.
/// Order:   the oldest first, everywhere.
/// Cost:    two allocations for each letter, and a copy of its event. Choosing looks at every letter.
/// Owns:    its subscriptions and at most `capacity` letters, not counted those that are being replayed: beyond it the
///          oldest goes, and is counted. May outlive the bus; destroyed before it, it ends its subscriptions.
/// Errors:  a capacity of 0 is a ValidationError. What predicates and publishes throw passes through, and no letter is
///          lost by it.
class DeadLetters {
public:
    /// A letter with the number that names it here: 1, 2, 3...
    struct Kept {
        std::uint64_t number;
        std::shared_ptr<const DeadLetter> letter;
    };

    explicit DeadLetters(std::size_t capacity = 1000) : capacity_(capacity) {
        detail::require(capacity >= 1, "capacity", capacity, "must be at least 1");
    }
    DeadLetters(const DeadLetters&) = delete;
    DeadLetters& operator=(const DeadLetters&) = delete;
    ~DeadLetters() = default;

    /// Keeps what fails for good on this bus from now on. May be called for several.
    template <class Bus>
    void attach(Bus& bus) {
        Subscription added =
            bus.subscribe(dead_letter, [this](const DeadLetter& letter) { keep(letter); }, {.name = "dead letters"});
        const std::lock_guard lock(mutex_);
        subscriptions_.push_back(std::move(added));
    }

    /// One that came by another way. Returns its number.
    std::uint64_t keep(DeadLetter letter) {
        auto kept = std::make_shared<const DeadLetter>(std::move(letter));
        Letters gone; // destroyed after the lock
        const std::lock_guard lock(mutex_);
        letters_.emplace_hint(letters_.end(), last_ + 1, std::move(kept));
        ++last_;
        drop_oldest(gone);
        return last_;
    }

    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] std::size_t size() const {
        const std::lock_guard lock(mutex_);
        return letters_.size();
    }
    /// How many have gone because there was no room.
    [[nodiscard]] std::uint64_t dropped() const {
        const std::lock_guard lock(mutex_);
        return dropped_;
    }

    [[nodiscard]] std::vector<Kept> list() const {
        std::vector<Kept> all;
        const std::lock_guard lock(mutex_);
        all.reserve(letters_.size());
        for (const auto& [number, letter] : letters_) {
            all.push_back({number, letter});
        }
        return all;
    }
    [[nodiscard]] std::vector<Kept> list(letter_filter auto wanted) const {
        std::vector<Kept> chosen = list();
        std::erase_if(chosen, [&](const Kept& kept) { return !wanted(*kept.letter); });
        return chosen;
    }

    // Ready-made questions

    /// Letters of events that the subscription of that name has failed, first or not.
    [[nodiscard]] static auto by_subscription(std::string name) {
        return [name = std::move(name)](const DeadLetter& letter) {
            return letter.subscription == name ||
                   std::any_of(letter.failures.begin(), letter.failures.end(),
                               [&](const Failure& failure) { return failure.name == name; });
        };
    }
    /// Letters of events of a type, or of all that a pattern matches.
    [[nodiscard]] static auto by_type(Pattern pattern) {
        return
            [pattern = std::move(pattern)](const DeadLetter& letter) { return pattern.matches(letter.event.type()); };
    }
    [[nodiscard]] static auto by_type(const EventType& type) { return by_type(Pattern{type.name()}); }
    template <class T>
    [[nodiscard]] static auto by_type(const Topic<T>& topic) {
        return by_type(topic.type());
    }

    // Replay: publishing the event again, for all who listen. What the bus does not accept stays here.

    /// True if there was a letter of that number and the bus has accepted its event.
    template <class Bus>
    bool replay(Bus& bus, std::uint64_t number) {
        return replay_one(bus, number) == Replayed::yes;
    }
    /// Replays all that the predicate likes of those here now, up to the first that the bus refuses (it is full, or
    /// closed). Returns how many were accepted.
    template <class Bus>
    std::size_t replay(Bus& bus, letter_filter auto wanted) {
        return replay_each(bus, list(std::move(wanted)));
    }
    template <class Bus>
    std::size_t replay(Bus& bus) {
        return replay_each(bus, list());
    }

    bool remove(std::uint64_t number) {
        Node gone; // destroyed after the lock
        const std::lock_guard lock(mutex_);
        gone = letters_.extract(number);
        return !gone.empty();
    }
    /// Returns how many it took out.
    std::size_t remove(letter_filter auto wanted) {
        std::size_t removed = 0;
        for (const Kept& kept : list(std::move(wanted))) {
            removed += remove(kept.number) ? 1 : 0;
        }
        return removed;
    }

    /// A line of JSON for each letter: its event but for the data, the error with its causes, all failures and times.
    [[nodiscard]] std::string json_lines() const {
        return json_lines([](const Event&) { return std::string{}; });
    }
    /// The same with the data, as the function given writes it in JSON; an empty text is written as null.
    template <class DataToJson>
    requires std::is_invocable_r_v<std::string, DataToJson&, const Event&>
    [[nodiscard]] std::string json_lines(DataToJson data_to_json) const {
        std::string lines;
        for (const Kept& kept : list()) {
            const std::string data = data_to_json(kept.letter->event);
            detail::append_json(lines, kept.number, *kept.letter, data);
        }
        return lines;
    }

private:
    using Letters = std::map<std::uint64_t, std::shared_ptr<const DeadLetter>>;
    using Node = Letters::node_type;
    enum class Replayed : std::uint8_t { yes, refused, gone };

    /// A letter that has been taken out; unless it is accepted it goes back to its place.
    struct TakenOut {
        DeadLetters& home;
        Node node;
        bool accepted = false;

        TakenOut(DeadLetters& from, Node taken) noexcept : home(from), node(std::move(taken)) {}
        TakenOut(const TakenOut&) = delete;
        TakenOut& operator=(const TakenOut&) = delete;
        ~TakenOut() {
            if (!accepted) {
                Letters gone; // destroyed after the lock
                const std::lock_guard lock(home.mutex_);
                home.letters_.insert(std::move(node));
                home.drop_oldest(gone);
            }
        }
    };

    template <class Bus>
    Replayed replay_one(Bus& bus, std::uint64_t number) {
        Node node;
        {
            const std::lock_guard lock(mutex_);
            node = letters_.extract(number);
        }
        if (node.empty()) {
            return Replayed::gone;
        }
        TakenOut taken(*this, std::move(node));
        taken.accepted = bus.publish(Event(taken.node.mapped()->event)) == PublishStatus::accepted;
        return taken.accepted ? Replayed::yes : Replayed::refused;
    }
    template <class Bus>
    std::size_t replay_each(Bus& bus, const std::vector<Kept>& chosen) {
        std::size_t accepted = 0;
        for (const Kept& kept : chosen) {
            const Replayed replayed = replay_one(bus, kept.number);
            if (replayed == Replayed::refused) {
                break;
            }
            accepted += replayed == Replayed::yes ? 1 : 0;
        }
        return accepted;
    }

    /// Under the lock.
    void drop_oldest(Letters& gone) noexcept {
        while (letters_.size() > capacity_) {
            gone.insert(letters_.extract(letters_.begin()));
            ++dropped_;
        }
    }

    const std::size_t capacity_;
    mutable std::mutex mutex_;
    Letters letters_;
    std::uint64_t last_ = 0;
    std::uint64_t dropped_ = 0;
    std::vector<Subscription> subscriptions_; // destroyed first: then nobody calls keep any more
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
