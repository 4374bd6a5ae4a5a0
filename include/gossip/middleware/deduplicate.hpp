#pragma once

#include <gossip/core/clock.hpp>
#include <gossip/core/shared_count.hpp>
#include <gossip/middleware/middleware.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {

struct DeduplicateOptions {
    std::int64_t count = 10'000;                                       // so many of the latest keys are remembered,
    std::chrono::nanoseconds window = std::chrono::nanoseconds::max(); // and none for longer than this
};

/// The keys that one processor has seen, in the order of their coming.
template <class Key>
class SeenKeys {
public:
    explicit SeenKeys(const DeduplicateOptions& options)
        : count_(static_cast<std::size_t>(options.count)), window_(options.window.count()) {}

    /// Remembers the key and returns a number for `forget`; 0 if it is remembered already.
    [[nodiscard]] std::uint64_t remember(const Key& key, std::int64_t now) {
        const std::lock_guard lock(mutex_);
        while (!order_.empty() && detail::saturated_add(order_.front().since, window_) <= now) {
            drop_oldest();
        }
        const auto [place, fresh] = keys_.try_emplace(key, order_.end());
        if (!fresh) {
            return 0;
        }
        const Unfinished undo{*this, place};
        order_.push_back({&place->first, now, ++last_});
        place->second = std::prev(order_.end());
        if (order_.size() > count_) {
            drop_oldest();
        }
        return last_;
    }

    void forget(const Key& key, std::uint64_t number) {
        const std::lock_guard lock(mutex_);
        if (const auto found = keys_.find(key); found != keys_.end() && found->second->number == number) {
            order_.erase(found->second);
            keys_.erase(found);
        }
    }

private:
    struct Item {
        const Key* key; // in keys_
        std::int64_t since;
        std::uint64_t number;
    };
    using Order = std::list<Item>;
    using Keys = std::unordered_map<Key, typename Order::iterator>;

    /// Takes a key out again that could not be put into the order.
    struct Unfinished {
        SeenKeys& seen;
        typename Keys::iterator place;
        ~Unfinished() {
            if (place->second == seen.order_.end()) {
                seen.keys_.erase(place);
            }
        }
    };

    void drop_oldest() {
        keys_.erase(keys_.find(*order_.front().key));
        order_.pop_front();
    }

    const std::size_t count_;
    const std::int64_t window_;
    std::mutex mutex_;
    Order order_;
    Keys keys_;
    std::uint64_t last_ = 0;
};

struct KeyById {
    EventId operator()(const Event& event) const noexcept { return event.id(); }
};

/// The policy of deduplicate().
template <class KeyOf>
class Deduplicate {
    using Returned = std::remove_cvref_t<std::invoke_result_t<const KeyOf&, const Event&>>;

public:
    using Key = std::conditional_t<std::convertible_to<Returned, std::string_view>, std::string, Returned>;
    using Count = std::shared_ptr<detail::SharedCount<>>;

    Deduplicate(const DeduplicateOptions& options, KeyOf key_of, Count duplicates)
        : options_(options), key_of_(std::move(key_of)), duplicates_(std::move(duplicates)) {
        detail::require(options.count >= 1, "count", options.count, "must be at least 1");
        detail::require(options.window.count() > 0, "window", options.window, "must be positive");
    }

    template <class T, class Next>
    auto around(Next next) const {
        static_assert(!detail::collects<Next>,
                      "gossip: deduplicate() around a batch would remember an event whose run is still to come and may "
                      "fail; let the batch's callable look for duplicates instead");
        Deduplicate mine = *this;
        mine.seen_ = std::make_shared<SeenKeys<Key>>(options_);
        return detail::Bound<Deduplicate, Next>(std::move(mine), std::move(next));
    }

    template <class Next>
    Result operator()(Next& next, Context& context, const Event& event) const {
        const Key key(key_of_(event));
        const std::size_t before = context.put_off();
        if (context.attempt() > 1) { // a redelivery is no duplicate, but later ones are duplicates of it
            Result result = next(context, event);
            if (result && context.put_off() == before) {
                detail::succeeds([&] { static_cast<void>(seen_->remember(key, context.now().count())); });
            }
            return result;
        }
        const std::uint64_t number = seen_->remember(key, context.now().count());
        if (number == 0) {
            duplicates_->add();
            return {};
        }
        Result result = next(context, event);
        if (!result || context.put_off() != before) {
            seen_->forget(key, number);
        }
        return result;
    }

private:
    DeduplicateOptions options_;
    [[no_unique_address]] KeyOf key_of_;
    Count duplicates_;
    std::shared_ptr<SeenKeys<Key>> seen_; // made for each processor
};

template <class KeyOf>
class DeduplicateMiddleware : public Middleware<Deduplicate<KeyOf>> {
public:
    using Count = typename Deduplicate<KeyOf>::Count;

    DeduplicateMiddleware(const DeduplicateOptions& options, KeyOf key_of, Count duplicates)
        : Middleware<Deduplicate<KeyOf>>(Deduplicate<KeyOf>(options, std::move(key_of), duplicates)),
          duplicates_(duplicates) {}

    /// How many events were not run again, over all that was wrapped.
    [[nodiscard]] std::uint64_t duplicates() const noexcept { return duplicates_->get(); }

private:
    Count duplicates_;
};

/// Runs the processor once for each key: an event whose key was seen within the window succeeds without a run, and is
/// counted. The key is the event's id, or what the function given makes of the event: a text, a number, anything with a
/// std::hash.
///
/// Threads: each processor remembers for itself, so that two processors of one event both see it.
/// Cost:    a lock, a hash and two allocations for each new key; memory for `count` keys.
/// Errors:  bad options are ValidationErrors. A key whose run fails is forgotten, so that it can be tried again;
///          redeliveries always run, and are remembered when they succeed. A duplicate that arrives while the first is
///          running succeeds at once: should the first then fail, only the first is tried again. A run that defers is
///          forgotten when it returns, as it may fail yet: what comes after that is run again. So is, where this
///          stands around all processors of a bus, the collecting of a batch. Remembered in memory alone: another
///          process, or this one restarted, knows nothing of it.
template <class KeyOf>
[[nodiscard]] auto deduplicate(const DeduplicateOptions& options, KeyOf key_of) {
    static_assert(std::invocable<const KeyOf&, const Event&>,
                  "gossip: the key function of deduplicate() can be called as const with (const Event&)");
    return DeduplicateMiddleware<KeyOf>(options, std::move(key_of), std::make_shared<detail::SharedCount<>>());
}
[[nodiscard]] inline auto deduplicate(const DeduplicateOptions& options = {}) {
    return deduplicate(options, KeyById{});
}
template <class KeyOf>
requires std::invocable<const KeyOf&, const Event&>
[[nodiscard]] auto deduplicate(KeyOf key_of) { return deduplicate(DeduplicateOptions{}, std::move(key_of)); }

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware
