#include <gossip/batch/batch_chunk.hpp>

#include "support/catch.hpp"
#include "support/hostile_data.hpp"

#include <cstddef>
#include <memory>
#include <thread>

namespace batch_chunk_test {

inline namespace parts {

using gossip::Event;
using gossip::detail::BatchChunk;
using gossip::detail::Collector;
using gossip::detail::Kind;

inline constexpr gossip::Topic<int> number{"chunk.number"};
inline constexpr gossip::Topic<support::SelfPointer> self{"chunk.self"};

void put(BatchChunk& chunk, Event event, const Collector::Mark& mark = {}) { chunk.put(chunk.claim(), event, mark); }

} // namespace parts

TEST_CASE("a chunk has its events side by side, in the order of their places", "[batch_chunk]") {
    BatchChunk chunk(3);
    for (int i = 0; i < 3; ++i) {
        put(chunk, Event{number, i}, {nullptr, i + 1, i == 1 ? Kind::letter : Kind::event});
    }

    const auto contents = chunk.await();
    CHECK(contents.letters == 1);
    CHECK(contents.attempt == 3);
    const auto events = chunk.events(1, 2);
    REQUIRE(events.size() == 2);
    CHECK(events[0].data<int>() == 1);
    CHECK(events[1].data<int>() == 2);
    CHECK(chunk.mark(1).kind == Kind::letter);
}

TEST_CASE("a chunk awaits places that are claimed and not filled", "[batch_chunk]") {
    BatchChunk chunk(2);
    const std::size_t second = (put(chunk, Event{number, 1}), chunk.claim());
    std::thread late([&] {
        Event event{number, 2};
        std::this_thread::yield();
        chunk.put(second, event, {});
    });
    static_cast<void>(chunk.await());
    const int seen = chunk.event(1).data<int>();
    late.join();

    CHECK(seen == 2);
}

TEST_CASE("plain events need no mark and are not awaited; those with one may come after them", "[batch_chunk]") {
    BatchChunk chunk(4);
    for (int i = 0; i < 2; ++i) {
        Event event{number, i};
        REQUIRE(BatchChunk::is_plain(event, {}));
        REQUIRE(chunk.takes_plain());
        chunk.put_plain(event);
    }
    CHECK(chunk.await().simple);
    put(chunk, Event{number, 2}, {nullptr, 5, Kind::sync});
    CHECK_FALSE(chunk.takes_plain());
    put(chunk, Event{number, 3});

    const auto contents = chunk.await();
    CHECK_FALSE(BatchChunk::is_plain(Event{number, 0}.with_key("k"), {}));
    CHECK(contents.attempt == 5);
    CHECK(chunk.mark(1).attempt == 1);
    chunk.exchange(0, 2);
    CHECK(chunk.event(0).data<int>() == 2);
    CHECK(chunk.mark(0).attempt == 5);
    CHECK(chunk.mark(0).kind == Kind::sync);
    CHECK(chunk.event(2).data<int>() == 0);
    CHECK(chunk.mark(2).kind == Kind::event);
    CHECK(chunk.mark(1).attempt == 1);
    CHECK(chunk.mark(1).part == nullptr);
    CHECK(chunk.event(3).data<int>() == 3);
    chunk.clear();
    CHECK(chunk.takes_plain());
}

TEST_CASE("a chunk that grows keeps which of its events are plain", "[batch_chunk]") {
    BatchChunk chunk(2);
    Event event{number, 1};
    chunk.put_plain(event);
    {
        BatchChunk larger(4);
        larger.take_over(chunk);
        chunk.swap_memory(larger);
    }
    CHECK(chunk.takes_plain());
    put(chunk, Event{number, 2}, {nullptr, 2, Kind::event});
    {
        BatchChunk larger(8);
        larger.take_over(chunk);
        chunk.swap_memory(larger);
    }
    CHECK_FALSE(chunk.takes_plain());
    CHECK(chunk.mark(0).attempt == 1);
    CHECK(chunk.mark(1).attempt == 2);
    CHECK(chunk.await().attempt == 2);
}

TEST_CASE("growing moves each event once, with its mark", "[batch_chunk]") {
    const int alive = support::SelfPointer::alive;
    {
        BatchChunk chunk(2);
        put(chunk, Event{self, support::SelfPointer{1}}, {nullptr, 7, Kind::event});
        put(chunk, Event{self, support::SelfPointer{2}});
        {
            BatchChunk larger(4);
            larger.take_over(chunk);
            chunk.swap_memory(larger);
        }
        put(chunk, Event{self, support::SelfPointer{3}});

        CHECK(chunk.room() == 4);
        REQUIRE(chunk.size() == 3);
        CHECK(chunk.mark(0).attempt == 7);
        for (std::size_t i = 0; i < 3; ++i) {
            CHECK(chunk.event(i).data<support::SelfPointer>().intact());
            CHECK(chunk.event(i).data<support::SelfPointer>().value == static_cast<int>(i) + 1);
        }
        chunk.exchange(0, 2);
        CHECK(chunk.event(2).data<support::SelfPointer>().value == 1);
        CHECK(chunk.mark(2).attempt == 7);
        CHECK(support::SelfPointer::alive == alive + 3);
    }
    CHECK(support::SelfPointer::alive == alive);
}

TEST_CASE("a cleared chunk is used again", "[batch_chunk]") {
    BatchChunk chunk(1);
    for (int i = 0; i < 3; ++i) {
        put(chunk, Event{number, i});
        CHECK(chunk.event(0).data<int>() == i);
        chunk.clear();
        CHECK(chunk.size() == 0);
    }
}

} // namespace batch_chunk_test
