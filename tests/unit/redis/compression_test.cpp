#include <gossip/provider/redis/compression.hpp>

#include <cstddef>
#include <string>
#include <string_view>

#include "support/catch.hpp"
#include "support/seed.hpp"

namespace compression_test {

using namespace std::string_literals;
using Catch::Matchers::ContainsSubstring;
using gossip::Envelope;
using gossip::EnvelopeLimits;
using gossip::Result;

inline namespace parts {

std::string base64(std::string_view bytes) {
    std::string out;
    gossip::detail::append_base64(out, bytes);
    return out;
}

bool spells(std::string_view text) {
    std::string out;
    return gossip::detail::append_bytes_of_base64(out, text);
}

std::string unpack_error(std::string_view data, std::string_view encoding = gossip::zstd_encoding,
                         const EnvelopeLimits& limits = {}) {
    Envelope envelope;
    envelope.data = data;
    envelope.encoding = encoding;
    const Result result = gossip::unpack_data(envelope, limits);
    return result ? "none" : result.error().what();
}

} // namespace parts

TEST_CASE("bytes are spelled in base64 as RFC 4648 wants it", "[compression]") {
    CHECK(base64("").empty());
    CHECK(base64("f") == "Zg==");
    CHECK(base64("fo") == "Zm8=");
    CHECK(base64("foo") == "Zm9v");
    CHECK(base64("foobar") == "Zm9vYmFy");
    CHECK(base64("\xff\xff\xfe") == "///+");
    for (const char* const text : {"Z", "Zg", "Zg=", "Zg===", "=", "====", "Zg==Zg==", "Zm9v=", "Z===", "Zh==", "Zm9=",
                                   "Zm9v\n", "Zm 9v", "Zm9-", "Zm9_", "Zm9\xff"}) {
        CAPTURE(text);
        CHECK_FALSE(spells(text));
    }

    GOSSIP_INFO_SEED();
    gossip_test::Random random(6);
    for (int i = 0; i < 2'000; ++i) {
        std::string bytes(random.below(40), '\0');
        for (char& c : bytes) {
            c = static_cast<char>(random.below(256));
        }
        std::string back;
        REQUIRE(gossip::detail::append_bytes_of_base64(back, base64(bytes)));
        REQUIRE(back == bytes);
    }
}

TEST_CASE("data without an encoding is left alone, an unknown encoding is an error", "[compression]") {
    CHECK(unpack_error("{}", "") == "none");
    CHECK_THAT(unpack_error("\"x\"", "gzip"),
               ContainsSubstring("'Encoding': must be one that is known here, got gzip"));
}

#if defined(GOSSIP_HAS_ZSTD)

TEST_CASE("large data is compressed, and comes back", "[compression]") {
    const std::string data = R"({"text":")" + std::string(10'000, 'x') + R"("})";
    std::string packed = "before:";
    REQUIRE(gossip::compress_data(packed, data));
    CHECK(packed.size() < 200);
    REQUIRE(packed.starts_with("before:\""));

    Envelope envelope;
    envelope.data = std::string_view{packed}.substr(7);
    envelope.encoding = gossip::zstd_encoding;
    REQUIRE(gossip::unpack_data(envelope));
    CHECK(envelope.data == data);
    CHECK(envelope.encoding.empty());

    std::string slashes; // as some writers escape them
    for (const char c : packed.substr(7)) {
        slashes.append(c == '/' ? "\\/" : std::string(1, c));
    }
    CHECK(unpack_error(slashes) == "none");
}

TEST_CASE("data that does not become shorter is left as it is", "[compression]") {
    std::string packed = "kept";
    CHECK_FALSE(gossip::compress_data(packed, R"({"a":1})"));
    CHECK_FALSE(gossip::compress_data(packed, "1"));
    CHECK(packed == "kept");
}

TEST_CASE("what is unpacked is limited, and checked to be JSON", "[compression]") {
    const auto packed_of = [](std::string_view data) {
        std::string packed;
        REQUIRE(gossip::compress_data(packed, data));
        return packed;
    };
    const std::string megabytes = packed_of("\"" + std::string(10'000'000, 'a') + "\"");
    CHECK(megabytes.size() < 3'000);
    CHECK_THAT(unpack_error(megabytes), ContainsSubstring("must not be more bytes unpacked than the limit"));
    CHECK(unpack_error(megabytes, gossip::zstd_encoding, {.size = 20'000'000}) == "none");

    CHECK_THAT(unpack_error(packed_of(std::string(1'000, '['))), ContainsSubstring("nested too deeply"));
    CHECK_THAT(unpack_error(packed_of(std::string(1'000, 'x'))),
               ContainsSubstring("expected a value at byte 0 unpacked"));
    CHECK_THAT(unpack_error(packed_of("\"" + std::string(1'000, '\xff') + "\"")), ContainsSubstring("invalid UTF-8"));
    CHECK_THAT(unpack_error(packed_of("1" + std::string(1'000, ' ') + "2")), ContainsSubstring("more text behind"));
}

TEST_CASE("what is not what its encoding says is an error", "[compression]") {
    CHECK_THAT(unpack_error("{}"), ContainsSubstring("'Data': must be a string where there is an Encoding"));
    CHECK_THAT(unpack_error("null"), ContainsSubstring("must be a string"));
    CHECK_THAT(unpack_error("\"%\""), ContainsSubstring("is not base64"));
    CHECK_THAT(unpack_error("\"\""), ContainsSubstring("is not one zstd frame"));
    CHECK_THAT(unpack_error("\"Zm9vYmFy\""), ContainsSubstring("is not one zstd frame"));

    std::string text = "[";
    for (int i = 0; i < 300; ++i) {
        text.append(std::to_string(i * i)).append(",");
    }
    std::string frame;
    gossip::detail::append_zstd(frame, text + "0]");
    const auto quoted_bytes = [](std::string_view bytes) { return "\"" + base64(bytes) + "\""; };
    REQUIRE(unpack_error(quoted_bytes(frame)) == "none");
    CHECK_THAT(unpack_error(quoted_bytes(frame + frame)), ContainsSubstring("is not one zstd frame"));
    for (std::size_t size = 0; size < frame.size(); ++size) {
        REQUIRE(unpack_error(quoted_bytes(frame.substr(0, size))) != "none");
    }
    GOSSIP_INFO_SEED();
    gossip_test::Random random(7);
    for (std::size_t at = 0; at < frame.size(); ++at) { // an error or some text, never anything else
        std::string changed = frame;
        changed[at] = static_cast<char>(random.below(256));
        CHECK_FALSE(unpack_error(quoted_bytes(changed)).empty());
    }
}

#else

TEST_CASE("a build without zstd says so", "[compression]") {
    std::string packed;
    CHECK_THROWS_AS(gossip::compress_data(packed, std::string(1'000, ' ')), gossip::ValidationError);
    CHECK_THAT(unpack_error("\"Zm9v\""), ContainsSubstring("needs zstd, which this build has not"));
}

#endif

} // namespace compression_test
