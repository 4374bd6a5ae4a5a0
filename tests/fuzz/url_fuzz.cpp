// A url is refused with a ValidationError, or it names a server; what is shown of it does not show its password.
#include <gossip/provider/redis/url.hpp>

#include "fuzz/promise.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using gossip_test::promise;
    constexpr std::string_view secret = "S3CR3T";
    const std::string_view url = gossip_test::text_of(bytes, size);
    const std::string shown = gossip::redis::detail::without_password(url);
    try {
        const gossip::redis::Endpoint server = gossip::redis::parse_url(url);
        promise(server.host.empty() != server.path.empty(), "a url names a host, or a socket");
        promise(server.path.empty() || !server.tls, "a socket has no TLS");
        promise(!server.path.empty() || server.port != 0, "a port is not 0");
        promise(server.database >= 0, "a database is not negative");
        const bool elsewhere = (server.host + server.path + server.user).find(secret) != std::string::npos;
        if (server.password == secret && !elsewhere) {
            promise(shown.find(secret) == std::string::npos, "a password is not shown");
        }
    } catch (const gossip::ValidationError& error) {
        promise(!error.field().empty(), "an error names its field");
    }
    return 0;
}
