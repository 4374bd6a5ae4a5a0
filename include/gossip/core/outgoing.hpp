// What the events that a running processor publishes inherit from the event that it was called for.
#pragma once

#include <gossip/core/event.hpp>
#include <gossip/core/metadata.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware {
struct Span; // gossip/middleware/tracing.hpp
} // namespace gossip::GOSSIP_VERSION_NAMESPACE::middleware

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// One layer of what is inherited, on the stack of the middleware that asked for it.
struct OutgoingMetadata {
    const Metadata* source;
    std::span<const std::string> names; // which of its entries; none: all
    bool replaces;                      // also what the published event says itself
    const OutgoingMetadata* outer;
    std::string_view owned; // an entry that is this layer's affair also where it has none: the event's own goes

    [[nodiscard]] bool has_name(std::string_view key) const noexcept {
        return names.empty() || std::find(names.begin(), names.end(), key) != names.end();
    }
    [[nodiscard]] bool settles(std::string_view key) const noexcept {
        return (!owned.empty() && key == owned) || (has_name(key) && source->contains(key));
    }
};

/// The innermost layer of this thread; null for most.
[[gnu::visibility("default")]] inline constinit thread_local const OutgoingMetadata* outgoing_metadata = nullptr;

/// The span of the processor that this thread is running; null for most.
[[gnu::visibility("default")]] inline constinit thread_local const middleware::Span* innermost_span = nullptr;

/// While it lives, what this thread publishes inherits these entries.
/// Owns: nothing; source and names outlive it, and `owned` is a literal. Scopes of a thread end in the reverse order of
/// their begin.
class OutgoingScope {
public:
    OutgoingScope(const Metadata& source, std::span<const std::string> names, bool replaces,
                  std::string_view owned = {}) noexcept
        : layer_{&source, names, replaces, outgoing_metadata, owned} {
        outgoing_metadata = &layer_;
    }
    OutgoingScope(const OutgoingScope&) = delete;
    OutgoingScope& operator=(const OutgoingScope&) = delete;
    ~OutgoingScope() { outgoing_metadata = layer_.outer; }

private:
    OutgoingMetadata layer_;
};

/// While it lives, what this thread publishes inherits nothing, and there is no span. For whoever runs another event's
/// processors on a thread that may be inside of one already.
class NoOutgoingScope {
public:
    NoOutgoingScope() noexcept
        : kept_(std::exchange(outgoing_metadata, nullptr)), span_(std::exchange(innermost_span, nullptr)) {}
    NoOutgoingScope(const NoOutgoingScope&) = delete;
    NoOutgoingScope& operator=(const NoOutgoingScope&) = delete;
    ~NoOutgoingScope() {
        outgoing_metadata = kept_;
        innermost_span = span_;
    }

private:
    const OutgoingMetadata* kept_;
    const middleware::Span* span_;
};

/// Inner layers win over outer ones; the event's own entries win over those that do not replace.
[[gnu::cold, gnu::noinline]] inline void add_outgoing_layers(Event& event) {
    const OutgoingMetadata* const first = outgoing_metadata;
    for (const OutgoingMetadata* layer = first; layer != nullptr; layer = layer->outer) {
        const auto settled_before = [&](std::string_view key) {
            bool settled = false;
            for (const OutgoingMetadata* inner = first; inner != layer && !settled; inner = inner->outer) {
                settled = inner->settles(key);
            }
            return settled;
        };
        if (!layer->owned.empty() && event.metadata().contains(layer->owned) && !settled_before(layer->owned)) {
            Metadata others = event.metadata();
            others.erase(layer->owned);
            event.with_metadata(std::move(others));
        }
        for (const auto& [key, value] : *layer->source) {
            const bool wanted = layer->has_name(key) && (layer->replaces || !event.metadata().contains(key));
            if (wanted && !settled_before(key)) {
                event.with_metadata(key, value);
            }
        }
    }
}

/// Called once for each event that is published. Cost: one load and test where nothing is inherited.
/// Errors: std::bad_alloc leaves the event with some of the entries.
inline void add_outgoing(Event& event) {
    if (outgoing_metadata != nullptr) [[unlikely]] {
        add_outgoing_layers(event);
    }
}

/// What this thread's publishes inherit now, to be taken to another thread.
class OutgoingCopy {
public:
    OutgoingCopy() {
        for (const OutgoingMetadata* layer = outgoing_metadata; layer != nullptr; layer = layer->outer) {
            Layer& copy = layers_.emplace_back(Layer{{}, layer->replaces, layer->owned});
            for (const auto& [key, value] : *layer->source) {
                if (layer->has_name(key)) {
                    copy.entries.set(key, value);
                }
            }
        }
    }

    /// Calls `f` on this thread as if it stood where the copy was made.
    template <class F>
    decltype(auto) apply(F&& f) const {
        return apply_from(layers_.size(), f);
    }

private:
    struct Layer {
        Metadata entries;
        bool replaces;
        std::string_view owned;
    };

    template <class F>
    decltype(auto) apply_from(std::size_t count, F& f) const {
        if (count == 0) {
            return f();
        }
        const Layer& layer = layers_[count - 1];
        const OutgoingScope scope(layer.entries, {}, layer.replaces, layer.owned);
        return apply_from(count - 1, f);
    }

    std::vector<Layer> layers_; // the innermost first
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
