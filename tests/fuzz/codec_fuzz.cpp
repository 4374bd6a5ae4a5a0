// Data is refused with a ValidationError, or it is JSON, is written, and reads back the same; both codecs agree on it.
#include <gossip/provider/redis/fast_codec.hpp>
#include <gossip/provider/redis/json_codec.hpp>

#include <nlohmann/json.hpp>

#include "fuzz/promise.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace codec_fuzz {

struct Item {
    std::string sku;
    std::int32_t count = 1;
    friend bool operator==(const Item&, const Item&) = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Item, sku, count)

struct Order {
    std::string order_id;
    double amount = 0;
    bool paid = false;
    std::uint64_t serial = 0;
    std::int8_t tiny = 0;
    std::optional<Item> gift;
    std::vector<Item> items;
    std::map<std::string, std::vector<double>> prices;
    friend bool operator==(const Order&, const Order&) = default;
};

/// For the default codec: nlohmann-json casts a number to the member's type, whether it fits or not.
struct Loose {
    std::string order_id;
    double amount = 0;
    bool paid = false;
    std::vector<std::string> items;
    friend bool operator==(const Loose&, const Loose&) = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Loose, order_id, amount, paid, items)

/// For both.
struct Plain {
    std::string order_id;
    std::int64_t amount = 0;
    bool paid = false;
    std::vector<Item> items;
    friend bool operator==(const Plain&, const Plain&) = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Plain, order_id, amount, paid, items)

} // namespace codec_fuzz

template <>
inline constexpr auto gossip::members<codec_fuzz::Item> = gossip::member_list("sku", &codec_fuzz::Item::sku, "count",
                                                                              &codec_fuzz::Item::count);
template <>
inline constexpr auto gossip::members<codec_fuzz::Order> = gossip::member_list(
    "order_id", &codec_fuzz::Order::order_id, "amount", &codec_fuzz::Order::amount, "paid", &codec_fuzz::Order::paid,
    "serial", &codec_fuzz::Order::serial, "tiny", &codec_fuzz::Order::tiny, "gift", &codec_fuzz::Order::gift, "items",
    &codec_fuzz::Order::items, "prices", &codec_fuzz::Order::prices);
template <>
inline constexpr auto gossip::members<codec_fuzz::Plain> = gossip::member_list("order_id", &codec_fuzz::Plain::order_id,
                                                                               "amount", &codec_fuzz::Plain::amount,
                                                                               "paid", &codec_fuzz::Plain::paid,
                                                                               "items", &codec_fuzz::Plain::items);

namespace {

using gossip_test::promise;

template <class Codec, class T>
std::optional<T> decoded(std::string_view text) {
    try {
        return Codec::template decode<T>(text);
    } catch (const gossip::ValidationError& error) {
        promise(error.field() == "Data", "an error is one of the data");
        return std::nullopt;
    }
}

/// What was read is written, and reads back by either codec.
template <class Codec, class T>
void check_round_trip(const T& data) {
    std::string text;
    Codec::encode(data, text);
    promise(nlohmann::json::accept(text), "what is written is JSON");
    promise(decoded<Codec, T>(text) == data, "what is written reads back");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::string_view text = gossip_test::text_of(bytes, size);
    if (const auto order = decoded<gossip::FastCodec, codec_fuzz::Order>(text)) {
        promise(nlohmann::json::accept(text), "what is read is JSON");
        check_round_trip<gossip::FastCodec>(*order);
    }
    if (const auto plain = decoded<gossip::FastCodec, codec_fuzz::Plain>(text)) {
        promise(nlohmann::json::accept(text), "what is read is JSON");
        check_round_trip<gossip::FastCodec>(*plain);
        check_round_trip<gossip::JsonCodec>(*plain);
        std::string written;
        gossip::FastCodec::encode(*plain, written);
        promise(decoded<gossip::JsonCodec, codec_fuzz::Plain>(written) == *plain,
                "the default codec reads the fast one");
    }
    if (const auto loose = decoded<gossip::JsonCodec, codec_fuzz::Loose>(text)) {
        check_round_trip<gossip::JsonCodec>(*loose);
    }
    return 0;
}
