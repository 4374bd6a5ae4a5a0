#include <gossip/provider/redis/resp.hpp>

#include <gossip/provider/redis/reply.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace resp_test {

using namespace std::string_view_literals;

using gossip::redis::detail::append_command;
using gossip::redis::detail::Number;
using gossip::redis::detail::Reply;
using gossip::redis::detail::ReplyCursor;
using gossip::redis::detail::ReplyReader;
using State = ReplyReader::State;

TEST_CASE("a command is an array of bulk strings, byte for byte", "[resp]") {
    std::string wire;
    append_command(wire, {"PUBLISH", "a", std::string_view{"x\r\n\0y", 5}});
    append_command(wire, {"", ""});

    CHECK(wire == "*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$5\r\nx\r\n\0y\r\n*2\r\n$0\r\n\r\n$0\r\n\r\n"sv);
}

TEST_CASE("the size of a command is known before it is written, around every power of ten", "[resp]") {
    for (const std::size_t size : {0U, 1U, 9U, 10U, 99U, 100U, 999U, 1000U, 65'535U, 100'000U}) {
        const std::string text(size, 'x');
        const std::vector<std::string_view> arguments(size % 12 + 1, text);
        std::string wire;
        append_command(wire, arguments);
        CHECK(wire.size() == gossip::redis::detail::command_size(arguments));
        CHECK(wire.ends_with("\r\n"));
    }
}

TEST_CASE("numbers become arguments", "[resp]") {
    CHECK(std::string_view{Number{std::int64_t{-5}}} == "-5");
    CHECK(std::string_view{Number{std::numeric_limits<std::int64_t>::min()}} == "-9223372036854775808");
    CHECK(std::string_view{Number{std::numeric_limits<std::uint64_t>::max()}} == "18446744073709551615");
}

TEST_CASE("an answer is read whatever pieces it comes in", "[resp]") {
    const std::string_view wire =
        "*3\r\n$7\r\nmessage\r\n$3\r\na.b\r\n$5\r\nhe\r\nl\r\n:42\r\n-ERR no\r\n$-1\r\n+OK\r\n*-1\r\n*0\r\n"
        "*2\r\n*1\r\n:1\r\n$1\r\nx\r\n";
    for (std::size_t bite = 1; bite <= wire.size(); ++bite) {
        ReplyReader reader;
        std::vector<std::string> seen;
        for (std::size_t at = 0; at < wire.size(); at += bite) {
            REQUIRE(reader.feed(wire.data() + at, std::min(bite, wire.size() - at)));
            while (reader.next() == State::one) {
                const Reply& reply = reader.reply();
                std::string line;
                for (std::size_t i = 0; i < reply.size(); ++i) {
                    line += std::to_string(static_cast<int>(reply[i].kind)) + "," + std::to_string(reply[i].integer) +
                            "," + std::string{reply.text(i)} + ";";
                }
                seen.push_back(line);
            }
        }
        REQUIRE(seen == std::vector<std::string>{"5,3,;0,0,message;0,0,a.b;0,0,he\r\nl;", "3,42,;", "2,0,ERR no;",
                                                 "4,0,;", "1,0,OK;", "4,0,;", "5,0,;", "5,2,;5,1,;3,1,;0,0,x;"});
    }
}

TEST_CASE("what is no answer is said to be none", "[resp]") {
    for (const std::string_view wire : {"HTTP/1.1 400\r\n", "$x\r\n", "*2\r\n?\r\n", ":12x\r\n", ",1\r\n", "#t\r\n"}) {
        ReplyReader reader;
        REQUIRE(reader.feed(wire.data(), wire.size()));
        CHECK(reader.next() == State::broken);
        CHECK_FALSE(std::string_view{reader.problem()}.empty());
    }
}

TEST_CASE("a cursor reads nothing from an answer of another shape", "[resp]") {
    Reply reply;
    reply.add(Reply::Kind::array, 3);
    reply.add(Reply::Kind::array, 1);
    reply.add(Reply::Kind::text, "deep", 4);
    reply.add(Reply::Kind::integer, 7);
    reply.add(Reply::Kind::text, "end", 3);

    ReplyCursor at{reply};
    CHECK(at.array() == 3);
    CHECK(at.text().empty()); // an array: left out as a whole
    CHECK(at.text().empty()); // a number
    CHECK(at.array() == 0);   // a text
    CHECK(at.at_end());
    CHECK(at.integer() == 0);
    CHECK(at.text().empty());

    Reply torn;
    torn.add(Reply::Kind::array, 1'000'000);
    ReplyCursor over{torn};
    over.skip();
    CHECK(over.at_end());
}

} // namespace resp_test
