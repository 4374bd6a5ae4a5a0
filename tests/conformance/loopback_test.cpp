#include "../../examples/loopback/loopback_provider.hpp"

#include "conformance/suite.hpp"

#include <bit>
#include <string>
#include <string_view>

namespace gossip_conformance {

inline std::string to_text(const Sample& data) {
    loopback::Writer out;
    out.number(data.number);
    out.text(data.text);
    out.number(std::bit_cast<std::int64_t>(data.weight));
    return out.bytes();
}
inline void from_text(std::string_view bytes, Sample& data) {
    loopback::Reader in(bytes);
    data.number = in.number();
    data.text = in.text();
    data.weight = std::bit_cast<double>(in.number());
}

} // namespace gossip_conformance

namespace loopback_test {

struct Loopback {
    using Provider = loopback::LoopbackProvider;
    static constexpr bool crosses = false;
    static bool available() { return true; }
    std::unique_ptr<gossip::EventBus<Provider>> bus(gossip::Config config) {
        return std::make_unique<gossip::EventBus<Provider>>(std::move(config));
    }
};

GOSSIP_CONFORMANCE(Loopback)

} // namespace loopback_test
