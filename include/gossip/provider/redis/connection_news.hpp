#pragma once

#include <gossip/core/errors.hpp>
#include <gossip/core/guard.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/socket.hpp>

#include <optional>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail {

/// Tells the hook of each outage once, however many attempts it has, and of its end.
/// Threads: that of the connection.
class ConnectionNews {
public:
    ConnectionNews(const ConnectionHook& hook, std::string_view connection) noexcept
        : hook_(hook), connection_(connection) {}

    void lost(const Error& error) {
        if (!lost_at_) {
            lost_at_ = SteadyClock::now();
            refused_ = false;
            tell({ConnectionEvent::Kind::lost, connection_, error, {}});
        }
    }
    /// A connection that comes up for the first time, without having failed before, is no news.
    void restored(bool with_gap = false) {
        if (lost_at_) {
            const std::chrono::nanoseconds outage = SteadyClock::now() - *lost_at_;
            lost_at_.reset();
            if (with_gap) {
                tell({ConnectionEvent::Kind::gap, connection_, std::nullopt, outage});
            }
            tell({ConnectionEvent::Kind::restored, connection_, std::nullopt, outage});
        }
    }
    void refused(const Error& error) {
        if (!refused_) {
            refused_ = true;
            tell({ConnectionEvent::Kind::refused, connection_, error, {}});
        }
    }
    void taken() noexcept { refused_ = false; }

private:
    void tell(const ConnectionEvent& event) const noexcept {
        if (hook_) {
            static_cast<void>(gossip::detail::succeeds([&] { hook_(event); })); // what a hook throws is its own
        }
    }

    const ConnectionHook& hook_;
    std::string_view connection_;
    std::optional<Deadline> lost_at_;
    bool refused_ = false;
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis::detail
