#pragma once

// The engine of a bus, for tests of what brings it events.

#include <gossip/bus/event_bus.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace gossip_test {

struct ShowsItsEngine : gossip::MemoryProvider {
    void start(gossip::detail::Engine& to) noexcept { engine = &to; }
    gossip::detail::Engine* engine = nullptr;
};

/// Threads: those of the test alone, for it has no workers.
class EngineOf {
public:
    EngineOf() = default;
    explicit EngineOf(std::size_t buffer_size) : buffer_size_(buffer_size) {}
    EngineOf(const EngineOf&) = delete;
    EngineOf& operator=(const EngineOf&) = delete;

    [[nodiscard]] gossip::detail::Engine& engine() noexcept { return *bus_.provider().engine; }
    template <class T, class F>
    [[nodiscard]] gossip::Subscription subscribe(const gossip::Topic<T>& topic, F f) {
        return bus_.subscribe(topic, std::move(f));
    }
    void poll() { static_cast<void>(bus_.poll()); }
    [[nodiscard]] std::uint64_t received() const { return bus_.stats().received; }
    /// What the error hook was told.
    [[nodiscard]] int errors() const noexcept { return errors_; }

private:
    std::size_t buffer_size_ = 1024;
    int errors_ = 0;
    gossip::EventBus<ShowsItsEngine> bus_{gossip::Config{
        .workers = 0, .buffer_size = buffer_size_, .on_error = [this](const gossip::ErrorReport&) { ++errors_; }}};
};

} // namespace gossip_test
