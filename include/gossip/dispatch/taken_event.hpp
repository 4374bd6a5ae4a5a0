#pragma once

#include <gossip/core/event.hpp>
#include <gossip/core/event_access.hpp>

#include <memory>
#include <utility>

namespace gossip::GOSSIP_VERSION_NAMESPACE::detail {

/// An event that has been moved out of the inbox and belongs to whoever runs it.
class TakenEvent {
public:
    TakenEvent() noexcept = default;
    TakenEvent(const TakenEvent&) = delete;
    TakenEvent& operator=(const TakenEvent&) = delete;
    ~TakenEvent() { reset(); }

    void take(Event* from) noexcept { event_ = EventAccess::relocate(storage_, from); }
    void reset() noexcept {
        if (event_ != nullptr) {
            std::destroy_at(std::exchange(event_, nullptr));
        }
    }
    [[nodiscard]] bool has_value() const noexcept { return event_ != nullptr; }
    Event& operator*() noexcept { return *event_; }
    Event* operator->() noexcept { return event_; }

private:
    alignas(Event) unsigned char storage_[sizeof(Event)];
    Event* event_ = nullptr;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::detail
