// What does a message cost, data and all? The same order of 128 bytes of JSON through the codecs, side by side, each
// with the envelope around it and back; and the envelope alone. Every order that comes back is counted and compared.

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

#include "support/allocation_counter.hpp"

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
}

template <class C, class T>
void encode(benchmark::State& state) {
    const T data = sample<T>();
    const gossip::Event carrier = event();
    std::string text;
    std::string out;
    gossip::detail::encode_data<C>(data, text);
    gossip::write_envelope(out, carrier, text);
    const std::size_t size = out.size();
    std::int64_t delivered = 0;
    const support::AllocationCounter counter;
    for (auto _ : state) {
        text.clear();
        out.clear();
        gossip::detail::encode_data<C>(data, text);
        gossip::write_envelope(out, carrier, text);
        benchmark::DoNotOptimize(out.data());
        delivered += out.size() == size ? 1 : 0;
    }
    set_counters(state, counter.count(), delivered, size);
}

template <class C, class T>
void decode(benchmark::State& state) {
    const T data = sample<T>();
    std::string text;
    std::string out;
    gossip::detail::encode_data<C>(data, text);
    gossip::write_envelope(out, event(), text);
    gossip::Envelope envelope;
    std::int64_t delivered = 0;
    const support::AllocationCounter counter;
    for (auto _ : state) {
        if (gossip::scan_envelope(out, envelope)) {
            const T back = gossip::detail::decode_data<C, T>(envelope.data);
            delivered += back == data ? 1 : 0;
        }
    }
    set_counters(state, counter.count(), delivered, out.size());
}

void envelope_write(benchmark::State& state) {
    const gossip::Event carrier = event();
    const std::string text = sample<std::string>();
    std::string out;
    gossip::write_envelope(out, carrier, text);
    const std::size_t size = out.size();
    std::int64_t delivered = 0;
    const support::AllocationCounter counter;
    for (auto _ : state) {
        out.clear();
        gossip::write_envelope(out, carrier, text);
        benchmark::DoNotOptimize(out.data());
        delivered += out.size() == size ? 1 : 0;
    }
    set_counters(state, counter.count(), delivered, size);
}

void envelope_scan(benchmark::State& state) {
    std::string out;
    gossip::write_envelope(out, event(), sample<std::string>());
    gossip::Envelope envelope;
    std::int64_t delivered = 0;
    const support::AllocationCounter counter;
    for (auto _ : state) {
        delivered += gossip::scan_envelope(out, envelope).ok() ? 1 : 0;
        benchmark::DoNotOptimize(envelope.data.data());
    }
    set_counters(state, counter.count(), delivered, out.size());
}

/// What it costs where nlohmann-json does the envelope too.
void envelope_scan_by_tree(benchmark::State& state) {
    std::string out;
    gossip::write_envelope(out, event(), sample<std::string>());
    std::int64_t delivered = 0;
    const support::AllocationCounter counter;
    for (auto _ : state) {
        const auto json = nlohmann::json::parse(out);
        delivered += json["Type"].get_ref<const std::string&>() == "order.created" ? 1 : 0;
    }
    set_counters(state, counter.count(), delivered, out.size());
}

void cloud_event_write(benchmark::State& state) {
    const gossip::Event carrier = event();
    const std::string text = sample<std::string>();
    std::string out;
    gossip::write_cloud_event(out, carrier, text);
    const std::size_t size = out.size();
    std::int64_t delivered = 0;
    const support::AllocationCounter counter;
    for (auto _ : state) {
        out.clear();
        gossip::write_cloud_event(out, carrier, text);
        benchmark::DoNotOptimize(out.data());
        delivered += out.size() == size ? 1 : 0;
    }
    set_counters(state, counter.count(), delivered, size);
}

void cloud_event_scan(benchmark::State& state) {
    std::string out;
    gossip::write_cloud_event(out, event(), sample<std::string>());
    gossip::Envelope envelope;
    std::int64_t delivered = 0;
    const support::AllocationCounter counter;
    for (auto _ : state) {
        delivered += gossip::scan_cloud_event(out, envelope).ok() ? 1 : 0;
        benchmark::DoNotOptimize(envelope.data.data());
    }
    set_counters(state, counter.count(), delivered, out.size());
}

BENCHMARK(encode<gossip::RawCodec, std::string>)->Name("encode/raw");
BENCHMARK(encode<gossip::FastCodec, Order>)->Name("encode/fast");
BENCHMARK(encode<gossip::JsonCodec, Order>)->Name("encode/default");
BENCHMARK(decode<gossip::RawCodec, std::string>)->Name("decode/raw");
BENCHMARK(decode<gossip::FastCodec, Order>)->Name("decode/fast");
BENCHMARK(decode<gossip::JsonCodec, Order>)->Name("decode/default");
BENCHMARK(envelope_write)->Name("envelope/write");
BENCHMARK(envelope_scan)->Name("envelope/scan");
BENCHMARK(envelope_scan_by_tree)->Name("envelope/scan_by_nlohmann");
BENCHMARK(cloud_event_write)->Name("cloud_event/write");
BENCHMARK(cloud_event_scan)->Name("cloud_event/scan");

} // namespace
