#include <gossip/provider/redis/outbox.hpp>

#include "support/catch.hpp"
#include "support/seed.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace outbox_test {

using gossip::redis::detail::append_command;
using gossip::redis::detail::Arguments;
using gossip::redis::detail::command_size;
using gossip::redis::detail::Outbox;

inline namespace parts {

void add(Outbox& outbox, std::uint64_t tag, std::string_view text) {
    const std::array<std::string_view, 1> arguments{text};
    outbox.append(arguments, command_size(arguments), tag);
}

/// Sends at most `most` bytes and returns them.
std::string send(Outbox& outbox, std::size_t most) {
    std::array<iovec, 4> pieces{};
    const std::size_t count = outbox.gather(pieces.data(), pieces.size());
    std::string bytes;
    for (std::size_t i = 0; i < count; ++i) {
        bytes.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
    }
    bytes.resize(std::min(most, bytes.size()));
    outbox.sent(bytes.size());
    return bytes;
}

} // namespace parts

TEST_CASE("an outbox has room up to its bounds, and always for one", "[outbox]") {
    Outbox outbox(2, 20);
    CHECK(outbox.has_room(1'000));
    add(outbox, 1, "a"); // 11 bytes
    CHECK(outbox.has_room(9));
    CHECK_FALSE(outbox.has_room(10));
    add(outbox, 2, "");
    CHECK_FALSE(outbox.has_room(0));
}

TEST_CASE("whatever is sent, answered, refused for now and lost in between, each command leaves in order until done",
          "[outbox]") {
    GOSSIP_INFO_SEED();
    gossip_test::Random random(1);
    for (int round = 0; round < 60; ++round) {
        Outbox outbox(64, 1 << 20);
        struct Known {
            std::uint64_t tag;
            std::string wire;
            bool done;
        };
        std::deque<Known> known; // what the outbox must hold
        std::size_t sent = 0;    // bytes of it
        std::uint64_t answered = 0;
        std::uint64_t next_tag = 0;
        const auto forget = [&] {
            while (!known.empty() && known.front().done) {
                sent -= known.front().wire.size();
                known.pop_front();
            }
        };
        for (int step = 0; step < 400; ++step) {
            switch (random.below(8)) {
            case 0:
            case 1:
            case 2: {
                const bool large = random.one_in(12);
                const std::string text(random.below(large ? 150'000 : 3'000), static_cast<char>('a' + next_tag % 26));
                const std::array<std::string_view, 1> arguments{text};
                if (outbox.has_room(command_size(arguments))) {
                    std::string wire;
                    append_command(wire, Arguments{arguments});
                    known.push_back({next_tag, wire, false});
                    add(outbox, next_tag++, text);
                }
                break;
            }
            case 3:
            case 4: {
                const std::string bytes = send(outbox, random.below(100'000));
                std::string expected;
                for (const Known& each : known) {
                    expected += each.wire;
                }
                REQUIRE(bytes == expected.substr(sent, bytes.size()));
                sent += bytes.size();
                std::size_t offered = 0;
                for (std::uint64_t i = outbox.head(); i != outbox.offered(); ++i) {
                    offered += outbox[i].size;
                }
                REQUIRE(offered >= sent);
                REQUIRE(offered <= sent + 4 * 160'000 + 100'000);
                break;
            }
            case 5:
            case 6: { // answers to what was sent whole; one in ten is to be sent again
                std::size_t whole = 0;
                std::size_t index = 0;
                for (Known& each : known) {
                    whole += each.wire.size();
                    if (whole > sent || random.one_in(5)) {
                        break;
                    }
                    if (outbox.head() + index >= answered) {
                        each.done = !random.one_in(10);
                        outbox[outbox.head() + index].done = each.done;
                        REQUIRE(outbox[outbox.head() + index].tag == each.tag);
                        answered = outbox.head() + index + 1;
                    }
                    ++index;
                }
                outbox.release(answered);
                forget();
                break;
            }
            default:
                if (random.one_in(4)) {
                    const std::size_t again = outbox.rewind();
                    REQUIRE(again <= known.size());
                    std::erase_if(known, [](const Known& each) { return each.done; });
                    sent = 0;
                    answered = outbox.head();
                }
            }
            REQUIRE(outbox.waiting() == known.size());
            REQUIRE(outbox.sent_bytes() == sent);
        }
        outbox.clear();
        REQUIRE(outbox.empty());
        add(outbox, 1, "again");
        REQUIRE(send(outbox, 100) == "*1\r\n$5\r\nagain\r\n");
    }
}

} // namespace outbox_test
