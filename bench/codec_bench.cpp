// What does a message cost, data and all? The same order of 128 bytes of JSON through the codecs, side by side, each
// with the envelope around it and back; and the envelope alone, beside nlohmann-json doing it. Every order that comes
// back is counted and compared, and one that differs fails the run.

#include <gossip/provider/codec.hpp>
#include <gossip/provider/redis/cloud_events.hpp>
#include <gossip/provider/redis/envelope.hpp>
#include <gossip/provider/redis/fast_codec.hpp>
#include <gossip/provider/redis/json_codec.hpp>
#include <gossip/provider/redis/raw_codec.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "support/allocations.hpp"

namespace bench {

struct Order {
    std::string order_id;
    std::string customer;
    double amount = 0;
    std::int64_t items = 0;
    bool paid = false;

    friend bool operator==(const Order&, const Order&) = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Order, order_id, customer, amount, items, paid)

} // namespace bench

template <>
inline constexpr auto
    gossip::members<bench::Order> = gossip::member_list("order_id", &bench::Order::order_id, "customer",
                                                        &bench::Order::customer, "amount", &bench::Order::amount,
                                                        "items", &bench::Order::items, "paid", &bench::Order::paid);

namespace {

using bench::Order;

constexpr gossip::Topic<> topic{"order.created"};

template <class T>
T sample() {
    const Order order{"2024-06-30/000017-a", "Ada Lovelace, London", 1249.95, 3, true};
    if constexpr (std::is_same_v<T, std::string>) {
        std::string text;
        gossip::FastCodec::encode(order, text);
        return text;
    } else {
        return order;
    }
}

gossip::Event event() { return gossip::Event{topic}.with_key("customer-7"); }

void set_counters(benchmark::State& state, std::size_t allocations, std::int64_t delivered, std::size_t bytes) {
    state.counters["allocations"] = static_cast<double>(allocations) / static_cast<double>(state.iterations());
    state.counters["bytes"] = static_cast<double>(bytes);
    state.SetItemsProcessed(delivered);
    if (delivered != static_cast<std::int64_t>(state.iterations())) {
        state.SkipWithError("not every message was what it should be");
    }
}

std::string written_envelope() {
    std::string out;
    gossip::write_envelope(out, event(), sample<std::string>());
    return out;
}
std::string written_cloud_event() {
    std::string out;
    gossip::write_cloud_event(out, event(), sample<std::string>());
    return out;
}

/// Times `write(out)`, which is to write the same number of bytes each time.
template <class Write>
void writing(benchmark::State& state, Write write) {
    std::string out;
    write(out);
    const std::size_t size = out.size();
    std::int64_t delivered = 0;
    const Allocations counter;
    for (auto _ : state) {
        out.clear();
        write(out);
        benchmark::DoNotOptimize(out.data());
        delivered += out.size() == size ? 1 : 0;
    }
    set_counters(state, counter.count(), delivered, size);
}

/// Times `read()`, which is to be true.
template <class Read>
void reading(benchmark::State& state, std::size_t bytes, Read read) {
    std::int64_t delivered = 0;
    const Allocations counter;
    for (auto _ : state) {
        delivered += read() ? 1 : 0;
    }
    set_counters(state, counter.count(), delivered, bytes);
}

template <class C, class T>
void encode(benchmark::State& state) {
    const T data = sample<T>();
    const gossip::Event carrier = event();
    std::string text;
    writing(state, [&](std::string& out) {
        text.clear();
        gossip::detail::encode_data<C>(data, text);
        gossip::write_envelope(out, carrier, text);
    });
}

template <class C, class T>
void decode(benchmark::State& state) {
    const T data = sample<T>();
    std::string text;
    std::string out;
    gossip::detail::encode_data<C>(data, text);
    gossip::write_envelope(out, event(), text);
    gossip::Envelope envelope;
    reading(state, out.size(), [&] {
        return gossip::scan_envelope(out, envelope).ok() && gossip::detail::decode_data<C, T>(envelope.data) == data;
    });
}

void envelope_write(benchmark::State& state) {
    const gossip::Event carrier = event();
    const std::string text = sample<std::string>();
    writing(state, [&](std::string& out) { gossip::write_envelope(out, carrier, text); });
}

void cloud_event_write(benchmark::State& state) {
    const gossip::Event carrier = event();
    const std::string text = sample<std::string>();
    writing(state, [&](std::string& out) { gossip::write_cloud_event(out, carrier, text); });
}

void envelope_scan(benchmark::State& state) {
    const std::string out = written_envelope();
    gossip::Envelope envelope;
    reading(state, out.size(),
            [&] { return gossip::scan_envelope(out, envelope).ok() && envelope.type == topic.name(); });
}

void cloud_event_scan(benchmark::State& state) {
    const std::string out = written_cloud_event();
    gossip::Envelope envelope;
    reading(state, out.size(),
            [&] { return gossip::scan_cloud_event(out, envelope).ok() && envelope.type == topic.name(); });
}

/// What it costs where nlohmann-json does the envelope, too: a tree of its fields, whose texts are ready, and of the
/// data's text, which it has to read.
void write_by_tree(benchmark::State& state, const std::string& written) {
    const nlohmann::json fields = nlohmann::json::parse(written);
    const std::string text = sample<std::string>();
    writing(state, [&](std::string& out) {
        nlohmann::json tree = nlohmann::json::object();
        for (const auto& [name, value] : fields.items()) {
            tree[name] = name == "Data" || name == "data" ? nlohmann::json::parse(text) : value;
        }
        out = tree.dump();
    });
}

void read_by_tree(benchmark::State& state, const std::string& written, const char* type) {
    reading(state, written.size(),
            [&] { return nlohmann::json::parse(written)[type].get_ref<const std::string&>() == topic.name(); });
}

void envelope_write_by_tree(benchmark::State& state) { write_by_tree(state, written_envelope()); }
void envelope_scan_by_tree(benchmark::State& state) { read_by_tree(state, written_envelope(), "Type"); }
void cloud_event_write_by_tree(benchmark::State& state) { write_by_tree(state, written_cloud_event()); }
void cloud_event_scan_by_tree(benchmark::State& state) { read_by_tree(state, written_cloud_event(), "type"); }

BENCHMARK(encode<gossip::RawCodec, std::string>)->Name("encode/raw");
BENCHMARK(encode<gossip::FastCodec, Order>)->Name("encode/fast");
BENCHMARK(encode<gossip::JsonCodec, Order>)->Name("encode/default");
BENCHMARK(decode<gossip::RawCodec, std::string>)->Name("decode/raw");
BENCHMARK(decode<gossip::FastCodec, Order>)->Name("decode/fast");
BENCHMARK(decode<gossip::JsonCodec, Order>)->Name("decode/default");
BENCHMARK(envelope_write)->Name("envelope/write/bus");
BENCHMARK(envelope_write_by_tree)->Name("envelope/write/by_nlohmann");
BENCHMARK(envelope_scan)->Name("envelope/scan/bus");
BENCHMARK(envelope_scan_by_tree)->Name("envelope/scan/by_nlohmann");
BENCHMARK(cloud_event_write)->Name("cloud_event/write/bus");
BENCHMARK(cloud_event_write_by_tree)->Name("cloud_event/write/by_nlohmann");
BENCHMARK(cloud_event_scan)->Name("cloud_event/scan/bus");
BENCHMARK(cloud_event_scan_by_tree)->Name("cloud_event/scan/by_nlohmann");

} // namespace
