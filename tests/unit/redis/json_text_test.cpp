#include <gossip/provider/redis/json_text.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "support/catch.hpp"
#include "support/seed.hpp"

namespace json_text_test {

using namespace gossip::detail;
using namespace std::string_literals;

inline namespace parts {

std::string in_quotes(std::string_view text) {
    std::string out;
    REQUIRE(append_json_string(out, text));
    return out;
}

std::string meant(std::string_view raw) {
    std::string out;
    append_unescaped(out, raw);
    return out;
}

/// Text of every kind, most of it valid.
std::string hostile_text(gossip_test::Random& random) {
    std::string text;
    for (auto parts = random.below(12); parts != 0; --parts) {
        switch (random.below(6)) {
        case 0:
            text.append(random.below(40), static_cast<char>(' ' + random.below(90)));
            break;
        case 1:
            text.push_back(static_cast<char>(random.below(0x20)));
            break;
        case 2:
            text.append("\"\\/\x7f");
            break;
        case 3:
            append_utf8(text, static_cast<std::uint32_t>(random.below(0xD800)));
            break;
        case 4:
            append_utf8(text, static_cast<std::uint32_t>(0xE000 + random.below(0x110000 - 0xE000)));
            break;
        default:
            text.push_back(static_cast<char>(random.one_in(8) ? random.below(256) : random.below(128)));
        }
    }
    return text;
}

} // namespace parts

TEST_CASE("a text is quoted as JSON wants it", "[json_text]") {
    CHECK(in_quotes("") == R"("")");
    CHECK(in_quotes("plain") == R"("plain")");
    CHECK(in_quotes("say \"hi\" \\ /") == R"("say \"hi\" \\ /")");
    CHECK(in_quotes("\b\f\n\r\t\x01\x1f\0"s) == R"("\b\f\n\r\t\u0001\u001f\u0000")");
    CHECK(in_quotes("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80") == "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\"");
}

TEST_CASE("an escape is read as what it means", "[json_text]") {
    CHECK(meant("plain") == "plain");
    CHECK(meant(R"(\"\\\/\b\f\n\r\t)") == "\"\\/\b\f\n\r\t");
    CHECK(meant(R"(\u0041\u00fc\u00FC\u20ac)") == "A\xc3\xbc\xc3\xbc\xe2\x82\xac");
    CHECK(meant(R"(\ud83d\ude00)") == "\xf0\x9f\x98\x80");
    CHECK(meant(R"(\u0000)") == "\0"s);
}

TEST_CASE("half a surrogate pair becomes the replacement character", "[json_text]") {
    const std::string replacement = "\xef\xbf\xbd";

    CHECK(meant(R"(\ud83d)") == replacement);
    CHECK(meant(R"(\ude00)") == replacement);
    CHECK(meant(R"(\ud83dx)") == replacement + "x");
    CHECK(meant(R"(\ud83d\n)") == replacement + "\n");
    CHECK(meant(R"(\ud83d\u0041)") == replacement + "A");
    CHECK(meant(R"(\ud83d\ud83d\ude00)") == replacement + "\xf0\x9f\x98\x80");
}

TEST_CASE("what is not UTF-8 is neither quoted nor half quoted", "[json_text]") {
    for (const std::string& text : {"\x80"s, "\xbf"s, "\xc0\x80"s, "\xc1\xbf"s, "\xc3"s, "\xc3("s, "\xe0\x9f\xbf"s,
                                    "\xe2\x82"s, "\xed\xa0\x80"s, "\xed\xbf\xbf"s, "\xf0\x8f\xbf\xbf"s, "\xf0\x9f\x98"s,
                                    "\xf4\x90\x80\x80"s, "\xf5\x80\x80\x80"s, "\xff"s, "\xfe"s}) {
        CAPTURE(text);
        std::string out = "kept";
        CHECK_FALSE(append_json_string(out, "some plain text before it " + text));
        CHECK(out == "kept");
        CHECK_FALSE(is_utf8(text + " and after it"));
    }
    CHECK(is_utf8("\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
}

TEST_CASE("quoting agrees with nlohmann-json about any text, and reads back", "[json_text]") {
    GOSSIP_INFO_SEED();
    gossip_test::Random random(2);
    int valid = 0;
    for (int i = 0; i < 5'000; ++i) {
        const std::string text = hostile_text(random);
        std::string out;
        const bool written = append_json_string(out, text);
        REQUIRE(written == is_utf8(text));
        if (!written) {
            REQUIRE_THROWS(nlohmann::json(text).dump());
            continue;
        }
        ++valid;
        REQUIRE(nlohmann::json::parse(out).get<std::string>() == text);
        REQUIRE(meant(std::string_view{out}.substr(1, out.size() - 2)) == text);
    }
    CHECK(valid > 1'000);
}

TEST_CASE("the end of what is plain is found at every place of a word", "[json_text]") {
    for (std::size_t size = 0; size < 40; ++size) {
        for (std::size_t at = 0; at <= size; ++at) {
            for (const char mark : {'"', '\\', '\n', '\0', '\x1f', '\x80', '\xff'}) {
                std::string text(size, '!');
                if (at < size) {
                    text[at] = mark;
                }
                const char* const begin = text.data();
                REQUIRE(static_cast<std::size_t>(end_of_plain(begin, begin + size) - begin) == at);
            }
        }
    }
    for (int c = 0; c < 256; ++c) {
        const std::string text = "~ \x7f]["s + static_cast<char>(c) + "#!![";
        const bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
        CHECK((end_of_plain(text.data(), text.data() + text.size()) == text.data() + text.size()) == plain);
    }
}

} // namespace json_text_test
