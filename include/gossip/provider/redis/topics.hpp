#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/provider/redis/readers.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis {

/// Gets what arrives on a PubSub's channels.
///
/// Threads: called on the thread that reads, no lock held; it must not wait, but for `work_in`, during which that
///          thread is not the one that reads.
class PubSubListener : public InPlace {
public:
    /// True if it was taken. False if there is no room: the same message is offered again after `resume`, or after 1 to
    /// 10 ms, also where its connection has ended, and until it is taken nothing is read. `pattern` is empty for a
    /// channel's own subscription; the server sends a message once for its channel and once for each pattern that
    /// matches it. The views live for the call.
    virtual bool message(std::string_view channel, std::string_view payload, std::string_view pattern) noexcept = 0;

protected:
    PubSubListener() = default;
    PubSubListener(const PubSubListener&) = default;
    PubSubListener& operator=(const PubSubListener&) = default;
    ~PubSubListener() = default;
};

struct PubSubStats {
    std::uint64_t messages = 0; // taken by the listener
    std::uint64_t stalls = 0;   // how often it had no room
    std::uint64_t connects = 0;
    bool connected = false; // and everything subscribed that is wanted
};

namespace detail {

enum class TopicKind : std::uint8_t { channel, pattern };
enum class TopicState : std::uint8_t { wanted, asked, confirmed, refused };

struct Topic {
    std::size_t users = 0;
    std::uint64_t serial = 0; // of the SUBSCRIBE whose answer counts
    TopicState state = TopicState::wanted;
    std::optional<Error> error{};
};

/// What is wanted of the server, what it has been asked for, and what it said to that.
///
/// Threads: all under its owner's lock; `answered_all` on the thread that asks, without it.
/// Order:   each name has a command of its own, for a refusal has no name: the server answers in the order of asking.
class Topics {
public:
    /// Whether the server has to be asked.
    bool add(TopicKind kind, std::string_view name) {
        const auto at = of(kind).try_emplace(std::string{name}).first;
        Topic& topic = at->second;
        const bool ask = ++topic.users == 1 || topic.state == TopicState::refused;
        if (ask) {
            topic.state = TopicState::wanted;
            topic.error.reset();
            changes_.push_back({kind, true, 0, at->first});
        }
        return ask;
    }

    void remove(TopicKind kind, std::string_view name) {
        const auto at = of(kind).find(name);
        if (at == of(kind).end() || --at->second.users != 0) {
            return;
        }
        if (at->second.state == TopicState::wanted) { // never asked for
            std::erase_if(changes_, [&](const Asked& change) {
                return change.subscribes && change.kind == kind && change.name == name;
            });
        } else {
            changes_.push_back({kind, false, 0, at->first});
        }
        of(kind).erase(at);
    }

    /// One that was added.
    [[nodiscard]] const Topic& at(TopicKind kind, std::string_view name) const {
        return topics_[static_cast<std::size_t>(kind)].find(name)->second;
    }

    /// The connection is gone, and with it all that was said on it.
    void lost() noexcept {
        for (Names& names : topics_) {
            for (auto& [name, topic] : names) {
                topic.state = TopicState::wanted;
            }
        }
    }

    /// A new connection: everything is to be asked for. False if that is nothing.
    bool want_all() {
        changes_.clear();
        asked_.clear();
        lost();
        for (const TopicKind kind : {TopicKind::channel, TopicKind::pattern}) {
            for (const auto& [name, topic] : of(kind)) {
                changes_.push_back({kind, true, 0, name});
            }
        }
        return !changes_.empty();
    }

    /// Calls `queue(verb, name)` for each change.
    template <class Queue>
    void ask(Queue queue) {
        constexpr std::array<std::array<std::string_view, 2>, 2> verbs{
            {{"UNSUBSCRIBE", "SUBSCRIBE"}, {"PUNSUBSCRIBE", "PSUBSCRIBE"}}};
        for (Asked& change : changes_) {
            if (change.subscribes) {
                const auto at = of(change.kind).find(change.name);
                if (at == of(change.kind).end() || at->second.state != TopicState::wanted) {
                    continue;
                }
                at->second.state = TopicState::asked;
                at->second.serial = change.serial = ++serial_;
            }
            queue(verbs[static_cast<std::size_t>(change.kind)][change.subscribes ? 1 : 0], change.name);
            asked_.push_back(std::move(change));
        }
        changes_.clear();
    }

    [[nodiscard]] bool answered_all() const noexcept { return asked_.empty(); }

    /// The answer to the eldest question; whether anybody cares.
    bool answer(TopicState state, const std::optional<Error>& error) {
        if (asked_.empty()) {
            return false;
        }
        const Asked asked = std::move(asked_.front());
        asked_.pop_front();
        const auto at = of(asked.kind).find(asked.name);
        if (!asked.subscribes || at == of(asked.kind).end() || at->second.serial != asked.serial) {
            return false;
        }
        at->second.state = state;
        at->second.error = error;
        return true;
    }

private:
    using Names = std::map<std::string, Topic, std::less<>>;
    struct Asked {
        TopicKind kind;
        bool subscribes;
        std::uint64_t serial;
        std::string name;
    };

    Names& of(TopicKind kind) noexcept { return topics_[static_cast<std::size_t>(kind)]; }

    std::array<Names, 2> topics_;
    std::vector<Asked> changes_; // to be asked for
    std::deque<Asked> asked_;    // in the order of the answers
    std::uint64_t serial_ = 0;
};

} // namespace detail
} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis
