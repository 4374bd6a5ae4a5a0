#pragma once

#include <gossip/core/errors.hpp>

#include <cstdint>
#include <string_view>

namespace gossip::GOSSIP_VERSION_NAMESPACE::redis {

/// What the server answered: PUBLISH's number of receivers (on that node alone), or the id that XADD gave the entry.
struct Confirmation {
    std::int64_t integer = 0;
    std::string_view id{}; // lives for the call
};

/// Told of the end of each command that a Publisher accepted: one call for each, with the tag it was offered with.
///
/// Threads: called on the publisher's I/O thread, no lock held; it may offer, but not wait for the publisher.
class PublisherListener {
public:
    virtual void confirmed(std::uint64_t tag, const Confirmation& confirmation) noexcept = 0;
    /// The server refused it for good, or the publisher was shut down (`is` errors::abandoned). What was abandoned may
    /// have been carried out nevertheless: the answer was not waited for.
    virtual void failed(std::uint64_t tag, const Error& error) noexcept = 0;

protected:
    PublisherListener() = default;
    PublisherListener(const PublisherListener&) = default;
    PublisherListener& operator=(const PublisherListener&) = default;
    ~PublisherListener() = default;
};

enum class OfferStatus : std::uint8_t {
    accepted,    // its end will be told
    full,        // as many as may are waiting for the server's word
    unavailable, // the same, and the server is not there
    too_large,   // it will never fit
    closed,
};

/// accepted = confirmed + failed + abandoned + waiting, at every moment.
struct PublisherStats {
    std::uint64_t accepted = 0;
    std::uint64_t confirmed = 0;
    std::uint64_t failed = 0;
    std::uint64_t abandoned = 0;
    std::uint64_t waiting = 0;
    std::uint64_t resent = 0;   // sent a second time, after a lost connection or a refusal that passed
    std::uint64_t connects = 0; // how often the server was reached
    bool connected = false;     // it takes commands now
};

} // namespace gossip::GOSSIP_VERSION_NAMESPACE::redis
