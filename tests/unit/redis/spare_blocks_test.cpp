#include <gossip/provider/redis/spare_blocks.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"

#include <cstddef>
#include <functional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace spare_blocks_test {

inline namespace parts {

using gossip::redis::detail::SpareAllocator;
using gossip::redis::detail::SpareBlocks;

} // namespace parts

TEST_CASE("blocks that come back are those that go out next, and no more are kept than may be", "[spare_blocks]") {
    SpareBlocks blocks(2);
    std::vector<void*> taken;
    for (int i = 0; i < 3; ++i) {
        taken.push_back(blocks.take(48));
    }
    for (void* const block : taken) {
        blocks.give(block, 48);
    }
    CHECK(blocks.spare() == 2);

    const support::AllocationCounter counter;
    void* const second = blocks.take(48);
    void* const first = blocks.take(48);
    const std::size_t allocations = counter.count();
    CHECK(second == taken[1]);
    CHECK(first == taken[0]);
    CHECK(allocations == 0);
    CHECK(blocks.spare() == 0);
    blocks.give(first, 48);
    blocks.give(second, 48);
}

TEST_CASE("blocks of another size are never kept, nor given out for one another", "[spare_blocks]") {
    SpareBlocks blocks(2);
    blocks.give(blocks.take(48), 48);
    void* const other = blocks.take(64);
    blocks.give(other, 64);
    CHECK(blocks.spare() == 1);

    SpareBlocks tiny(1);
    blocks.give(blocks.take(1), 1); // smaller than what is noted in a spare one
    tiny.give(tiny.take(1), 1);
    CHECK(tiny.spare() == 1);
}

#if GOSSIP_ASAN
TEST_CASE("who touches a block that he has given back is seen by an address sanitizer", "[spare_blocks]") {
    SpareBlocks blocks(2);
    auto* const block = static_cast<char*>(blocks.take(48));
    blocks.give(block, 48);
    CHECK(__asan_address_is_poisoned(block + 8) != 0);
    CHECK(__asan_address_is_poisoned(block + 47) != 0);

    CHECK(blocks.take(48) == block);
    CHECK(__asan_region_is_poisoned(block, 48) == nullptr);
    blocks.give(block, 48);
}
#endif

TEST_CASE("a map whose nodes go round fills and empties without memory once it has been as large", "[spare_blocks]") {
    if (!support::allocations_are_counted()) {
        return;
    }
    using Node = std::pair<const int, std::size_t>;
    SpareBlocks blocks(100);
    std::unordered_map<int, std::size_t, std::hash<int>, std::equal_to<>, SpareAllocator<Node>> map{
        SpareAllocator<Node>{blocks}};
    const auto fill_and_empty = [&] {
        for (int i = 0; i < 100; ++i) {
            map[i] = 1;
        }
        for (int i = 0; i < 100; ++i) {
            map.erase(i);
        }
    };
    fill_and_empty();

    const support::AllocationCounter counter;
    fill_and_empty();
    const std::size_t allocations = counter.count();

    CHECK(allocations == 0);
    CHECK(blocks.spare() == 100);
}

} // namespace spare_blocks_test
