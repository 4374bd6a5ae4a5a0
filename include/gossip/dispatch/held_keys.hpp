#pragma once

#include <gossip/core/event.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// An event that waits: 0 none; odd: a spilled one's address and 1; even: its lane and slot.
using WaitingLink = std::uintptr_t;

/// Those who wait for one key, in the order of their acceptance.
struct WaitingKey {
    WaitingLink first = 0;
    WaitingLink last = 0;
};

/// The keys that somebody holds, each with those who wait for it.
///
/// Threads: under the backlog's lock.
/// Cost:    a hash lookup; a node is made only while more keys are held than before.
/// Owns:    the keys' names.
/// Errors:  hold may throw std::bad_alloc; nothing has changed then.
class HeldKeys {
    struct KeyView {
        std::string_view text;
        std::uint64_t hash;
    };
    struct KeyName {
        std::string text;
        std::uint64_t hash;
    };
    struct KeyHash {
        using is_transparent = void;
        std::size_t operator()(const KeyView& key) const noexcept { return key.hash; }
        std::size_t operator()(const KeyName& key) const noexcept { return key.hash; }
    };
    struct KeyEqual {
        using is_transparent = void;
        template <class A, class B>
        bool operator()(const A& a, const B& b) const noexcept {
            return a.hash == b.hash && std::string_view(a.text) == std::string_view(b.text);
        }
    };
    using Keys = std::unordered_map<KeyName, WaitingKey, KeyHash, KeyEqual>;

public:
    using Held = Keys::iterator;

    /// The key of an event, and whether nobody has held it so far.
    std::pair<Held, bool> hold(const Event& event) {
        const auto found = find(event);
        if (found != keys_.end()) {
            return {found, false};
        }
        spare_.reserve(most_spare);
        if (spare_.empty()) {
            return keys_.emplace(KeyName{std::string(event.key()), event.key_hash()}, WaitingKey{});
        }
        Keys::node_type node = std::move(spare_.back());
        spare_.pop_back();
        node.key().text.assign(event.key());
        node.key().hash = event.key_hash();
        node.mapped() = WaitingKey{};
        return {keys_.insert(std::move(node)).position, true};
    }
    /// Nobody holds the key any more.
    void let_go(Held key) noexcept {
        if (spare_.size() < spare_.capacity() && key->first.text.capacity() <= most_text) {
            spare_.push_back(keys_.extract(key));
        } else {
            keys_.erase(key);
        }
    }

    /// The key of an event if somebody holds it, or none().
    [[nodiscard]] Held find(const Event& event) noexcept { return keys_.find(KeyView{event.key(), event.key_hash()}); }
    /// Any key that is held, or none().
    [[nodiscard]] Held any() noexcept { return keys_.begin(); }
    [[nodiscard]] Held none() noexcept { return keys_.end(); }

private:
    static constexpr std::size_t most_spare = 256; // nodes of keys that nobody holds, kept for the next ones
    static constexpr std::size_t most_text = 128;  // bytes of such a key

    Keys keys_;
    std::vector<Keys::node_type> spare_;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
